"""Appending to Kafka: whole batches, one after another per partition, by a producer that is thrown away on failure.

Found on aiokafka 0.14 and Kafka 4.3.1, and the reason for what is done here:

- A future per record costs more than everything else, so batches are built here and handed over complete.
- The idempotent producer refuses batches after one that failed, *unless the failed one was its first in that
  partition*: then the broker knows no sequence yet and accepts the next. So the next batch of a partition is sent only
  after the one before it is acknowledged. It costs little, as aiokafka has one request in flight per broker anyway.
- After a failure a producer's sequence numbers are ahead of the broker's for good; a new producer begins at zero.
- Batches of an idempotent producer never expire, and ``stop()`` waits for them: both have bounds here.
- One request carries one batch of every partition of a broker, however many those are; the broker closes the
  connection at 100 MiB (``socket.request.max.bytes``). So what is handed over at a time is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from docbus.errors import AccessDeniedError, AppendUnknownError, RecordRefusedError, TopicMissingError, TransportError
from docbus.limits import KIB, MIB
from docbus.transport.kafka_client import FAILURES, SharedClient
from docbus.transport.partitioner import place_of
from docbus.transport.port import UNKNOWN_OFFSET, Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.transport.kafka_admin import KafkaAdmin
    from docbus.transport.kafka_client import Connector
    from docbus.transport.port import NewRecord

MAX_BATCH_BYTES: Final = 1100 * KIB
"""Bytes of a batch: at 10 ms to the broker and one batch in flight per partition, 110 MB/s; less than any topic's
``max.message.bytes``, and room for two parts of large content."""
MAX_ROUND_BYTES: Final = 4 * MIB
"""Bytes handed over before the acknowledgements are awaited. They may be one request, which has to arrive in the time
for a request also on a slow line."""
MAX_ROUNDS_AT_ONCE: Final = 4
"""Rounds of concurrent appends: far from the broker's 100 MiB for one request."""
SENDER_TURNS: Final = 3
"""Turns of the event loop until aiokafka's sender has written a batch to its socket."""
APPEND_SECONDS: Final = 45.0
"""Seconds for one round: a request, and the retries that aiokafka makes when a leader moves; then its outcome is
unknown."""

LOG_APPEND_TIME: Final = 1
"""Kafka's number for a time that the broker has put on a record."""
_REFUSALS: Final = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    PolicyViolationError,
)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Queue:
    """What is left to send to one partition: indexes into the records of the call."""

    topic: str
    partition: int
    indexes: list[int]
    done: int = 0


@dataclass(slots=True)
class _Batch:
    """A batch that is built, and the indexes of its records."""

    queue: _Queue
    builder: Any
    indexes: list[int]


