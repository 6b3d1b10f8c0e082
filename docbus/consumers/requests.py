"""Requests: the acts in force, one for each record that somebody decided about, and what came of them.

An act takes effect by being read from the agency's ledger topic, in the order it has there, see
:mod:`docbus.consumers.acts`, and once: a copy that somebody stores again is none. Of several about one record the
first holds, except that

- one that was in vain is replaced by any later one, so that it can be tried again once its cause is mended;
- a rejection replaces what was requested and not yet done.

What another folder of the agency decided, or this one before its database was lost, is known and not done here.

So nothing that was done is done twice, and what is rejected stays rejected.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers import parking
from docbus.consumers.aside import shown
from docbus.consumers.inspection import Passed
from docbus.consumers.streams import Place
from docbus.envelope.act import REJECT
from docbus.envelope.statement import DocumentBody

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from docbus.consumers.inspection import Inspected
    from docbus.consumers.items import Item
    from docbus.envelope.act import Act

ALONE_AT = 2
"""Times that the process died on a request, after which it is taken up alone."""
CONDEMNED_AT = 5
"""Times that it died on a request, the last ones alone, after which it is given up; another act may try again."""
MAX_REQUESTS = 512
"""Requests taken up at once: one transaction and one receipt per stream for so many."""

FILED = "filed"
"""The document is filed, now or before."""
TAKEN = "taken"
"""A receipt or a status has its position, and was taken in."""
REJECTED = "rejected"
"""It is refused for good."""
ELSEWHERE = "elsewhere"
"""Decided in another folder of this agency, or before this database was made: it is not done here, too."""
GONE = "record_gone"
"""The record is not in its topic any more, or another one lies there."""


class RequestState(IntEnum):
    """How far an act in force has come."""

    REQUESTED = 0
    WAITING = 1
    """Handed on; its large content is being fetched."""
    DONE = 2
    IN_VAIN = 3

    @property
    def text(self) -> str:
        """As people read it."""
        return self.name.lower().replace("_", " ")


class Request(NamedTuple):
    """An act in force that is to be done; fields as in the table ``act``."""

    topic: str
    number: int
    mark: bytes
    action: str
    operator: str
    reason: str
    at_offset: int
    attempts: int
    begun: int


class Settled(NamedTuple):
    """What came of a request; ``due_at`` is the next attempt of one that stays requested."""

    request: Request
    state: RequestState
    code: str
    detail: str
    due_at: int = 0


class RequestRow(NamedTuple):
    """The act in force about one record, as people are told; times in milliseconds."""

    topic: str
    number: int
    mark: bytes
    action: str
    operator: str
    reason: str
    made_at: int
    state: RequestState
    code: str | None
    detail: str | None
    settled_at: int | None


def note_own(connection: sqlite3.Connection, digests: Sequence[bytes]) -> None:
    """Note acts that are about to be appended, so that they are known as this folder's when they are read back."""
    connection.executemany("INSERT OR IGNORE INTO own_act (digest) VALUES (?)", [(one,) for one in digests])


def put_acts(connection: sqlite3.Connection, acts: Sequence[tuple[int, bytes, Act]]) -> None:
    """Let acts take effect: those of this folder are requested, those of others are known as decided.

    Args:
        connection: Inside a transaction.
        acts: (Offset in the ledger topic, digest, act), in the topic's order.
    """
    acts = [(offset, digest, act) for offset, digest, act in acts if _is_first(connection, digest, offset)]
    own = {digest for _, digest, _ in acts if connection.execute(_OWN, (digest,)).fetchone()}
    connection.executemany(
        _PUT,
        [
            (
                act.topic,
                act.number,
                act.digest,
                act.action,
                act.operator,
                act.reason,
                act.refused_for,
                act.sender,
                act.document_id,
                act.revision,
                act.made_at,
                digest,
                offset,
                *((RequestState.REQUESTED, None) if digest in own else (RequestState.DONE, ELSEWHERE)),
            )
            for offset, digest, act in acts
        ],
    )
    connection.executemany("DELETE FROM own_act WHERE digest = ?", [(digest,) for digest in own])


def _is_first(connection: sqlite3.Connection, digest: bytes, offset: int) -> bool:
    """Tell whether an act is read for the first time: a copy of it, and the topic read again, say nothing new."""
    noted = connection.execute("INSERT OR IGNORE INTO act_read (digest, at_offset) VALUES (?, ?)", (digest, offset))
    return noted.rowcount == 1


def read_due(connection: sqlite3.Connection, now_ms: int) -> list[Request]:
    """Return requests that are to be done now, by topic and number."""
    return [
        Request(*row)
        for row in connection.execute(
            f"SELECT {_REQUEST} FROM act WHERE state = 0 AND due_at <= ? ORDER BY topic, number LIMIT ?",  # noqa: S608 - columns
            (now_ms, MAX_REQUESTS),
        )
    ]


def portion_of(due: Sequence[Request]) -> Sequence[Request]:
    """Return the requests to take up together: one on which the process has died before comes last, and alone."""
    safe = [one for one in due if one.begun < ALONE_AT]
    return safe or due[:1]


def note_begun(connection: sqlite3.Connection, taken: Sequence[Request], more: int) -> None:
    """Count that requests are taken up, or, with ``more`` of -1, that work on them has ended without a death."""
    connection.executemany(
        "UPDATE act SET begun = max(begun + ?, 0) WHERE topic = ? AND number = ? AND mark = ? AND at_offset = ?",
        [(more, one.topic, one.number, one.mark, one.at_offset) for one in taken],
    )


