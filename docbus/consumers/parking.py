"""Records that wait: durably, in order, and only for their own stream (design D8, D11).

The first of a stream waits for a reason: a check cannot be decided yet, or the sink asked for a later attempt. The
others wait behind it. All of them keep their bytes here, so that the inbox may go on.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.sinks.port import AlreadyThere, Answer, Conflict, Created, Reject
from docbus.limits import MIB
from docbus.transport.port import Record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

    from docbus.consumers.inspection import StreamKey
    from docbus.consumers.sinks.port import Outcome

UNDECIDED_LIMIT_MS = 24 * 60 * 60 * 1000
"""Milliseconds for which a check may stay undecided before the record goes to quarantine: as long as a directory may be
stale (design D7)."""
MAX_PARKED_RECORDS = 65_536
"""Records parked for one sender; what comes beyond goes to quarantine with ``parked_too_many``. So many come behind a
document of 4 GiB over a line of 100 Mbit/s at 200 a second."""
MAX_PARKED_BYTES = 512 * MIB
"""Bytes of them."""
FIRST_ATTEMPT_MS = 1_000
"""Milliseconds before the first new attempt."""
LONGEST_ATTEMPT_MS = 5 * 60 * 1000
"""Milliseconds between attempts at most."""
MAX_RESUMED = 512
"""Parked records taken up at once; bounds memory together with ``MAX_RESUMED_BYTES``."""
MAX_RESUMED_BYTES = 16 * MIB
"""Bytes of them; at least one record is taken up."""

TOO_MANY = "parked_too_many"
INDETERMINATE = "indeterminate"
RETRY = "retry"
BEHIND = "behind"
REQUESTED_PARTITION = -1
"""Of a record that an operator requested: it is in no partition that a group could give to somebody else."""
CONTENT = "content"
CONTENT_CHECK_MS = 60_000
"""Milliseconds after which a record that waits for content is looked at again, should nobody have said that it came."""


class Reason(NamedTuple):
    """Why a record waits."""

    cause: str
    code: str
    step: str
    detail: str


class Waiting(NamedTuple):
    """A stream that waits: the reason of its first record, how much there is, and the partition that it lies in."""

    cause: str
    due_at: int
    records: int
    size: int
    partition: int


def is_due(stream: Waiting, now_ms: int) -> bool:
    """Tell whether a stream has its turn: also if it would be later than any pause lasts, as the clock was set back."""
    return stream.due_at <= now_ms or stream.due_at > now_ms + LONGEST_ATTEMPT_MS


class ParkedRecord(NamedTuple):
    """A parked record as it was, and how often it has been tried."""

    parked: int
    record: Record
    since: int | None
    attempts: int
    outcome: Outcome | None
    reread: bool


def next_attempt(attempts: int, now_ms: int, factor: float) -> int:
    """Return when to try again after so many attempts: pauses double, up to the longest, times the jitter."""
    pause = min(LONGEST_ATTEMPT_MS, FIRST_ATTEMPT_MS * 2 ** min(attempts, 16))
    return now_ms + int(pause * factor)


def read_waiting(connection: sqlite3.Connection) -> dict[StreamKey, Waiting]:
    """Return every stream that waits."""
    return {
        (sender, epoch): Waiting(cause, due_at or 0, records, size, partition)
        for sender, epoch, cause, due_at, records, size, partition in connection.execute(
            "SELECT p.sender, p.epoch, p.cause, p.due_at, g.records, g.size, p.partition FROM parked p"
            " JOIN (SELECT min(parked) AS parked, count(*) AS records, sum(size) AS size"
            " FROM parked GROUP BY sender, epoch) AS g ON g.parked = p.parked"
        )
    }


def due_of(
    waiting: Mapping[StreamKey, Waiting], assigned: Collection[int], now_ms: int, *, changed: bool
) -> dict[StreamKey, Waiting]:
    """Return the streams whose time has come.

    Args:
        waiting: All that wait.
        assigned: Partitions read here; of those that are being given out anew, nothing: another may be at it.
        now_ms: Now.
        changed: Whether the directory has, or what is known of certificates' standing, so that what was undecided may
            be decided.
    """
    return {
        key: stream
        for key, stream in waiting.items()
        if (is_due(stream, now_ms) or (changed and stream.cause == INDETERMINATE))
        and (stream.partition in assigned or stream.partition == REQUESTED_PARTITION)
    }


def read_parked(connection: sqlite3.Connection, due: Mapping[StreamKey, Waiting], topic: str) -> list[ParkedRecord]:
    """Return the first records of waiting streams, each stream in its order.

    Of a stream that waits for a reason only the first: the others have their turn once it is decided.
    """
    found: list[ParkedRecord] = []
    size = 0
    for (sender, epoch), waiting in due.items():
        room = MAX_RESUMED - len(found) if waiting.cause == BEHIND else 1
        for row in connection.execute(
            "SELECT parked, partition, at_offset, stored_at, key, headers, value, since, attempts, outcome,"
            " reread FROM parked"
            " WHERE sender = ? AND epoch = ? ORDER BY parked LIMIT ?",
            (sender, epoch, room),
        ):
            size += len(row[6])
            if found and size > MAX_RESUMED_BYTES:
                return found
            record = Record(
                topic=topic,
                partition=row[1],
                offset=row[2],
                timestamp_ms=row[3],
                key=row[4],
                value=row[6],
                headers=_decode_headers(row[5]),
            )
            found.append(ParkedRecord(row[0], record, row[7], row[8], _decode_outcome(row[9]), bool(row[10])))
        if len(found) >= MAX_RESUMED:
            break
    return found


def park_row(
    key: StreamKey,
    record: Record,
    reason: Reason,
    *,
    due_at: int | None,
    outcome: Outcome | None,
    now_ms: int,
    reread: bool,
) -> Mapping[str, object]:
    """Return the row of a record that begins to wait."""
    value = record.value or b""
    return {
        "sender": key[0],
        "epoch": key[1],
        "partition": record.partition,
        "at_offset": record.offset,
        "stored_at": record.timestamp_ms,
        "size": len(value),
        "parked_at": now_ms,
        "since": now_ms if reason.cause == INDETERMINATE else None,
        "due_at": due_at,
        "attempts": 0 if reason.cause == BEHIND else 1,
        "cause": reason.cause,
        "code": reason.code,
        "step": reason.step,
        "detail": reason.detail,
        "outcome": _encode_outcome(outcome),
        "mark": sha256(value).digest(),
        "key": record.key,
        "headers": _encode_headers(record.headers),
        "value": value,
        "reread": reread,
    }


INSERT = """
INSERT INTO parked (sender, epoch, partition, at_offset, stored_at, size, parked_at, since, due_at, attempts, cause,
    code, step, detail, outcome, mark, key, headers, value, reread)
