"""The Kafka transport. Modules named ``kafka*`` in this package are the only ones that import aiokafka.

What is fixed in code, because every one of aiokafka's defaults would lose or repeat documents: ``acks=all``,
idempotence, no automatic commit, ``read_committed``, an explicit start, checksums checked. What has to be done at the
brokers: topic auto-creation off; no access right to transactional ids for agencies, since an open transaction in an
inbox holds back everybody who reads it (up to ``transaction.max.timeout.ms``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from docbus.errors import TransportError
from docbus.transport.kafka_access import KafkaAccess
from docbus.transport.kafka_admin import KafkaAdmin
from docbus.transport.kafka_client import Connector
from docbus.transport.kafka_producer import KafkaAppender
from docbus.transport.kafka_reader import KafkaReaders
from docbus.transport.kafka_settings import KafkaSettings
from docbus.transport.kafka_subscription import KafkaSubscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.transport.port import Difference, NewRecord, Record, Stamp, Start, TopicSpec, TopicState

__all__ = ["KafkaSettings", "KafkaTransport"]


class KafkaTransport:
    """See :class:`docbus.transport.port.Transport`."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._connector = Connector(settings)
        self._admin = KafkaAdmin(self._connector)
        self._appender = KafkaAppender(self._connector, self._admin)
        self._readers = KafkaReaders(self._connector, self._admin)
        self._access = KafkaAccess(self._connector, self._admin)
        self._started = False

    @property
    def access(self) -> KafkaAccess:
        """The brokers' ACLs and quotas."""
        self._check_started()
        return self._access

    @property
    def stamp(self) -> Stamp | None:
        """See the port."""
        return self._appender.stamp

    async def start(self) -> None:
        """See the port."""
        await self._connector.prepare()
        # Whatever comes of it: every client connects at its first use, and again after a failure.
        self._started = True
        await self._admin.start()

    async def aclose(self) -> None:
        """See the port."""
        self._started = False
        self._appender.close()
        self._readers.close()
        self._admin.close()
        await self._connector.aclose()

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """See the port."""
        self._check_started()
        return await self._appender.append(records) if records else []

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int, wait: float
    ) -> list[Record]:
        """See the port."""
        self._check_started()
        return await self._readers.read(TopicPartition(topic, partition), offset, (max_records, max_bytes), wait)

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """See the port."""
        self._check_started()
        return await self._readers.bounds(topic)

    async def offset_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """See the port."""
        self._check_started()
        return await self._readers.offset_at(topic, timestamp_ms)

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """See the port."""
        self._check_started()
        return await self._admin.committed(group, topic)

    def subscribe(self, topic: str, group: str, *, start: Start) -> KafkaSubscription:
        """See the port."""
        self._check_started()
        return KafkaSubscription(self._connector, self._admin, topic=topic, group=group, start=start)

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicState | None]:
        """See the port."""
        self._check_started()
        return await self._admin.describe(topics)

    async def create(self, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
        """See the port."""
        self._check_started()
        return await self._admin.create(specs)

    async def compare(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        self._check_started()
        return await self._admin.compare(specs)

    async def configure(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        self._check_started()
        return await self._admin.configure(specs)

    def _check_started(self) -> None:
        if not self._started:
            raise TransportError("the Kafka transport is not started", hint="Call start() first.")
