"""Retention of the embedded transport: what is older than its topic keeps goes, oldest first, as on a broker.

Only the front of a partition is deleted, so that its offsets have no hole. SQLite gives the room to what is stored
next; the file does not get smaller. A pass is one transaction: after a crash the next one finds the rest.
"""

from __future__ import annotations

import sqlite3
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import structlog

from docbus.transport.sqlite_file import transaction
from docbus.transport.topics import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

RETENTION_EVERY_MS: Final = 5 * 60 * 1000
"""Milliseconds of the transport's clock between two checks, five minutes: Kafka's default for
``log.retention.check.interval.ms``. A check looks at one record of each partition."""
RETENTION_ROWS: Final = 512
"""Records that one pass deletes at most, over all partitions; what is left over has its turn after the next append.
As many as docbus appends at once, so that deleting keeps up; if all are parts of large content, they take a second."""

_FRONTS: Final = """
SELECT p.id, json_extract(t.configuration, '$."retention.ms"'),
       (SELECT r.stored_ms FROM records AS r WHERE r.partition_id = p.id ORDER BY r."offset" LIMIT 1) AS oldest_ms
FROM topics AS t JOIN partitions AS p ON p.topic = t.id ORDER BY oldest_ms
"""
_FROM_FRONT: Final = """
SELECT "offset", stored_ms FROM records WHERE partition_id = ? ORDER BY "offset" LIMIT ?
"""
_DELETE: Final = 'DELETE FROM records WHERE partition_id = ? AND "offset" <= ?'


class Retention:
    """Deletes at most once in :data:`RETENTION_EVERY_MS`; used in the file's thread only."""

    def __init__(self, path: Path) -> None:
        """Let the first append check: many a process appends once and ends."""
        self._path = path
        self._checked_ms: int | None = None

    def enforce(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Delete what has expired, if it is time to look.

        An error of SQLite is logged, and the next check tries again: this follows an append that is stored, and whose
        caller must not be told otherwise.
        """
        # Either way, because a clock that was set back must not put off the next check until it has caught up.
        if self._checked_ms is not None and abs(now_ms - self._checked_ms) < RETENTION_EVERY_MS:
            return
        self._checked_ms = now_ms
        try:
            if expire(connection, now_ms, RETENTION_ROWS) == RETENTION_ROWS:
                self._checked_ms = None
        except sqlite3.Error as error:
            log.warning("bus.retention_failed", path=str(self._path), error=str(error))


def expire(connection: sqlite3.Connection, now_ms: int, max_rows: int) -> int:
    """Delete records that have expired, at most so many, and return how many; without any, write nothing."""
    last: list[tuple[int, int]] = []
    rows = 0
    # Looked up outside of the transaction: the time of a record never changes, and new ones come at the other end.
    for place, before_ms in _expired(connection, now_ms):
        offsets = _front(connection, place, before_ms, max_rows - rows)
        rows += len(offsets)
        last += [(place, offset) for offset in offsets[-1:]]
        if rows == max_rows:
            break
    if last:
        transaction(connection, lambda inside: inside.executemany(_DELETE, last))
    return rows


def _expired(connection: sqlite3.Connection, now_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the partitions whose first record has expired, with the time before which theirs have."""
    for place, configured, oldest_ms in connection.execute(_FRONTS).fetchall():
        retention_ms = _retention_ms(configured)
        if oldest_ms is not None and retention_ms != FOREVER and oldest_ms < now_ms - retention_ms:
            yield place, now_ms - retention_ms


def _front(connection: sqlite3.Connection, place: int, before_ms: int, max_rows: int) -> list[int]:
    """Return the offsets with which a partition begins, at most so many, up to a record that has not expired."""
    rows = connection.execute(_FROM_FRONT, (place, max_rows))
    offsets = [offset for offset, _ in takewhile(lambda row: row[1] < before_ms, rows)]
    rows.close()
    return offsets


def _retention_ms(configured: object) -> int:
    """Return for how long a topic keeps records; for ever if that is no number, which must not cost any of them."""
    try:
        return max(int(str(configured)), FOREVER)
    except ValueError:
        return FOREVER
