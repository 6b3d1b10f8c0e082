"""Large content that documents wait for: rows of the table ``wanted``, see ``storage/migrations/0003_content.sql``.

A document with large content is parked until all of it is here; ``fetching`` works through these rows. All functions
work on a connection inside a transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from docbus.consumers.parking import CONTENT, LONGEST_ATTEMPT_MS
from docbus.envelope.package import Outside
from docbus.envelope.parts import AttachmentContext
from docbus.limits import MIB
from docbus.transport import topics
from docbus.transport.topics import CONTENT_PARTITION
from docbus.verification.parts import WantedContent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from docbus.consumers.inspection import Passed
    from docbus.envelope.envelope import Hint
    from docbus.envelope.statement import DocumentBody

WANTED, COMPLETE, FAILED = 0, 1, 2
"""States of a row."""
AHEAD_BYTES = 64 * MIB
"""Bytes of content of one stream that are fetched before their document's turn has come; a document whose turn it is
never waits for those of others."""
MAX_AHEAD = 2048
"""Attachments of one sender up to which those of later documents are noted: each document may have a thousand, and
whoever is granted a key may send thousands of documents."""
NewWanted = tuple[Any, ...]
"""Values of a new row."""
BodyKey = tuple[tuple[str, str, int], bytes]
"""(Sender, document id, revision), and the digest of the body: two bodies under one name have each its own content."""


class Failure(NamedTuple):
    """Why content cannot be had."""

    code: str
    step: str
    detail: str


class Content(NamedTuple):
    """Large content of one document: still pending, failed, or here.

    Attributes:
        pending: Something of it is still to be fetched.
        failure: Why it cannot be had.
        numbers: Rows by attachment.
        files: Plaintext by attachment, if all of it is here and verified.
    """

    pending: bool
    failure: Failure | None
    numbers: Mapping[int, int]
    files: Mapping[int, Path]


class Wanted(NamedTuple):
    """An attachment to be fetched.

    Attributes:
        number: Its row, and the name of its file.
        epoch: Of the stream that waits for it.
        content: What the statement and the manifest say of it.
        runs: Offsets at which runs of its parts begin, by the unsigned hints; perhaps none.
        made_at: By the sender's clock, milliseconds.
        stored_at: When the broker stored the envelope, milliseconds.
        attempts: How often it was tried in vain.
        missing_at: Since when parts were looked for in vain.
        together: Bytes of plaintext of all large content of its document.
        left: Those of them that are not here.
        body: Digest of the document's body: two bodies under one name take room each.
    """

    number: int
    epoch: bytes
    content: WantedContent
    runs: tuple[int, ...]
    made_at: int
    stored_at: int
    attempts: int
    missing_at: int | None
    together: int = 0
    left: int = 0
    body: bytes = b""

    @property
    def document(self) -> BodyKey:
        """The document it belongs to; room is given to whole documents."""
        context = self.content.context
        return (context.sender, context.document_id, context.revision), self.body

    @property
    def sender(self) -> str:
        """Canonical id of the proven sender, in whose content topic the parts lie."""
        return self.content.context.sender


def runs_of(hints: Iterable[Hint], sender: str) -> dict[int, list[int]]:
    """Return offsets at which runs of parts may begin, ascending, by attachment.

    Hints are unsigned: nobody may lead a reader to another topic than the proven sender's.
    """
    topic = topics.content(sender)
    runs: dict[int, set[int]] = {}
    for hint in hints:
        if hint.topic == topic and hint.partition == CONTENT_PARTITION:
            runs.setdefault(hint.attachment, set()).update(offset for offset in hint.offsets if offset >= 0)
    return {attachment: sorted(offsets) for attachment, offsets in runs.items()}


def wanted_of(passed: Passed, body: DocumentBody, body_digest: bytes, stored_at: int, now_ms: int) -> list[NewWanted]:
    """Return new rows for the large content of a document that passed C1 and C2.08."""
    verified, package = passed
    head = verified.statement.head
    runs = runs_of(verified.hints, head.sender)
    rows: list[NewWanted] = []
    for file in () if package is None else package.manifest.files:
        if isinstance(file.place, Outside):
            index = file.place.attachment
            attachment = body.attachments[index]
            rows.append(
                (
                    head.sender,
                    head.epoch,
                    body.document_id,
                    body.revision,
                    body_digest,
                    index,
                    body.urgency > 0,
                    attachment.size,
                    file.size,
                    attachment.digest,
                    file.digest,
                    file.place.key,
                    json.dumps(runs.get(index, ())),
                    head.made_at,
                    stored_at,
                    now_ms,
                    verified.statement.position.sequence,
                )
            )
    return rows


INSERT = """
INSERT INTO wanted (sender, epoch, document_id, revision, body, attachment, urgent, sealed_size, size, root, digest,
    key, hints, made_at, stored_at, since, sequence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sender, document_id, revision, body, attachment) DO NOTHING