class KafkaAppender:
    """The producer of one transport, built at first use."""

    def __init__(self, connector: Connector, admin: KafkaAdmin) -> None:
        """Connect nothing yet."""
        self._connector = connector
        self._admin = admin
        self._producer = SharedClient(
            connector,
            lambda: AIOKafkaProducer(
                **connector.options,
                acks="all",
                enable_idempotence=True,
                max_batch_size=MAX_BATCH_BYTES,
                linger_ms=0,
            ),
        )
        self._rounds = asyncio.Semaphore(MAX_ROUNDS_AT_ONCE)
        self.stamp: Stamp | None = None
        """The time that a broker put on what was acknowledged last."""

    def close(self) -> None:
        """Stop the producer, in the background."""
        self._producer.discard()

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """See the port."""
        queues = await self._queues(records)
        producer = await self._producer.get()
        offsets = [0] * len(records)
        try:
            await self._know_topics(producer, {queue.topic for queue in queues})
            batches = _build_round(producer, queues, records)
            while batches:
                async with self._rounds:
                    futures = await self._hand_over(producer, batches)
                    # While the brokers work.
                    following = _build_round(producer, queues, records)
                    await self._acknowledged(batches, futures, offsets)
                batches = following
        except BaseException:
            # Also when cancelled: what is under way may fail later, and then its successors would be refused.
            self._discard(producer)
            raise
        return offsets

    async def _queues(self, records: Sequence[NewRecord]) -> list[_Queue]:
        try:
            partitions = await self._admin.partitions({record.topic for record in records})
        except TransportError as error:
            if type(error) in (TransportError, AccessDeniedError):
                # Not absent and not missing: hidden from this agency.
                raise RecordRefusedError(error.text, hint=error.hint) from error
            raise
        # One look-up per record: this loop is most of what the adapter itself costs.
        groups: dict[tuple[str, bytes | None, int | None, bool], list[int]] = {}
        for index, record in enumerate(records):
            groups.setdefault((record.topic, record.key, record.partition, record.express), []).append(index)
        queues: dict[tuple[str, int], _Queue] = {}
        for (topic, key, partition, express), indexes in groups.items():
            number = place_of(topic, key, partitions[topic], express=express) if partition is None else partition
            if not 0 <= number < partitions[topic]:
                raise TopicMissingError(
                    f"topic {topic} has {partitions[topic]} partitions, and none with the number {number}"
                )
            queue = queues.setdefault((topic, number), _Queue(topic, number, []))
            queue.indexes = sorted(queue.indexes + indexes) if queue.indexes else indexes
        return list(queues.values())

    async def _know_topics(self, producer: Any, topics: set[str]) -> None:
        """Have the producer ask for all topics in one request; ``send_batch`` would ask for one after the other."""
        cluster = producer.client.cluster
        unknown = {topic for topic in topics if cluster.partitions_for_topic(topic) is None}
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                while unknown:
                    await producer.client.set_topics(producer.client._topics | unknown)  # noqa: SLF001 - has no getter
                    unknown = {topic for topic in unknown if cluster.partitions_for_topic(topic) is None}
                    if unknown:
                        await asyncio.sleep(0.05)
        except FAILURES as error:
            raise self._connector.error(error, f"asking for the leaders of {min(topics)}") from error

    async def _hand_over(self, producer: Any, batches: list[_Batch]) -> list[asyncio.Future[Any]]:
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                for batch in batches:
                    futures.append(  # noqa: PERF401 - what was handed over is kept when a later one fails
                        await producer.send_batch(batch.builder, batch.queue.topic, partition=batch.queue.partition)
                    )
        except (*FAILURES, AssertionError) as error:
            # AssertionError: the producer's own view of the topic has no such partition (any more).
            _abandon(futures)
            raise self._unknown(batches, repr(error)) from error
        except BaseException:
            _abandon(futures)
            raise
        for _ in range(SENDER_TURNS):
            await asyncio.sleep(0)
        return futures

    async def _acknowledged(
        self, batches: list[_Batch], futures: list[asyncio.Future[Any]], offsets: list[int]
    ) -> None:
        try:
            _, unfinished = await asyncio.wait(futures, timeout=APPEND_SECONDS)
            if unfinished:
                raise self._unknown(batches, f"no answer in {APPEND_SECONDS:.0f} seconds")
            answers = [(batch, future.exception()) for batch, future in zip(batches, futures, strict=True)]
        finally:
            _abandon(futures)
        failures = [(batch, failure) for batch, failure in answers if failure is not None]
        if failures:
            raise self._failure(failures) from failures[0][1]
        for batch, future in zip(batches, futures, strict=True):
            acknowledged = future.result()
            base = acknowledged.offset
            if acknowledged.timestamp_type == LOG_APPEND_TIME:
                self.stamp = Stamp(acknowledged.timestamp, time.monotonic())
            for position, index in enumerate(batch.indexes):
                offsets[index] = base + position if base >= 0 else UNKNOWN_OFFSET

    def _failure(self, failures: list[tuple[_Batch, BaseException]]) -> TransportError:
        for batch, error in failures:
            if isinstance(error, _REFUSALS):
                records = f"record {batch.indexes[0]}" if len(batch.indexes) == 1 else f"{len(batch.indexes)} records"
                place = f"{batch.queue.topic}/{batch.queue.partition}"
                reason = str(error) or type(error).__name__
                return RecordRefusedError(
                    f"Kafka refused {records} of {batch.builder.size()} bytes for {place}: {reason}",
                    hint="Compare max.message.bytes of the topic by `docbus provision`, and look at the access rights.",
                )
        return self._unknown([batch for batch, _ in failures], repr(failures[0][1]))

    def _unknown(self, batches: list[_Batch], reason: str) -> AppendUnknownError:
        count = sum(len(batch.indexes) for batch in batches)
        return AppendUnknownError(
            f"Kafka at {self._connector.settings.bootstrap} did not confirm {count} records for"
            f" {batches[0].queue.topic}: {reason or 'no answer'}",
            hint="They are sent again; readers recognise what comes twice.",
        )

    def _discard(self, producer: Any) -> None:
        if self._producer.discard(producer):
            self._admin.forget()
            _log.debug("the producer is discarded, the next append builds another")


def _build_round(producer: Any, queues: list[_Queue], records: Sequence[NewRecord]) -> list[_Batch]:
    """Build the next batch of each partition, as far as the round has room; none if all are built."""
    batches: list[_Batch] = []
    # The topic's time is the broker's; this is for topics that somebody configured otherwise.
    now_ms = time.time_ns() // 1_000_000
    room = MAX_ROUND_BYTES
    for queue in queues:
        if room <= 0:
            break
        if queue.done == len(queue.indexes):
            continue
        builder = producer.create_batch()
        start = queue.done
        for index in queue.indexes[start:]:
            record = records[index]
            headers = list(record.headers)
            if builder.append(timestamp=now_ms, key=record.key, value=record.value, headers=headers) is None:
                break
            queue.done += 1
        builder.close()
        room -= builder.size()
        batches.append(_Batch(queue, builder, queue.indexes[start : queue.done]))
    return batches


def _abandon(futures: list[asyncio.Future[Any]]) -> None:
    """Tell asyncio that nobody else will look at these outcomes."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()
