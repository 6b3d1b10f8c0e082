"""Taking a document back before it was sent, and sending large content again that a recipient found expired."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.refusals import RESENDABLE
from docbus.errors import DocumentError
from docbus.producers.content import WITHDRAWN, drop_content, release
from docbus.producers.outbox import add_copies, find_document
from docbus.producers.states import CopyState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

CONTENT_LOST = "content_lost"
"""Reason of copies whose content is gone from the sender's disk before it was uploaded."""


_UNSIGNED = frozenset({CopyState.HELD, CopyState.WAITING, CopyState.FAILED})


class Withdrawn(NamedTuple):
    """What was withdrawn, and the files that are to be removed now."""

    document_id: str
    revision: int
    recipients: int
    files: list[str]


class Forgotten(NamedTuple):
    """Whose content was let go of, how many bytes, and the files that are to be removed now."""

    document_id: str
    revision: int
    bytes: int
    files: list[str]


class Resent(NamedTuple):
    """What is uploaded and sent again, to whom."""

    document_id: str
    revision: int
    bytes: int
    recipients: tuple[str, ...]


def withdraw(connection: sqlite3.Connection, document_id: str, *, at_ms: int, revision: int | None = None) -> Withdrawn:
    """Take a document back of which nothing was signed; parts that were uploaded name no document, and expire.

    Args:
        connection: Inside a transaction.
        document_id: The id it was published under.
        at_ms: Now.
        revision: Which revision; the newest if left out.

    Raises:
        DocumentError: The outbox has no such document, or it was signed for somebody already.
    """
    outgoing, found, *_ = find_document(connection, document_id, revision)
    rows = connection.execute("SELECT state, recipient FROM copy WHERE outgoing = ?", (outgoing,)).fetchall()
    if all(state == CopyState.FAILED for state, _ in rows):
        raise DocumentError(
            f"document {document_id} revision {found} is not sent to anybody any more",
            hint="`docbus track` shows why.",
        )
    signed = [recipient for state, recipient in rows if state not in _UNSIGNED]
    if signed:
        raise DocumentError(
            f"document {document_id} revision {found} is signed for {signed[0]}, so it cannot be withdrawn any more",
            hint="Publish a recall of it, or ask it back with status 13.",
        )
    _fail(connection, outgoing, WITHDRAWN, at_ms)
    files = drop_content(connection, [outgoing])
    release(connection)
    return Withdrawn(document_id, found, len(rows), files)


def forget(connection: sqlite3.Connection, document_id: str, *, revision: int | None = None) -> Forgotten:
    """Let go of content that is uploaded, though somebody might ask for it again.

    Args:
        connection: Inside a transaction.
        document_id: The id it was published under.
        revision: Which revision; the newest if left out.

    Raises:
        DocumentError: The outbox has no such document, keeps no content of it, or has yet to upload it.
    """
    outgoing, found, *_ = find_document(connection, document_id, revision)
    size, unsent = connection.execute(
        "SELECT coalesce(sum(size), 0), max(sent < parts) FROM content WHERE outgoing = ? AND file IS NOT NULL",
        (outgoing,),
    ).fetchone()
    if not size:
        raise DocumentError(
            f"no content of document {document_id} revision {found} is kept", hint="`docbus status` shows how much is."
        )
    if unsent:
        raise DocumentError(
            f"document {document_id} revision {found} is not uploaded yet",
            hint="Take it back with `docbus withdraw`, or let `docbus run` upload it first.",
        )
    return Forgotten(document_id, found, size, _let_go(connection, [outgoing]))


def give_up(connection: sqlite3.Connection, outgoing: int, *, at_ms: int) -> list[str]:
    """Fail what waits for content that is lost; return the files that are to be removed."""
    _fail(connection, outgoing, CONTENT_LOST, at_ms)
    files = drop_content(connection, [outgoing])
    release(connection)
    return files