def read_waiting(connection: sqlite3.Connection) -> dict[bytes, Request]:
    """Return requests whose record waits for large content, by SHA-256 of its value."""
    rows = connection.execute(f"SELECT {_REQUEST} FROM act WHERE state = 1")  # noqa: S608 - columns
    return {row[2]: Request(*row) for row in rows}


def restore_waiting(connection: sqlite3.Connection) -> None:
    """Request again what waited for large content and is not parked any more."""
    connection.execute(
        "UPDATE act SET state = 0, due_at = 0 WHERE state = 1"
        " AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.mark = act.mark)"
    )


def read_rows(connection: sqlite3.Connection, topic: str) -> dict[tuple[int, bytes], RequestRow]:
    """Return the acts in force about records of a topic, by number and SHA-256 of the value."""
    return {
        (row[1], row[2]): RequestRow._make((*row[:7], RequestState(row[7]), *row[8:]))
        for row in connection.execute(
            "SELECT topic, number, mark, action, operator, reason, made_at, state, code, detail, settled_at FROM act"
            " WHERE topic = ?",
            (topic,),
        )
    }


def read_requested(connection: sqlite3.Connection) -> set[tuple[str, int, bytes]]:
    """Return topic, number and mark of the records whose request is not taken up yet, or stays with a pause."""
    return set(connection.execute("SELECT topic, number, mark FROM act WHERE state = 0"))


def recognise(items: Iterable[Item], requested: Mapping[bytes, Request]) -> None:
    """Tell parked items that somebody requested them, see :func:`read_waiting`."""
    if requested:
        for item in items:
            item.request = requested.get(sha256(item.record.value or b"").digest())


def write_settled(connection: sqlite3.Connection, settled: Sequence[Settled], now_ms: int) -> None:
    """Store what came of requests; one whose act was replaced meanwhile is left to the new one."""
    connection.executemany(
        _SETTLE,
        [
            {
                "topic": one.request.topic,
                "number": one.request.number,
                "mark": one.request.mark,
                "at_offset": one.request.at_offset,
                "state": one.state,
                "code": one.code,
                "detail": shown(one.detail),
                "due_at": one.due_at,
                "now": now_ms,
            }
            for one in settled
        ],
    )


def only_noted(request: Request, inspected: Inspected) -> bool:
    """Tell whether all that is to be done is done by the act itself: what no document can be read from is rejected."""
    return request.action == REJECT and not (
        type(inspected) is Passed and type(inspected.verified.statement.body) is DocumentBody
    )


def settled_of(item: Item, *, now_ms: int, factor: float) -> Settled | None:
    """Return what came of the request that an item is about, or None if nobody requested it. Pure.

    Args:
        item: Resolved.
        now_ms: Now.
        factor: Jitter of a pause.
    """
    request = item.request
    if request is None:
        return None
    if item.reason is not None:
        _, code, _, detail = item.reason
        if item.parks:
            return Settled(request, RequestState.WAITING, code, detail)
        due_at = parking.next_attempt(request.attempts, now_ms, factor)
        return Settled(request, RequestState.REQUESTED, code, detail, due_at)
    return Settled(request, *_ending(item, request))


def _ending(item: Item, request: Request) -> tuple[RequestState, str, str]:
    if request.action == REJECT:
        if item.place is not None and item.refusal is None:
            return RequestState.IN_VAIN, FILED, "it is filed already"
        return RequestState.DONE, REJECTED, "the sender is told" if item.text else "there is nobody to tell"
    if item.aside is not None:
        return RequestState.IN_VAIN, item.aside.code, item.aside.detail
    if item.refusal is not None:
        return RequestState.IN_VAIN, item.refusal, "the same document was refused for this reason"
    if not item.body_digest:
        return RequestState.DONE, TAKEN, ""
    before = item.place is Place.DUPLICATE and item.before is None
    return RequestState.DONE, FILED, "it was filed before" if before else item.reference or ""


_REQUEST = "topic, number, mark, action, operator, reason, at_offset, attempts, begun"
_PUT = """
INSERT INTO act (topic, number, mark, action, operator, reason, refused_for, sender, document_id, revision, made_at,
    digest, at_offset, state, code)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (topic, number, mark) DO UPDATE SET action = excluded.action, operator = excluded.operator,
    reason = excluded.reason, refused_for = excluded.refused_for, sender = excluded.sender,
    document_id = excluded.document_id, revision = excluded.revision, made_at = excluded.made_at,
    digest = excluded.digest, at_offset = excluded.at_offset, state = excluded.state, code = excluded.code,
    detail = NULL, begun = 0, attempts = 0,
    due_at = 0, settled_at = NULL
WHERE (act.state = 3 AND excluded.digest <> act.digest)
    OR (act.state = 2 AND act.code = 'elsewhere' AND act.action <> 'reject' AND excluded.state = 0)
    OR (act.state = 0 AND excluded.action = 'reject' AND act.action <> 'reject')
"""
_OWN = "SELECT 1 FROM own_act WHERE digest = ?"
_SETTLE = """
UPDATE act SET state = :state, code = :code, detail = :detail, due_at = :due_at,
    begun = 0, attempts = attempts + (:state = 0), settled_at = CASE WHEN :state IN (2, 3) THEN :now END
WHERE topic = :topic AND number = :number AND mark = :mark AND at_offset = :at_offset AND state IN (0, 1)
"""
