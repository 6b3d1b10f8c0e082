"""Groups of the embedded transport: one reader of a topic and group at a time, over all processes of the host."""

from __future__ import annotations

from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

from docbus.errors import BrokerUnavailableError, ConfigurationError, GroupBusyError, LockedError, TransportError
from docbus.storage.locks import hold
from docbus.transport import sqlite_log as log
from docbus.transport.partitioner import express_partition

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.transport.port import Record, Start
    from docbus.transport.sqlite import SqliteTransport

_LOCK_NAME_DIGITS: Final = 24
"""Hex digits of a lock file's name: a digest, since topic and group may be longer than a file's name may be."""


class SqliteSubscription:
    """See :class:`docbus.transport.port.Subscription`; all partitions, from the group's one reader."""

    def __init__(self, transport: SqliteTransport, topic: str, group: str, start: Start, clock: Clock) -> None:
        """Join nothing yet."""
        self._transport = transport
        self._topic = topic
        self._group = group
        self._start = start
        self._clock = clock
        self._next: dict[int, int] = {}
        self._express: int | None = None
        self._turn = 0
        self._lock: ExitStack | None = None

    @property
    def assigned(self) -> frozenset[int]:
        """All partitions of the topic."""
        return frozenset(self._next)

    @property
    def generation(self) -> int:
        """Always 1: nobody can take a partition away."""
        return 1

    @property
    def settled(self) -> bool:
        """Always, once entered."""
        return self._lock is not None

    async def __aenter__(self) -> Self:
        """See the port."""
        if self._lock is not None:
            raise TransportError(f"this subscription to {self._topic} is entered already")
        first = await self._transport.run(self._positions)
        self._lock = _lock(self._transport.path, self._topic, self._group, self._clock)
        self._next = first
        self._express = express_partition(self._topic, len(first))
        return self

    async def __aexit__(self, *exception: object) -> None:
        """See the port."""
        lock, self._lock = self._lock, None
        self._next = {}
        if lock is not None:
            lock.close()

    async def fetch(
        self, *, max_records: int, max_bytes: int, wait: float, express: bool | None = None
    ) -> list[Record]:
        """See the port."""
        self._check_entered()
        numbers = [n for n in sorted(self._next) if express is None or express == (n == self._express)]
        records = await self._transport.waiting(
            lambda connection: self._fetch(connection, numbers, max_records, max_bytes), wait
        )
        if records:
            self._turn += 1
        for record in records:
            self._next[record.partition] = record.offset + 1
        return records

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """See the port."""
        self._check_entered()
        if offsets:
            await self._transport.write(lambda connection: log.commit(connection, self._group, self._topic, offsets))

    async def lag(self) -> dict[int, int]:
        """See the port."""
        self._check_entered()
        bounds = await self._transport.bounds(self._topic)
        positions = await self._transport.committed(self._group, self._topic)
        return {number: max(0, end - max(positions[number] or 0, first)) for number, (first, end) in bounds.items()}

    def _check_entered(self) -> None:
        if self._lock is None:
            raise TransportError(f"the subscription to {self._topic} is not entered", hint="Use it in `async with`.")

    def _positions(self, connection: sqlite3.Connection) -> dict[int, int]:
        committed = log.committed(connection, self._group, self._topic)
        if self._start == "earliest":
            return dict.fromkeys(committed, 0)
        start = self._start
        if callable(start):
            chosen: Mapping[int, int] = {number: start(number) for number in committed}
        else:
            chosen = {} if start == "committed" else start
        ends = log.bounds(connection, self._topic)
        # As on a broker: a position beyond the end, left by a topic that was made anew, begins at the first record.
        return {
            number: position if 0 <= (position := chosen.get(number, offset or 0)) <= ends[number][1] else 0
            for number, offset in committed.items()
        }

    def _fetch(
        self, connection: sqlite3.Connection, numbers: Sequence[int], max_records: int, max_bytes: int
    ) -> list[Record]:
        # Another partition begins each time, so that a busy one does not keep the others from being read.
        turn = self._turn % len(numbers) if numbers else 0
        found: list[Record] = []
        for number in [*numbers[turn:], *numbers[:turn]]:
            room = max_bytes - sum(map(_size, found))
            if len(found) >= max_records or (found and room <= 0):
                break
            more = log.read(
                connection,
                self._topic,
                number,
                self._next[number],
                max_records=max_records - len(found),
                max_bytes=room,
            )
            if found and more and _size(more[0]) > room:
                break
            found += more
        return found


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers)


def _lock(database: Path, topic: str, group: str, clock: Clock) -> ExitStack:
    folder = database.with_name(f"{database.name}.groups")
    name = sha256(f"{topic}\0{group}".encode()).hexdigest()[:_LOCK_NAME_DIGITS]
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(hold(folder / f"{name}.lock", f"reading {topic} as group {group}", clock))
        except LockedError as error:
            raise GroupBusyError(
                f"the group {group} of {topic} is read already: {error.text}",
                hint="Stop that process, or read with a group of another name.",
            ) from error
        except (ConfigurationError, OSError) as error:
            raise BrokerUnavailableError(
                f"no lock could be made in {folder}: {error}",
                hint="Check that this user may write in the folder of the bus file.",
            ) from error
        return stack.pop_all()
