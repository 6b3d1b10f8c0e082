"""Epochs of this outbox: when they begin, and what goes out again when one has to end (design D5).

An epoch's statements are numbered by this outbox alone. Where somebody else may have numbered on, or did, the only way
out is a new epoch:

- *The file was copied or restored.* SQLite's file has another inode than the one it was made with, or a mark beside it
  says that more batches were sealed than it knows. Original and copy would otherwise both give out the next number.
  A file system that was rolled back as a whole shows neither; that is what the second case is for.
- *A receipt covers what this outbox never sent, or has another root.* Its statements reached the recipient beside
  others of the same numbers and may lie in quarantine there, so those not receipted go out again, as they are, in the
  new epoch; a recipient that has them answers "already there".
- *The agency has another certificate.* Whoever had not yet read what was sealed under the old one, refuses it now. So
  everything not receipted goes out again, and so do the receipts that are still kept, as nothing tells whether they
  were read. If the old certificate may still sign for a while, that happens at its end (ADR 0023).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from docbus.envelope.statement import FIRST_PREVIOUS, LANES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

EPOCH_BYTES = 16
RENEWAL_PAUSE_MS = 60 * 60 * 1000
"""Milliseconds between two epochs of a lane that receipts may cause: a recipient that writes wrong receipts on purpose
must not use up the 64 epochs that other recipients keep open for this sender."""

BEGUN = "begun"
MARK_NAME = "outbox.mark"
"""File beside the database with the number of batches sealed so far. It is not synced: after a crash of the machine it
may say too little, and then it says nothing."""
MARK_DIGITS = 20
"""Decimal digits in it, always as many, so that a newer number covers an older one."""

COPIED = "copied"
CONTRADICTED = "contradicted"
REKEYED = "rekeyed"
"""Begun by :mod:`docbus.producers.certificates`."""


def ensure_epochs(connection: sqlite3.Connection, path: Path, *, at_ms: int) -> list[str]:
    """Give every lane a current epoch, and new ones if the file is not the one they were made in.

    Returns:
        The lanes that began a new epoch because the file was copied or restored.
    """
    inode, mark = path.stat().st_ino, _read_mark(path)
    known = dict(connection.execute("SELECT name, value FROM outbox WHERE name IN ('inode', 'batches')"))
    batches = known.get("batches", 0)
    connection.executemany(
        "INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)",
        [("inode", inode), ("batches", max(mark, batches))],
    )
    current = current_epochs(connection)
    copied = known.get("inode", inode) != inode or mark > batches
    renewed = []
    for lane in LANES:
        if lane not in current:
            _begin(connection, LANES.index(lane), BEGUN, at_ms)
        elif copied:
            begin_epoch(connection, lane, COPIED, at_ms=at_ms)
            renewed.append(lane)
    return renewed


def count_batch(connection: sqlite3.Connection) -> int:
    """Count a batch that is being stored; return how many there were, for :func:`write_mark` once it is durable."""
    row = connection.execute(
        "INSERT INTO outbox (name, value) VALUES ('batches', 1)"
        " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()
    return int(row[0])


def write_mark(path: Path, batches: int) -> None:
    """Note beside the database how many batches were sealed; a failure matters only if a backup is put back later."""
    with suppress(OSError):
        descriptor = os.open(path.with_name(MARK_NAME), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, b"%0*d" % (MARK_DIGITS, batches), 0)
        finally:
            os.close(descriptor)


def _read_mark(path: Path) -> int:
    try:
        content = path.with_name(MARK_NAME).read_bytes()
    except OSError:
        return 0
    return int(content) if len(content) == MARK_DIGITS and content.isdigit() else 0


def current_epochs(connection: sqlite3.Connection) -> dict[str, tuple[int, bytes]]:
    """Return (row, identifier) of each lane's current epoch."""
    return {
        LANES[lane]: (epoch, identifier)
        for epoch, lane, identifier in connection.execute(
            "SELECT epoch, lane, identifier FROM epoch WHERE closed_at IS NULL"
        )
    }


