"""Follows the directory log, so that a new grant or revocation is in force within a moment of its publication."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import structlog

from docbus.clock import SystemClock
from docbus.errors import DirectoryError, TransportError
from docbus.registry.freshness import FreshnessLog
from docbus.registry.reader import DirectoryReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from docbus.clock import Clock
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.registry.reader import Kept, OnEntry
    from docbus.transport.port import Transport

LOAD_SECONDS = 120.0
"""Seconds to load the log; all 123,265 agencies of the country take some 20 on one processor, and 5 when it is kept."""
FOLLOW_SECONDS = 1.0
"""Seconds that one read waits for a new entry."""
RETRY_SECONDS = 2.0
"""Seconds between attempts while the brokers do not answer."""

_log = structlog.get_logger(__name__)


class DirectoryFollower:
    """Keeps the newest trust snapshot. One event loop; snapshots themselves may go to any thread.

    Attributes:
        failure: The entry that breaks a rule; as long as it lies there, nothing behind it is followed and the last good
            snapshot stays.
        trouble: Why the log cannot be read at the moment, or None.

    Args:
        transport: Started by the caller.
        genesis: The pinned hash of the genesis entry.
        on_entry: As for :class:`~docbus.registry.reader.DirectoryReader`.
        clock: How old the directory is.
    """

    def __init__(
        self,
        transport: Transport,
        genesis: bytes,
        *,
        on_entry: OnEntry | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._freshness = FreshnessLog()
        self._make_reader = partial(DirectoryReader, transport, genesis, on_entry=on_entry)
        self._reader = self._make_reader()
        self._snapshot: TrustSnapshot | None = None
        self._listeners: list[Callable[[TrustSnapshot], None]] = []
        self._changed = asyncio.Condition()
        self.failure: DirectoryError | None = None
        self.trouble: TransportError | None = None

    @property
    def snapshot(self) -> TrustSnapshot:
        """The newest trust snapshot.

        Raises:
            DirectoryError: Nothing has been loaded yet.
        """
        if self._snapshot is None:
            raise DirectoryError("the directory has not been loaded", hint="Load it before it is used.")
        return self._snapshot

    def on_change(self, listener: Callable[[TrustSnapshot], None]) -> None:
        """Call ``listener`` with every new snapshot, in the event loop; it must not block and must not raise."""
        self._listeners.append(listener)

    async def load(self, timeout: float = LOAD_SECONDS) -> TrustSnapshot:  # noqa: ASYNC109 - see DirectoryReader.catch_up
        """Read the log to its end and return the snapshot there.

        Args:
            timeout: Seconds in all.

        Raises:
            DirectoryError: The log is empty or breaks a rule; do not start on what was read before that.
            WaitTimeoutError: The end was not reached in time.
            TransportError: The topic is missing or cannot be read.
        """
        try:
            await self._reader.catch_up(timeout)
        except DirectoryError as error:
            self._fail(error)
            raise
        finally:
            await self._publish()
        return self._reader.replay.snapshot()

    async def resume(self, kept: AsyncIterable[Kept], *, verify: bool) -> int:
        """Begin with records that were kept earlier, and return how many; :meth:`load` or :meth:`run` go on from them.

        Args:
            kept: From the genesis on, or from the next one that is not applied yet.
            verify: As for :meth:`~docbus.registry.reader.DirectoryReader.resume`.

        Raises:
            DirectoryError: They break a rule.
            MalformedError: What is kept beside one is not what was.
        """
        number = await self._reader.resume(kept, verify=verify)
        if number:
            await self._publish()
        return number

    @property
    def applied(self) -> int:
        """How many entries were applied."""
        return self._reader.replay.position + 1

    def forget(self) -> None:
        """Begin again at the genesis, because what was kept cannot be used."""
        self._reader = self._make_reader()
        self._snapshot = None

    async def run(self, stop: asyncio.Event) -> None:
        """Follow new entries until ``stop`` is set.

        Brokers that do not answer are tried again for ever, and so is an entry that breaks a rule: somebody may have
        put it there who could not sign, and take it away. :attr:`trouble` and :attr:`failure` say so meanwhile.
        """
        following = asyncio.ensure_future(self._follow(stop))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            # Not the end of a read: closing an agency, and with it every short command, would wait for it.
            await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._look()
            try:
                await self._reader.step(FOLLOW_SECONDS)
            except DirectoryError as error:
                self._fail(error)
                await self._publish()
                await asyncio.sleep(RETRY_SECONDS)
            except TransportError as error:
                self._stumble(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._recover()
                await self._publish()

    def _look(self) -> None:
        """Say how old the directory is, also while nothing comes of it: that is just when it grows old."""
        if self._snapshot is not None:
            self._freshness.look(self._snapshot, self._clock.now_ms())

    async def wait_beyond(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109 - running out is an answer
        """Return whether the directory came to know more than ``position`` within ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._snapshot is not None and self._snapshot.position > position)
        except TimeoutError:
            return False
        return True

    async def _publish(self) -> None:
        """Make a new snapshot if there are new entries, and tell everybody."""
        known = -1 if self._snapshot is None else self._snapshot.position
        if self._reader.replay.position <= known:
            return
        self._snapshot = snapshot = self._reader.replay.snapshot()
        _log.info("directory_changed", position=snapshot.position, agencies=snapshot.size)
        for listener in self._listeners:
            listener(snapshot)
        async with self._changed:
            self._changed.notify_all()

    def _fail(self, error: DirectoryError) -> None:
        if self.failure is None or self.failure.text != error.text:
            _log.error("directory_broken", position=self._reader.replay.position + 1, error=error.text)
        self.failure = error

    def _recover(self) -> None:
        if self.failure is not None or self.trouble is not None:
            _log.info("directory_followed_again", position=self._reader.replay.position)
        self.failure = self.trouble = None

    def _stumble(self, error: TransportError) -> None:
        if self.trouble is None:
            _log.warning("directory_unreadable", error=error.text)
        self.trouble = error


async def fetch_snapshot(
    transport: Transport,
    genesis: bytes,
    *,
    position: int | None = None,
    time_ms: int | None = None,
    timeout: float = LOAD_SECONDS,  # noqa: ASYNC109 - see DirectoryReader.catch_up
) -> TrustSnapshot:
    """Read the whole log and return the snapshot at its end, at an entry, or at a time by the registrar's clock.

    Raises:
        DirectoryError: The log is empty, breaks a rule, or does not have that entry or anything of that time.
        WaitTimeoutError: The end was not reached in time.
        TransportError: The topic is missing or cannot be read.
    """
    reader = DirectoryReader(transport, genesis)
    await reader.catch_up(timeout)
    return reader.replay.snapshot(position if time_ms is None else reader.replay.position_at(time_ms))


async def fetch_directory(
    transport: Transport,
    genesis: bytes,
    timeout: float = LOAD_SECONDS,  # noqa: ASYNC109 - see DirectoryReader.catch_up
) -> tuple[TrustSnapshot, list[bytes]]:
    """Read the whole log and return the snapshot at its end with all record values, as a trust bundle needs them.

    Raises:
        DirectoryError: The log is empty or breaks a rule.
        WaitTimeoutError: The end was not reached in time.
        TransportError: The topic is missing or cannot be read.
    """
    values: list[bytes] = []
    reader = DirectoryReader(transport, genesis, on_entry=lambda value, _offset, _checked: values.append(value))
    await reader.catch_up(timeout)
    return reader.replay.snapshot(), values