"""


def insert_ahead(connection: sqlite3.Connection, wanted: Sequence[NewWanted]) -> None:
    """Note what a document wants whose turn has not come, unless its sender has too many rows: then it comes later."""
    count = connection.execute("SELECT count(*) FROM wanted WHERE sender = ?", (wanted[0][0],)).fetchone()[0]
    if count + len(wanted) <= MAX_AHEAD:
        connection.executemany(INSERT, wanted)


def read_contents(
    connection: sqlite3.Connection, bodies: Iterable[BodyKey], file_of: Callable[[int], Path]
) -> dict[BodyKey, Content]:
    """Return how the large content of documents stands, of those that have any here.

    Args:
        connection: Inside a transaction.
        bodies: The documents, and digests of their bodies.
        file_of: Gives the file of a row's number.
    """
    found: dict[BodyKey, Content] = {}
    for document, body in bodies:
        rows = connection.execute(
            "SELECT attachment, wanted, state, code, detail FROM wanted"
            " WHERE sender = ? AND document_id = ? AND revision = ? AND body = ? ORDER BY attachment",
            (*document, body),
        ).fetchall()
        if not rows:
            continue
        failure = next((_failure(code, detail) for _, _, state, code, detail in rows if state == FAILED), None)
        pending = any(state == WANTED for _, _, state, _, _ in rows)
        numbers = {attachment: number for attachment, number, *_ in rows}
        files = {} if pending or failure else {attachment: file_of(number) for attachment, number in numbers.items()}
        found[document, body] = Content(pending, failure, numbers, files)
    return found


def _failure(code: str, detail: str) -> Failure:
    """Read back what :func:`fail` has written: step and code, a space between them."""
    step, _, name = code.partition(" ")
    return Failure(name, step, detail)


DUE = """
WITH line AS (
    SELECT wanted, sequence, sender, epoch, state, due_at, urgent,
        sum(size) OVER document AS together, sum(size - have) OVER document AS remaining,
        max(state) OVER document AS worst,
        sum(size) OVER (PARTITION BY sender, epoch ORDER BY sequence, wanted)
            - sum(size) OVER (PARTITION BY sender, epoch, document_id, revision, body ORDER BY sequence, wanted)
            AS before,
        first_value(state = 1 OR have > 0) OVER (PARTITION BY sender, epoch ORDER BY sequence, wanted) AS begun
    FROM wanted
    WINDOW document AS (PARTITION BY sender, document_id, revision, body)
), ready AS (
    SELECT wanted, together, remaining, urgent, row_number() OVER (PARTITION BY sender, epoch ORDER BY sequence, wanted)
        AS place
    FROM line WHERE state = 0 AND (due_at <= ?1 OR due_at > ?2) AND worst < 2
        AND (before = 0 OR (begun AND before <= ?3))
)
SELECT w.wanted, w.epoch, w.sender, w.document_id, w.revision, w.attachment, w.sealed_size, w.root, w.key, w.size,
    w.digest, w.hints, w.made_at, w.stored_at, w.attempts, w.missing_at, r.together, r.remaining, w.body
FROM ready AS r JOIN wanted AS w ON w.wanted = r.wanted WHERE r.place = 1 ORDER BY r.urgent DESC, w.attempts, r.wanted
"""


def due(connection: sqlite3.Connection, environment: str, now_ms: int) -> list[Wanted]:
    """Return what is to be fetched now, one of each stream: urgent ones first, then those tried least, then in order.

    Of a stream, what its first document needs; once that has its room, as much ahead of it as ``AHEAD_BYTES``, so that
    what is fetched ahead never takes the room of what it waits for.
    """
    # As for all that is parked: what would be due later than any pause lasts is due now, as the clock was set back.
    rows = connection.execute(DUE, (now_ms, now_ms + LONGEST_ATTEMPT_MS, AHEAD_BYTES))
    return [_wanted(row, environment) for row in rows]


def _wanted(row: tuple[Any, ...], environment: str) -> Wanted:
    """Return what columns say, in the order of ``DUE``."""
    content = WantedContent(AttachmentContext(environment, *row[2:6]), *row[6:11])
    return Wanted(row[0], row[1], content, tuple(json.loads(row[11])), *row[12:])


def next_due(connection: sqlite3.Connection) -> int | None:
    """Return when the next attempt is due, milliseconds; None if nothing waits for a time."""
    row = connection.execute("SELECT min(due_at) FROM wanted INDEXED BY wanted_open WHERE state = 0").fetchone()
    return None if row is None else row[0]


class Held(NamedTuple):
    """Room of one document: bytes of all its large content, and those of them that are not here yet."""

    size: int
    left: int


def held_bytes(connection: sqlite3.Connection) -> dict[BodyKey, Held]:
    """Return the room of each document of which something is here.

    All of it, so that no document whose first attachment is here waits for room for its second, while others do the
    same; and though it is not complete, so that nobody takes more room by never storing his last parts.
    """
    rows = connection.execute(
        "SELECT sender, document_id, revision, body, sum(size), sum(size - have) FROM wanted"
        " GROUP BY sender, document_id, revision, body HAVING max(state = 1 OR have > 0)"
    )
    return {(row[:3], row[3]): Held(*row[4:]) for row in rows}


def note_have(connection: sqlite3.Connection, number: int, have: int) -> None:
    """Keep, for those who ask, how many bytes are here."""
    connection.execute("UPDATE wanted SET have = ? WHERE wanted = ?", (have, number))


NEXT = """
SELECT wanted, epoch, sender, document_id, revision, attachment, sealed_size, root, key, size, digest, hints, made_at,
    stored_at, attempts, missing_at
