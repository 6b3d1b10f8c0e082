"""Reporting a business status: to the document's sender, or, for a take-back, to its recipients (design section 4)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import Reference
from docbus.errors import DocumentError
from docbus.producers.outbox import add_statements
from docbus.producers.statuses import record_status
from docbus.producers.telling import status_statement

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from docbus.storage.database import Database


async def report_status(
    database: Database,
    *,
    environment: str,
    agency: str,
    document_sender: str,
    document_id: str,
    revision: int,
    code: StatusCode | int,
    note: str | None,
    now_ms: int,
    check: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> bool:
    """Put a status into the outbox; return once it is on disk.

    Args:
        database: Outbox and statuses.
        environment: The exchange's name.
        agency: Canonical id of the reporting agency.
        document_sender: Canonical id of the document's sender.
        document_id: The sender's id of the document.
        revision: Of the document.
        code: 02 to 06, 15 or 16 as its recipient, 13 as its sender.
        note: Free text; travels encrypted.
        now_ms: Time of the status.
        check: Raises if the document is none that this agency may report on.

    Returns:
        Whether the status was possible after those before it; False means that it is sent, and flagged.

    Raises:
        DocumentError: Not a status that this agency can report of this document.
        StorageError: It could not be stored.
    """
    status = _checked(code, note, own=agency == document_sender)
    reference = Reference(document_sender, document_id, revision)
    statement = status_statement(
        reference, status, note, to=document_sender, environment=environment, agency=agency, now_ms=now_ms
    )

    def store(connection: sqlite3.Connection) -> bool:
        check(connection)
        addressees = _recipients(connection, reference) if status.sent_by == "sender" else [document_sender]
        add_statements(connection, [statement._replace(recipient=to) for to in addressees], at_ms=now_ms)
        # One row per (document, recipient), whoever of the two speaks.
        about = addressees if status.sent_by == "sender" else [agency]
        possible = [
            record_status(
                connection,
                reference=reference,
                recipient=recipient,
                issuer=agency,
                code=status,
                at=now_ms,
                recorded_at=now_ms,
                statement=sha256(statement.body + recipient.encode()).digest(),
                note=note,
            )
            for recipient in about
        ]
        return all(possible)

    return await database.write(store)


def _checked(code: StatusCode | int, note: str | None, *, own: bool) -> StatusCode:
    try:
        status = StatusCode(code)
    except ValueError:
        raise DocumentError(
            f"status {code} does not exist",
            hint=f"There are {', '.join(known.text for known in StatusCode if known.reportable)}.",
        ) from None
    if not status.reportable:
        raise DocumentError(
            f"status {status.text} cannot be reported: it follows from what docbus does itself",
            hint="Accept the delivery; docbus does the rest.",
        )
    if (status.sent_by == "sender") is not own:
        who = "sender" if status.sent_by == "sender" else "recipient"
        raise DocumentError(f"status {status.text} ({status.english}) is for the document's {who} to report")
    if status.needs_reason and not note:
        raise DocumentError(f"status {status.text} ({status.english}) needs a reason", hint="Give it as the note.")
    return status


def _recipients(connection: sqlite3.Connection, reference: Reference) -> list[str]:
    found = [
        name
        for (name,) in connection.execute(
            "SELECT DISTINCT c.recipient FROM copy c JOIN outgoing o ON o.outgoing = c.outgoing"
            " WHERE o.document_id = ? AND o.revision = ? ORDER BY c.recipient",
            (reference.document_id, reference.revision),
        )
    ]
    if not found:
        raise DocumentError(
            f"the outbox has no document {reference.document_id} revision {reference.revision}",
            hint="Only what was published from this folder can be asked back.",
        )
    return found
