"""Telling a sender why its document is not filed: a signed status whose note only the sender can read (step C4)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.refusals import RESENDABLE
from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import Reference
from docbus.limits import MAX_TEXT_BYTES
from docbus.producers.statuses import record_status
from docbus.producers.telling import status_statement

if TYPE_CHECKING:
    import sqlite3

    from docbus.consumers.items import Item
    from docbus.producers.outbox import WaitingStatement


class Rejection(NamedTuple):
    """A document that is refused with a text, and the status that tells it.

    Attributes:
        reference: The document.
        code: 02, or 50 where only its large content is wanting.
        text: Why.
        statement: For the outbox.
    """

    reference: Reference
    code: StatusCode
    text: str
    statement: WaitingStatement

    def record(self, connection: sqlite3.Connection, *, agency: str, now_ms: int) -> None:
        """Keep the status among those that this agency has reported."""
        record_status(
            connection,
            reference=self.reference,
            recipient=agency,
            issuer=agency,
            code=self.code,
            at=now_ms,
            recorded_at=now_ms,
            statement=sha256(self.statement.body + agency.encode()).digest(),
            note=self.text,
        )


def tell_rejection(item: Item, *, environment: str, agency: str, now_ms: int) -> Rejection:
    """Return the status that tells of a refused document.

    Args:
        item: Refused, with a text.
        environment: The exchange's name.
        agency: Canonical id of the recipient, who tells.
        now_ms: Time of the status.
    """
    if item.document is None:
        raise TypeError("only a document is rejected with a text")
    reference = Reference(*item.document)
    code = StatusCode.CONTENT_UNAVAILABLE if item.refusal in RESENDABLE else StatusCode.REFUSED
    text = item.text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    statement = status_statement(
        reference, code, text, to=reference.sender, environment=environment, agency=agency, now_ms=now_ms
    )
    return Rejection(reference, code, item.text, statement)
