"""Business statuses, as they became known (design section 4); an impossible one is recorded and flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.statuses import StatusCode, replay

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from docbus.envelope.statement import Reference


_CODES = frozenset(int(code) for code in StatusCode)


class StatusRecord(NamedTuple):
    """A status of one document at one recipient.

    Attributes:
        recipient: Of the document.
        issuer: Who says so: the recipient, or for 13 the sender.
        code: As in :class:`~docbus.documents.statuses.StatusCode`; a number that it does not have is kept too.
        at: By the issuer's clock, milliseconds.
        recorded_at: When it became known here, milliseconds.
        flagged: Whether it was not possible after those before it.
        note: Free text, such as the reason of a refusal.
    """

    recipient: str
    issuer: str
    code: int
    at: int
    recorded_at: int
    flagged: bool
    note: str | None


def record_status(
    connection: sqlite3.Connection,
    *,
    reference: Reference,
    recipient: str,
    issuer: str,
    code: int,
    at: int,
    recorded_at: int,
    statement: bytes,
    note: str | None = None,
    amends: bool = False,
) -> bool:
    """Record a status, received or reported; once, however often it comes.

    Args:
        connection: Inside a transaction.
        reference: The document.
        recipient: Its recipient, canonical id.
        issuer: Who says so.
        code: The status.
        at: By the issuer's clock.
        recorded_at: Now.
        statement: Digest of the statement, or of the body of one that this agency reports; tells repetitions.
        note: Free text.
        amends: Of 13: whether an update asks.

    Returns:
        Whether it was possible after those before it; False means that it was recorded and flagged.
    """
    before = connection.execute(
        "SELECT code, flagged, statement, amends FROM status WHERE document_id = ? AND sender = ? AND recipient = ?"
        " AND revision = ? ORDER BY status",
        (reference.document_id, reference.sender, recipient, reference.revision),
    ).fetchall()
    for _, flagged, known, _ in before:
        if known == statement:
            return not flagged
    flagged = _impossible([*((row[0], bool(row[3])) for row in before), (code, amends)])
    connection.execute(
        "INSERT INTO status (sender, document_id, revision, recipient, issuer, code, at, recorded_at, flagged, note,"
        " statement, amends) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (statement) DO NOTHING",
        (
            reference.sender,
            reference.document_id,
            reference.revision,
            recipient,
            issuer,
            code,
            at,
            recorded_at,
            flagged,
            note,
            statement,
            amends,
        ),
    )
    return not flagged


def note_processing(connection: sqlite3.Connection, reference: Reference, issuer: str, code: int) -> None:
    """Note that a recipient has said what becomes of a document of this outbox; other codes say nothing about that."""
    if StatusCode.REFUSED <= code <= StatusCode.FINISHED:
        connection.execute(
            "UPDATE copy SET unprocessed = 0 WHERE outgoing = (SELECT outgoing FROM outgoing WHERE document_id = ?"
            " AND revision = ?) AND recipient = ? AND unprocessed = 1",
            (reference.document_id, reference.revision, issuer),
        )


def is_foreign(connection: sqlite3.Connection, reference: Reference, issuer: str, code: int) -> bool:
    """Tell whether this outbox has sent the document, and not to the agency that reports a status of it.

    A document that this outbox does not know says nothing: an agency may have several. Whoever was asked to change a
    document, as with a replacement of several, may answer about it though it was sent to others.
    """
    row = connection.execute(
        "SELECT outgoing FROM outgoing WHERE document_id = ? AND revision = ?",
        (reference.document_id, reference.revision),
    ).fetchone()
    if row is None:
        return False
    sent = connection.execute("SELECT 1 FROM copy WHERE outgoing = ? AND recipient = ? LIMIT 1", (row[0], issuer))
    if sent.fetchone() is not None:
        return False
    if code not in {StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED}:
        return True
    asked = connection.execute(
        "SELECT 1 FROM status WHERE document_id = ? AND sender = ? AND recipient = ? AND revision = ? AND code = ?",
        (reference.document_id, reference.sender, issuer, reference.revision, StatusCode.TAKE_BACK),
    )
    return asked.fetchone() is None


def statuses_of(connection: sqlite3.Connection, *, sender: str, document_id: str, revision: int) -> list[StatusRecord]:
    """Return a document's statuses at all its recipients, in the order in which they became known."""
    return [
        StatusRecord(recipient, issuer, code, at, recorded_at, bool(flagged), note)
        for recipient, issuer, code, at, recorded_at, flagged, note in connection.execute(
            "SELECT recipient, issuer, code, at, recorded_at, flagged, note FROM status"
            " WHERE document_id = ? AND sender = ? AND revision = ? ORDER BY status",
            (document_id, sender, revision),
        )
    ]


def _impossible(said: Sequence[tuple[int, bool]]) -> bool:
    """Tell whether the last of what was said, with whether it is an update's request, was impossible."""
    if said[-1][0] not in _CODES:
        return True
    known = [(StatusCode(code), amends) for code, amends in said if code in _CODES]
    _, flagged = replay([code for code, _ in known], {at for at, (_, amends) in enumerate(known) if amends})
    return bool(flagged) and flagged[-1] == len(known) - 1
