"""Large content in the outbox: what is to be uploaded, how far it is, where its parts lie (steps P1 to P4).

Content is uploaded before anything that points at it is sealed. A copy whose content is not there yet is *held*, and so
is every copy behind it in the same lane to the same recipient: a letter does not overtake the one before it. Copies to
others go on.

All functions work on a connection inside a transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.refusals import RESENDABLE
from docbus.wire.parts import SEALED_PART_BYTES, count_parts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from docbus.producers.staging import StagedAttachment

MAX_HINTED_RUNS = 2048
"""Runs of parts that one envelope points at; of content in more of them, a reader finds the rest by reading on."""
SHOWN_KEPT = 20
"""Documents whose content is kept that are listed, the largest first."""
WITHDRAWN = "withdrawn"
"""Reason of copies whose document was withdrawn."""


class Upload(NamedTuple):
    """An attachment that is not uploaded whole; ``sent`` is the first part that is missing on the brokers."""

    content: int
    outgoing: int
    size: int
    parts: int
    sent: int
    digest: bytes
    file: str
    urgent: bool


class SentParts(NamedTuple):
    """Consecutive parts that the brokers have, at consecutive offsets."""

    content: int
    first: int
    parts: int
    offset: int


class PartPlaces(NamedTuple):
    """Offsets in the sender's content topic at which runs of an attachment's parts begin, in the order of the parts."""

    attachment: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentShare:
    """How much large content is uploaded, in bytes of ciphertext."""

    size: int
    uploaded: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.uploaded / self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptContent:
    """Large content of one document that is uploaded and kept, because it may be asked for again.

    Attributes:
        document_id: As published.
        revision: From 1.
        size: Bytes of ciphertext.
        unanswered: Recipients that have neither received it nor refused it for what it is.
    """

    document_id: str
    revision: int
    size: int
    unanswered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCounts:
    """Large content of an outbox.

    Attributes:
        kept_bytes: Ciphertext on disk, uploaded or not.
        uploads: Documents that are not uploaded whole.
        size: Bytes that those have.
        uploaded: Bytes of them that the brokers have.
        failed_at: When uploading failed the last time, milliseconds; None while it works.
        error: Why.
        kept: The documents that take most and that somebody does not have; ``docbus forget`` lets go of one.
    """

    kept_bytes: int
    uploads: int
    size: int
    uploaded: int
    failed_at: int | None
    error: str | None
    kept: tuple[KeptContent, ...]


def share_of(connection: sqlite3.Connection, outgoing: int) -> ContentShare | None:
    """Return how much of a document's large content is uploaded; None if it has none."""
    size, uploaded = connection.execute(
        "SELECT sum(size), sum(min(size, sent * ?)) FROM content WHERE outgoing = ?", (SEALED_PART_BYTES, outgoing)
    ).fetchone()
    return None if size is None else ContentShare(size=size, uploaded=uploaded)


def content_counts(connection: sqlite3.Connection) -> ContentCounts:
    """Return the figures of large content."""
    uploads, size, uploaded = connection.execute(
        "SELECT count(DISTINCT outgoing), coalesce(sum(size), 0), coalesce(sum(min(size, sent * ?)), 0)"
        " FROM content INDEXED BY content_unsent WHERE sent < parts AND file IS NOT NULL",
        (SEALED_PART_BYTES,),
    ).fetchone()
    failed_at, error = read_trouble(connection) or (None, None)
    return ContentCounts(
        kept_bytes=content_bytes(connection),
        uploads=uploads,
        size=size,
        uploaded=uploaded,
        failed_at=failed_at,
        error=error,
        kept=_kept(connection),
    )


def _kept(connection: sqlite3.Connection) -> tuple[KeptContent, ...]:
    rows = connection.execute(
        "WITH kept AS (SELECT outgoing, sum(size) AS size FROM content WHERE file IS NOT NULL GROUP BY outgoing"
        " HAVING min(sent = parts)), answers AS (SELECT k.outgoing, kept.size, max(k.state IN (3 /* received */,"
        " 5 /* failed */) OR (k.state = 4 /* refused */ AND k.reason NOT IN (SELECT value FROM json_each(?)))) AS had"
        " FROM kept JOIN copy AS k ON k.outgoing = kept.outgoing GROUP BY k.outgoing, k.recipient)"
        " SELECT o.document_id, o.revision, a.size, count(*) FROM answers AS a JOIN outgoing AS o"
        " ON o.outgoing = a.outgoing WHERE NOT a.had GROUP BY a.outgoing ORDER BY a.size DESC, a.outgoing LIMIT ?",
        (json.dumps(sorted(RESENDABLE)), SHOWN_KEPT),
    )
    return tuple(KeptContent(document_id=row[0], revision=row[1], size=row[2], unanswered=row[3]) for row in rows)


