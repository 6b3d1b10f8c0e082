"""Counts records whose statement has had its place already: each once, whatever is read again after a crash.

A duplicate costs nothing but its receipt, and says something all the same: that a sender's append was in doubt, or that
somebody stores again what is not his.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.streams import Place

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from docbus.consumers.items import Item
    from docbus.consumers.settling import PartitionState

Spot = tuple[int, int]
"""Partition and offset."""


class Seen(NamedTuple):
    """What one transaction adds.

    Attributes:
        duplicates: By sender and partition, how many.
        ahead: Records that are decided before others in front of them.
        highest: By partition, the offset below which everything was ever decided.
    """

    duplicates: Mapping[tuple[str, int], int]
    ahead: frozenset[Spot]
    highest: Mapping[int, int]

    def write(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Store it, after the positions of partitions."""
        connection.executemany(_COUNT, [(*key, count, now_ms) for key, count in self.duplicates.items()])
        connection.executemany("INSERT OR IGNORE INTO decided_ahead (partition, at_offset) VALUES (?, ?)", self.ahead)
        connection.execute(_FORGET)


class Duplicates:
    """What has to be known for counting; belongs to whoever files."""

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        self._ahead: frozenset[Spot] = frozenset()

    def load(self, state: tuple[dict[int, int], frozenset[Spot]]) -> None:
        """Begin with what :func:`read_seen` has found."""
        self._highest, self._ahead = state

    def recognise(self, ready: Iterable[Item]) -> None:
        """Tell items whose record was decided before: they are read again after a crash, or on purpose."""
        for item in ready:
            if item.parked is None and item.request is None:
                partition, offset = spot = item.record.partition, item.record.offset
                item.reread = offset < self._highest.get(partition, 0) or spot in self._ahead

    def look(self, ready: Iterable[Item], partitions: Mapping[int, PartitionState]) -> Seen:
        """Return what storing these items adds.

        Args:
            ready: Decided items, see :meth:`recognise`.
            partitions: How far their partitions are decided once they are stored.
        """
        highest = self._highest | {
            number: max(state.next_offset, self._highest.get(number, 0)) for number, state in partitions.items()
        }
        counted: Counter[tuple[str, int]] = Counter()
        ahead: set[Spot] = set()
        for item in ready:
            if item.request is not None:
                continue
            partition, offset = spot = item.record.partition, item.record.offset
            if item.place is Place.DUPLICATE and item.key is not None and item.reason is None and not item.reread:
                counted[item.key[0], partition] += 1
            if item.parked is None and offset >= highest.get(partition, 0):
                ahead.add(spot)
        return Seen(counted, frozenset(ahead), highest)

    def keep(self, seen: Seen) -> None:
        """Take over what was stored."""
        self._highest = dict(seen.highest)
        if self._ahead or seen.ahead:
            self._ahead = frozenset(
                spot for spot in self._ahead | seen.ahead if spot[1] >= self._highest.get(spot[0], 0)
            )


def read_seen(connection: sqlite3.Connection) -> tuple[dict[int, int], frozenset[Spot]]:
    """Return how far partitions were ever decided, and what is decided beyond."""
    return (
        dict(connection.execute("SELECT partition, highest FROM inbox_partition")),
        frozenset(connection.execute("SELECT partition, at_offset FROM decided_ahead")),
    )


def count_duplicates(connection: sqlite3.Connection) -> int:
    """Return how many duplicates there were, of all senders."""
    return int(connection.execute("SELECT coalesce(sum(count), 0) FROM duplicate").fetchone()[0])


_COUNT = """
INSERT INTO duplicate (sender, partition, count, at) VALUES (?, ?, ?, ?)
ON CONFLICT (sender, partition) DO UPDATE SET count = count + excluded.count, at = excluded.at
"""
_FORGET = """
DELETE FROM decided_ahead WHERE at_offset < (
    SELECT highest FROM inbox_partition AS p WHERE p.partition = decided_ahead.partition
)
"""