def resend(
    connection: sqlite3.Connection,
    document_id: str,
    *,
    revision: int | None = None,
    recipients: Sequence[str] | None = None,
) -> Resent:
    """Upload a document's content again, and send it again under the same id, revision and digests.

    Args:
        connection: Inside a transaction.
        document_id: The id it was published under.
        revision: Which revision; the newest if left out.
        recipients: Canonical ids; all that have neither received it nor refused it for what it is if left out.

    Raises:
        DocumentError: The outbox has no such document, or it has no large content, or its content is not kept any more,
            or it is not sent yet, or nobody is left to send it to.
    """
    outgoing, found, *_ = find_document(connection, document_id, revision)
    named = f"document {document_id} revision {found}"
    content = connection.execute(
        "SELECT c.size, c.file IS NOT NULL AND o.body IS NOT NULL, c.sent < c.parts FROM content AS c"
        " JOIN outgoing AS o ON o.outgoing = c.outgoing WHERE c.outgoing = ? ORDER BY c.attachment",
        (outgoing,),
    ).fetchall()
    if not content:
        raise DocumentError(
            f"{named} travels whole in its envelopes, so there is no content to be uploaded again",
            hint="`docbus track` shows what became of it.",
        )
    if not all(kept for _, kept, _ in content):
        # Of a document that has failed for everybody the body is gone, though its files are there for a while.
        raise DocumentError(
            f"the content of {named} is not kept any more: everybody has received it, it has failed for all of them,"
            " or it was withdrawn",
            hint="Publish it again as a new revision.",
        )
    to = _open_recipients(connection, outgoing)
    if recipients is not None:
        unknown = [name for name in recipients if name not in to]
        if unknown:
            raise DocumentError(f"{named} waits for no answer of {unknown[0]}", hint="`docbus track` shows who has it.")
        to = [name for name in to if name in recipients]
    if not to:
        raise DocumentError(f"everybody has received or refused {named}", hint="`docbus track` shows when.")
    if any(unsent for _, _, unsent in content):
        raise DocumentError(f"{named} is being uploaded already", hint="`docbus track` shows how far it is.")
    connection.execute(
        "DELETE FROM content_run WHERE content IN (SELECT content FROM content WHERE outgoing = ?)", (outgoing,)
    )
    connection.execute("UPDATE content SET sent = 0 WHERE outgoing = ?", (outgoing,))
    connection.executemany(
        "UPDATE copy SET state = 6 /* superseded */ WHERE outgoing = ? AND recipient = ? AND state = 4 /* refused */",
        [(outgoing, name) for name in to],
    )
    last, lane = connection.execute(
        "SELECT max(ordinal), max(lane) FROM copy WHERE outgoing = ?", (outgoing,)
    ).fetchone()
    add_copies(connection, [(outgoing, last + 1 + number, lane, name) for number, name in enumerate(to)])
    return Resent(document_id, found, sum(size for size, _, _ in content), tuple(to))


def _open_recipients(connection: sqlite3.Connection, outgoing: int) -> list[str]:
    """Return the recipients that have neither received a document nor refused it for what it is, in its order."""
    rows = connection.execute(
        "SELECT recipient, max(state = 3 /* received */ OR (state = 4 /* refused */"
        " AND reason NOT IN (SELECT value FROM json_each(?)))) FROM copy WHERE outgoing = ? GROUP BY recipient"
        " ORDER BY min(ordinal)",
        (json.dumps(sorted(RESENDABLE)), outgoing),
    )
    return [recipient for recipient, answered in rows if not answered]


def _fail(connection: sqlite3.Connection, outgoing: int, reason: str, at_ms: int) -> None:
    connection.execute(
        "UPDATE copy SET state = 5 /* failed */, settled_at = ?, reason = ? WHERE outgoing = ? AND state IN (0, 7)",
        (at_ms, reason, outgoing),
    )
    connection.execute(
        "UPDATE outgoing SET body = NULL, package = NULL, content_key = NULL WHERE outgoing = ?1"
        " AND NOT EXISTS (SELECT 1 FROM copy WHERE outgoing = ?1 AND state != 5 /* failed */)",
        (outgoing,),
    )


def settled_content(connection: sqlite3.Connection, *, settled_before_ms: int) -> list[str]:
    """Forget content that nobody can ask for again; return the files to remove once this is committed.

    It is kept as long as a recipient has not answered, or has refused the document because its parts were gone.
    """
    rows = connection.execute(
        "SELECT DISTINCT c.outgoing FROM content AS c WHERE c.file IS NOT NULL AND NOT EXISTS ("
        "SELECT 1 FROM copy AS k WHERE k.outgoing = c.outgoing GROUP BY k.recipient"
        " HAVING NOT max(k.state IN (3 /* received */, 5 /* failed */) OR (k.state = 4 /* refused */"
        " AND k.reason NOT IN (SELECT value FROM json_each(?2)))) OR max(coalesce(k.settled_at, 0)) >= ?1)",
        (settled_before_ms, json.dumps(sorted(RESENDABLE))),
    ).fetchall()
    return _let_go(connection, [outgoing for (outgoing,) in rows]) if rows else []


def _let_go(connection: sqlite3.Connection, outgoing: Sequence[int]) -> list[str]:
    """Forget content, and bodies that were kept for its sake; return the files to remove."""
    connection.executemany(
        "UPDATE outgoing SET body = NULL, package = NULL, content_key = NULL WHERE outgoing = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM copy WHERE outgoing = ?1 AND (envelope IS NOT NULL OR settled_at IS NULL))",
        [(number,) for number in outgoing],
    )
    return drop_content(connection, outgoing)