VALUES (:sender, :epoch, :partition, :at_offset, :stored_at, :size, :parked_at, :since, :due_at, :attempts, :cause,
    :code, :step, :detail, :outcome, :mark, :key, :headers, :value, :reread)
ON CONFLICT (partition, at_offset, mark) DO NOTHING
"""
UPDATE = """
UPDATE parked SET since = coalesce(since, :since), due_at = :due_at, attempts = attempts + :more, cause = :cause,
    code = :code, step = :step, detail = :detail, outcome = :outcome
WHERE parked = :parked
"""


def again_row(
    parked: int, reason: Reason, *, due_at: int | None, outcome: Outcome | None, now_ms: int
) -> Mapping[str, object]:
    """Return the change to a record that goes on waiting."""
    return {
        "parked": parked,
        "since": now_ms if reason.cause == INDETERMINATE else None,
        "due_at": due_at,
        "more": 0 if reason.cause == BEHIND else 1,
        "cause": reason.cause,
        "code": reason.code,
        "step": reason.step,
        "detail": reason.detail,
        "outcome": _encode_outcome(outcome),
    }


def _encode_headers(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    return json.dumps([[name, base64.b64encode(value).decode()] for name, value in headers]).encode()


def _decode_headers(encoded: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, base64.b64decode(value)) for name, value in json.loads(encoded))


_ANSWERED = (Created.__name__, AlreadyThere.__name__)
_OUTCOMES = {kind.__name__: kind for kind in (Created, AlreadyThere, Conflict, Reject)}


def _encode_outcome(outcome: Outcome | None) -> str | None:
    return None if outcome is None else json.dumps([type(outcome).__name__, *outcome])


def _decode_outcome(encoded: str | None) -> Outcome | None:
    if encoded is None:
        return None
    kind, *fields = json.loads(encoded)
    if kind in _ANSWERED and len(fields) > 1 and fields[1] is not None:
        fields[1] = Answer(*fields[1])
    outcome: Outcome = _OUTCOMES[kind](*fields)
    return outcome
