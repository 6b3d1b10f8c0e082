"""One batch from sorted to stored: the sink, quarantine, ledger and receipts (steps C2 to C4)."""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.clock import format_time
from docbus.consumers import held, parking
from docbus.consumers.aside import append_aside, aside_record, topic_of
from docbus.consumers.duplicates import Duplicates, read_seen
from docbus.consumers.inspection import key_of
from docbus.consumers.items import bound_parking, close_ranks, decide, needs_of, ready_of
from docbus.consumers.ledger import Ledger
from docbus.consumers.pace import Pace
from docbus.consumers.settling import PartitionState, Settlement
from docbus.consumers.sorting import Sorter
from docbus.consumers.targets import concerned_by, with_targets
from docbus.consumers.values import SINK_STATE, write_value
from docbus.errors import DiskFullError, SinkUnavailableError, TransportError
from docbus.producers.pauses import Pause

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from docbus.clock import Clock
    from docbus.consumers.attempts import Attempts
    from docbus.consumers.holding import Patience
    from docbus.consumers.inspection import Inspected, StreamKey
    from docbus.consumers.items import Item
    from docbus.consumers.ledger import Context
    from docbus.consumers.parking import Waiting
    from docbus.consumers.sinks.port import Delivery, Outcome, Sink
    from docbus.storage.content import ContentFolder
    from docbus.storage.database import Database
    from docbus.transport.port import NewRecord, Record, Transport

log = structlog.get_logger(__name__)

STOP_SECONDS = 5.0
"""Seconds for which a stop waits for the sink, before it is told to close."""
CLOSE_SECONDS = 10.0
"""Seconds for which closing the sink may take."""


class _Batch(NamedTuple):
    """The items of a batch in their order, what the ledger knew before it, and who sorted them.

    ``hand`` is the name under which its records are noted while they are worked on.
    """

    items: Sequence[Item]
    context: Context
    sorter: Sorter
    hand: str


