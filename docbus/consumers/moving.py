"""Partitions that another member of the group reads now (design D5): the stream itself is what is handed over.

Each instance of an agency has a ledger of its own. Whoever is given a partition reads on from where its own ledger
ends, and puts what others have filed meanwhile through the sink again, which answers "already there". So nothing that a
broker or another process says is taken for an outcome, and an instance that dies hands over as well as one that leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.consumers import wanted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection


def release(connection: sqlite3.Connection, partitions: Collection[int]) -> tuple[dict[int, int], list[int]]:
    """Forget the records that wait in partitions, and go back to the first of them, should the partitions come back.

    Args:
        connection: Inside a transaction.
        partitions: Those that others read now.

    Returns:
        Where reading goes on in each partition in which something waited, and numbers of large content that nobody
        waits for any more.
    """
    offsets: dict[int, int] = {}
    for partition in partitions:
        first = connection.execute("SELECT min(at_offset) FROM parked WHERE partition = ?", (partition,)).fetchone()[0]
        if first is None:
            continue
        connection.execute("DELETE FROM parked WHERE partition = ?", (partition,))
        # No anchor: the record before the first one that waited is not kept.
        connection.execute(
            "UPDATE inbox_partition SET next_offset = min(next_offset, ?), anchor_offset = NULL, anchor_digest = NULL"
            " WHERE partition = ?",
            (first, partition),
        )
        offsets[partition] = first
    return offsets, wanted.forget_orphans(connection)
