"""What is sealed and not yet acknowledged: stored, read back as it was stored, and marked (steps P3 and P4).

An envelope's bytes are written once, before anything of it is sent, and only these bytes are ever sent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.envelope import join
from docbus.producers.states import LANE_DOCUMENTS, TYPE_OF

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence


class SealedCopy(NamedTuple):
    """A copy with its place in a stream and its exact bytes in three parts, the package shared by all copies."""

    payload_type: str
    stream: int
    sequence: int
    recipient: str
    envelope_id: bytes
    sealed_at: int
    front: bytes
    package: bytes | None
    back: bytes
    express: bool

    @property
    def value(self) -> bytes:
        """The exact bytes of the envelope."""
        return join(self.front, self.package, self.back)


class UnsentStream(NamedTuple):
    """A stream with statements that no broker has acknowledged."""

    stream: int
    recipient: str
    lane: int
    sent: int
    failures: int


def unsent_streams(connection: sqlite3.Connection) -> list[UnsentStream]:
    """Return every stream that has something to send; epochs that ended are among them."""
    return [
        UnsentStream(*row)
        for row in connection.execute(
            "SELECT s.stream, s.recipient, e.lane, s.sent, s.failures FROM stream s INDEXED BY stream_unsent"
            " JOIN epoch e ON e.epoch = s.epoch WHERE s.sent < s.sequence ORDER BY s.stream"
        )
    ]


def sent_sequences(connection: sqlite3.Connection, streams: Iterable[int]) -> dict[int, int]:
    """Return for each stream the sequence up to which it is sent."""
    return dict(
        connection.execute(
            "SELECT stream, sent FROM stream WHERE stream IN (SELECT value FROM json_each(?))",
            (json.dumps(list(streams)),),
        ).fetchall()
    )


def read_unsent(
    connection: sqlite3.Connection, streams: Sequence[int], max_statements: int, max_bytes: int
) -> dict[int, list[SealedCopy]]:
    """Return what comes next in the given streams, each in its order.

    Args:
        connection: Inside a transaction.
        streams: In order of rank; later ones get what the earlier ones leave.
        max_statements: At most so many in all.
        max_bytes: Stop before their packages come to more, but return at least one.

    Returns:
        Stream to its next copies; an empty list for a stream that has none left. Streams for which there was no
        more room are missing.
    """
    found: dict[int, list[SealedCopy]] = {}
    places, room = max_statements, max_bytes
    for stream in streams:
        if places <= 0 or room <= 0:
            break
        copies: list[SealedCopy] = []
        for size, form, *fields, lane in connection.execute(
            "SELECT o.package_size, o.form, c.stream, c.sequence, c.recipient, c.envelope_id, c.sealed_at, e.front,"
            " o.package, e.back, c.lane FROM copy c JOIN outgoing o ON o.outgoing = c.outgoing"
            " JOIN envelope e ON e.envelope = c.envelope"
            " WHERE c.stream = ?1 AND c.state = 1 /* sealed */"
            " AND c.sequence > (SELECT sent FROM stream WHERE stream = ?1) ORDER BY c.sequence LIMIT ?2",
            (stream, places),
        ):
            if size > room and places < max_statements:
                room = 0
                break
            room -= size
            places -= 1
            copies.append(SealedCopy._make((TYPE_OF[form], *fields, lane != LANE_DOCUMENTS)))
        if copies or room > 0:
            found[stream] = copies
    return found


def mark_sent(connection: sqlite3.Connection, copies: Iterable[SealedCopy], *, at_ms: int) -> None:
    """Mark copies as acknowledged by the brokers; those of one stream must follow each other without a hole.

    Receipts are settled with it, as nothing comes back for them. Doing it again changes nothing.
    """
    bounds: dict[int, list[int]] = defaultdict(list)
    for copy in copies:
        bounds[copy.stream].append(copy.sequence)
    ranges = [(at_ms, stream, sequences[0], sequences[-1]) for stream, sequences in bounds.items()]
    connection.executemany(
        "UPDATE copy SET state = 2 /* sent */, sent_at = ?1,"
        " settled_at = CASE lane WHEN 2 /* receipts */ THEN ?1 END"
        " WHERE stream = ?2 AND sequence BETWEEN ?3 AND ?4 AND state = 1 /* sealed */",
        ranges,
    )
    connection.executemany(
        "UPDATE stream SET sent = max(sent, ?), failures = 0, failed_at = NULL, error = NULL WHERE stream = ?",
        [(last, stream) for _, stream, _, last in ranges],
    )


def mark_failures(connection: sqlite3.Connection, failures: Mapping[int, str], *, at_ms: int) -> None:
    """Keep, for those who ask, that streams could not be sent: how often, when last, and why.

    Args:
        connection: Inside a transaction.
        failures: Stream to the error's text.
        at_ms: Time of the attempt.
    """
    connection.executemany(
        "UPDATE stream SET failures = failures + 1, failed_at = ?, error = ? WHERE stream = ? AND sent < sequence",
        [(at_ms, error, stream) for stream, error in failures.items()],
    )


def stored_envelopes(
    connection: sqlite3.Connection, document_id: str, *, revision: int | None = None, recipient: str | None = None
) -> list[tuple[str, bytes]]:
    """Return (recipient, exact bytes) of a document's sealed envelopes that are still kept, newest copies last.

    Args:
        connection: Inside a transaction.
        document_id: The sender's own id of the document.
        revision: Only this revision.
        recipient: Only this recipient's.
    """
    rows = connection.execute(
        "SELECT c.recipient, e.front, o.package, e.back FROM outgoing o JOIN copy c ON c.outgoing = o.outgoing"
        " JOIN envelope e ON e.envelope = c.envelope"
        " WHERE o.document_id = ?1 AND (?2 IS NULL OR o.revision = ?2) AND (?3 IS NULL OR c.recipient = ?3)"
        " ORDER BY o.revision, c.ordinal",
        (document_id, revision, recipient),
    )
    return [(name, join(front, package, back)) for name, front, package, back in rows]