def add_content(connection: sqlite3.Connection, staged: Sequence[tuple[int, Sequence[StagedAttachment]]]) -> None:
    """Take in the attachments of documents that have just been taken in, by their numbers in the outbox."""
    connection.executemany(
        "INSERT INTO content (outgoing, attachment, size, parts, digest, file, leaves) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                outgoing,
                index,
                one.large.attachment.size,
                count_parts(one.large.attachment.size),
                one.large.attachment.digest,
                one.file,
                one.leaves,
            )
            for outgoing, attachments in staged
            for index, one in enumerate(attachments)
        ],
    )


def hold_back(connection: sqlite3.Connection, copies: Sequence[tuple[int, int, int, str]]) -> None:
    """Hold those of some new copies that wait for content, given as (outgoing, ordinal, lane, recipient)."""
    if connection.execute("SELECT 1 FROM content INDEXED BY content_unsent WHERE sent < parts AND file IS NOT NULL"
                          " LIMIT 1").fetchone() is None:  # fmt: skip
        return
    connection.executemany(
        "UPDATE copy SET state = 7 /* held */ WHERE outgoing = ?1 AND ordinal = ?2 AND (EXISTS ("
        "SELECT 1 FROM content WHERE outgoing = ?1 AND sent < parts AND file IS NOT NULL) OR EXISTS ("
        "SELECT 1 FROM copy AS before INDEXED BY copy_held WHERE before.state = 7 AND before.lane = ?3"
        " AND before.recipient = ?4 AND before.outgoing < ?1))",
        copies,
    )


def release(connection: sqlite3.Connection) -> int:
    """Let held copies wait for their positions whose content is there, and that of all before them; return how many."""
    return connection.execute(
        "UPDATE copy SET state = 0 WHERE state = 7 AND NOT EXISTS ("
        "SELECT 1 FROM copy AS before INDEXED BY copy_held"
        " JOIN content AS c ON c.outgoing = before.outgoing AND c.sent < c.parts AND c.file IS NOT NULL"
        " WHERE before.state = 7 AND before.lane = copy.lane AND before.recipient = copy.recipient"
        " AND before.outgoing <= copy.outgoing)"
    ).rowcount


def uploads(connection: sqlite3.Connection, limit: int) -> list[Upload]:
    """Return what is to be uploaded: urgent documents first, then in the order of acceptance."""
    return [
        Upload(*row)
        for row in connection.execute(
            "SELECT c.content, c.outgoing, c.size, c.parts, c.sent, c.digest, c.file, o.urgency > 0"
            " FROM content AS c INDEXED BY content_unsent JOIN outgoing AS o ON o.outgoing = c.outgoing"
            " WHERE c.sent < c.parts AND c.file IS NOT NULL ORDER BY o.urgency > 0 DESC, c.content LIMIT ?",
            (limit,),
        )
    ]


def leaves_of(connection: sqlite3.Connection, content: int) -> list[bytes] | None:
    """Return the hashes of all parts of an attachment, or None if it was dropped meanwhile."""
    row = connection.execute("SELECT leaves FROM content WHERE content = ?", (content,)).fetchone()
    if row is None or row[0] is None:
        return None
    return [row[0][at : at + 32] for at in range(0, len(row[0]), 32)]


def mark_parts(connection: sqlite3.Connection, sent: Iterable[SentParts], *, seen: int) -> int:
    """Note parts that the brokers have; those of one attachment follow what is noted already.

    Args:
        connection: Inside a transaction.
        sent: The parts.
        seen: Offset in the content topic below which all that this outbox has sent is noted with this.

    Returns:
        How many copies may be sealed now that could not before.
    """
    complete = False
    for run in sent:
        last = connection.execute(
            "SELECT first FROM content_run WHERE content = ? AND at_offset + parts = ? AND first + parts = ?",
            (run.content, run.offset, run.first),
        ).fetchone()
        if last is None:
            connection.execute(
                "INSERT OR REPLACE INTO content_run (content, first, parts, at_offset) VALUES (?, ?, ?, ?)", run
            )
        else:
            connection.execute(
                "UPDATE content_run SET parts = parts + ? WHERE content = ? AND first = ?",
                (run.parts, run.content, last[0]),
            )
        complete |= bool(
            connection.execute(
                "UPDATE content SET sent = ?1 WHERE content = ?2 AND sent < ?1 RETURNING sent = parts",
                (run.first + run.parts, run.content),
            ).fetchone()
            == (1,)
        )
    note_seen(connection, seen)
    return release(connection) if complete else 0


