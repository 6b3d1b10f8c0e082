"""Reading without a group: a few consumers, each standing at a place in one partition, and questions about offsets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from docbus.errors import BrokerUnavailableError, TopicMissingError, TransportError
from docbus.transport.kafka_client import ANSWER_SECONDS, FAILURES, SharedClient
from docbus.transport.kafka_consumer import group_less, records_of, split
from docbus.transport.kafka_probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docbus.transport.kafka_admin import KafkaAdmin
    from docbus.transport.kafka_client import Connector
    from docbus.transport.port import Record

MAX_READERS: Final = 32
"""Reads at the same time, each with a connection of its own; more wait for one of these to return."""
MAX_IDLE_READERS: Final = 4
"""Consumers kept for reading on where the last read ended: the directory, and a replay with some streams beside it. A
read of another place takes over the one that was used least recently."""


class _Reader:
    """A consumer that stands somewhere."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._consumer: Any = None
        self._place: TopicPartition | None = None
        self._next = -1
        self._ahead: list[Record] = []
        self._probe: Probe | None = None

    def stands_at(self, place: TopicPartition) -> bool:
        return self._place is not None and bool(self._place == place)

    async def read(self, place: TopicPartition, offset: int, bounds: tuple[int, int], wait: float) -> list[Record]:
        """Return what lies at the offset or after it; ``bounds`` are of records and bytes."""
        try:
            await self._move(place, offset)
            if not self._ahead:
                answer = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=bounds[0])
                self._ahead = records_of(answer)
        except asyncio.CancelledError:
            # The position inside may have moved on; the next read seeks.
            self._next = -1
            raise
        except OffsetOutOfRangeError:
            return await self._outside(place, offset, bounds, wait)
        except FAILURES as error:
            self.close()
            raise self._connector.error(error, f"reading {place.topic}/{place.partition}") from error
        records, self._ahead = split(self._ahead, *bounds)
        if records:
            self._next = records[-1].offset + 1
        self._watch(heard=bool(records))
        return records

    async def _move(self, place: TopicPartition, offset: int) -> None:
        if self._consumer is None:
            consumer = group_less(self._connector)
            await self._connector.start(consumer)
            self._consumer = consumer
            self._probe = Probe(self._connector, f"reading {place.topic}/{place.partition}", self._ends)
        if self._place != place:
            self._consumer.assign([place])
            self._place, self._next = place, -1
        if self._next != offset:
            self._ahead = []
            self._consumer.seek(place, offset)
            self._next = offset

    async def _outside(self, place: TopicPartition, offset: int, bounds: tuple[int, int], wait: float) -> list[Record]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                first = (await self._consumer.beginning_offsets([place]))[place]
                end = (await self._consumer.end_offsets([place]))[place]
        except FAILURES as error:
            self.close()
            raise self._connector.error(error, f"reading {place.topic}/{place.partition}") from error
        if offset < first:
            return await self.read(place, first, bounds, wait)
        self._next = -1
        raise TransportError(
            f"asked for offset {offset} of {place.topic}/{place.partition}, which ends at {end}",
            hint="The topic was truncated or made anew; ask whoever runs the brokers, and compare with an archive.",
        )

    async def _ends(self) -> tuple[Mapping[int, int], dict[int, int]]:
        place = self._place
        if place is None:
            return {}, {}
        ends = await self._consumer.end_offsets([place])
        return {place.partition: ends[place]}, {place.partition: await self._consumer.position(place)}

    def _watch(self, *, heard: bool) -> None:
        probe = self._probe
        if probe is None:
            return
        if heard:
            probe.heard()
            return
        try:
            probe.check()
        finally:
            if probe.stuck:
                self.close()

    def close(self) -> None:
        """Let go of the consumer; the next read builds another."""
        if self._probe is not None:
            self._probe.close()
        if self._consumer is not None:
            self._connector.dispose(self._consumer)
        self._consumer, self._place, self._next, self._ahead, self._probe = None, None, -1, [], None


class KafkaReaders:
    """The readers of one transport, and one more consumer that only answers questions about offsets."""

    def __init__(self, connector: Connector, admin: KafkaAdmin) -> None:
        """Connect nothing yet."""
        self._connector = connector
        self._admin = admin
        self._asker = SharedClient(connector, lambda: group_less(connector))
        self._idle: list[_Reader] = []
        self._busy: set[_Reader] = set()
        self._free = asyncio.Semaphore(MAX_READERS)

    def close(self) -> None:
        """Stop all, in the background."""
        self._asker.discard()
        for reader in [*self._idle, *self._busy]:
            reader.close()
        self._idle.clear()

    async def read(self, place: TopicPartition, offset: int, bounds: tuple[int, int], wait: float) -> list[Record]:
        """See the port."""
        partitions = (await self._admin.partitions([place.topic]))[place.topic]
        if not 0 <= place.partition < partitions:
            raise TopicMissingError(
                f"topic {place.topic} has {partitions} partitions, and none with number {place.partition}"
            )
        async with self._free:
            reader = self._take(place)
            self._busy.add(reader)
            try:
                return await reader.read(place, offset, bounds, wait)
            except BrokerUnavailableError:
                self._admin.forget()
                raise
            finally:
                self._busy.discard(reader)
                self._idle.append(reader)
                if len(self._idle) > MAX_IDLE_READERS:
                    self._idle.pop(0).close()

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """See the port."""
        places = await self._places(topic)
        firsts = await self._ask(topic, lambda client: client.beginning_offsets(places))
        ends = await self._ask(topic, lambda client: client.end_offsets(places))
        return {place.partition: (firsts[place], ends[place]) for place in places}

    async def offset_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """See the port."""
        places = await self._places(topic)
        times = dict.fromkeys(places, max(0, timestamp_ms))
        found = await self._ask(topic, lambda client: client.offsets_for_times(dict(times)))
        ends = await self._ask(topic, lambda client: client.end_offsets(places))
        return {
            place.partition: found[place].offset if found.get(place) is not None else ends[place] for place in places
        }

    async def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range((await self._admin.partitions([topic]))[topic])]

    async def _ask(self, topic: str, question: Any) -> Any:
        client = await self._asker.get()
        try:
            return await self._connector.answer(question(client), f"asking for offsets of {topic}")
        except TransportError:
            self._asker.discard(client)
            self._admin.forget()
            raise

    def _take(self, place: TopicPartition) -> _Reader:
        for reader in self._idle:
            if reader.stands_at(place):
                self._idle.remove(reader)
                return reader
        return self._idle.pop(0) if len(self._idle) == MAX_IDLE_READERS else _Reader(self._connector)
