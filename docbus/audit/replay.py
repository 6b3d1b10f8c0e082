"""Replays the streams: the directory first, then every inbox, verified record by record (step "audit").

A replay reads up to what was the end when it began, so that one of a live exchange comes to an end. The directory is
read once more after the bounds are taken, so that it is never behind a statement.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.audit.assembly import Assembly
from docbus.audit.bounds import AtTime, Bounding
from docbus.audit.destroyed_keys import audit_destroyed_keys
from docbus.audit.findings import (
    BEGINNING_GONE,
    DIRECTORY_BROKEN,
    DIRECTORY_FOREIGN,
    KINDS,
    OFFSET_GAP,
    Findings,
    witness,
)
from docbus.audit.places import MAX_OFFSET, Inboxes, Place
from docbus.audit.reading import read_record
from docbus.audit.reducer import Reducer
from docbus.audit.report import ReplayReport, Unreadable, verdict_of
from docbus.audit.time_stamps import judge_directory
from docbus.errors import AuditError, DirectoryError, TransportError, WaitTimeoutError
from docbus.identity.pki.material import NOTHING_KNOWN
from docbus.identity.pki.words import words_of
from docbus.limits import MIB
from docbus.registry.reader import DirectoryReader
from docbus.transport.topics import DAY_MS, DIRECTORY, INBOX_RETENTION_MS
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.audit.bounds import Point
    from docbus.audit.places import Inbox
    from docbus.clock import Clock
    from docbus.errors import ForeignRecordError
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.transport.port import Record, Transport

BATCH_RECORDS = 512
"""Records that are read and verified in one go; the signature cache and the hop to the thread pay off by then."""
BATCH_BYTES = 4 * MIB
"""Bytes of the same."""
READ_SECONDS = 5.0
"""Seconds that one read waits for records that the bounds say are there."""
READ_ATTEMPTS = 2
"""Reads without an answer before the rest of a partition counts as unreadable."""
DIRECTORY_SECONDS = 120.0
"""Seconds to read the directory; the national one of 123,265 agencies takes some 15."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a replay is: records and bytes verified, offsets in all by the bounds, seconds since it began."""

    records: int
    bytes: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        """Records for each second."""
        return self.records / self.seconds if self.seconds else 0.0


class _Cursor:
    """How far one partition has been read."""

    __slots__ = ("attempts", "inbox", "offset", "rank")

    def __init__(self, inbox: Inbox, rank: int) -> None:
        self.inbox = inbox
        self.rank = rank
        self.offset = inbox.start
        self.attempts = 0