def note_seen(connection: sqlite3.Connection, seen: int | None) -> None:
    """Keep the offset below which all that this outbox has sent to its content topic is noted; None: all of it is."""
    if seen is None:
        connection.execute("DELETE FROM outbox WHERE name = 'content_seen'")
    else:
        connection.execute("INSERT OR REPLACE INTO outbox (name, value) VALUES ('content_seen', ?)", (seen,))


def read_seen(connection: sqlite3.Connection) -> int | None:
    """Return what :func:`note_seen` has kept."""
    row = connection.execute("SELECT value FROM outbox WHERE name = 'content_seen'").fetchone()
    return None if row is None else int(row[0])


def places_of(connection: sqlite3.Connection, outgoing: Collection[int]) -> dict[int, tuple[PartPlaces, ...]]:
    """Return where the parts of documents lie, by the document's number in the outbox; most have none."""
    found: dict[int, dict[int, list[int]]] = {}
    for number, attachment, offset in connection.execute(
        "SELECT c.outgoing, c.attachment, r.at_offset FROM content AS c JOIN content_run AS r ON r.content = c.content"
        " WHERE c.outgoing IN (SELECT value FROM json_each(?)) ORDER BY c.outgoing, c.attachment, r.first",
        (json.dumps(sorted(outgoing)),),
    ):
        runs = found.setdefault(number, {}).setdefault(attachment, [])
        if len(runs) < MAX_HINTED_RUNS // (attachment + 1):
            runs.append(offset)
    return {
        number: tuple(PartPlaces(attachment, tuple(offsets)) for attachment, offsets in attachments.items())
        for number, attachments in found.items()
    }


def note_trouble(connection: sqlite3.Connection, trouble: tuple[int, str] | None) -> None:
    """Keep, for those who ask, when and why uploading failed the last time; None: it works."""
    if trouble is None:
        connection.execute("DELETE FROM outbox WHERE name = 'content_trouble'")
    else:
        connection.execute(
            "INSERT OR REPLACE INTO outbox (name, value) VALUES ('content_trouble', ?)", (json.dumps(trouble),)
        )


def read_trouble(connection: sqlite3.Connection) -> tuple[int, str] | None:
    """Return what :func:`note_trouble` has kept."""
    row = connection.execute("SELECT value FROM outbox WHERE name = 'content_trouble'").fetchone()
    if row is None:
        return None
    at_ms, text = json.loads(row[0])
    return at_ms, text


def is_used(connection: sqlite3.Connection) -> bool:
    """Tell whether this outbox has ever accepted a document."""
    row = connection.execute("SELECT 1 FROM outgoing WHERE form = 'document' LIMIT 1").fetchone()
    return row is not None


def content_files(connection: sqlite3.Connection) -> list[str]:
    """Return the files that are in use."""
    return [name for (name,) in connection.execute("SELECT file FROM content WHERE file IS NOT NULL")]


def content_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of ciphertext that are kept."""
    return int(connection.execute("SELECT coalesce(sum(size), 0) FROM content WHERE file IS NOT NULL").fetchone()[0])


def was_withdrawn(connection: sqlite3.Connection, outgoing: int) -> bool:
    """Tell whether a document was withdrawn."""
    row = connection.execute("SELECT 1 FROM copy WHERE outgoing = ? AND reason = ? LIMIT 1", (outgoing, WITHDRAWN))
    return row.fetchone() is not None


def drop_content(connection: sqlite3.Connection, outgoing: Collection[int]) -> list[str]:
    """Forget the content of documents; return the files to remove once this is committed."""
    numbers = (json.dumps(sorted(outgoing)),)
    rows = connection.execute(
        "SELECT file FROM content WHERE file IS NOT NULL AND outgoing IN (SELECT value FROM json_each(?))", numbers
    ).fetchall()
    if rows:
        connection.execute(
            "UPDATE content SET file = NULL, leaves = NULL WHERE outgoing IN (SELECT value FROM json_each(?))", numbers
        )
    return [name for (name,) in rows]
