"""Answering recalls, updates and replacements: a signed status 15 or 16 about each document concerned (step C4).

The answer is stored in the transaction that stores the outcome, so there is one, however often the change comes, and
also about a document that was never delivered here. A change that is refused, whoever refuses it and for whatever
reason, is answered 16; when it is decided anew and takes effect, 15 follows, as the receipt that turns refused into
filed does.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.sinks.port import AlreadyThere, Answer, Created
from docbus.consumers.sorting import FOREIGN_DOCUMENT
from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import DocumentBody
from docbus.limits import MAX_TEXT_BYTES
from docbus.producers.statuses import record_status
from docbus.producers.telling import status_statement

if TYPE_CHECKING:
    import sqlite3

    from docbus.consumers.items import Item
    from docbus.envelope.statement import Reference
    from docbus.producers.outbox import WaitingStatement


class ChangeAnswer(NamedTuple):
    """The answer about one document that a change concerns.

    Attributes:
        target: The document concerned.
        change: Digest of the statement that asks for the change.
        amends: Whether it is an update.
        asked_by: Its sender.
        asked_at: When, by the sender's clock.
        answer: Agreed or not, and why.
        statement: For the outbox.
    """

    target: Reference
    change: bytes
    amends: bool
    asked_by: str
    asked_at: int
    answer: Answer
    statement: WaitingStatement

    def record(self, connection: sqlite3.Connection, *, agency: str, now_ms: int) -> None:
        """Keep among the statuses that the change was asked for, and how it was answered.

        Of an agency that sends to itself the outbox has noted the one, and the other comes in its inbox.
        """
        if self.asked_by == agency:
            return
        asked = sha256(self.change + self.target.document_id.encode() + b"%d" % self.target.revision).digest()
        record_status(
            connection,
            reference=self.target,
            recipient=agency,
            recorded_at=now_ms,
            issuer=self.asked_by,
            code=StatusCode.TAKE_BACK,
            at=self.asked_at,
            statement=asked,
            amends=self.amends,
        )
        record_status(
            connection,
            reference=self.target,
            recipient=agency,
            recorded_at=now_ms,
            issuer=agency,
            code=_code(self.answer),
            at=now_ms,
            statement=sha256(self.statement.body + agency.encode()).digest(),
            note=self.answer.note or None,
        )


def answers_to(item: Item, *, environment: str, agency: str, now_ms: int) -> list[ChangeAnswer]:
    """Return the answers to a change that is decided about; none for a plain document, or for one of other agencies.

    Args:
        item: A document with its outcome.
        environment: The exchange's name.
        agency: Canonical id of the recipient, who answers.
        now_ms: Time of the answers.
    """
    if item.passed is None or item.refusal == FOREIGN_DOCUMENT:
        return []
    statement = item.passed.verified.statement
    body = statement.body
    if not isinstance(body, DocumentBody) or not body.concerns:
        return []
    answer = _answer_of(item)
    return [
        ChangeAnswer(
            target,
            item.passed.verified.digest,
            body.kind == "update",
            statement.head.sender,
            statement.head.made_at,
            answer,
            status_statement(
                target,
                _code(answer),
                answer.note.encode()[:MAX_TEXT_BYTES].decode(errors="ignore"),
                to=target.sender,
                environment=environment,
                agency=agency,
                now_ms=now_ms,
            ),
        )
        for target in body.concerns
    ]


def _answer_of(item: Item) -> Answer:
    if item.refusal is not None:
        return Answer(agreed=False, note=item.text or item.refusal)
    given = item.outcome.answer if isinstance(item.outcome, Created | AlreadyThere) else None
    return given or Answer(agreed=True)


def _code(answer: Answer) -> StatusCode:
    return StatusCode.CHANGE_AGREED if answer.agreed else StatusCode.CHANGE_REFUSED