class Replay:
    """One replay.

    Args:
        transport: Started by the caller, who needs no more than to read.
        genesis: The pinned hash of the directory's first entry, 32 bytes.
        clock: For the age of receipts, and for how long it takes.
        agencies: Codes or ids of those whose inboxes are read; None reads all that the directory ever had.
        start: Where to begin; None begins with the first record that is left.
        end: Where to stop, not included; None stops at what was the end when the replay began.
        progress: Told after every batch, in the event loop.
        anchors: Whom to believe about time stamps; without any, none is checked.
        policy: The only policy of theirs to accept; None for any.
        read_seconds: Seconds that one read waits.
        material: What authorities say of the certificates that they have issued; nothing is known without it.
    """

    def __init__(
        self,
        transport: Transport,
        genesis: bytes,
        clock: Clock,
        *,
        agencies: Sequence[str] | None = None,
        start: Point | None = None,
        end: Point | None = None,
        progress: Callable[[Progress], None] | None = None,
        anchors: Anchors | None = None,
        policy: str | None = None,
        read_seconds: float = READ_SECONDS,
        material: ValidationMaterial = NOTHING_KNOWN,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._agencies = agencies
        self._end = end
        self._from_the_first = start is None
        self._progress = progress
        self._anchors = anchors
        self._policy = policy
        self._read_seconds = read_seconds
        self._directory = DirectoryReader(transport, genesis, on_foreign=self._note_foreign)
        self._bounding = Bounding(transport, start, end)
        self._unreadable = self._bounding.unreadable
        self._findings = Findings()
        self._verifier = Verifier(Paths(lambda: material))
        self._rests_on: set[bytes] = set()
        self._began = 0.0
        self._total = 0

    async def run(self) -> ReplayReport:
        """Read everything and return the report. Call it once.

        Raises:
            AuditError: The directory cannot be read, so nothing can be said about anything.
            DirectoryError: The directory is empty or does not begin with the pinned genesis entry.
            IdentityError: One of the given agencies is no code, or not in the directory.
        """
        self._began = self._clock.monotonic()
        as_of = self._clock.now_ms()
        if isinstance(self._end, AtTime):
            as_of = min(as_of, self._end.milliseconds)
        asked = self._asked(await self._read_directory())
        inboxes = Inboxes(await self._bounding.inboxes(asked))
        snapshot = await self._read_directory()
        destroyed = await audit_destroyed_keys(self._transport, asked, snapshot, self._verifier)
        reducer = Reducer(inboxes, snapshot, as_of_ms=as_of)
        for inbox in reducer.inboxes.all:
            if inbox.start == inbox.end:
                self._note_beginning(inbox, None)
        executor = ThreadPoolExecutor(1, thread_name_prefix="audit")
        try:
            await self._read_inboxes(reducer, executor)
            unread = frozenset(found.agency for found in self._unreadable)
            assembly = Assembly(reducer, unread=unread, findings=self._findings)
            report = await asyncio.get_running_loop().run_in_executor(executor, assembly.report)
        finally:
            # One batch takes some 20 ms, so this does not hold up a cancellation.
            executor.shutdown(wait=True, cancel_futures=True)
        weights = frozenset(kind.weight for kind in KINDS if report.finding_counts.get(kind.code))
        return ReplayReport(
            verdict=verdict_of(report, weights, unreadable=bool(self._unreadable)),
            environment=snapshot.environment,
            genesis=snapshot.genesis.hex(),
            directory_position=snapshot.position,
            directory_head=snapshot.head.hex(),
            as_of=as_of,
            seconds=round(self._clock.monotonic() - self._began, 3),
            time_stamps=judge_directory(snapshot, self._anchors, policy=self._policy),
            destroyed_keys=destroyed,
            unreadable=tuple(sorted(self._unreadable, key=lambda found: (found.topic, found.partition or 0))),
            words=words_of(self._rests_on, self._verifier.paths.material, self._clock.now_ms()),
            audit=report,
        )

    async def _read_directory(self) -> TrustSnapshot:
        """Read the directory on to its end; an entry that breaks a rule ends it, and makes a finding."""
        broken = self._findings.counts[DIRECTORY_BROKEN.code]
        try:
            if not broken:
                await self._directory.catch_up(DIRECTORY_SECONDS)
        except DirectoryError as error:
            if self._directory.replay.position < 0:
                raise
            place = Place(DIRECTORY, 0, self._directory.offset)
            self._findings.add(DIRECTORY_BROKEN, None, error.text, (witness(place),))
        except (TransportError, WaitTimeoutError) as error:
            raise AuditError(
                f"the directory cannot be read: {error.text}",
                hint=error.hint or "Check the address of the brokers, and that this user may read the directory.",
            ) from error
        return self._directory.replay.snapshot()

    def _note_foreign(self, offset: int, error: ForeignRecordError) -> None:
        self._findings.add(DIRECTORY_FOREIGN, None, error.text, (witness(Place(DIRECTORY, 0, offset)),))

    def _asked(self, snapshot: TrustSnapshot) -> list[str]:
        if self._agencies is None:
            return [agency.id for agency in snapshot.agencies()]
        return sorted({snapshot.resolve(agency) for agency in self._agencies})

    async def _read_inboxes(self, reducer: Reducer, executor: ThreadPoolExecutor) -> None:
        """Read a batch of each partition in turn; while one is verified, the next is read.

        In turn, because statements and their receipts then come at about the same time, and nothing waits for long.
        """
        loop = asyncio.get_running_loop()
        cursors = deque(
            _Cursor(inbox, rank) for rank, inbox in enumerate(reducer.inboxes.all) if inbox.start < inbox.end
        )
        self._total = sum(cursor.inbox.end - cursor.inbox.start for cursor in cursors)
        records = size = 0
        verifying: asyncio.Future[int] | None = None
        count = 0
        try:
            while cursors:
                cursor = cursors.popleft()
                batch = await self._read(cursor)
                if cursor.offset < cursor.inbox.end and batch is not None:
                    cursors.append(cursor)
                if not batch:
                    continue
                if verifying is not None:
                    size += await verifying
                    records += count
                    self._tell(records, size)
                count = len(batch)
                verifying = loop.run_in_executor(executor, self._verify, reducer, cursor, batch)
            if verifying is not None:
                size += await verifying
                self._tell(records + count, size)
        except BaseException:
            if verifying is not None:
                verifying.cancel()
            raise

    async def _read(self, cursor: _Cursor) -> list[Record] | None:
        """Return the next records of a partition, or None if nothing more can be read of it."""
        inbox = cursor.inbox
        try:
            batch = await self._transport.read(
                inbox.topic,
                inbox.partition,
                cursor.offset,
                max_records=min(BATCH_RECORDS, inbox.end - cursor.offset),
                max_bytes=BATCH_BYTES,
                wait=self._read_seconds,
            )
        except TransportError as error:
            if error.retriable and cursor.attempts + 1 < READ_ATTEMPTS:
                cursor.attempts += 1
                return []
            self._give_up(cursor, error.code, error.text)
            return None
        if not batch:
            cursor.attempts += 1
            if cursor.attempts >= READ_ATTEMPTS:
                text = f"nothing was read from offset {cursor.offset} on, though the end is {inbox.end}"
                self._give_up(cursor, "records_missing", text)
                return None
            return []
        cursor.attempts = 0
        last = batch[-1].offset
        if last > MAX_OFFSET:
            text = f"a record has offset {last}, which no log reaches; what lies behind {MAX_OFFSET} is not read"
            self._give_up(cursor, "offset_impossible", text)
            last = inbox.end
        kept = [record for record in batch if record.offset < min(inbox.end, MAX_OFFSET + 1)]
        self._note_gaps(cursor, kept)
        cursor.offset = last + 1
        return kept

    def _note_beginning(self, inbox: Inbox, oldest: Record | None) -> None:
        """Find where records before the first one that is left are gone, unless that one is as old as retention allows.

        Where nothing was stored for long, retention may have taken them all the same: nothing that is left tells.
        """
        if not self._from_the_first or not inbox.start:
            return
        age_ms = 0 if oldest is None else self._clock.now_ms() - oldest.timestamp_ms
        if age_ms >= INBOX_RETENTION_MS - DAY_MS:
            return
        left = "nothing is left" if oldest is None else f"the oldest that is left is {age_ms / DAY_MS:.1f} days old"
        text = (
            f"what lay before offset {inbox.start} of {inbox.topic}/{inbox.partition} is gone, and {left};"
            f" retention takes what is older than {INBOX_RETENTION_MS // DAY_MS} days"
        )
        self._findings.add(BEGINNING_GONE, None, text, (witness(Place(inbox.topic, inbox.partition, inbox.start)),))

    def _note_gaps(self, cursor: _Cursor, batch: Sequence[Record]) -> None:
        expected = cursor.offset
        if batch and expected == cursor.inbox.start:
            self._note_beginning(cursor.inbox, batch[0])
        for record in batch:
            if record.offset != expected:
                place = Place(record.topic, record.partition, expected)
                text = f"offsets {expected} to {record.offset - 1} of {record.topic} hold no record"
                self._findings.add(OFFSET_GAP, None, text, (witness(place),))
            expected = record.offset + 1

    def _give_up(self, cursor: _Cursor, code: str, text: str) -> None:
        inbox = cursor.inbox
        self._unreadable.append(
            Unreadable(
                agency=inbox.agency,
                topic=inbox.topic,
                partition=inbox.partition,
                offset=cursor.offset,
                code=code,
                text=text,
            )
        )

    def _verify(self, reducer: Reducer, cursor: _Cursor, batch: Sequence[Record]) -> int:
        """Verify one batch in the worker thread, which alone uses reducer and verifier; return its bytes."""
        verifier, snapshot, recipient, rank = self._verifier, reducer.snapshot, cursor.inbox.agency, cursor.rank
        total = 0
        for record in batch:
            value = record.value
            size = 0 if value is None else len(value)
            total += size
            reading = read_record(verifier, value, key=record.key, recipient=recipient, snapshot=snapshot)
            self._rests_on.update(reading.rests_on)
            reducer.add(reading, rank=rank, offset=record.offset, timestamp_ms=record.timestamp_ms, size=size)
        reducer.settle()
        return total

    def _tell(self, records: int, size: int) -> None:
        if self._progress is not None:
            seconds = self._clock.monotonic() - self._began
            self._progress(Progress(records=records, bytes=size, total=self._total, seconds=seconds))
