"""How far everything has come: one document's journey, and the outbox as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import LANES
from docbus.errors import WaitTimeoutError
from docbus.producers.content import ContentCounts, ContentShare, content_counts, share_of
from docbus.producers.outbox import find_document
from docbus.producers.states import CopyState
from docbus.producers.statuses import StatusRecord, statuses_of
from docbus.storage.database import used_bytes

if TYPE_CHECKING:
    import sqlite3

    from docbus.clock import Clock
    from docbus.storage.database import Database

POLL_SECONDS = 0.02
"""Seconds between two looks at whether anybody has written, at first; grows while nobody does."""
LONGEST_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A document's way to one recipient; times are milliseconds since 1970, None for what has not happened.

    Attributes:
        state: ``accepted``, ``sent``, ``received``, ``refused`` or ``failed``.
        settled_at: When it was received, refused, or failed.
        reason: Stable code of a refusal or failure.
        attempts: How often it was sealed: more than once if an epoch had to end.
        failures: Attempts to send in vain since the last success, of this recipient's stream.
        error: What the last of them said.
        statuses: 01 if it was received, then what the recipient reported, in the order in which it became known.
    """

    recipient: str
    state: str
    accepted_at: int
    sealed_at: int | None
    sent_at: int | None
    settled_at: int | None
    reason: str | None
    lane: str
    sequence: int | None
    envelope_id: bytes | None
    attempts: int
    failures: int
    failed_at: int | None
    error: str | None
    statuses: tuple[StatusRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A document's way to all its recipients, in the order in which it names them."""

    document_id: str
    revision: int
    kind: str
    urgency: int
    accepted_at: int
    legs: tuple[Leg, ...]
    content: ContentShare | None = None
    """How much of its large content is uploaded; None if it travels inside its envelopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedStream:
    """A stream whose last attempt to send was in vain."""

    recipient: str
    lane: str
    unsent: int
    failures: int
    failed_at: int
    error: str


MAX_UNDELIVERED = 20
"""Copies that a status lists; the oldest, which are the first to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A copy of a document that has no answer yet; ``since`` is when it was sent, or accepted if it is not sent."""

    document_id: str
    revision: int
    recipient: str
    state: str
    since: int


MAX_REFUSED = 20
"""Copies that were refused or failed that a status lists; the newest."""


class RefusedCopy(NamedTuple):
    """A copy of a document that its recipient refused, or that failed before; ``reason`` is a stable code."""

    document_id: str
    revision: int
    recipient: str
    state: str
    reason: str | None
    settled_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
    """Copies of documents and statuses by their state; receipts are counted only while they wait.

    Attributes:
        oldest_accepted_at: When the oldest of those accepted and not sent was accepted.
        oldest_sent_at: When the oldest of those sent and not yet answered was sent.
        undelivered: The oldest copies without an answer.
        newest_refused: The newest copies that were refused or failed.
        content: Large content: what is kept, what is still to be uploaded.
    """

    accepted: int
    sent: int
    received: int
    refused: int
    failed: int
    receipts_waiting: int
    oldest_accepted_at: int | None
    oldest_sent_at: int | None
    used_bytes: int
    blocked: tuple[BlockedStream, ...]
    undelivered: tuple[Undelivered, ...]
    newest_refused: tuple[RefusedCopy, ...]
    content: ContentCounts


def journey(connection: sqlite3.Connection, document_id: str, *, sender: str, revision: int | None = None) -> Journey:
    """Return a document's journey.

    Args:
        connection: Inside a transaction.
        document_id: The id it was published under.
        sender: This agency.
        revision: Which revision; the newest if left out.

    Raises:
        DocumentError: The outbox has no such document.
    """
    outgoing, found_revision, kind, urgency, accepted_at = find_document(connection, document_id, revision)
    statuses = statuses_of(connection, sender=sender, document_id=document_id, revision=found_revision)
    copies: dict[str, list[tuple[Any, ...]]] = {}
    for copy in connection.execute(
        "SELECT c.recipient, c.state, c.sealed_at, c.sent_at, c.settled_at, c.reason, c.lane, c.sequence,"
        " c.envelope_id, s.failures, s.failed_at, s.error FROM copy c LEFT JOIN stream s ON s.stream = c.stream"
        " WHERE c.outgoing = ? ORDER BY c.ordinal",
        (outgoing,),
    ):
        copies.setdefault(copy[0], []).append(copy)
    return Journey(
        document_id=document_id,
        revision=found_revision,
        kind=kind,
        urgency=urgency,
        accepted_at=accepted_at,
        legs=tuple(_leg(rows, accepted_at, statuses) for rows in copies.values()),
        content=share_of(connection, outgoing),
    )


_BEST_FIRST = (
    CopyState.RECEIVED,
    CopyState.REFUSED,
    CopyState.SENT,
    CopyState.SEALED,
    CopyState.WAITING,
    CopyState.HELD,
    CopyState.FAILED,
    CopyState.SUPERSEDED,
)
"""Of several copies to one recipient the one that has come furthest tells how the document stands."""


def _leg(rows: list[tuple[Any, ...]], accepted_at: int, statuses: list[StatusRecord]) -> Leg:
    best = min(rows, key=lambda row: _BEST_FIRST.index(CopyState(row[1])))
    state = CopyState(best[1])
    # A stream's error concerns a copy only as long as it is not sent.
    failures, failed_at, error = best[9:] if state is CopyState.SEALED else (0, None, None)
    return Leg(
        recipient=best[0],
        state=state.word,
        accepted_at=accepted_at,
        sealed_at=best[2],
        sent_at=best[3],
        settled_at=best[4],
        reason=best[5],
        lane=LANES[best[6]],
        sequence=best[7],
        envelope_id=best[8],
        attempts=sum(row[7] is not None for row in rows),
        failures=failures or 0,
        failed_at=failed_at,
        error=error,
        statuses=_arrival(best, state) + tuple(status for status in statuses if status.recipient == best[0]),
    )


def _arrival(row: tuple[Any, ...], state: CopyState) -> tuple[StatusRecord, ...]:
    """Return status 01, which no agency reports: it follows from the receipt (design section 4)."""
    if state is not CopyState.RECEIVED:
        return ()
    recipient, settled_at = row[0], row[4]
    return (StatusRecord(recipient, recipient, StatusCode.ARRIVED, settled_at, settled_at, flagged=False, note=None),)


# One pass and no groups: sorting rows into groups would take memory for each of them.
_COUNTS = """
SELECT count(*) FILTER (WHERE state IN (0, 1, 7) AND lane != 2 /* receipts */),
    count(*) FILTER (WHERE state = 2 AND lane != 2),
    count(*) FILTER (WHERE state = 3 AND lane != 2),
    count(*) FILTER (WHERE state = 4 AND lane != 2),
    count(*) FILTER (WHERE state = 5 AND lane != 2),
    count(*) FILTER (WHERE state IN (0, 1, 7) AND lane = 2),
    min(outgoing) FILTER (WHERE state IN (0, 1, 7) AND lane != 2),
    min(sent_at) FILTER (WHERE state = 2 AND lane != 2)
FROM copy
"""


def counts(connection: sqlite3.Connection) -> OutboxCounts:
    """Return the outbox's figures; reads the state of every copy there is, about 5 million a second."""
    accepted, sent, received, refused, failed, receipts_waiting, oldest, oldest_sent_at = connection.execute(
        _COUNTS
    ).fetchone()
    accepted_at = connection.execute("SELECT accepted_at FROM outgoing WHERE outgoing = ?", (oldest,)).fetchone()
    blocked = connection.execute(
        "SELECT s.recipient, e.lane, s.sequence - s.sent, s.failures, s.failed_at, s.error"
        " FROM stream s INDEXED BY stream_unsent JOIN epoch e ON e.epoch = s.epoch"
        " WHERE s.sent < s.sequence AND s.failures > 0 ORDER BY s.failed_at"
    )
    undelivered = connection.execute(
        "SELECT o.document_id, o.revision, c.recipient, c.state, coalesce(c.sent_at, o.accepted_at) FROM copy c"
        " JOIN outgoing o ON o.outgoing = c.outgoing WHERE c.state IN (0, 1, 2, 7) AND o.form = 'document'"
        " ORDER BY c.outgoing LIMIT ?",
        (MAX_UNDELIVERED,),
    )
    refused_ones = connection.execute(
        "SELECT o.document_id, o.revision, c.recipient, c.state, c.reason, c.settled_at FROM copy c"
        " INDEXED BY copy_refused JOIN outgoing o ON o.outgoing = c.outgoing WHERE c.state IN (4, 5)"
        " AND o.form = 'document' ORDER BY c.settled_at DESC LIMIT ?",
        (MAX_REFUSED,),
    )
    return OutboxCounts(
        newest_refused=tuple(
            RefusedCopy(document_id, revision, recipient, CopyState(state).word, reason, settled_at)
            for document_id, revision, recipient, state, reason, settled_at in refused_ones
        ),
        undelivered=tuple(
            Undelivered(
                document_id=document_id,
                revision=revision,
                recipient=recipient,
                state=CopyState(state).word,
                since=since,
            )
            for document_id, revision, recipient, state, since in undelivered
        ),
        accepted=accepted,
        sent=sent,
        received=received,
        refused=refused,
        failed=failed,
        receipts_waiting=receipts_waiting,
        oldest_accepted_at=None if accepted_at is None else accepted_at[0],
        oldest_sent_at=oldest_sent_at,
        used_bytes=used_bytes(connection),
        content=content_counts(connection),
        blocked=tuple(
            BlockedStream(
                recipient=recipient,
                lane=LANES[lane],
                unsent=unsent_count,
                failures=failures,
                failed_at=failed_at,
                error=error,
            )
            for recipient, lane, unsent_count, failures, failed_at, error in blocked
        ),
    )


_REACHED = {
    "sent": frozenset({"sent", "received", "refused", "failed"}),
    "received": frozenset({"received", "refused", "failed"}),
}
"""States after which waiting ends: refused and failed are answers too, and nothing else is going to come."""


async def wait(
    database: Database,
    document_id: str,
    *,
    sender: str,
    until: Literal["sent", "received"],
    timeout: float,  # noqa: ASYNC109 - the caller's own limit, which ends in an error that says how far it came
    clock: Clock,
    revision: int | None = None,
) -> Journey:
    """Wait until a document has come so far at every recipient; somebody has to drain the outbox meanwhile.

    Returns:
        The journey; legs that were refused or failed are in it.

    Raises:
        DocumentError: The outbox has no such document.
        WaitTimeoutError: It took longer than ``timeout`` seconds; the text says how far it came.
    """
    deadline = clock.monotonic() + timeout
    pause = POLL_SECONDS
    while True:
        version = database.data_version()
        found = await database.read(lambda c: journey(c, document_id, sender=sender, revision=revision))
        left = [leg for leg in found.legs if leg.state not in _REACHED[until]]
        if not left:
            return found
        while (version_now := database.data_version()) == version:
            now = clock.monotonic()
            if now >= deadline:
                break
            await asyncio.sleep(min(pause, deadline - now))
            pause = min(LONGEST_POLL_SECONDS, pause * 1.5)
        if version_now == version:
            error = next((leg.error for leg in left if leg.error), None)
            raise WaitTimeoutError(
                f"document {document_id} is not {until} at {len(left)} of {len(found.legs)} recipients"
                f" after {timeout:g} s" + (f": {error}" if error else ""),
                hint=f"It is safe in the outbox, `docbus track {document_id}` shows how far. Is `docbus run` running?",
            )
