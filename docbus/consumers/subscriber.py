"""The loop that receives: verify, open, deliver, receipt, commit (steps C1 to C5).

While one fetch is delivered and stored, the next is fetched and verified, and no more than that one: a slow DMS makes
the inbox wait, in bounded memory. What comes in the express partition, urgent documents and receipts, is fetched beside
it, and has its turn whenever the DMS has taken a portion of the others. A sink that is unavailable, a full disk and a
silent broker hold the batch, with growing pauses, for ever.

Several processes, each with a folder of its own, may receive for one agency (``shared``): Kafka gives each of them a
part of the partitions, and all to those that are left when one is gone. The stream itself is what is handed over (ADR
0014); see ``answers`` for how each outbox gets its receipts.

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
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from docbus.consumers import attempts, parking, requests
from docbus.consumers.attempts import Attempts
from docbus.consumers.content_limits import USUAL_LIMITS, ContentLimits
from docbus.consumers.fetching import Fetcher
from docbus.consumers.filing import CLOSE_SECONDS, Filing
from docbus.consumers.holding import Patience, StopReceiving
from docbus.consumers.inspection import Inspector
from docbus.consumers.intake import Intake
from docbus.consumers.items import Item
from docbus.consumers.lanes import Lanes
from docbus.consumers.redrive import Redrive
from docbus.consumers.starting import find_beginning
from docbus.errors import BrokerUnavailableError, DiskFullError, GroupBusyError, SinkUnavailableError, TransportError
from docbus.producers.pauses import Pause, jitter
from docbus.storage.content import CONTENT_NAME, ContentFolder
from docbus.storage.locks import hold
from docbus.transport import topics
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from docbus.clock import Clock
    from docbus.consumers.intake import Fetched
    from docbus.consumers.sinks.port import Delivery, Sink
    from docbus.identity.encryption import Decrypter
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Subscription, Transport

log = structlog.get_logger(__name__)

LOCK_NAME = "inbox.lock"
"""The lock file, beside the database: a ledger has one writer at a time."""
FETCH_SECONDS = 1.0
"""Seconds a fetch waits for a first record; also how late a parked record may be taken up."""


_KINDS = 2
"""Of fetches: express records, and others."""


class Subscriber:
    """Receives for one agency. Belongs to one event loop; runs once.

    Args:
        agency: Canonical id of the agency.
        database: Ledger and outbox; the lock file lies beside it.
        transport: Started by the caller.
        snapshot: Gives the newest trust snapshot.
        decrypters: The agency's encryption keys, the newest first.
        sink: Where documents are filed; started and closed here.
        offered: Told of each batch before the sink is.
        clock: Times and pauses.
        wake_drain: Called when receipts wait in the outbox.
        verifier: Caches of verified batches, and what authorities say; one that knows nothing if left out.
        start: Offsets by partition to begin from instead of where the ledger ends (``--from``).
        group: The consumer group; the inbox's name if left out.
        content: Where large content is put together; ``content`` beside the database if left out.
        limits: How much of it is taken.
        shared: Whether other folders of this agency take part.
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
        offered: Callable[[Sequence[Delivery]], None] = lambda _: None,
        clock: Clock,
        wake_drain: Callable[[], None] = lambda: None,
        verifier: Verifier | None = None,
        start: Mapping[int, int] | None = None,
        group: str | None = None,
        content: ContentFolder | None = None,
        limits: ContentLimits = USUAL_LIMITS,
        shared: bool = False,
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
        self._shared = shared
        self._patience = Patience(asyncio.Event(), clock, factor)
        self._attempts = Attempts(database.path.parent)
        self._verifier = verifier or Verifier()
        self._intake = Intake(
            inspector=Inspector(agency, decrypters, self._verifier),
            snapshot=snapshot,
            clock=clock,
            patience=self._patience,
            attempts=self._attempts,
            next_offset=self._start,
        )
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
            offered=offered,
            clock=clock,
            wake_drain=wake_drain,
            patience=self._patience,
            content=content,
            max_content_bytes=limits.document_bytes,
            wake_fetcher=self._fetcher.wake,
            abandon=self._fetcher.abandon,
            attempts=self._attempts,
            shared=shared,
        )
        self._redrive = Redrive(
            agency=agency,
            database=database,
            transport=transport,
            snapshot=snapshot,
            inspect=lambda records: self._intake.inspect(records, "inspected, requested"),
            filing=self._filing,
            patience=self._patience,
            clock=clock,
            acquit=self._acquit,
            verifier=self._verifier.another(),
        )
        self._tried_under: tuple[int, ValidationMaterial] | None = None
        self._generation = -1
        self._committed: dict[int, int] = {}
        self._beginning: Mapping[int, int] = {}

    async def run(self, stop: asyncio.Event, *, idle_seconds: float | None = None) -> None:
        """Receive until ``stop`` is set: what is fetched and decided is stored and committed, the rest comes again.

        Args:
            stop: Ends it within a few seconds.
            idle_seconds: If given, return also when nothing has come for so long; what waits in the ledger stays there.

        Raises:
            LockedError: Another process receives with this folder.
            GroupBusyError: Another process receives for this agency on the embedded transport; if the inbox is shared,
                this one waits for its end.
            TopicMissingError: The agency's topics are not there.
            StorageError: The ledger cannot be read or written; a full disk is waited for.
            ConfigurationError: The sink cannot work as it is set up.
        """
        async with self._holding(stop):
            await self._redrive.begin(self._sink)
            await self._join(idle_seconds)

    async def redrive(self, stop: asyncio.Event) -> None:
        """Do what operators requested of records that were set aside, until nothing is due; the inbox is not read.

        Raises errors as :meth:`run`.
        """
        async with self._holding(stop):
            await self._redrive.run(stop)

    async def _acquit(self, records: Sequence[Record]) -> None:
        """Note that work on records has come to its end."""
        if self._attempts.acquit(records):
            await self._remember_suspects()

    @asynccontextmanager
    async def _holding(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Hold the folder's inbox with the sink started; a stop that comes while something is held ends the block."""
        self._patience.stop = stop
        with hold(self._database.path.parent / LOCK_NAME, "receiving", self._clock):
            try:
                await self._look_back()
                await self._patience.persist("sink", self._sink.start, SinkUnavailableError)
                yield
            except StopReceiving:
                log.info("receiving_stopped_early", agency=self._agency)
            finally:
                self._intake.close()
                self._attempts.close()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self._sink.aclose()

    async def _look_back(self) -> None:
        """Suspect what the process before this one had in hand, if it died."""
        died_on = self._attempts.open()
        suspects = attempts.suspect(await self._database.read(attempts.read_suspects), died_on)
        if died_on:
            log.warning("receiving_had_died", agency=self._agency, suspects=[one._asdict() for one in suspects])
        self._attempts.suspects = suspects
        await self._remember_suspects()
        self._attempts.forgive()

    async def _remember_suspects(self) -> None:
        suspects = self._attempts.suspects
        await self._patience.persist(
            "ledger", lambda: self._database.write(lambda c: attempts.write_suspects(c, suspects)), DiskFullError
        )

    async def _join(self, idle_seconds: float | None) -> None:
        """Receive as a member of the group; on the embedded transport another may have to end first."""
        pause = Pause(self._patience.factor)
        while True:
            beginning = await self._patience.persist(
                "inbox",
                lambda: find_beginning(self._database, self._transport, self._topic, self._group, self._chosen),
                TransportError,
            )
            await self._filing.load(beginning.partitions)
            self._beginning = beginning.offsets
            try:
                async with self._transport.subscribe(self._topic, self._group, start=self._start) as subscription:
                    await self._serve(subscription, idle_seconds)
            except (GroupBusyError, BrokerUnavailableError) as error:
                if isinstance(error, GroupBusyError) and not self._shared:
                    raise
                self._patience.failed(pause)
                if pause.worth_logging:
                    log.info("receiving_stands_by", agency=self._agency, reason=error.text)
                await self._patience.sleep(pause)
            else:
                return

    def _start(self, partition: int) -> int:
        """Return where to read on in a partition: never where the group stands, as brokers say that."""
        return self._filing.next_offsets.get(partition, self._beginning.get(partition, 0))

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
        lanes = Lanes(lambda express: self._intake.fetch(subscription, wait, express=express))
        quiet_since = self._clock.monotonic()
        empty: set[bool] = set()
        try:
            while True:
                await self._follow_group(subscription)
                resumed = await self._resume(subscription) | await self._redrive.step()
                # Where something is suspected, nothing else is in hand while it is worked on.
                near = self._attempts.near(subscription.assigned, self._start)
                lanes.ask(one_by_one=bool(near))
                if resumed and not lanes.ready and not self._patience.stop.is_set():
                    # Behind a large document there may be thousands; only a part of them is taken up at a time.
                    quiet_since = self._clock.monotonic()
                    continue
                if not await self._patience.until_stop(lanes.asked, self._arrived):
                    if self._patience.stop.is_set() or fetching.done():
                        break
                    continue
                if self._patience.stop.is_set():
                    break
                fetched = lanes.take(again=not near)
                if fetched.records:
                    await self._take(fetched, subscription, lanes)
                if fetched.records or resumed or self._fetcher.busy or self._arrived.is_set():
                    quiet_since = self._clock.monotonic()
                    empty.clear()
                else:
                    empty.add(fetched.express)
                if (
                    idle_seconds is not None
                    and len(empty) == _KINDS
                    and self._clock.monotonic() - quiet_since >= idle_seconds
                ):
                    break
        finally:
            await lanes.aclose()

    async def _follow_group(self, subscription: Subscription) -> None:
        """Take note that partitions were given out anew."""
        if subscription.generation == self._generation or not subscription.settled:
            return
        self._generation = subscription.generation
        # Whoever had them meanwhile has committed something else.
        self._committed.clear()
        await self._filing.hold(subscription.assigned)

    async def _take(self, fetched: Fetched, subscription: Subscription, lanes: Lanes) -> None:
        """Deliver, store and commit one fetch, unless its partitions have moved meanwhile."""
        generation = fetched.generation
        if generation != subscription.generation:
            return

        async def between() -> None:
            """Let what came in the express partition go before the rest of this batch."""
            if lanes.express_ready:
                waiting = lanes.look_at_express()
                if not self._filing.clashes(waiting.inspected):
                    lanes.take_express()
                    if waiting.records:
                        await self._take(waiting, subscription, lanes)

        items = [Item(*pair) for pair in zip(fetched.records, fetched.inspected, strict=True)]
        await self._filing.process(
            items,
            fetched.inspected,
            moved=lambda: subscription.generation != generation,
            between=None if fetched.express else between,
        )
        await self._acquit(fetched.records)
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

    async def _resume(self, subscription: Subscription) -> bool:
        """Take up parked records whose time has come; tell whether there were any."""
        if self._arrived.is_set():
            self._arrived.clear()
            await self._filing.look()
        waiting = self._filing.waiting
        if not waiting:
            return False
        now_ms = self._clock.now_ms()
        known = self._snapshot().position, self._verifier.paths.material
        changed, self._tried_under = known != self._tried_under, known
        due = parking.due_of(waiting, subscription.assigned, now_ms, changed=changed)
        if not due:
            return False
        parked, requested = await self._database.read(
            lambda c: (parking.read_parked(c, due, self._topic), requests.read_waiting(c))
        )
        parked = parked[: self._attempts.portion([one.record for one in parked])]
        records = [one.record for one in parked]
        inspected = await self._intake.inspect(records, "inspected, resumed")
        items = [Item(one.record, found, one) for one, found in zip(parked, inspected, strict=True)]
        requests.recognise(items, requested)
        generation = subscription.generation
        await self._filing.process(
            items, inspected, moved=lambda: subscription.generation != generation, resumed=due.keys()
        )
        await self._acquit(records)
        return True
