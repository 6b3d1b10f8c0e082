"""Reading as a member of a Kafka group: explicit commits, rebalances, and a consumer that is replaced when it fails."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from docbus.errors import BrokerUnavailableError, TransportError
from docbus.transport.kafka_client import FAILURES, REQUEST_MS
from docbus.transport.kafka_consumer import member, records_of, split
from docbus.transport.kafka_probe import Probe
from docbus.transport.partitioner import express_partition
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from docbus.transport.kafka_admin import KafkaAdmin
    from docbus.transport.kafka_client import Connector
    from docbus.transport.port import Record, Start

JOIN_SECONDS: Final = 60.0
"""Seconds that joining may take, twice the session of a member that died; after that the consumer is built anew."""
FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 10.0
"""Seconds before a consumer is built again; doubled from the first to this at each failure in a row."""
COMMIT_SECONDS: Final = REQUEST_MS / 1000 + 2
"""Seconds for a commit: longer than its request, because aiokafka shields that from being cancelled, and asyncio would
then complain at the terminal about an error that nobody looked at."""
GRACE_SECONDS: Final = 0.05
"""Seconds that ``getmany`` may return late; only a rebalance takes longer, and then the call goes on into the next."""

_log = logging.getLogger(__name__)


class _Channel:
    """What one kind of call reads: everything, the express partition, or the others."""

    __slots__ = ("ahead", "express", "places", "polling")

    def __init__(self, *, express: bool | None) -> None:
        self.express = express
        self.ahead: list[Record] = []
        self.places: list[TopicPartition] = []
        self.polling: asyncio.Task[tuple[int, list[Record]]] | None = None


class KafkaSubscription:
    """See :class:`docbus.transport.port.Subscription`."""

    def __init__(self, connector: Connector, admin: KafkaAdmin, *, topic: str, group: str, start: Start) -> None:
        """Join nothing yet."""
        self._connector = connector
        self._admin = admin
        self._topic = topic
        self._group = group
        self._start = start
        self._what = f"reading {topic} as group {group}"
        self._entered = False
        self._consumer: Any = None
        self._probe: Probe | None = None
        self._building: asyncio.Task[None] | None = None
        self._express: int | None = None
        self._channels = {express: _Channel(express=express) for express in (None, True, False)}
        self._changed = asyncio.Event()
        self._assigned: frozenset[int] = frozenset()
        self._generation = 0
        self._joining_since: float | None = None
        self._committed: set[int] = set()
        self._backoff = FIRST_BACKOFF_SECONDS

    @property
    def assigned(self) -> frozenset[int]:
        """See the port."""
        return self._assigned

    @property
    def generation(self) -> int:
        """See the port."""
        return self._generation

    @property
    def settled(self) -> bool:
        """See the port."""
        return self._consumer is not None and self._joining_since is None

    async def __aenter__(self) -> Self:
        """See the port."""
        if self._entered:
            raise TransportError(f"this subscription to {self._topic} is entered already")
        partitions = await self._admin.partitions([self._topic])
        self._express = express_partition(self._topic, partitions[self._topic])
        await self._build(0.0)
        self._entered = True
        return self

    async def __aexit__(self, *exception: object) -> None:
        """See the port."""
        self._entered = False
        building, self._building = self._building, None
        if building is not None:
            building.cancel()
            await asyncio.wait([building])
            if not building.cancelled():
                building.exception()
        self._drop()
        await self._connector.aclose()

    async def fetch(
        self, *, max_records: int, max_bytes: int, wait: float, express: bool | None = None
    ) -> list[Record]:
        """See the port."""
        self._check_entered()
        deadline = asyncio.get_running_loop().time() + wait
        channel = self._channels[express]
        if not channel.ahead:
            consumer = self._consumer
            try:
                await self._fill(channel, max_records, deadline)
            except FAILURES as error:
                if self._consumer is consumer:
                    # Otherwise it is replaced already: the other call has met the same failure.
                    self._heal(repr(error))
                failure = self._connector.error(error, self._what)
                if isinstance(failure, BrokerUnavailableError):
                    return []
                raise failure from error
        records, channel.ahead = split(channel.ahead, max_records, max_bytes)
        self._watch(heard=bool(records))
        return records

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """See the port."""
        self._check_entered()
        held = {TopicPartition(self._topic, n): offset for n, offset in offsets.items() if n in self._assigned}
        consumer = self._consumer
        if consumer is None or not held:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await consumer.commit(held)
        except (CommitFailedError, IllegalStateError) as error:
            _log.info("%s: not committed, the partitions are being given out anew: %r", self._what, error)
            return
        except FAILURES as error:
            raise self._connector.error(error, f"committing the position of group {self._group}") from error
        self._committed.update(place.partition for place in held)

    async def lag(self) -> dict[int, int]:
        """See the port."""
        self._check_entered()
        consumer, places = self._consumer, self._places()
        if consumer is None or not places:
            return {}
        firsts = await self._connector.answer(consumer.beginning_offsets(places), self._what)
        ends = await self._connector.answer(consumer.end_offsets(places), self._what)
        positions = await self._admin.committed(self._group, self._topic)
        return {
            place.partition: max(0, ends[place] - max(positions.get(place.partition) or 0, firsts[place]))
            for place in places
        }

    # --- what the listener tells -------------------------------------------------------------------

    def uses(self, consumer: object) -> bool:
        """Return whether it is this consumer that is read from, and not one that was replaced."""
        return self._consumer is consumer

    def given(self, partitions: Iterable[int]) -> None:
        """Note the partitions of a new assignment, and seek in those that do not begin at the group's position."""
        self._assigned = frozenset(partitions)
        self._generation += 1
        self._joining_since = None
        self._changed.set()
        if callable(self._start):
            for number in self._assigned:
                self._consumer.seek(TopicPartition(self._topic, number), self._start(number))
            return
        for number in self._assigned - self._committed:
            if self._start == "earliest":
                # Or the first that retention has left, by auto_offset_reset.
                self._consumer.seek(TopicPartition(self._topic, number), 0)
            elif self._start != "committed" and number in self._start:
                self._consumer.seek(TopicPartition(self._topic, number), self._start[number])

    def taken(self) -> None:
        """Note that all partitions are being given out anew."""
        if self._assigned:
            self._generation += 1
        self._assigned = frozenset()
        for channel in self._channels.values():
            channel.ahead = []
        self._joining_since = asyncio.get_running_loop().time()

    # --- building, reading, healing ----------------------------------------------------------------

    async def _build(self, delay: float) -> None:
        await asyncio.sleep(delay)
        consumer = member(self._connector, self._group)
        await self._connector.start(consumer)
        self._consumer = consumer
        self._probe = Probe(self._connector, self._what, self._ends)
        self._joining_since = asyncio.get_running_loop().time()
        # Joining goes on in the background; fetch waits for it as long as its caller allows.
        consumer.subscribe([self._topic], listener=_Listener(self, consumer))

    async def _fill(self, channel: _Channel, max_records: int, deadline: float) -> None:
        """Put what comes next into the channel, or nothing if the time is up."""
        if not await self._built(deadline):
            return
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        if channel.polling is None:
            channel.places = self._places(channel)
            if not channel.places and channel.express is not None:
                # Nothing of this kind is this member's; asking without places would ask for all.
                await self._until_changed(remaining)
                return
            wait_ms = int(remaining * 1000)
            channel.polling = asyncio.create_task(self._poll(self._consumer, channel.places, wait_ms, max_records))
        polling = channel.polling
        # Never cancelled by a caller: records that it already holds would be lost.
        await asyncio.wait([polling], timeout=remaining + GRACE_SECONDS)
        if channel.polling is polling and polling.done():
            channel.polling = None
            generation, records = polling.result()
            if generation == self._generation:
                channel.ahead = records

    async def _poll(
        self, consumer: Any, places: Sequence[TopicPartition], wait_ms: int, max_records: int
    ) -> tuple[int, list[Record]]:
        generation = self._generation
        try:
            answer = await consumer.getmany(*places, timeout_ms=wait_ms, max_records=max_records)
        except IllegalStateError:
            # The partitions were taken away between the look at them and the call.
            return generation, []
        return self._generation, records_of(answer)

    async def _until_changed(self, seconds: float) -> None:
        self._changed.clear()
        await wait_for(self._changed, seconds)

    async def _built(self, deadline: float) -> bool:
        building = self._building
        if building is None:
            return True
        remaining = deadline - asyncio.get_running_loop().time()
        await asyncio.wait([building], timeout=max(0.0, remaining))
        if not building.done():
            return False
        if self._building is not building:
            # The other call has looked at it already.
            return self._consumer is not None
        self._building = None
        try:
            building.result()
        except BrokerUnavailableError:
            self._rebuild()
            raise
        return True

    def _watch(self, *, heard: bool) -> None:
        probe = self._probe
        if probe is None:
            return
        if heard:
            self._backoff = FIRST_BACKOFF_SECONDS
            probe.heard()
            return
        since = self._joining_since
        try:
            probe.check()
        finally:
            if probe.stuck or (since is not None and asyncio.get_running_loop().time() - since > JOIN_SECONDS):
                self._heal("it stands still")

    def _heal(self, reason: object) -> None:
        _log.warning("%s: the consumer is built anew: %s", self._what, reason)
        self._drop()
        self._rebuild()

    def _rebuild(self) -> None:
        self._building = asyncio.create_task(self._build(self._backoff))
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_SECONDS)

    def _drop(self) -> None:
        """Let go of the consumer and of everything that came from it."""
        if self._probe is not None:
            self._probe.close()
        for channel in self._channels.values():
            polling, channel.polling = channel.polling, None
            if polling is not None and not polling.cancel() and not polling.cancelled():
                polling.exception()
        consumer, self._consumer, self._probe = self._consumer, None, None
        if consumer is not None:
            self._connector.dispose(consumer)
        self.taken()

    async def _ends(self) -> tuple[Mapping[int, int], dict[int, int]]:
        consumer, places = self._consumer, self._places()
        if not places:
            # Asked all the same, of the group's coordinator: it is how a broker that is away is noticed.
            await self._admin.committed(self._group, self._topic)
            return {}, {}
        ends = await consumer.end_offsets(places)
        # What nobody asks for stands still without being stuck: a DMS is slow.
        asked = {place for channel in self._channels.values() if channel.polling for place in channel.places}
        positions = {place.partition: await consumer.position(place) for place in places if place in asked}
        return {place.partition: end for place, end in ends.items()}, positions

    def _places(self, channel: _Channel | None = None) -> list[TopicPartition]:
        """Return what this member has, or of that what a channel reads."""
        express = None if channel is None else channel.express
        numbers = [n for n in sorted(self._assigned) if express is None or express == (n == self._express)]
        return [TopicPartition(self._topic, number) for number in numbers]

    def _check_entered(self) -> None:
        if not self._entered:
            raise TransportError(f"the subscription to {self._topic} is not entered", hint="Use it in `async with`.")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Passes on what aiokafka tells, unless its consumer has been replaced since."""

    def __init__(self, subscription: KafkaSubscription, consumer: object) -> None:
        self._subscription = subscription
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:  # noqa: ARG002 - aiokafka's signature
        """See aiokafka; called when a rebalance begins."""
        if self._subscription.uses(self._consumer):
            self._subscription.taken()

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """See aiokafka; called when a rebalance has ended."""
        if self._subscription.uses(self._consumer):
            self._subscription.given(place.partition for place in assigned)
