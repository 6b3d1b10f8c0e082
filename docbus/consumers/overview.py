"""What an operator must see of the ledger; reads only, see ``storage/migrations/0002_ledger.sql`` for the tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from docbus.consumers.content_overview import AwaitedContent, awaited_content
from docbus.consumers.duplicates import count_duplicates
from docbus.consumers.held import read_held
from docbus.consumers.parking import REQUESTED_PARTITION
from docbus.consumers.values import SINK_STATE, read_value

if TYPE_CHECKING:
    import sqlite3

SHOWN_HOLES = 100
"""Holes that are listed; their number is never cut."""
SHOWN_PARKED = 100
"""Streams that wait, likewise."""
SHOWN_FINDINGS = 10
"""Findings that are listed, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingStatements:
    """Positions of a stream that have not come: ``first`` to ``last``."""

    sender: str
    epoch: bytes
    lane: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStream:
    """A stream whose records are parked: why its first one waits, since when, and how many there are."""

    sender: str
    epoch: bytes
    cause: str
    code: str
    detail: str
    records: int
    bytes: int
    since: int
    due_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFinding:
    """Something that a proven sender did and should not have."""

    at: int
    code: str
    sender: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideCount:
    """How many records went to ``quarantine`` or ``dead-letter`` for a reason, and when the last of them did.

    ``settled`` of them were released, redelivered or rejected since.
    """

    topic: str
    reason: str
    count: int
    at: int
    settled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """Since when the DMS takes nothing, how often that was tried, and what it said."""

    since: int
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOverview:
    """The ledger at a glance; times are milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        decided: By partition of the inbox, the offset below which everything is decided.
        streams: Open streams.
        senders: Agencies that they come from.
        documents: Documents ever decided.
        refused: Statements refused for good.
        duplicates: Records whose statement had come before; they are receipted again, and nothing else.
        missing: Statements that have not come, though later ones have.
        holes: The ranges of those, the first ones.
        held: Partitions of the inbox that this folder reads, if they were ever given out; None for all.
        parked: Records that wait in those.
        waiting: The streams that they belong to, the first ones.
        findings: How many are kept.
        newest_findings: The newest of them, newest first.
        set_aside: What went to quarantine and dead letters.
        requested: Decisions of operators about those that are not done yet.
        sink: None while the sink works, or nothing is known of it.
        content: Large content that is on its way.
    """

    decided: dict[int, int]
    held: frozenset[int] | None
    streams: int
    senders: int
    documents: int
    refused: int
    duplicates: int
    missing: int
    holes: tuple[MissingStatements, ...]
    parked: int
    waiting: tuple[WaitingStream, ...]
    findings: int
    newest_findings: tuple[KeptFinding, ...]
    set_aside: tuple[AsideCount, ...]
    requested: int
    sink: SinkState | None
    content: AwaitedContent


def overview(connection: sqlite3.Connection) -> LedgerOverview:
    """Return the ledger's state."""
    streams, senders = _row(
        connection, "SELECT count(*), count(DISTINCT sender) FROM incoming_stream WHERE closed_at IS NULL"
    )
    held = read_held(connection)
    return LedgerOverview(
        held=held,
        decided=dict(connection.execute("SELECT partition, next_offset FROM inbox_partition ORDER BY partition")),
        streams=streams,
        senders=senders,
        documents=_row(connection, "SELECT count(*) FROM incoming_document")[0],
        refused=_row(connection, "SELECT count(*) FROM incoming WHERE reason IS NOT NULL")[0],
        duplicates=count_duplicates(connection),
        missing=_row(connection, "SELECT coalesce(sum(last - first + 1), 0) FROM incoming_hole WHERE missed")[0],
        holes=_holes(connection),
        parked=_row(connection, _PARKED, _held_values(held))[0],
        waiting=_waiting(connection, held),
        findings=_row(connection, "SELECT count(*) FROM finding")[0],
        newest_findings=tuple(
            KeptFinding(at=at, code=code, sender=sender, detail=detail)
            for at, code, sender, detail in connection.execute(
                "SELECT at, code, sender, detail FROM finding ORDER BY finding DESC LIMIT ?", (SHOWN_FINDINGS,)
            )
        ),
        set_aside=tuple(
            AsideCount(topic=topic, reason=reason, count=count, at=at, settled=min(count, settled))
            for topic, reason, count, at, settled in connection.execute(
                "SELECT s.topic, s.reason, s.count, s.at, (SELECT count(*) FROM act a WHERE a.topic = s.topic"
                " AND a.refused_for = s.reason AND a.state = 2) FROM set_aside s"
                " ORDER BY s.topic DESC, s.count DESC, s.reason"
            )
        ),
        requested=_row(connection, "SELECT count(*) FROM act WHERE state IN (0, 1)")[0],
        sink=_sink(connection),
        content=awaited_content(connection),
    )


def has_received(connection: sqlite3.Connection, sender: str, document_id: str, revision: int) -> bool:
    """Tell whether this agency has decided about a document."""
    found = connection.execute(
        "SELECT 1 FROM incoming_document WHERE sender = ? AND document_id = ? AND revision = ?",
        (sender, document_id, revision),
    )
    return found.fetchone() is not None


_PARKED = "SELECT count(*) FROM parked WHERE ?1 IS NULL OR partition IN (SELECT value FROM json_each(?1))"


def _held_values(held: frozenset[int] | None) -> tuple[str | None]:
    return (None if held is None else json.dumps(sorted(held | {REQUESTED_PARTITION})),)


def _row(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> tuple[int, ...]:
    found: tuple[int, ...] = connection.execute(query, values).fetchone()
    return found


def _holes(connection: sqlite3.Connection) -> tuple[MissingStatements, ...]:
    rows = connection.execute(
        "SELECT s.sender, s.epoch, s.lane, h.first, h.last FROM incoming_hole h JOIN incoming_stream s USING (stream)"
        " WHERE h.missed ORDER BY s.sender, s.stream, h.first LIMIT ?",
        (SHOWN_HOLES,),
    )
    return tuple(
        MissingStatements(sender=sender, epoch=epoch, lane=lane, first=first, last=last)
        for sender, epoch, lane, first, last in rows
    )


def _waiting(connection: sqlite3.Connection, held: frozenset[int] | None) -> tuple[WaitingStream, ...]:
    """Each stream's first record says why all of them wait; of a bare column SQLite takes the row with the minimum."""
    rows = connection.execute(
        "SELECT sender, epoch, cause, code, detail, count(*), sum(size), coalesce(since, parked_at), due_at,"
        " min(parked) FROM parked WHERE ?1 IS NULL OR partition IN (SELECT value FROM json_each(?1))"
        " GROUP BY sender, epoch ORDER BY min(parked) LIMIT ?2",
        (*_held_values(held), SHOWN_PARKED),
    )
    return tuple(
        WaitingStream(
            sender=sender,
            epoch=epoch,
            cause=cause,
            code=code,
            detail=detail,
            records=records,
            bytes=size,
            since=since,
            due_at=due_at,
        )
        for sender, epoch, cause, code, detail, records, size, since, due_at, _first in rows
    )


def _sink(connection: sqlite3.Connection) -> SinkState | None:
    """Written by ``consumers.filing`` whenever the sink goes or comes."""
    found = read_value(connection, SINK_STATE)
    if found is None or found["available"]:
        return None
    since = round(datetime.fromisoformat(found["since"]).timestamp() * 1000)
    return SinkState(since=since, attempts=found["attempts"], error=found["error"])
