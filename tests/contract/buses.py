"""What the contract suite needs of a bus: transports on it, topics that no other test has, and reading all of one."""

from __future__ import annotations

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typing_extensions import override

from docbus.transport.kafka import KafkaSettings, KafkaTransport
from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.topics import INBOX, configuration_of
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docbus.transport.port import Record, Transport

PATIENCE = 10.0
"""Seconds after which a test gives up on something that must happen; reached only by a failing test."""
HOUR_MS = 60 * 60 * 1000


class Bus(ABC):
    """One log, any number of transports on it, and topics that no other test has."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        """Open nothing yet."""
        self._opened: list[Transport] = []

    @abstractmethod
    def build(self) -> Transport:
        """Return another transport on this log."""

    @abstractmethod
    async def expire(self, topic: str, before_offset: int) -> None:
        """Let retention delete what lies before an offset of partition 0.

        Time has to lie between what goes and what stays, see :func:`later_than`.
        """

    async def open(self) -> Transport:
        """Return a transport that is started, and closed after the test."""
        transport = self.build()
        self._opened.append(transport)
        await transport.start()
        return transport

    async def topic(self, *, partitions: int = 1, configuration: Mapping[str, str] | None = None) -> str:
        """Create a topic with the configuration of an inbox, or parts of it changed."""
        spec = TopicSpec(
            name=f"docbus.test.{uuid.uuid4().hex}",
            partitions=partitions,
            configuration={**configuration_of(INBOX), **(configuration or {})},
        )
        transport = await self.open()
        await transport.create([spec])
        return spec.name

    async def aclose(self) -> None:
        """Close all transports."""
        for transport in self._opened:
            await transport.aclose()


class EmbeddedBus(Bus):
    """A file."""

    kind = "embedded"

    def __init__(self, path: Path) -> None:
        """Use a file that is not there yet."""
        super().__init__()
        self._path = path

    @override
    def build(self) -> Transport:
        """Return another transport on the file."""
        return SqliteTransport(self._path)

    @override
    async def expire(self, topic: str, before_offset: int) -> None:
        """Append to another topic, from a transport whose clock is so far ahead that just these have expired."""
        records = await read_all(await self.open(), topic)
        times = {record.offset: record.timestamp_ms for record in records}
        last = times[before_offset - 1]
        keep_from = times.get(before_offset, last + 1)
        assert last < keep_from, "no time lies between what should expire and what should not"
        other = await self.topic()
        ahead = SqliteTransport(self._path, FakeClock(ms=keep_from + HOUR_MS))
        self._opened.append(ahead)
        await ahead.start()
        await ahead.configure([TopicSpec(name=topic, partitions=1, configuration={"retention.ms": str(HOUR_MS)})])
        await ahead.append(numbered(other, 1))


class KafkaBus(Bus):
    """A real Apache Kafka with one broker."""

    kind = "kafka"

    def __init__(self, bootstrap: str) -> None:
        """Take the broker's address."""
        super().__init__()
        self._bootstrap = bootstrap

    @override
    def build(self) -> Transport:
        """Return another transport to the broker."""
        return KafkaTransport(KafkaSettings(bootstrap=self._bootstrap, replication_factor=1))

    @override
    async def expire(self, topic: str, before_offset: int) -> None:
        """Move the start of the log, as retention does: by itself it would only look minutes from now."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=before_offset)})
        finally:
            await admin.close()


async def later_than(timestamp_ms: int) -> None:
    """Wait until what is stored next is stored later than that."""
    await asyncio.sleep(max(0, timestamp_ms + 2 - time.time_ns() // 1_000_000) / 1000)


def numbered(topic: str, count: int, *, partition: int | None = 0, first: int = 0) -> list[NewRecord]:
    """Return records whose values are their numbers."""
    return [
        NewRecord(topic=topic, key=None, value=str(number).encode(), partition=partition)
        for number in range(first, first + count)
    ]


def values(records: list[Record]) -> list[bytes | None]:
    """Return what the records hold."""
    return [record.value for record in records]


async def read_all(transport: Transport, topic: str, partition: int = 0) -> list[Record]:
    """Return everything in a partition."""
    first, end = (await transport.bounds(topic))[partition]
    records: list[Record] = []
    while first < end:
        records += await transport.read(topic, partition, first, max_records=1000, max_bytes=1 << 24, wait=PATIENCE)
        first = records[-1].offset + 1
    return records
