"""Reading a stretch of a topic that has one partition: quarantine, dead letters, ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import TransportError
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from docbus.transport.port import Record, Transport

PARTITION = 0
"""These topics have one partition, see ``registry.provision``."""
READ_RECORDS = 256
"""Records of one read."""
READ_BYTES = 8 * MIB
"""Bytes of one read; at least one record comes."""
READ_SECONDS = 5.0
"""Seconds to wait for a record that the bounds say is there."""


async def bounds_of(transport: Transport, topic: str) -> tuple[int, int]:
    """Return the first offset and the end.

    Raises:
        TransportError: The topic is missing, or no broker answers.
    """
    return (await transport.bounds(topic)).get(PARTITION, (0, 0))


async def read_span(transport: Transport, topic: str, start: int, end: int) -> AsyncIterator[list[Record]]:
    """Yield the records from an offset up to another, some at a time, in their order.

    Raises:
        TransportError: The topic cannot be read, or does not hold what its bounds say.
    """
    while start < end:
        records = await transport.read(
            topic,
            PARTITION,
            start,
            max_records=min(READ_RECORDS, end - start),
            max_bytes=READ_BYTES,
            wait=READ_SECONDS,
        )
        if not records:
            raise TransportError(f"{topic} ends at offset {end}, but nothing was read from {start} on")
        start = records[-1].offset + 1
        yield [record for record in records if record.offset < end]
