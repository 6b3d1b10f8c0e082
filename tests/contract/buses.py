"""What the contract suite needs of a bus: transports on it, topics that no other test has, and reading all of one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.topics import INBOX, configuration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docbus.transport.port import Record, Transport

PATIENCE = 10.0
"""Seconds after which a test gives up on something that must happen; reached only by a failing test."""


class Bus:
    """One log, any number of transports on it, and topics that no other test has."""

    def __init__(self, kind: str, build: Callable[[], Transport]) -> None:
        """Open nothing yet; ``kind`` is ``embedded`` or ``kafka``."""
        self.kind = kind
        self._build = build
        self._opened: list[Transport] = []

    async def open(self) -> Transport:
        """Return a transport that is started, and closed after the test."""
        transport = self._build()
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
