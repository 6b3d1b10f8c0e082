"""The loop that receives: verify, open, deliver, receipt, commit (steps C1 to C5).

While one fetch is delivered and stored, the next is fetched and verified, and no more than that one: a slow DMS makes
the inbox wait, in bounded memory. A sink that is unavailable, a full disk and a silent broker hold the batch, with
growing pauses, for ever.

===========  ======================================================================================================
dies before  what happens at the next start
===========  ======================================================================================================
quarantine   the record is read and refused again
sink         the record is read and delivered
ledger       it is delivered again, and the sink answers "already there"; what was set aside lies there twice
commit       the ledger knows better than the committed offset; what comes again is a duplicate
===========  ======================================================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.consumers import parking
from docbus.consumers.fetching import Fetcher
from docbus.consumers.filing import CLOSE_SECONDS, Filing
from docbus.consumers.holding import Patience, StopReceiving
from docbus.consumers.inspection import Inspector
from docbus.consumers.items import Item
from docbus.consumers.starting import find_beginning
from docbus.errors import DocbusError, SinkUnavailableError, TransportError
from docbus.limits import KIB, MIB
from docbus.producers.pauses import jitter
from docbus.storage.content import CONTENT_NAME, ContentFolder
from docbus.storage.locks import hold
from docbus.transport import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docbus.clock import Clock
    from docbus.consumers.inspection import Inspected
    from docbus.consumers.sinks.port import Sink
    from docbus.identity.encryption import Decrypter
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Subscription, Transport
    from docbus.verification.verifier import Verifier

log = structlog.get_logger(__name__)

LOCK_NAME = "inbox.lock"
"""The lock file, beside the database: a ledger has one writer at a time."""
MAX_FETCH_RECORDS = 1024
"""Records of one fetch: one transaction and one receipt per stream for so many."""
MAX_FETCH_BYTES = 16 * MIB
"""Bytes of one fetch; two are in memory, and decrypted once."""
FETCH_SECONDS = 1.0
"""Seconds a fetch waits for a first record; also how late a parked record may be taken up."""
CHUNK_RECORDS = 256
"""Records verified per hop to the thread: 15 ms of work, after which the event loop gets its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLimits:
    """How much large content is taken.

    Args:
        document_bytes: Of one document; more is refused.
        spool_bytes: Of all documents that are not filed yet; more waits. At least ``document_bytes``.
    """

    document_bytes: int = 4 * KIB * MIB
    """4 GiB."""
    spool_bytes: int = 16 * KIB * MIB
    """16 GiB."""


class Fetched(NamedTuple):
    """Records of one fetch with what was found of each."""

    records: list[Record]
    inspected: list[Inspected]
    generation: int


