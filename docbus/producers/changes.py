"""Recalls, updates and replacements at their sender: what they are about, and what they ask for when accepted."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.document import FIRST_REVISION
from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import Reference
from docbus.errors import DocumentError
from docbus.producers.outbox import find_document
from docbus.producers.statuses import record_status, statuses_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from docbus.producers.outbox import AcceptedDocument

_ABOUT_CHANGES = frozenset({StatusCode.TAKE_BACK, StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED})
SHOWN_RECIPIENTS = 10
"""Recipients that are named where one is not among them."""


class Original(NamedTuple):
    """A document that a change is about, and who was or will be sent it."""

    document_id: str
    revision: int
    urgency: int
    recipients: tuple[str, ...]


def read_originals(connection: sqlite3.Connection, named: Sequence[tuple[str, int | None]]) -> list[Original]:
    """Return documents of this outbox by id and revision, the newest if none is named.

    Raises:
        DocumentError: There is none, or nobody will ever have it: it was withdrawn, or failed at every recipient.
    """
    return [_original(connection, document_id, revision) for document_id, revision in named]


def _original(connection: sqlite3.Connection, document_id: str, revision: int | None) -> Original:
    found = find_document(connection, document_id, revision)
    names = connection.execute(
        "SELECT DISTINCT recipient FROM copy WHERE outgoing = ? AND state != 5 /* failed */ ORDER BY recipient",
        (found.outgoing,),
    )
    recipients = tuple(name for (name,) in names)
    if not recipients:
        raise DocumentError(
            f"nobody was sent {document_id} revision {found.revision}, so that nothing is to be changed anywhere",
            hint=f"It was withdrawn, or failed at every recipient: docbus track {document_id}",
            step="P1",
        )
    return Original(document_id, found.revision, found.urgency, recipients)


def recipients_of(originals: Sequence[Original], chosen: Sequence[str] | None) -> tuple[str, ...]:
    """Return to whom a change goes: to all who were sent the documents, or to those of them that are chosen.

    Whoever gets a change learns the ids of all that it concerns, and answers for each.

    Args:
        originals: What it is about.
        chosen: Canonical ids, or None for all.

    Raises:
        DocumentError: One of the recipients was never sent one of the documents.
    """
    if chosen is None:
        chosen = [name for original in originals for name in original.recipients]
    recipients = tuple(dict.fromkeys(chosen))
    for original in originals:
        sent = frozenset(original.recipients)
        lacking = [name for name in recipients if name not in sent]
        if lacking:
            several = " Change the documents one by one, each for those who have it." if len(originals) > 1 else ""
            raise DocumentError(
                f"{_some(lacking)} {'was' if len(lacking) == 1 else 'were'} never sent"
                f" {original.document_id} revision {original.revision}",
                hint=f"It went to {_some(original.recipients)}.{several}",
                step="P1",
            )
    return recipients


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:SHOWN_RECIPIENTS], *(["…"] if len(names) > SHOWN_RECIPIENTS else [])])


def read_refusing(connection: sqlite3.Connection, original: Original, *, sender: str) -> set[str]:
    """Return the recipients whose last word about changing a document is that they refuse."""
    last: dict[str, int] = {}
    for status in statuses_of(connection, sender=sender, document_id=original.document_id, revision=original.revision):
        # One that could not follow what was before it came late, or is a copy.
        if status.code in _ABOUT_CHANGES and not status.flagged:
            last[status.recipient] = status.code
    return {recipient for recipient, code in last.items() if code == StatusCode.CHANGE_REFUSED}


def next_revision(connection: sqlite3.Connection, document_id: str) -> int:
    """Return the revision after the newest that the outbox has of a document, and after the first in any case."""
    newest = connection.execute("SELECT max(revision) FROM outgoing WHERE document_id = ?", (document_id,)).fetchone()
    return max(newest[0] or FIRST_REVISION, FIRST_REVISION) + 1


def note_asked(connection: sqlite3.Connection, document: AcceptedDocument, *, sender: str, now_ms: int) -> None:
    """Record for each document concerned, and each recipient of the change, that it is asked back.

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
                amends=document.kind == "update",
            )
