"""Recalls, updates and replacements at their sender: what they ask for is noted when they are accepted."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import Reference
from docbus.errors import DocumentError
from docbus.producers.statuses import record_status

if TYPE_CHECKING:
    import sqlite3

    from docbus.producers.outbox import AcceptedDocument


class Original(NamedTuple):
    """A document that was published from this folder: its revision, urgency and recipients."""

    document_id: str
    revision: int
    urgency: int
    recipients: tuple[str, ...]


def original_of(connection: sqlite3.Connection, document_id: str, revision: int | None) -> Original:
    """Return a document of this outbox, its newest revision if none is named.

    Raises:
        DocumentError: There is none.
    """
    row = connection.execute(
        "SELECT outgoing, revision, urgency FROM outgoing WHERE document_id = ?1 AND (?2 IS NULL OR revision = ?2)"
        " ORDER BY revision DESC LIMIT 1",
        (document_id, revision),
    ).fetchone()
    if row is None:
        raise DocumentError(
            f"the outbox has no document {document_id}" + (f" revision {revision}" if revision else ""),
            hint="Only what was published from this folder can be recalled; `docbus track` shows what there is.",
            step="P1",
        )
    recipients = connection.execute(
        "SELECT DISTINCT recipient FROM copy WHERE outgoing = ? ORDER BY recipient", row[:1]
    )
    return Original(document_id, row[1], row[2], tuple(name for (name,) in recipients))


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