FROM wanted WHERE sender = ? AND document_id = ? AND revision = ? AND body = ? AND state = 0 AND due_at <= ?
ORDER BY attachment LIMIT 1
"""


def complete(connection: sqlite3.Connection, wanted: Wanted, *, at_ms: int) -> Wanted | None:
    """Note that all of an attachment is here and verified, and return another of its document that is due.

    With the last one, its sender's records are looked at again. So a document of a thousand attachments costs a
    thousand small steps, and not as many looks through everything.
    """
    connection.execute(
        "UPDATE wanted SET state = 1, have = size, code = NULL, detail = NULL WHERE wanted = ?", (wanted.number,)
    )
    environment = wanted.content.context.environment
    document, body = wanted.document
    following = connection.execute(NEXT, (*document, body, at_ms)).fetchone()
    if following is not None:
        return _wanted(following, environment)._replace(together=wanted.together, left=wanted.left, body=body)
    wake_settled(connection, [(document, body)], at_ms=at_ms)
    return None


def fail(connection: sqlite3.Connection, wanted: Wanted, failure: Failure, *, at_ms: int) -> None:
    """Note that an attachment cannot be had, and let its sender's records be looked at again."""
    connection.execute(
        "UPDATE wanted SET state = 2, code = ?, detail = ? WHERE wanted = ?",
        (f"{failure.step} {failure.code}", failure.detail, wanted.number),
    )
    _wake(connection, wanted.sender, at_ms)


def retry(
    connection: sqlite3.Connection,
    wanted: Wanted,
    failure: Failure,
    *,
    due_at: int,
    missing_at: int | None,
    have: int,
) -> None:
    """Note that an attempt was in vain, how many bytes are here nevertheless, and when the next is due."""
    connection.execute(
        "UPDATE wanted SET attempts = attempts + 1, due_at = ?, code = ?, detail = ?, missing_at = ?, have = ?"
        " WHERE wanted = ?",
        (due_at, failure.code, failure.detail, missing_at, have, wanted.number),
    )


def _wake(connection: sqlite3.Connection, sender: str, at_ms: int) -> None:
    connection.execute(
        "UPDATE parked SET due_at = min(due_at, ?) WHERE sender = ? AND cause = ?", (at_ms, sender, CONTENT)
    )


def wake_settled(connection: sqlite3.Connection, bodies: Sequence[BodyKey], *, at_ms: int) -> None:
    """Let records be looked at again whose content was decided between the look for it and the note that they wait."""
    for document, body in bodies:
        pending, failed = connection.execute(
            "SELECT coalesce(max(state = 0), 1), coalesce(max(state = 2), 0) FROM wanted"
            " WHERE sender = ? AND document_id = ? AND revision = ? AND body = ?",
            (*document, body),
        ).fetchone()
        if failed or not pending:
            _wake(connection, document[0], at_ms)


def forget(connection: sqlite3.Connection, bodies: Sequence[BodyKey]) -> list[int]:
    """Remove the rows of documents that are decided; return their numbers, whose files are to be removed now.

    Another body under the same name keeps its own.
    """
    numbers: list[int] = []
    for document, body in bodies:
        numbers += [
            number
            for (number,) in connection.execute(
                "DELETE FROM wanted WHERE sender = ? AND document_id = ? AND revision = ? AND body = ?"
                " RETURNING wanted",
                (*document, body),
            ).fetchall()
        ]
    return numbers


def forget_orphans(connection: sqlite3.Connection) -> list[int]:
    """Remove rows for which no stream waits any more, such as those of a document that went to quarantine."""
    return [
        number
        for (number,) in connection.execute(
            "DELETE FROM wanted WHERE NOT EXISTS (SELECT 1 FROM parked AS p WHERE p.sender = wanted.sender"
            " AND p.epoch = wanted.epoch) RETURNING wanted"
        ).fetchall()
    ]


def numbers(connection: sqlite3.Connection) -> list[int]:
    """Return all rows."""
    return [number for (number,) in connection.execute("SELECT wanted FROM wanted")]