class Subscriber:
    """Receives for one agency. Belongs to one event loop; runs once.

    Args:
        agency: Canonical id of the agency.
        database: Ledger and outbox; the lock file lies beside it.
        transport: Started by the caller.
        snapshot: Gives the newest trust snapshot.
        decrypters: The agency's encryption keys, the newest first.
        sink: Where documents are filed; started and closed here.
        clock: Times and pauses.
        wake_drain: Called when receipts wait in the outbox.
        verifier: Caches of verified batches; one of its own if left out.
        start: Offsets by partition to begin from instead of where the ledger ends (``--from``).
        group: The consumer group; the inbox's name if left out.
        content: Where large content is put together; ``content`` beside the database if left out.
        limits: How much of it is taken.
        factor: Jitter of pauses.
    """

    def __init__(
        self,
        *,
        agency: str,
        database: Database,
        transport: Transport,
        snapshot: Callable[[], TrustSnapshot],
        decrypters: Sequence[Decrypter],
        sink: Sink,
        clock: Clock,
        wake_drain: Callable[[], None] = lambda: None,
        verifier: Verifier | None = None,
        start: Mapping[int, int] | None = None,
        group: str | None = None,
        content: ContentFolder | None = None,
        limits: ContentLimits = ContentLimits(),
        factor: Callable[[], float] = jitter,
    ) -> None:
        self._agency = agency
        self._topic = topics.inbox(agency)
        self._group = group or self._topic
        self._database = database
        self._transport = transport
        self._snapshot = snapshot
        self._sink = sink
        self._clock = clock
        self._chosen = start
        self._inspector = Inspector(agency, decrypters, verifier)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="docbus-verify")
        self._patience = Patience(asyncio.Event(), clock, factor)
        content = content or ContentFolder(database.path.parent / CONTENT_NAME)
        self._arrived = asyncio.Event()
        self._fetcher = Fetcher(
            database=database,
            transport=transport,
            content=content,
            environment=lambda: snapshot().environment,
            clock=clock,
            arrived=self._arrived.set,
            spool_bytes=limits.spool_bytes,
            factor=factor,
        )
        self._filing = Filing(
            agency=agency,
            environment=lambda: snapshot().environment,
            database=database,
            transport=transport,
            sink=sink,
            clock=clock,
            wake_drain=wake_drain,
            patience=self._patience,
            content=content,
            max_content_bytes=limits.document_bytes,
            wake_fetcher=self._fetcher.wake,
            abandon=self._fetcher.abandon,
        )
        self._tried_under = -1
        self._committed: dict[int, int] = {}

    async def run(self, stop: asyncio.Event, *, idle_seconds: float | None = None) -> None:
        """Receive until ``stop`` is set: what is fetched and decided is stored and committed, the rest comes again.

        Args:
            stop: Ends it within a few seconds.
            idle_seconds: If given, return also when nothing has come for so long; what waits in the ledger stays there.

        Raises:
            LockedError: Another process receives with this folder.
            GroupBusyError: Another process receives for this agency on the embedded transport.
            TopicMissingError: The agency's topics are not there.
            StorageError: The ledger cannot be read or written; a full disk is waited for.
            ConfigurationError: The sink cannot work as it is set up.
        """
        patience = self._patience
        patience.stop = stop
        with hold(self._database.path.parent / LOCK_NAME, "receiving", self._clock):
            try:
                await patience.persist("sink", self._sink.start, SinkUnavailableError)
                beginning = await patience.persist(
                    "inbox",
                    lambda: find_beginning(self._database, self._transport, self._topic, self._group, self._chosen),
                    TransportError,
                )
                await self._filing.load(beginning.partitions)
                start = beginning.offsets
                async with self._transport.subscribe(self._topic, self._group, start=start) as subscription:
                    await self._serve(subscription, idle_seconds)
            except StopReceiving:
                log.info("receiving_stopped_early", agency=self._agency)
            finally:
                self._thread.shutdown(wait=False, cancel_futures=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._sink.aclose(), CLOSE_SECONDS)

    async def _serve(self, subscription: Subscription, idle_seconds: float | None) -> None:
        """Receive, and fetch large content beside it."""
        ended = asyncio.Event()
        fetching = asyncio.create_task(self._fetcher.run(ended))
        # What ends it other than the event is an error, and wakes the loop.
        fetching.add_done_callback(lambda _: self._arrived.set())
        try:
            await self._loop(subscription, idle_seconds, fetching)
        finally:
            ended.set()
            await asyncio.wait({fetching})
        fetching.result()

    async def _loop(self, subscription: Subscription, idle_seconds: float | None, fetching: asyncio.Task[None]) -> None:
        wait = FETCH_SECONDS if idle_seconds is None else min(FETCH_SECONDS, idle_seconds)
        ahead = asyncio.ensure_future(self._fetch(subscription, wait))
        quiet_since = self._clock.monotonic()
        try:
            while True:
                resumed = await self._resume(subscription)
                if resumed and not ahead.done() and not self._patience.stop.is_set():
                    # Behind a large document there may be thousands; only a part of them is taken up at a time.
                    quiet_since = self._clock.monotonic()
                    continue
                if not await self._patience.until_stop(ahead, self._arrived):
                    if self._patience.stop.is_set() or fetching.done():
                        break
                    continue
                fetched = ahead.result()
                if self._patience.stop.is_set():
                    break
                ahead = asyncio.ensure_future(self._fetch(subscription, wait))
                if fetched.records:
                    await self._take(fetched, subscription)
                if fetched.records or resumed or self._fetcher.busy or self._arrived.is_set():
                    quiet_since = self._clock.monotonic()
                elif idle_seconds is not None and self._clock.monotonic() - quiet_since >= idle_seconds:
                    break
        finally:
            ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError, DocbusError, StopReceiving):
                await ahead

    async def _take(self, fetched: Fetched, subscription: Subscription) -> None:
        """Deliver, store and commit one fetch, unless its partitions have moved meanwhile."""
        generation = fetched.generation
        if generation != subscription.generation:
            return
        items = [Item(*pair) for pair in zip(fetched.records, fetched.inspected, strict=True)]
        await self._filing.process(items, fetched.inspected, moved=lambda: subscription.generation != generation)
        offsets = {
            number: state.next_offset
            for number, state in self._filing.partitions.items()
            if state.anchor_offset is not None and self._committed.get(number) != state.next_offset
        }
        try:
            await subscription.commit(offsets)
            self._committed.update(offsets)
        except TransportError as error:
            # The ledger has it, and the next commit covers this one.
            log.warning("commit_failed", topic=self._topic, error=error.text)

    async def _fetch(self, subscription: Subscription, wait: float) -> Fetched:
        records = await self._patience.persist(
            "inbox",
            lambda: subscription.fetch(max_records=MAX_FETCH_RECORDS, max_bytes=MAX_FETCH_BYTES, wait=wait),
            TransportError,
        )
        generation = subscription.generation
        return Fetched(records, await self._inspect(records), generation)

    async def _inspect(self, records: Sequence[Record]) -> list[Inspected]:
        """C1 and C2, in the one thread that the caches belong to."""
        loop = asyncio.get_running_loop()
        snapshot, now_ms = self._snapshot(), self._clock.now_ms()
        found: list[Inspected] = []
        for start in range(0, len(records), CHUNK_RECORDS):
            chunk = records[start : start + CHUNK_RECORDS]
            found += await loop.run_in_executor(self._thread, self._inspector.inspect, chunk, snapshot, now_ms)
        return found

    async def _resume(self, subscription: Subscription) -> bool:
        """Take up parked records whose time has come; tell whether there were any."""
        if self._arrived.is_set():
            self._arrived.clear()
            await self._filing.look()
        waiting = self._filing.waiting
        if not waiting:
            return False
        position, now_ms = self._snapshot().position, self._clock.now_ms()
        changed, self._tried_under = position != self._tried_under, position
        due = {
            key: stream
            for key, stream in waiting.items()
            if stream.due_at <= now_ms or (changed and stream.cause == parking.INDETERMINATE)
        }
        if not due:
            return False
        parked = await self._database.read(lambda connection: parking.read_parked(connection, due, self._topic))
        inspected = await self._inspect([one.record for one in parked])
        items = [Item(one.record, found, one) for one, found in zip(parked, inspected, strict=True)]
        generation = subscription.generation
        await self._filing.process(
            items, inspected, moved=lambda: subscription.generation != generation, resumed=due.keys()
        )
        return True
