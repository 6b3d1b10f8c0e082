"""Waiting for new records: at once for those of this process, within a poll for those of other processes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from docbus.errors import DocbusError

if TYPE_CHECKING:
    import sqlite3

    from docbus.transport.sqlite_file import BusFile

POLL_SECONDS: Final = 0.025
"""Seconds between looks at ``PRAGMA data_version`` while somebody waits. It costs some ten microseconds and reads
nothing from disk; a person does not notice the delay."""


class Version(NamedTuple):
    """What the file looked like at a moment."""

    own: int
    """Appends of this transport: SQLite's version does not change for those of its own connection."""
    foreign: int
    """SQLite's ``data_version``: changes when any other connection, of this process or another, has committed."""


class ChangeWatch:
    """Wakes waiters when the file has changed since they looked."""

    def __init__(self, file: BusFile) -> None:
        """Poll nothing yet: only while somebody waits."""
        self._file = file
        self._appends = 0
        self._waiters: dict[asyncio.Future[None], Version] = {}
        self._poller: asyncio.Task[None] | None = None

    def look(self, connection: sqlite3.Connection) -> Version:
        """Return the version; to be called before the read whose emptiness is then waited on."""
        return Version(self._appends, connection.execute("PRAGMA data_version").fetchone()[0])

    def appended(self) -> None:
        """Wake everybody: this transport has stored something."""
        self._appends += 1
        self._wake(Version(self._appends, 0))

    async def wait(self, seen: Version, seconds: float) -> None:
        """Return when the file has changed since ``seen``, or after so many seconds."""
        if seen.own != self._appends or seconds <= 0:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = seen
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            self._waiters.pop(waiter, None)

    async def aclose(self) -> None:
        """Stop polling and wake everybody."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await poller
        self._wake(None)

    async def _poll(self) -> None:
        while self._waiters:
            await asyncio.sleep(POLL_SECONDS)
            try:
                self._wake(await self._file.run(self.look))
            except DocbusError:
                # The waiters read again, and so meet the error where a caller can see it.
                self._wake(None)

    def _wake(self, now: Version | None) -> None:
        for waiter, seen in self._waiters.items():
            if (now is None or now != seen) and not waiter.done():
                waiter.set_result(None)
