"""What a receipt says about the statements it covers (design D5).

A receipt counts only from the recipient itself, and only if its root is the root over the digests stored here. What it
says then becomes the state of the copies; whatever contradicts is a finding and changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.statement import LANES
from docbus.limits import MAX_RECEIPT_RANGE
from docbus.producers.epochs import CONTRADICTED, begin_epoch, renewed_lately, requeue
from docbus.producers.states import LANE_RECEIPTS, CopyState
from docbus.wire.tree import root_of

if TYPE_CHECKING:
    import sqlite3

    from docbus.envelope.statement import ReceiptBody

UNKNOWN_EPOCH = "receipt_epoch_unknown"
NOT_RECEIPTED = "receipt_of_receipts"
OUT_OF_BOUNDS = "receipt_range_invalid"
BEYOND = "receipt_beyond_stream"
OTHER_ROOT = "receipt_root_differs"
CONTRADICTION = "receipt_contradicts"
"""Findings begin with one of these stable codes, followed by a colon and a sentence."""


# What becomes of a document its recipient has still to say, unless that came before the receipt.
_RECEIVE = """
UPDATE copy SET state = 3 /* received */, sent_at = coalesce(sent_at, ?1), settled_at = ?1, reason = NULL,
    unprocessed = EXISTS (
        SELECT 1 FROM outgoing o WHERE o.outgoing = copy.outgoing AND o.kind IN ('document', 'replacement')
            AND NOT EXISTS (
                SELECT 1 FROM status s WHERE s.document_id = o.document_id AND s.revision = o.revision
                    AND s.recipient = copy.recipient AND s.code BETWEEN 2 AND 6
            )
    )
    WHERE stream = ?2 AND sequence BETWEEN ?3 AND ?4
        AND state IN (1 /* sealed */, 2 /* sent */, 6 /* superseded */, 4 /* refused */)
        AND sequence NOT IN (SELECT value FROM json_each(?5))
"""


class _Stream(NamedTuple):
    stream: int
    lane: int
    sequence: int
    current: bool


def match(connection: sqlite3.Connection, *, receipt: ReceiptBody, issuer: str, at_ms: int) -> list[str]:
    """Take a verified receipt in; doing it again changes nothing.

    Args:
        connection: Inside a transaction.
        receipt: The body of a receipt whose envelope was verified.
        issuer: Canonical id of the agency that signed it.
        at_ms: When it was taken in; becomes the time of receipt.

    Returns:
        Findings, none in the normal case; each is a stable code, a colon and a sentence.
    """
    about = f"receipt of {issuer} for epoch {receipt.epoch.hex()} from {receipt.first} to {receipt.last}"
    if not 1 <= receipt.first <= receipt.last or receipt.last - receipt.first >= MAX_RECEIPT_RANGE:
        return [f"{OUT_OF_BOUNDS}: {about} covers none or too many statements"]
    epoch = connection.execute(
        "SELECT epoch, lane, closed_at IS NULL FROM epoch WHERE identifier = ?", (receipt.epoch,)
    ).fetchone()
    if epoch is None:
        return [f"{UNKNOWN_EPOCH}: {about} concerns another outbox of this agency, or one that was restored since"]
    if epoch[1] == LANE_RECEIPTS:
        return [f"{NOT_RECEIPTED}: {about} is about receipts, which are never receipted"]
    row = connection.execute(
        "SELECT stream, sequence FROM stream WHERE epoch = ? AND recipient = ?", (epoch[0], issuer)
    ).fetchone()
    stream = _Stream(row[0] if row else 0, epoch[1], row[1] if row else 0, bool(epoch[2]))
    if receipt.last > stream.sequence:
        return [
            f"{BEYOND}: {about} goes beyond {stream.sequence}, the last statement that this outbox has sealed",
            *_renew(connection, stream, at_ms=at_ms),
        ]
    leaves = [
        digest
        for (digest,) in connection.execute(
            "SELECT digest FROM copy WHERE stream = ? AND sequence BETWEEN ? AND ? ORDER BY sequence",
            (stream.stream, receipt.first, receipt.last),
        )
    ]
    if root_of(leaves) != receipt.root:
        return [
            f"{OTHER_ROOT}: {about} has another root than the statements that this outbox has sealed",
            *_renew(connection, stream, at_ms=at_ms),
        ]
    return _settle(connection, stream.stream, receipt, about, at_ms)


def _settle(connection: sqlite3.Connection, stream: int, receipt: ReceiptBody, about: str, at_ms: int) -> list[str]:
    """Write what the receipt says; earlier words of the recipient hold against contradicting later ones."""
    findings = _refuse(connection, stream, receipt, about, at_ms) if receipt.refused else []
    connection.execute(
        _RECEIVE,
        (
            at_ms,
            stream,
            receipt.first,
            receipt.last,
            json.dumps([refusal.sequence for refusal in receipt.refused]),
        ),
    )
    return findings


def _refuse(connection: sqlite3.Connection, stream: int, receipt: ReceiptBody, about: str, at_ms: int) -> list[str]:
    reasons = {refusal.sequence: refusal.reason for refusal in receipt.refused}
    findings = []
    for sequence, state, reason in connection.execute(
        "SELECT sequence, state, reason FROM copy WHERE stream = ? AND sequence IN (SELECT value FROM json_each(?))",
        (stream, json.dumps(sorted(reasons))),
    ).fetchall():
        if state == CopyState.RECEIVED:
            findings.append(
                f"{CONTRADICTION}: {about} refuses statement {sequence}, which was receipted as filed before"
            )
        elif state == CopyState.REFUSED and reason != reasons[sequence]:
            findings.append(f"{CONTRADICTION}: {about} refuses statement {sequence} for another reason than before")
    connection.executemany(
        "UPDATE copy SET state = 4 /* refused */, sent_at = coalesce(sent_at, ?1), settled_at = ?1, reason = ?2"
        " WHERE stream = ?3 AND sequence = ?4"
        # What was refused before and goes out again is not refused once more by the same word.
        " AND (state IN (1 /* sealed */, 2 /* sent */) OR (state = 6 /* superseded */ AND reason IS NULL))",
        [(at_ms, reason, stream, sequence) for sequence, reason in reasons.items()],
    )
    return findings


def _renew(connection: sqlite3.Connection, stream: _Stream, *, at_ms: int) -> list[str]:
    """Begin a new epoch if this one is in force, and let what this recipient has not receipted go out in it."""
    lane = LANES[stream.lane]
    findings = []
    if stream.current:
        if renewed_lately(connection, lane, at_ms=at_ms):
            return []
        begin_epoch(connection, lane, CONTRADICTED, at_ms=at_ms)
        findings.append(f"epoch_begun: lane {lane} goes on in a new epoch, because this outbox may be a restored one")
    if stream.stream:
        count = requeue(connection, stream.stream, at_ms=at_ms)
        if count:
            findings.append(f"statements_requeued: {count} statements go out again in the new epoch")
    return findings
