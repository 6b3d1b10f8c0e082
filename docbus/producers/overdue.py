"""What is overdue: accepted and not sent, sent and not received, received and not processed.

Deadlines need a calendar, and counting a database; both meet in one number for each stage: exactly what has waited
since before it is overdue (:meth:`~docbus.documents.deadlines.Deadlines.overdue_before`). So nothing is read that is
in time, but for what is not sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.deadlines import Stage
from docbus.producers.states import LANE_DOCUMENTS, LANE_NUMBERS

if TYPE_CHECKING:
    import sqlite3

    from docbus.documents.deadlines import Deadlines

MAX_OVERDUE = 20
"""Copies that a status lists for each stage, those due first; their number is never cut."""

# Each is left at once by what happens next, so all three are short in an exchange that works.
_UNSENT = """
SELECT c.outgoing, c.recipient, o.accepted_at AS since FROM copy c INDEXED BY copy_waiting
    JOIN outgoing o ON o.outgoing = c.outgoing
    WHERE c.state = 0 AND c.lane = :lane AND o.form = 'document' AND o.accepted_at < :before
UNION ALL
SELECT c.outgoing, c.recipient, o.accepted_at FROM copy c INDEXED BY copy_held
    JOIN outgoing o ON o.outgoing = c.outgoing
    WHERE c.state = 7 AND c.lane = :lane AND o.form = 'document' AND o.accepted_at < :before
UNION ALL
SELECT c.outgoing, c.recipient, o.accepted_at FROM stream s INDEXED BY stream_unsent
    CROSS JOIN copy c ON c.stream = s.stream AND c.sequence > s.sent
    JOIN outgoing o ON o.outgoing = c.outgoing
    WHERE s.sent < s.sequence AND c.state = 1 AND c.lane = :lane AND o.form = 'document' AND o.accepted_at < :before
"""
_UNANSWERED = """
SELECT c.outgoing, c.recipient, c.sent_at AS since FROM copy c INDEXED BY copy_unanswered
    JOIN outgoing o ON o.outgoing = c.outgoing
    WHERE c.state = 2 AND c.lane = :lane AND c.sent_at < :before AND o.form = 'document'
"""
_UNPROCESSED = """
SELECT outgoing, recipient, settled_at AS since FROM copy INDEXED BY copy_unprocessed
    WHERE unprocessed = 1 AND lane = :lane AND settled_at < :before
"""
_WAITING = {Stage.SENT: _UNSENT, Stage.RECEIVED: _UNANSWERED, Stage.PROCESSED: _UNPROCESSED}
# Put together from constants only.
_COUNT = {stage: f"SELECT count(*) FROM ({waiting})" for stage, waiting in _WAITING.items()}  # noqa: S608
_FIRST = {
    stage: f"""
SELECT o.document_id, o.revision, w.recipient, w.since FROM ({waiting} ORDER BY since LIMIT {MAX_OVERDUE}) w
    JOIN outgoing o ON o.outgoing = w.outgoing
"""  # noqa: S608
    for stage, waiting in _WAITING.items()
}


class OverdueDocument(NamedTuple):
    """A document that is not where it should be at one recipient.

    Attributes:
        document_id: The sender's own id.
        revision: From 1.
        recipient: Canonical id.
        urgent: Whether it is urgent, and so due at once.
        since: When it was accepted, sent or received, in milliseconds since 1970.
        due_at: By when it should have been sent, received or processed.
    """

    document_id: str
    revision: int
    recipient: str
    urgent: bool
    since: int
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueStage:
    """What has not reached a stage in time.

    Attributes:
        stage: ``sent``, ``received`` or ``processed``: what is still to be done.
        count: Copies: one for each recipient of a document.
        due_at: When the first of them was due, in milliseconds since 1970; None if there are none.
        first: Those that were due first, at most ``MAX_OVERDUE``.
    """

    stage: Stage
    count: int
    due_at: int | None
    first: tuple[OverdueDocument, ...]


def overdue(connection: sqlite3.Connection, deadlines: Deadlines, now_ms: int) -> tuple[OverdueStage, ...]:
    """Return what is overdue in each stage that is looked at, in their order; reads only what is overdue or not sent.

    Args:
        connection: Inside a transaction.
        deadlines: The rules.
        now_ms: Milliseconds since 1970.
    """
    return tuple(_overdue(connection, deadlines, stage, now_ms) for stage in Stage if stage in deadlines.stages)


def _overdue(connection: sqlite3.Connection, deadlines: Deadlines, stage: Stage, now_ms: int) -> OverdueStage:
    count = 0
    found: list[OverdueDocument] = []
    for lane, urgent in ((LANE_NUMBERS["urgent"], True), (LANE_DOCUMENTS, False)):
        values = {"lane": lane, "before": deadlines.overdue_before(stage, now_ms, urgent=urgent)}
        some = connection.execute(_COUNT[stage], values).fetchone()[0]
        if not some:
            continue
        count += some
        found += [
            OverdueDocument(
                document_id, revision, recipient, urgent, since, deadlines.due_at(stage, since, urgent=urgent)
            )
            for document_id, revision, recipient, since in connection.execute(_FIRST[stage], values)
        ]
    found.sort(key=lambda one: one.due_at)
    return OverdueStage(
        stage=stage,
        count=count,
        due_at=found[0].due_at if found else None,
        first=tuple(found[:MAX_OVERDUE]),
    )