class Filing:
    """Brings batches to their end. One event loop, one batch at a time.

    Args:
        agency: Canonical id of the agency.
        environment: Gives the exchange's name.
        database: Ledger and outbox.
        transport: For quarantine and dead letters.
        sink: Started by the caller.
        offered: Told of each batch before the sink is.
        clock: Times.
        wake_drain: Called when receipts wait in the outbox.
        patience: Pauses.
        content: Where large content is put together.
        max_content_bytes: The most of it that one document may have.
        wake_fetcher: Called when content is wanted, or not any more.
        abandon: Called before files of content that nobody wants any more are removed, with their numbers.
        attempts: Notes what is in hand.
        shared: Whether other folders of this agency take part, so that answers are taken in elsewhere.
    """

    def __init__(
        self,
        *,
        agency: str,
        environment: Callable[[], str],
        database: Database,
        transport: Transport,
        sink: Sink,
        offered: Callable[[Sequence[Delivery]], None] = lambda _: None,
        clock: Clock,
        wake_drain: Callable[[], None],
        patience: Patience,
        content: ContentFolder,
        max_content_bytes: int,
        wake_fetcher: Callable[[], None],
        abandon: Callable[[Collection[int]], Awaitable[None]],
        attempts: Attempts,
        shared: bool = False,
    ) -> None:
        self._agency = agency
        self._environment = environment
        self._database = database
        self._transport = transport
        self._sink = sink
        self._offered = offered
        self._clock = clock
        self._wake_drain = wake_drain
        self._patience = patience
        self._content = content
        self._ledger = Ledger(database, content)
        self._max_content_bytes = max_content_bytes
        self._wake_fetcher = wake_fetcher
        self._abandon = abandon
        self._attempts = attempts
        self._shared = shared
        self._pace = Pace()
        self._open: frozenset[StreamKey] = frozenset()
        self._down_since: int | None = None
        self._seen_up = False
        self._held: frozenset[int] | None = None
        self._duplicates = Duplicates()
        self.partitions: dict[int, PartitionState] = {}
        self.next_offsets: dict[int, int] = {}
        """Where to go on, of the partitions in which something was decided by this process."""
        self.waiting: dict[StreamKey, Waiting] = {}

    async def load(self, partitions: dict[int, PartitionState]) -> None:
        """Begin with what the ledger says."""
        self.partitions = partitions
        self._duplicates.load(await self._database.read(read_seen))
        await self.look()

    async def look(self) -> None:
        """Read again which streams wait: large content has come meanwhile."""
        self.waiting = await self._database.read(parking.read_waiting)

    async def hold(self, partitions: Collection[int]) -> None:
        """Take note of the partitions that are read here; large content that waits in others is let go."""
        if partitions == self._held:
            return
        dropped = await self._patience.persist(
            "ledger", lambda: self._database.write(lambda c: held.write_held(c, partitions)), DiskFullError
        )
        self._held = frozenset(partitions)
        await self._drop_content(dropped)

    def clashes(self, inspected: Sequence[Inspected]) -> bool:
        """Tell whether records belong to streams of the batch that is being filed, so that they have to wait for it."""
        return any(key_of(found) in self._open for found in inspected)

    async def process(
        self,
        items: list[Item],
        inspected: Sequence[Inspected],
        *,
        moved: Callable[[], bool],
        resumed: Collection[StreamKey] = (),
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Bring a batch to its end; what is left undecided by a stop or a rebalance comes again.

        Args:
            items: Of one fetch, or parked ones.
            inspected: What C1 and C2 said of each.
            moved: Tells that the partitions have moved, so that the rest is read again by whoever has them.
            resumed: Streams that wait and have their turn now.
            between: Called whenever a part of the batch is stored and another follows; it may bring another batch to
                its end, unless that :meth:`clashes`.

        Raises:
            StopReceiving: The stop came while the sink was unavailable.
        """
        hand = "resumed" if resumed else "others" if between is not None else "express"
        batch = await self._sort(items, inspected, resumed, hand)
        outer, self._open = self._open, self._open.union(key for found in inspected if (key := key_of(found)))
        try:
            while not self._patience.stop.is_set():
                to_file = [item for item in items if item.delivery is not None and not item.resolved]
                chunk = to_file[: self._pace.portion(self._sink.max_batch)]
                try:
                    outcomes = await self._offer(chunk, batch, moved)
                except _MovedError:
                    break
                for item, outcome in zip(chunk, outcomes, strict=True):
                    decide(item, outcome)
                close_ranks(items)
                bound_parking(items, self.waiting)
                if len(chunk) == len(to_file):
                    break
                await self._settle(batch)
                if between is not None:
                    await between()
            await self._settle(batch)
        finally:
            self._open = outer

    async def _sort(
        self, items: list[Item], inspected: Sequence[Inspected], resumed: Collection[StreamKey], hand: str
    ) -> _Batch:
        now_ms = self._clock.now_ms()
        places, documents, bodies = needs_of(inspected)
        context = await self._ledger.load(places, documents, now_ms, bodies)
        sorter = Sorter(
            context=context,
            agency=self._agency,
            waiting=self.waiting.keys() - set(resumed),
            starts=self._starts,
            new_number=self._ledger.new_number,
            now_ms=now_ms,
            max_content_bytes=self._max_content_bytes,
        )
        sorter.sort(items, inspected)
        close_ranks(items)
        bound_parking(items, self.waiting)
        return _Batch(items, context, sorter, hand)

    def _starts(self, partition: int) -> bool:
        known = self.partitions.get(partition)
        return known is None or known.begun_at > 0

    # --- the sink (C3) ----------------------------------------------------------------------------

    async def _offer(self, items: Sequence[Item], batch: _Batch, moved: Callable[[], bool]) -> list[Outcome]:
        """Deliver; while the sink is unavailable, store what is decided of other streams and go on trying."""
        deliveries = [item.delivery for item in items if item.delivery is not None]
        if not deliveries:
            return []
        pause = Pause(self._patience.factor)
        while True:
            began = self._clock.monotonic()
            self._offered(deliveries)
            try:
                with self._attempts.working(batch.hand, [item.record for item in items]):
                    outcomes = await self._call_sink(await self._told(deliveries))
            except SinkUnavailableError as error:
                self._patience.failed(pause)
                if pause.worth_logging:
                    log.warning("sink_unavailable", agency=self._agency, attempts=pause.failures, error=error.text)
                await self._write_sink_state(error, pause.failures)
                if pause.failures == 1:
                    await self._settle(batch)
                await self._patience.sleep(pause)
                if moved():
                    raise _MovedError from None
            else:
                self._pace.took(len(deliveries), self._clock.monotonic() - began)
                if self._down_since is not None or not self._seen_up:
                    # Also the first time: what is written there may be of a process that is gone.
                    await self._write_sink_state(None, 0)
                if len(outcomes) != len(deliveries):
                    raise RuntimeError(f"the sink gave {len(outcomes)} outcomes for {len(deliveries)} deliveries")
                return outcomes

    async def _told(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return deliveries with what the ledger knows now of the documents that they concern: one look for all."""
        concerned = concerned_by(deliveries)
        return with_targets(deliveries, await self._ledger.documents(concerned)) if concerned else deliveries

    async def _call_sink(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """One call; a stop gives it some time, and then closes the sink, which ends it."""
        call = asyncio.ensure_future(self._sink.deliver(deliveries))
        try:
            if not await self._patience.until_stop({call}):
                await asyncio.wait({call}, timeout=STOP_SECONDS)
            if not call.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self._sink.aclose()
                await asyncio.wait({call}, timeout=STOP_SECONDS)
            if not call.done():
                raise SinkUnavailableError("the sink does not answer", step="C3")
            return call.result()
        finally:
            call.cancel()

    async def _write_sink_state(self, error: SinkUnavailableError | None, attempts: int) -> None:
        """Write into the ledger since when the sink is unavailable and why, for ``docbus status``."""
        now_ms = self._clock.now_ms()
        value: dict[str, object] = {"available": error is None, "at": format_time(now_ms)}
        if error is None:
            if self._down_since is not None:
                log.info("sink_available", agency=self._agency, since=format_time(self._down_since))
            self._down_since = None
            self._seen_up = True
        else:
            self._down_since = self._down_since or now_ms
            value |= {"since": format_time(self._down_since), "attempts": attempts}
            value |= {"code": error.code, "error": error.text, "hint": error.hint}

        def write(connection: sqlite3.Connection) -> None:
            write_value(connection, SINK_STATE, value)

        # Not worth holding anything for: a full disk stops the ledger soon enough.
        with contextlib.suppress(DiskFullError):
            await self._database.write(write)

    # --- ledger and receipts (C4) -----------------------------------------------------------------

    async def _settle(self, batch: _Batch) -> None:
        """Store everything that is decided, each stream's up to its first undecided statement."""
        ready = ready_of(batch.items)
        if not ready:
            return
        await self._set_aside(ready)
        with self._attempts.working(batch.hand, [item.record for item in ready]):
            await self._store(batch, ready)

    async def _store(self, batch: _Batch, ready: Sequence[Item]) -> None:
        settlement = Settlement(
            agency=self._agency,
            environment=self._environment(),
            now_ms=self._clock.now_ms(),
            takes_answers=not self._shared,
        )
        self._duplicates.recognise(ready)
        settlement.add(ready, batch.context.streams, self._patience.factor)
        partitions = self._advance(batch.items, ready)
        seen = self._duplicates.look(ready, partitions)
        settlement.finish(closed=batch.sorter.closed, partitions=partitions.values(), seen=seen)
        made = await self._patience.persist("ledger", lambda: self._database.write(settlement.write), DiskFullError)
        for item in ready:
            item.settled = True
        self.partitions.update(partitions)
        self.next_offsets |= {number: state.next_offset for number, state in partitions.items()}
        self._duplicates.keep(seen)
        self._keep(settlement, batch)
        for code, sender, detail, *_ in [*settlement.findings, *made]:
            log.warning("finding", code=code, sender=sender, detail=detail)
        for one in settlement.settled:
            about = {"topic": one.request.topic, "number": one.request.number, "code": one.code}
            log.info("request_settled", action=one.request.action, state=one.state.text, **about)
        if settlement.touches_parked:
            await self.look()
        await self._drop_content(settlement.dropped)
        if settlement.wants:
            self._wake_fetcher()
        if settlement.adds_statements:
            self._wake_drain()

    async def _drop_content(self, numbers: Sequence[int]) -> None:
        """Remove files of large content that nobody waits for any more."""
        if numbers:
            await self._abandon(numbers)
            await asyncio.to_thread(self._content.drop_incoming, numbers)
            self._wake_fetcher()

    def _keep(self, settlement: Settlement, batch: _Batch) -> None:
        """What is durable becomes what the next part of the batch, and the next batch, build on."""
        batch.context.streams.update(settlement.entries)
        self._ledger.keep([entry.copy() for entry in settlement.entries.values()])
        for key, _ in batch.sorter.closed:
            self._ledger.drop(key)
        batch.sorter.closed = []

    async def _set_aside(self, ready: Sequence[Item]) -> None:
        """Append to quarantine and dead letters, durably, before anything says that the record is decided."""
        now_ms = self._clock.now_ms()
        records: list[NewRecord] = []
        for item in ready:
            aside, record = item.aside, item.record
            if aside is not None and item.request is None:
                records.append(aside_record(record, aside, topic_of(aside.where, self._agency), now_ms))
                about = {"step": aside.step, "partition": record.partition, "offset": record.offset}
                log.warning("set_aside", where=aside.where, reason=aside.code, **about)
        if records:
            await self._patience.persist("quarantine", lambda: append_aside(self._transport, records), TransportError)

    def _advance(self, items: Sequence[Item], ready: Sequence[Item]) -> dict[int, PartitionState]:
        """Return how far each partition is decided once ``ready`` is stored: up to the lowest undecided offset."""
        now_ready = {id(item) for item in ready}
        stopped: set[int] = set()
        last: dict[int, Record] = {}
        for item in items:
            if item.parked is None and item.request is None and item.record.partition not in stopped:
                if item.settled or id(item) in now_ready:
                    last[item.record.partition] = item.record
                else:
                    stopped.add(item.record.partition)
        advanced: dict[int, PartitionState] = {}
        for partition, record in last.items():
            known = self.partitions.get(partition)
            begun_at = record.offset if known is None else known.begun_at
            digest = sha256(record.value or b"").digest()
            advanced[partition] = PartitionState(partition, begun_at, record.offset + 1, record.offset, digest)
        return advanced


class _MovedError(Exception):
    """The partitions moved while the sink was unavailable."""
