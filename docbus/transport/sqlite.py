"""The embedded transport: one SQLite file, for several processes on one host.

For trying docbus out, for tests, and for a pilot. It keeps every guarantee of the port; beyond it, one append is one
transaction, synced to disk, and either stored as a whole or not at all. Never on a network file system.

It honours a topic's ``retention.ms``, and no other limit: while somebody appends, what has expired is deleted every few
minutes. The file does not get smaller by it; the room goes to what is stored next.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from docbus.clock import Clock, SystemClock
from docbus.transport import sqlite_log as log
from docbus.transport import sqlite_topics as topics_of
from docbus.transport.sqlite_file import BusFile
from docbus.transport.sqlite_groups import SqliteSubscription
from docbus.transport.sqlite_retention import Retention
from docbus.transport.sqlite_watch import ChangeWatch, Version

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from docbus.transport.port import Difference, NewRecord, Record, Start, TopicSpec, TopicState

T = TypeVar("T")


class SqliteTransport:
    """See :class:`docbus.transport.port.Transport`.

    Args:
        path: The file. Locks of groups lie beside it, in ``<path>.groups``.
        clock: Stamps what is stored, and says what has expired.
        make: Make the file if it is not there.
    """

    access = None
    """Whoever can open the file may do everything."""
    stamp = None
    """Time comes from this machine's own clock."""

    def __init__(self, path: Path, clock: Clock | None = None, *, make: bool = True) -> None:
        """Open nothing yet."""
        self.path = path
        self._clock = clock or SystemClock()
        self._file = BusFile(path, make=make)
        self._watch = ChangeWatch(self._file)
        self._retention = Retention(path)

    async def start(self) -> None:
        """See the port."""
        await self._file.open()

    async def aclose(self) -> None:
        """See the port."""
        await self._watch.aclose()
        await self._file.close()

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """See the port."""
        if not records:
            return []
        now_ms = self._clock.now_ms()
        loop = asyncio.get_running_loop()

        def stored(connection: sqlite3.Connection) -> None:
            # From the file's thread, so that readers wake also when the caller was cancelled meanwhile.
            loop.call_soon_threadsafe(self._watch.appended)
            self._retention.enforce(connection, now_ms)

        return await self._file.write(lambda connection: log.append(connection, records, now_ms), stored=stored)

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int, wait: float
    ) -> list[Record]:
        """See the port."""
        return await self.waiting(
            lambda connection: log.read(
                connection, topic, partition, offset, max_records=max_records, max_bytes=max_bytes
            ),
            wait,
        )

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """See the port."""
        return await self.run(lambda connection: log.bounds(connection, topic))

    async def offset_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """See the port."""
        return await self.run(lambda connection: log.offset_at(connection, topic, timestamp_ms))

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """See the port."""
        return await self.run(lambda connection: log.committed(connection, group, topic))

    def subscribe(self, topic: str, group: str, *, start: Start) -> SqliteSubscription:
        """See the port."""
        return SqliteSubscription(self, topic, group, start, self._clock)

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicState | None]:
        """See the port."""
        return await self.run(lambda connection: topics_of.describe(connection, topics))

    async def create(self, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
        """See the port."""
        return await self.write(lambda connection: topics_of.create(connection, specs))

    async def compare(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        return await self.run(lambda connection: topics_of.compare(connection, specs))

    async def configure(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        return await self.write(lambda connection: topics_of.configure(connection, specs))

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read in the file's thread; for this adapter's own modules."""
        return await self._file.run(operation)

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction in the file's thread; for this adapter's own modules."""
        return await self._file.write(operation)

    async def waiting(self, read: Callable[[sqlite3.Connection], list[Record]], wait: float) -> list[Record]:
        """Read, and again whenever the file has changed, until something is there or the time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait

        def look(connection: sqlite3.Connection) -> tuple[Version, list[Record]]:
            return self._watch.look(connection), read(connection)

        while True:
            seen, records = await self.run(look)
            remaining = deadline - loop.time()
            if records or remaining <= 0:
                return records
            await self._watch.wait(seen, remaining)
