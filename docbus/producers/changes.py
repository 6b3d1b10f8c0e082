"""Recalls, updates and replacements at their sender: what they ask for is noted when they are accepted."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import Reference
from docbus.producers.outbox import find_document
from docbus.producers.statuses import record_status

if TYPE_CHECKING:
    import sqlite3

    from docbus.producers.outbox import AcceptedDocument, FoundDocument


def document_and_recipients(
    connection: sqlite3.Connection, document_id: str, revision: int | None
) -> tuple[FoundDocument, tuple[str, ...]]:
    """Return a document of this outbox, its newest revision if none is named, and whom it was published to.

    Raises:
        DocumentError: There is none.
    """
    found = find_document(connection, document_id, revision)
    names = connection.execute(
        "SELECT DISTINCT recipient FROM copy WHERE outgoing = ? ORDER BY recipient", (found.outgoing,)
    )
    return found, tuple(name for (name,) in names)


def note_asked(connection: sqlite3.Connection, document: AcceptedDocument, *, sender: str, now_ms: int) -> None:
    """Record for each document concerned, and each recipient of the change who was sent it, that it is asked back.

    Args:
        connection: Inside the transaction that accepts the change.
        document: The change.
        sender: Canonical id of this agency.
        now_ms: Now.
    """
    for target in document.concerns:
        if target.sender != sender:
            continue
        for recipient in document.recipients:
            about = f"{document.document_id}~{document.revision}~{target.document_id}~{target.revision}~{recipient}"
            record_status(
                connection,
                reference=Reference(target.sender, target.document_id, target.revision),
                recipient=recipient,
                issuer=sender,
                code=StatusCode.TAKE_BACK,
                at=now_ms,
                recorded_at=now_ms,
                statement=sha256(b"asked " + about.encode()).digest(),
                note=f"{document.kind} {document.document_id}",
            )
