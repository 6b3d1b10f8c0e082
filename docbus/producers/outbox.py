"""Taking statements into the outbox, and reading what waits (steps P1 to P3).

All functions work on a connection inside a transaction of :class:`docbus.storage.database.Database`; consumers call
:func:`add_statements` in the transaction that stores an outcome, so that outcome and receipt are durable together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.statement import LANES
from docbus.errors import DocumentConflictError, DocumentError
from docbus.limits import MIB
from docbus.producers.content import add_content, hold_back, places_of, was_withdrawn
from docbus.producers.states import FORM_OF, LANE_NUMBERS, LANES_BY_RANK, TYPE_OF

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from docbus.documents.document import Document, DocumentReference
    from docbus.producers.content import PartPlaces
    from docbus.producers.staging import StagedAttachment

MAX_BATCH_STATEMENTS = 512
"""Statements sealed as one batch: the signature costs nothing any more, and a lost batch is redone in 30 ms."""
MAX_BATCH_BYTES = 8 * MIB
"""Bytes of packages in one batch: what sealing and sending hold in memory, twice because they overlap."""
RESERVED_STATEMENTS = 64
"""Statements of each lane that have a place in every batch, so that no lane starves behind another."""
_LOOKUP = 500
"""Ids in one query."""


class AcceptedDocument(NamedTuple):
    """An encrypted document and where it goes."""

    document_id: str
    revision: int
    kind: str
    urgency: int
    lane: str
    recipients: Sequence[str]
    fingerprint: bytes
    body: bytes
    package: bytes
    content_key: bytes
    attachments: Sequence[StagedAttachment] = ()
    concerns: Sequence[DocumentReference] = ()
    on_behalf_of: str | None = None


class WaitingStatement(NamedTuple):
    """A receipt or status that is to be signed and sent."""

    payload_type: str
    recipient: str
    lane: str
    body: bytes
    package: bytes | None = None
    content_key: bytes | None = None


class WaitingCopy(NamedTuple):
    """A copy that waits for its position."""

    outgoing: int
    ordinal: int
    payload_type: str
    lane: str
    recipient: str
    body: bytes
    package: bytes | None
    content_key: bytes | None
    places: Sequence[PartPlaces] = ()
    kind: str | None = None
    on_behalf_of: str | None = None


def accept(connection: sqlite3.Connection, documents: Sequence[AcceptedDocument], *, at_ms: int) -> list[bool]:
    """Take documents in, all or none of them (step P1).

    Args:
        connection: Inside a transaction.
        documents: Encrypted, each with at least one recipient.
        at_ms: Time of acceptance.

    Returns:
        For each document whether it is a duplicate: accepted before with the same content, and not taken in again.

    Raises:
        DocumentConflictError: An id and revision was accepted before with other content or other recipients.
    """
    first = _next_outgoing(connection)
    before = connection.total_changes
    connection.executemany(
        "INSERT INTO outgoing (outgoing, form, document_id, revision, kind, urgency, accepted_at, package_size,"
        " fingerprint, content_key, body, package, on_behalf_of)"
        " VALUES (?, 'document', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [
            (
                outgoing,
                document.document_id,
                document.revision,
                document.kind,
                document.urgency,
                at_ms,
                len(document.package),
                document.fingerprint,
                document.content_key,
                document.body,
                document.package,
                document.on_behalf_of,
            )
            for outgoing, document in enumerate(documents, first)
        ],
    )
    duplicates = [False] * len(documents)
    if connection.total_changes - before != len(documents):
        duplicates = _duplicates(connection, documents, first)
    taken = [
        (outgoing, document)
        for outgoing, (document, duplicate) in enumerate(zip(documents, duplicates, strict=True), first)
        if not duplicate
    ]
    add_content(connection, [(outgoing, document.attachments) for outgoing, document in taken if document.attachments])
    add_copies(
        connection,
        [
            (outgoing, ordinal, LANE_NUMBERS[document.lane], recipient)
            for outgoing, document in taken
            for ordinal, recipient in enumerate(document.recipients)
        ],
    )
    return duplicates


class FoundDocument(NamedTuple):
    """A document of the outbox."""

    outgoing: int
    revision: int
    kind: str
    urgency: int
    accepted_at: int


def find_document(connection: sqlite3.Connection, document_id: str, revision: int | None) -> FoundDocument:
    """Return a document by its id; of several revisions the newest, unless one is named.

    Raises:
        DocumentError: The outbox has no such document.
    """
    row = connection.execute(
        "SELECT outgoing, revision, kind, urgency, accepted_at FROM outgoing WHERE document_id = ?1"
        " AND (?2 IS NULL OR revision = ?2) ORDER BY revision DESC LIMIT 1",
        (document_id, revision),
    ).fetchone()
    if row is None:
        named = document_id if revision is None else f"{document_id} revision {revision}"
        raise DocumentError(
            f"the outbox has no document {named}",
            hint="Give the id that `docbus publish` printed, and the folder of the agency that sent it.",
        )
    return FoundDocument(*row)


def is_accepted(document_id: str, revision: int, connection: sqlite3.Connection) -> bool:
    """Tell whether a document of this id and revision was accepted before."""
    found = connection.execute("SELECT 1 FROM outgoing WHERE document_id = ? AND revision = ?", (document_id, revision))
    return found.fetchone() is not None


def check_in_time(documents: Sequence[Document], now_ms: int, connection: sqlite3.Connection) -> None:
    """Refuse what every recipient would refuse (ADR 0005); what was accepted in time may be published again.

    Raises:
        DocumentError: The ``not_after`` of a document has passed.
    """
    for document in documents:
        late = document.not_after is not None and document.not_after < now_ms
        if late and not is_accepted(document.document_id, document.revision, connection):
            raise DocumentError(
                f"not_after: {document.not_after} is past, so that no recipient would take the document",
                hint=f"It is in milliseconds since 1970; now is {now_ms}.",
                step="P1",
            )


def add_statements(connection: sqlite3.Connection, statements: Sequence[WaitingStatement], *, at_ms: int) -> list[int]:
    """Take receipts and statuses in; returns their numbers in the outbox, in the order given."""
    if not statements:
        return []
    first = _next_outgoing(connection)
    connection.executemany(
        "INSERT INTO outgoing (outgoing, form, accepted_at, package_size, content_key, body, package)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                outgoing,
                FORM_OF[statement.payload_type],
                at_ms,
                len(statement.package or b""),
                statement.content_key,
                statement.body,
                statement.package,
            )
            for outgoing, statement in enumerate(statements, first)
        ],
    )
    add_copies(
        connection,
        [
            (outgoing, 0, LANE_NUMBERS[statement.lane], statement.recipient)
            for outgoing, statement in enumerate(statements, first)
        ],
    )
    return list(range(first, first + len(statements)))


def read_waiting(
    connection: sqlite3.Connection, max_statements: int = MAX_BATCH_STATEMENTS, max_bytes: int = MAX_BATCH_BYTES
) -> list[WaitingCopy]:
    """Return the next batch: urgent first, each lane in order of acceptance, none starved.

    Args:
        connection: Inside a transaction.
        max_statements: At most so many copies.
        max_bytes: Stop before the packages come to more, but return at least one copy.
    """
    lanes = {
        lane: connection.execute(
            "SELECT c.outgoing, c.ordinal, c.lane, c.recipient, o.package_size FROM copy c"
            " JOIN outgoing o ON o.outgoing = c.outgoing"
            " WHERE c.state = 0 AND c.lane = ? ORDER BY c.lane, c.outgoing, c.ordinal LIMIT ?",
            (lane, max_statements),
        ).fetchall()
        for lane in LANES_BY_RANK
    }
    shares = share([len(lanes[lane]) for lane in LANES_BY_RANK], max_statements)
    chosen: list[tuple[int, int, int, str, int]] = []
    taken = 0
    for lane, count in zip(LANES_BY_RANK, shares, strict=True):
        for row in lanes[lane][:count]:
            if chosen and taken + row[4] > max_bytes:
                # The next copy of this lane has to wait, so that the lane's order holds; another lane may still fit.
                break
            taken += row[4]
            chosen.append(row)
    wanted = {row[0] for row in chosen}
    contents, places = _contents(connection, wanted), places_of(connection, wanted)
    return [
        WaitingCopy(
            outgoing,
            ordinal,
            TYPE_OF[form],
            LANES[lane],
            recipient,
            body,
            package,
            content_key,
            places.get(outgoing, ()),
            kind,
            on_behalf_of,
        )
        for outgoing, ordinal, lane, recipient, _ in chosen
        for form, body, package, content_key, kind, on_behalf_of in (contents[outgoing],)
    ]


def share(waiting: Sequence[int], places: int) -> list[int]:
    """Divide a batch's places among lanes that stand in order of rank.

    Each lane first gets up to ``RESERVED_STATEMENTS``, or an equal part if the batch is small; the rest goes by rank.
    """
    reserve = min(RESERVED_STATEMENTS, max(1, places // len(waiting)))
    shares = []
    for count in waiting:
        given = min(count, reserve, places)
        shares.append(given)
        places -= given
    for rank, count in enumerate(waiting):
        more = min(count - shares[rank], places)
        shares[rank] += more
        places -= more
    return shares


def fail_copies(connection: sqlite3.Connection, failures: Iterable[tuple[int, int, str]], *, at_ms: int) -> None:
    """Mark waiting copies as failed for good; what no copy needs any more is dropped.

    Args:
        connection: Inside a transaction.
        failures: (outgoing, ordinal, reason), the reason being an error's stable code.
        at_ms: Time of the decision.
    """
    rows = list(failures)
    connection.executemany(
        "UPDATE copy SET state = 5 /* failed */, settled_at = ?, reason = ?"
        " WHERE outgoing = ? AND ordinal = ? AND state = 0 /* waiting */",
        [(at_ms, reason, outgoing, ordinal) for outgoing, ordinal, reason in rows],
    )
    connection.executemany(
        "UPDATE outgoing SET body = NULL, package = NULL, content_key = NULL WHERE outgoing = ?1"
        " AND NOT EXISTS (SELECT 1 FROM copy WHERE outgoing = ?1 AND state != 5 /* failed */)",
        [(outgoing,) for outgoing in {row[0] for row in rows}],
    )


def _contents(
    connection: sqlite3.Connection, wanted: set[int]
) -> dict[int, tuple[str, bytes, bytes | None, bytes | None, str | None, str | None]]:
    """Return form, body, package, content key, kind and whom it is sent for, each read once for all copies."""
    return {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT outgoing, form, body, package, content_key, kind, on_behalf_of FROM outgoing"
            " WHERE outgoing IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(wanted)),),
        )
    }


def _next_outgoing(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(outgoing), 0) + 1 FROM outgoing").fetchone()[0])


def add_copies(connection: sqlite3.Connection, rows: Sequence[tuple[int, int, int, str]]) -> None:
    """Let copies wait for their positions, given as (outgoing, ordinal, lane, recipient).

    Where content is still to be uploaded, some of them are held, so that order holds in every stream.
    """
    connection.executemany("INSERT INTO copy (outgoing, ordinal, state, lane, recipient) VALUES (?, ?, 0, ?, ?)", rows)
    hold_back(connection, rows)


def _duplicates(connection: sqlite3.Connection, documents: Sequence[AcceptedDocument], first: int) -> list[bool]:
    """Tell documents that were there before from new ones; conflicts raise."""
    found: dict[tuple[str, int], tuple[int, bytes]] = {}
    ids = sorted({document.document_id for document in documents})
    for start in range(0, len(ids), _LOOKUP):
        for document_id, revision, outgoing, fingerprint in connection.execute(
            "SELECT document_id, revision, outgoing, fingerprint FROM outgoing"
            " WHERE document_id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids[start : start + _LOOKUP]),),
        ):
            found[document_id, revision] = outgoing, fingerprint
    duplicates = []
    for at, document in enumerate(documents, first):
        outgoing, fingerprint = found[document.document_id, document.revision]
        if fingerprint != document.fingerprint:
            raise DocumentConflictError(
                f"document {document.document_id} revision {document.revision} was accepted before"
                " with other content or other recipients",
                hint="Give it another id, or the next revision.",
                step="P1",
            )
        if outgoing != at and was_withdrawn(connection, outgoing):
            raise DocumentConflictError(
                f"document {document.document_id} revision {document.revision} was withdrawn",
                hint="Give it another id, or the next revision.",
                step="P1",
            )
        duplicates.append(outgoing != at)
    return duplicates