def begin_epoch(connection: sqlite3.Connection, lane: str, reason: str, *, at_ms: int) -> None:
    """Close the lane's epoch and begin another; what is sealed already is still sent."""
    number = LANES.index(lane)
    connection.execute("UPDATE epoch SET closed_at = ? WHERE lane = ? AND closed_at IS NULL", (at_ms, number))
    _begin(connection, number, reason, at_ms)


def renewed_lately(connection: sqlite3.Connection, lane: str, *, at_ms: int) -> bool:
    """Tell whether a receipt has caused a new epoch in this lane within the pause."""
    row = connection.execute(
        "SELECT max(made_at) FROM epoch WHERE lane = ? AND reason = ?", (LANES.index(lane), CONTRADICTED)
    ).fetchone()
    return row[0] is not None and 0 <= at_ms - row[0] < RENEWAL_PAUSE_MS


def requeue(connection: sqlite3.Connection, stream: int, *, at_ms: int, with_receipts: bool = False) -> int:
    """Let everything of a stream that is not receipted wait again, to be sealed in the lane's current epoch.

    The stream itself ends here: what of it is not sent yet is not sent any more. Receipts that were sent are taken
    along only on demand; a recipient that still misses one usually sends its document again and so gets another.

    Args:
        connection: Inside a transaction.
        stream: Its row.
        at_ms: Now.
        with_receipts: Take receipts along that were sent and are still kept.

    Returns:
        How many copies wait again.
    """
    rows = connection.execute(
        "SELECT outgoing, lane, recipient, ordinal FROM copy WHERE stream = ?1"
        " AND (state = 1 /* sealed */ OR (state = 2 /* sent */ AND (lane != 2 /* receipts */"
        " OR (?2 AND envelope IS NOT NULL)))) ORDER BY sequence",
        (stream, with_receipts),
    ).fetchall()
    connection.executemany(
        "INSERT INTO copy (outgoing, ordinal, state, lane, recipient)"
        " VALUES (?1, (SELECT max(ordinal) + 1 FROM copy WHERE outgoing = ?1), 0 /* waiting */, ?2, ?3)",
        [row[:3] for row in rows],
    )
    connection.executemany(
        "UPDATE copy SET state = 6 /* superseded */, settled_at = ? WHERE outgoing = ? AND ordinal = ?",
        [(at_ms, row[0], row[3]) for row in rows],
    )
    connection.execute(
        "UPDATE stream SET sent = sequence, failures = 0, failed_at = NULL, error = NULL WHERE stream = ?", (stream,)
    )
    return len(rows)


def stream_heads(
    connection: sqlite3.Connection, streams: set[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, int, bytes]]:
    """Return (stream row, sequence, previous) of each (recipient, lane) that has a stream in the current epoch."""
    epochs = {lane: row for lane, (row, _) in current_epochs(connection).items()}
    heads = {}
    for recipient, lane in streams:
        row = connection.execute(
            "SELECT stream, sequence, previous FROM stream WHERE epoch = ? AND recipient = ?", (epochs[lane], recipient)
        ).fetchone()
        if row is not None:
            heads[recipient, lane] = row
    return heads


def open_stream(connection: sqlite3.Connection, epoch: int, recipient: str) -> int:
    """Make a stream without statements; return its row."""
    row = connection.execute(
        "INSERT INTO stream (epoch, recipient, sequence, previous, sent) VALUES (?, ?, 0, ?, 0) RETURNING stream",
        (epoch, recipient, FIRST_PREVIOUS),
    ).fetchone()
    return int(row[0])


def _begin(connection: sqlite3.Connection, lane: int, reason: str, at_ms: int) -> None:
    connection.execute(
        "INSERT INTO epoch (lane, identifier, made_at, reason) VALUES (?, ?, ?, ?)",
        (lane, os.urandom(EPOCH_BYTES), at_ms, reason),
    )
