"""Dropping the bytes of what is settled, so that the outbox does not grow for ever; what it knows of them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

KEEP_SETTLED_MS = 7 * 24 * 60 * 60 * 1000
"""Milliseconds for which the envelope of a settled copy is kept: a week, in which somebody may want to export it."""
PRUNE_EVERY_SECONDS = 600.0
PRUNE_COPIES = 2000
"""Copies in one transaction; others wait for it some tens of milliseconds."""


def prune(connection: sqlite3.Connection, *, settled_before_ms: int, max_copies: int = PRUNE_COPIES) -> int:
    """Drop envelopes settled before a time, and packages and content keys that no copy needs any more.

    Documents keep their metadata, and copies their digests and times: a late receipt is still understood.
    Receipts are dropped altogether.

    Returns:
        How many copies were pruned; as many as ``max_copies`` if there may be more.
    """
    rows = connection.execute(
        "SELECT outgoing, ordinal, envelope FROM copy INDEXED BY copy_settled"
        " WHERE settled_at IS NOT NULL AND envelope IS NOT NULL AND settled_at < ? ORDER BY settled_at LIMIT ?",
        (settled_before_ms, max_copies),
    ).fetchall()
    connection.executemany("DELETE FROM envelope WHERE envelope = ?", [(row[2],) for row in rows])
    connection.executemany(
        "UPDATE copy SET envelope = NULL WHERE outgoing = ? AND ordinal = ?", [row[:2] for row in rows]
    )
    touched = [(outgoing,) for outgoing in {row[0] for row in rows}]
    connection.executemany(
        "DELETE FROM copy WHERE outgoing = ?1 AND settled_at IS NOT NULL AND envelope IS NULL"
        " AND EXISTS (SELECT 1 FROM outgoing WHERE outgoing = ?1 AND form = 'receipt')",
        touched,
    )
    connection.executemany(
        "DELETE FROM outgoing WHERE outgoing = ?1 AND form = 'receipt'"
        " AND NOT EXISTS (SELECT 1 FROM copy WHERE outgoing = ?1)",
        touched,
    )
    connection.executemany(
        "UPDATE outgoing SET body = NULL, package = NULL, content_key = NULL WHERE outgoing = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM copy WHERE outgoing = ?1 AND (envelope IS NOT NULL OR settled_at IS NULL))"
        # Whoever found its content expired may have it again, see ``withdrawing.settled_content``.
        " AND NOT EXISTS (SELECT 1 FROM content WHERE outgoing = ?1 AND file IS NOT NULL)",
        touched,
    )
    return len(rows)
