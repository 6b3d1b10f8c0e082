"""Time stamps of the directory, as the registrar asks for them (ADR 0022).

One for the newest entry, as often as the interval says, and not one for each heartbeat: a token covers every entry
before, and stays in the log for ever. It waits in the registrar's folder until a heartbeat that carries it stands.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from errno import EDQUOT, ENOSPC
from typing import TYPE_CHECKING

from docbus.errors import DiskFullError, MalformedError, StorageError
from docbus.identity.time_stamps.gap import Gap
from docbus.identity.time_stamps.log import newest_stamp, position_of
from docbus.identity.time_stamps.stamped import stamped_entry
from docbus.identity.time_stamps.token import MAX_TOKEN_BYTES, read_token
from docbus.storage.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.errors import DocbusError
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.gap import Unstamped
    from docbus.identity.time_stamps.token import TimeStamp

FOLDER_NAME = "time-stamps"
TOKEN_NAME = "waiting.tst"  # noqa: S105 - a file's name
GAP_NAME = "gap.json"
MAX_GAP_BYTES = 64 * 1024
"""Bytes of the file that says since when no authority answers; it has some hundred."""


@dataclass(frozen=True, slots=True)
class UnstampedEntry:
    """The newest entry of the directory."""

    stamped: bytes


class HeartbeatStamps:
    """What waits between the authority and the log. Belongs to one event loop.

    Args:
        folder: The registrar's.
        every_ms: Milliseconds between two time stamps.
    """

    def __init__(self, folder: Path, every_ms: int) -> None:
        self._folder = folder / FOLDER_NAME
        self._every_ms = every_ms
        self._ready = self._read_ready()
        self._newest: bytes | None = None
        self._stamped_at: int | None = None

    def _read_ready(self) -> TimeStamp | None:
        """Return the token that waits, as an earlier process has left it."""
        try:
            with (self._folder / TOKEN_NAME).open("rb") as file:
                return read_token(file.read(MAX_TOKEN_BYTES + 1))
        except (OSError, MalformedError):
            # Whatever it was, another one is asked for.
            return None

    def see(self, snapshot: TrustSnapshot, newest_entry: bytes | None) -> bytes | None:
        """Take note of what the log has come to, and return the token that the next heartbeat is to carry.

        Args:
            snapshot: The directory at its end.
            newest_entry: The signed bytes of its last entry.
        """
        in_log = newest_stamp(snapshot)
        stamp = None if in_log is None else in_log.stamp
        self._stamped_at = None if stamp is None else stamp.time_ms
        self._newest = newest_entry if snapshot.has_heartbeat else None
        ready = self._ready
        if ready is None:
            return None
        stands = stamp is not None and stamp.imprint == ready.imprint
        if stands or position_of(snapshot, ready.imprint, snapshot.position + 1) is None:
            # It is in the log, which keeps it for ever, or about another log.
            self._ready = None
            self._drop(TOKEN_NAME)
            return None
        return ready.token

    async def due(self, now_ms: int) -> UnstampedEntry | None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`; nothing is as long as a token waits for its turn."""
        if self._newest is None or self._ready is not None:
            return None
        at = self._stamped_at
        if at is not None and 0 <= now_ms - at < self._every_ms:
            # Whoever had it stamped, another machine of the registrar's included: there is no gap any more.
            self._drop(GAP_NAME)
            return None
        return UnstampedEntry(stamped_entry(self._newest))

    async def keep(self, _unstamped: Unstamped, stamp: TimeStamp) -> None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`."""
        await asyncio.to_thread(self._write, TOKEN_NAME, stamp.token)
        self._ready = stamp
        self._drop(GAP_NAME)

    async def fail(self, error: DocbusError, now_ms: int) -> None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`."""
        gap = Gap.after(await asyncio.to_thread(read_gap, self._folder.parent), error, now_ms)
        await asyncio.to_thread(self._write, GAP_NAME, json.dumps(asdict(gap), ensure_ascii=False).encode())

    def _drop(self, name: str) -> None:
        # What cannot be removed is found again by the next process, which sees that it has had its turn.
        with suppress(OSError):
            (self._folder / name).unlink()

    def _write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            StorageError: It could not be.
        """
        path = self._folder / name
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            text = f"{path} cannot be written: {error.strerror}"
            if error.errno in {ENOSPC, EDQUOT}:
                raise DiskFullError(text, hint="Make room; it is tried again by itself.") from error
            raise StorageError(text, hint="Check who owns the folder; it is tried again by itself.") from error


def read_gap(folder: Path) -> Gap | None:
    """Return since when no authority has stamped for the registrar of a folder; None if one has, or was never asked."""
    try:
        with (folder / FOLDER_NAME / GAP_NAME).open("rb") as file:
            return Gap(**json.loads(file.read(MAX_GAP_BYTES)))
    except (OSError, ValueError, TypeError):
        return None
