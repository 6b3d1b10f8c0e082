"""Storing outcomes, receipts and positions in one transaction (steps C4 and C5, design D5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.consumers import parking, wanted
from docbus.consumers.answers import take_answers
from docbus.consumers.aside import shown
from docbus.consumers.bases import TAKEN, encode_basis
from docbus.consumers.changes import answers_to
from docbus.consumers.items import body_digest
from docbus.consumers.parking import BEHIND
from docbus.consumers.ranges import encode_range, ranges_of
from docbus.consumers.rejections import tell_rejection
from docbus.consumers.requests import settled_of, write_settled
from docbus.consumers.sorting import REJECTED_BY_OPERATOR
from docbus.consumers.streams import Place
from docbus.envelope.statement import RECEIPT_TYPE, DocumentBody
from docbus.producers.outbox import WaitingStatement, add_statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from docbus.consumers.changes import ChangeAnswer
    from docbus.consumers.duplicates import Seen
    from docbus.consumers.inspection import Passed, StreamKey
    from docbus.consumers.items import Item
    from docbus.consumers.ledger import StreamEntry
    from docbus.consumers.ranges import Decided
    from docbus.consumers.requests import Settled
    from docbus.consumers.wanted import BodyKey, NewWanted
    from docbus.envelope.statement import Body

MAX_FINDINGS = 10_000
"""Findings kept, the newest; every one is logged too."""
RECEIPTS_LANE = "receipts"


class PartitionState:
    """How far a partition is decided, see the table ``inbox_partition``."""

    __slots__ = ("anchor_digest", "anchor_offset", "begun_at", "next_offset", "partition")

    def __init__(
        self, partition: int, begun_at: int, next_offset: int, anchor_offset: int | None, anchor_digest: bytes | None
    ) -> None:
        self.partition = partition
        self.begun_at = begun_at
        self.next_offset = next_offset
        self.anchor_offset = anchor_offset
        self.anchor_digest = anchor_digest


class Settlement:
    """Everything that one transaction stores; built before it, so that the transaction only writes.

    Args:
        agency: Canonical id of the recipient.
        environment: The exchange's name.
        now_ms: Time of the outcomes.
        takes_answers: Whether receipts and statuses that came are for this folder's outbox.
    """

    def __init__(self, *, agency: str, environment: str, now_ms: int, takes_answers: bool = True) -> None:
        self._agency = agency
        self._takes_answers = takes_answers
        self._environment = environment
        self._now_ms = now_ms
        self._taken: list[tuple[Any, ...]] = []
        self._documents: list[tuple[Any, ...]] = []
        self._parked: list[Mapping[str, object]] = []
        self._again: list[Mapping[str, object]] = []
        self._unparked: list[tuple[int]] = []
        self._findings: list[tuple[str, str, str, int, int]] = []
        self._asides: dict[tuple[str, str], int] = {}
        self._answers: list[Passed] = []
        self._rejections: list[Item] = []
        self._changes: list[ChangeAnswer] = []
        self._covered: dict[StreamKey, dict[int, Decided]] = {}
        self._waiting: list[WaitingStatement] = []
        self._holes: dict[StreamKey, None] = {}
        self._closed: Sequence[tuple[StreamKey, int]] = ()
        self._partitions: Iterable[PartitionState] = ()
        self._seen: Seen | None = None
        self._new_wanted: list[NewWanted] = []
        self._wanted_ahead: list[Sequence[NewWanted]] = []
        self._with_content: list[BodyKey] = []
        self._awaiting: list[BodyKey] = []
        self.dropped: list[int] = []
        """Large content that nobody waits for any more, once this is stored; its files are to be removed."""
        self.entries: dict[StreamKey, StreamEntry] = {}
        self.settled: list[Settled] = []
        """What comes of requests."""
        self._turned: list[tuple[int, int, int]] = []

    @property
    def adds_statements(self) -> bool:
        """Whether something new waits in the outbox."""
        return bool(self._waiting or self._changes)

    @property
    def wants(self) -> bool:
        """Whether large content is wanted that was not before."""
        return bool(self._new_wanted or self._wanted_ahead)

    @property
    def touches_parked(self) -> bool:
        """Whether streams that wait have changed."""
        return bool(self._parked or self._again or self._unparked)

    @property
    def findings(self) -> list[tuple[str, str, str, int, int]]:
        """(Code, sender, detail, partition, offset) of each finding."""
        return self._findings

    def add(self, items: Iterable[Item], streams: Mapping[StreamKey, StreamEntry], jitter: Callable[[], float]) -> None:
        """Add resolved items, in their order.

        Args:
            items: Each stream's up to its first unresolved one.
            streams: The streams as they are stored now.
            jitter: Factor of pauses.
        """
        for item in items:
            settled = settled_of(item, now_ms=self._now_ms, factor=jitter()) if item.request is not None else None
            if settled is not None:
                self.settled.append(settled)
                if not item.parks and item.reason is not None:
                    continue
            if item.findings and (settled is None or item.aside is None):
                sender = item.key[0] if item.key else item.findings[0][1].partition(": ")[0]
                record = item.record
                self._findings += [
                    (code, sender, shown(detail), record.partition, record.offset) for code, detail in item.findings
                ]
            if item.aside is not None and settled is None:
                counted = item.aside.where, item.aside.code
                self._asides[counted] = self._asides.get(counted, 0) + 1
            if item.wanted:
                self._want(item)
            if item.reason is not None:
                self._park(item, jitter)
                continue
            self._note_content(item)
            if item.parked is not None:
                self._unparked.append((item.parked,))
            if item.place is not None:
                self._take(item, streams)
        self._make_receipts()

    def finish(
        self, *, closed: Sequence[tuple[StreamKey, int]], partitions: Iterable[PartitionState], seen: Seen
    ) -> None:
        """Add epochs to be closed, positions of partitions, and what was seen of duplicates."""
        self._closed, self._partitions, self._seen = closed, partitions, seen

    def _want(self, item: Item) -> None:
        """Content of a document whose turn it is is always wanted; of others as far as there are not too many rows."""
        if item.reason is not None and item.reason.cause == BEHIND:
            self._wanted_ahead.append(item.wanted)
        else:
            self._new_wanted += item.wanted

    def _note_content(self, item: Item) -> None:
        """A document that is decided needs no content any more; one that there was no room to park decides nothing."""
        if item.passed is None or (item.aside is not None and item.aside.code == parking.TOO_MANY):
            return
        if item.place is Place.DUPLICATE and item.parked is None and item.before is None:
            # It was decided before; if that was a refusal, another copy of its document may wait for content now.
            return
        statement = item.passed.verified.statement
        if isinstance(statement.body, DocumentBody) and statement.body.attachments:
            body = statement.body
            self._with_content.append(((statement.head.sender, body.document_id, body.revision), body_digest(body)))

    def _park(self, item: Item, jitter: Callable[[], float]) -> None:
        key, reason = item.key, item.reason
        if key is None or reason is None:
            return
        now_ms = self._now_ms
        if reason.cause == BEHIND:
            due_at = None
        elif reason.cause == parking.CONTENT:
            due_at = now_ms + parking.CONTENT_CHECK_MS
            if item.document is not None:
                self._awaiting.append((item.document, item.body_digest))
        else:
            due_at = parking.next_attempt(item.attempts, now_ms, jitter())
        if item.parked is None:
            self._parked.append(
                parking.park_row(
                    key,
                    item.record,
                    reason,
                    due_at=due_at,
                    outcome=item.outcome,
                    now_ms=now_ms,
                    reread=item.reread,
                )
            )
        elif reason.cause != BEHIND or item.outcome is not None:
            self._again.append(
                parking.again_row(item.parked, reason, due_at=due_at, outcome=item.outcome, now_ms=now_ms)
            )

    def _take(self, item: Item, streams: Mapping[StreamKey, StreamEntry]) -> None:
        passed, key = item.passed, item.key
        if passed is None or key is None:
            return
        verified = passed.verified
        statement, digest = verified.statement, verified.digest
        sequence = statement.position.sequence
        if item.before is not None:
            self._turn(item, key, streams[key].number, sequence, digest)
            return
        if statement.payload_type != RECEIPT_TYPE:
            covered = self._covered.get(key)
            if covered is None:
                covered = self._covered[key] = {}
            covered[sequence] = digest, item.refusal
        if item.place is Place.DUPLICATE:
            return
        entry = self._entry(key, streams)
        if item.place is not Place.NEW:
            self._holes[key] = None
        place = entry.stream.feed(sequence, statement.position.previous, digest)
        if place is not item.place:
            raise RuntimeError(f"statement {sequence} of {key[0]} was {item.place}, and is {place} when it is stored")
        previous = entry.stream.previous_of(sequence)
        basis = encode_basis(verified.basis)
        self._taken.append((entry.number, sequence, item.refusal, self._now_ms, digest, previous, basis))
        self._take_body(item, statement.body, entry.number, sequence)

    def _turn(self, item: Item, key: StreamKey, number: int, sequence: int, digest: bytes) -> None:
        """A position that was refused and is decided anew: refused may become filed, and nothing else."""
        if item.refusal is None:
            self._covered.setdefault(key, {})[sequence] = digest, None
            self._turned.append((self._now_ms, number, sequence))
            if item.document is not None:
                self._documents.append((*item.document, item.body_digest, number, sequence, item.reference))
                self._answer(item)
        elif item.refusal == REJECTED_BY_OPERATOR and item.text:
            self._rejections.append(item)
            self._answer(item)

    def _answer(self, item: Item) -> None:
        self._changes += answers_to(item, environment=self._environment, agency=self._agency, now_ms=self._now_ms)

    def _take_body(self, item: Item, body: Body, number: int, sequence: int) -> None:
        if item.document is not None:
            self._documents.append((*item.document, item.body_digest, number, sequence, item.reference))
            if item.text:
                self._rejections.append(item)
            self._answer(item)
        elif not self._takes_answers or item.passed is None or item.refusal is not None:
            return
        elif not isinstance(body, DocumentBody):
            self._answers.append(item.passed)

    def _entry(self, key: StreamKey, streams: Mapping[StreamKey, StreamEntry]) -> StreamEntry:
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = streams[key].copy()
            entry.used_at = self._now_ms
        return entry

    def _make_receipts(self) -> None:
        for (sender, epoch), decided in self._covered.items():
            self._waiting += [
                WaitingStatement(RECEIPT_TYPE, sender, RECEIPTS_LANE, encode_range(epoch, covered))
                for covered in ranges_of(decided)
            ]
        self._covered.clear()

    def write(self, connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
        """Store it; may be run again after it was undone.

        Returns:
            (Code, sender, detail) of findings that only the transaction could make.
        """
        now_ms = self._now_ms
        connection.executemany(
            "UPDATE incoming_stream SET closed_at = ? WHERE stream = ?",
            [(now_ms, number) for _, number in self._closed],
        )
        connection.executemany(_STREAM, [_stream_row(entry, now_ms) for entry in self.entries.values()])
        connection.executemany(TAKEN, self._taken)
        connection.executemany(
            "UPDATE incoming SET reason = NULL, decided_at = ? WHERE stream = ? AND sequence = ?", self._turned
        )
        connection.executemany(_DOCUMENT, self._documents)
        self._write_holes(connection)
        connection.executemany(parking.INSERT, self._parked)
        connection.executemany(parking.UPDATE, self._again)
        connection.executemany("DELETE FROM parked WHERE parked = ?", self._unparked)
        connection.executemany(wanted.INSERT, self._new_wanted)
        for ahead in self._wanted_ahead:
            wanted.insert_ahead(connection, ahead)
        self.dropped = wanted.forget(connection, self._with_content)
        wanted.wake_settled(connection, self._awaiting, at_ms=now_ms)
        if self._unparked:
            self.dropped += wanted.forget_orphans(connection)
        made = take_answers(connection, self._answers, now_ms=now_ms)
        told = [
            tell_rejection(item, environment=self._environment, agency=self._agency, now_ms=now_ms)
            for item in self._rejections
        ]
        add_statements(
            connection,
            [*self._waiting, *(rejection.statement for rejection in told), *(c.statement for c in self._changes)],
            at_ms=now_ms,
        )
        for rejection in told:
            rejection.record(connection, agency=self._agency, now_ms=now_ms)
        for change in self._changes:
            change.record(connection, agency=self._agency, now_ms=now_ms)
        self._write_findings(connection, made)
        write_settled(connection, self.settled, now_ms)
        connection.executemany(_ASIDE, [(*counted, count, now_ms) for counted, count in self._asides.items()])
        connection.executemany(
            _PARTITION,
            [(p.partition, p.begun_at, p.next_offset, p.anchor_offset, p.anchor_digest) for p in self._partitions],
        )
        if self._seen is not None:
            self._seen.write(connection, now_ms)
        return made

    def _write_holes(self, connection: sqlite3.Connection) -> None:
        changed = [self.entries[key] for key in self._holes]
        connection.executemany("DELETE FROM incoming_hole WHERE stream = ?", [(entry.number,) for entry in changed])
        connection.executemany(
            "INSERT INTO incoming_hole (stream, first, last, missed) VALUES (?, ?, ?, ?)",
            [(entry.number, *hole) for entry in changed for hole in entry.stream.holes],
        )

    def _write_findings(self, connection: sqlite3.Connection, made: Sequence[tuple[str, str, str]]) -> None:
        rows: list[tuple[Any, ...]] = [(self._now_ms, *finding) for finding in self._findings]
        rows += [(self._now_ms, *finding, None, None) for finding in made]
        if not rows:
            return
        connection.executemany(
            "INSERT INTO finding (at, code, sender, detail, partition, at_offset) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        connection.execute(
            "DELETE FROM finding WHERE finding <= (SELECT max(finding) FROM finding) - ?", (MAX_FINDINGS,)
        )


def read_partitions(connection: sqlite3.Connection) -> dict[int, PartitionState]:
    """Return how far each partition is decided."""
    return {
        row[0]: PartitionState(*row)
        for row in connection.execute(
            "SELECT partition, begun_at, next_offset, anchor_offset, anchor_digest FROM inbox_partition"
        )
    }


def _stream_row(entry: StreamEntry, now_ms: int) -> tuple[Any, ...]:
    stream = entry.stream
    return (
        entry.number,
        entry.sender,
        entry.epoch,
        entry.lane,
        stream.sequence,
        stream.digest,
        stream.starts,
        now_ms,
        entry.used_at,
    )


_STREAM = """
INSERT INTO incoming_stream (stream, sender, epoch, lane, sequence, digest, starts, opened_at, used_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest, starts = excluded.starts,
    used_at = excluded.used_at, closed_at = NULL
"""
_DOCUMENT = """
INSERT INTO incoming_document (sender, document_id, revision, body_digest, stream, sequence, reference)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sender, document_id, revision) DO UPDATE SET stream = excluded.stream, sequence = excluded.sequence,
    reference = excluded.reference -- refused for want of content before, and decided anew
"""
_ASIDE = """
INSERT INTO set_aside (topic, reason, count, at) VALUES (?, ?, ?, ?)
ON CONFLICT (topic, reason) DO UPDATE SET count = count + excluded.count, at = excluded.at
"""
_PARTITION = """
INSERT INTO inbox_partition (partition, begun_at, next_offset, anchor_offset, anchor_digest, highest)
VALUES (?1, ?2, ?3, ?4, ?5, ?3)
ON CONFLICT (partition) DO UPDATE SET begun_at = excluded.begun_at, next_offset = excluded.next_offset,
    anchor_offset = excluded.anchor_offset, anchor_digest = excluded.anchor_digest,
    highest = max(highest, excluded.highest)
"""
