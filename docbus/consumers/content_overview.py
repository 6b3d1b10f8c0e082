"""What an operator must see of large content that is on its way: how much, since when, and why it does not come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docbus.consumers.wanted import FAILED

if TYPE_CHECKING:
    import sqlite3

SHOWN_DOCUMENTS = 20
"""Documents that are listed, the longest stored first; their number is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedDocument:
    """A document whose large content is not all here.

    Attributes:
        sender: Canonical id, proven.
        document_id: The sender's id of it.
        revision: From 1.
        size: Bytes of plaintext of all its attachments.
        have: Bytes that are here, as last noted.
        stored_at: When the broker stored its envelope; its parts were stored before that. Milliseconds.
        since: When it was first wanted, milliseconds.
        attempts: How often it was tried in vain.
        code: Why the last attempt was in vain, or why it failed; None while nothing is wrong.
        detail: The same in a sentence.
        offset: Of its first part in the sender's content topic, by the unsigned hints; None without any.
    """

    sender: str
    document_id: str
    revision: int
    size: int
    have: int
    stored_at: int
    since: int
    attempts: int
    code: str | None
    detail: str | None
    offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedContent:
    """Large content that is on its way, in bytes of plaintext, and the documents it belongs to, the first ones."""

    documents: int
    size: int
    have: int
    oldest: tuple[AwaitedDocument, ...]


def awaited_content(connection: sqlite3.Connection) -> AwaitedContent:
    """Return what the ledger waits for."""
    documents, size, have = connection.execute(
        "SELECT count(DISTINCT sender || char(0) || document_id || char(0) || revision), coalesce(sum(size), 0),"
        " coalesce(sum(have), 0) FROM wanted"
    ).fetchone()
    rows = connection.execute(
        "SELECT sender, document_id, revision, sum(size), sum(have), min(stored_at), min(since), max(attempts),"
        " max(CASE WHEN state = ?1 OR attempts > 0 THEN code END),"
        " max(CASE WHEN state = ?1 OR attempts > 0 THEN detail END), min(hints)"
        " FROM wanted GROUP BY sender, document_id, revision ORDER BY min(stored_at), min(wanted) LIMIT ?2",
        (FAILED, SHOWN_DOCUMENTS),
    )
    return AwaitedContent(documents=documents, size=size, have=have, oldest=tuple(_document(row) for row in rows))


def _document(row: tuple[Any, ...]) -> AwaitedDocument:
    sender, document_id, revision, size, have, stored_at, since, attempts, code, detail, hints = row
    offsets = json.loads(hints)
    return AwaitedDocument(
        sender=sender,
        document_id=document_id,
        revision=revision,
        size=size,
        have=have,
        stored_at=stored_at,
        since=since,
        attempts=attempts,
        # A row that failed has the step in front of the code.
        code=None if code is None else code.rpartition(" ")[2],
        detail=detail,
        offset=offsets[0] if offsets else None,
    )
