"""Which partitions of the inbox this folder reads, if several folders of an agency share it (ADR 0014).

What waits in the others stays in the ledger, durably, and has its turn if they come back; until then somebody else
reads and files it. So it is not shown as waiting here, and no large content is fetched or kept for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.consumers.parking import CONTENT, REQUESTED_PARTITION
from docbus.consumers.values import read_value, write_value

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

_NAME = "held partitions"
_FORGET_CONTENT = f"""
DELETE FROM wanted WHERE NOT EXISTS (
    SELECT 1 FROM parked p WHERE p.sender = wanted.sender AND p.epoch = wanted.epoch
        AND (p.partition = {REQUESTED_PARTITION}
            OR p.partition IN (SELECT value FROM json_each((SELECT value FROM ledger_state WHERE name = ?))))
) RETURNING wanted
"""  # noqa: S608 - a number of ours


def write_held(connection: sqlite3.Connection, partitions: Collection[int]) -> list[int]:
    """Note which partitions are read here.

    Returns:
        Numbers of large content that waits in none of them, and is not wanted any more; its files are to be removed.
        It is wanted again when its document has its turn.
    """
    write_value(connection, _NAME, sorted(partitions))
    # What waits for content that was let go with an earlier change is looked at now, and wants it again.
    connection.execute("UPDATE parked SET due_at = 0 WHERE cause = ?", (CONTENT,))
    return [number for (number,) in connection.execute(_FORGET_CONTENT, (_NAME,)).fetchall()]


def read_held(connection: sqlite3.Connection) -> frozenset[int] | None:
    """Return the partitions that are read here; None if none were ever given out, and so all are."""
    held = read_value(connection, _NAME)
    return None if held is None else frozenset(held)
