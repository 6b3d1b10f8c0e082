"""Where reading the inbox begins (design D5): the ledger decides; offsets committed at the broker never skip anything.

By partition:

- The ledger knows it, and the last record it decided still lies where it lay: from the ledger's offset, or from the
  committed one if that is lower. A crash between ledger and commit, or an operator who sets the group back, makes some
  records come again; they are recognised by position and digest, and only their receipts go out again.
- The ledger knows it, and another record lies there, or the offset is beyond the end: the topic was made anew, so
  from its first record.
- The ledger does not know it: from its first record. Only if that is offset 0 has the ledger seen everything, and the
  first statement of a stream must be number 1.
- The caller says from where: from there; what is skipped is not missed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.consumers.settling import PartitionState, read_partitions
from docbus.errors import BrokerUnavailableError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from docbus.storage.database import Database
    from docbus.transport.port import Transport

log = structlog.get_logger(__name__)

ANCHOR_BYTES = 2 * 1024 * 1024
"""Bytes read to compare the last record decided; more than any record has."""
ANCHOR_SECONDS = 5.0
"""Seconds to wait for it; it is either there at once, or gone."""


class Beginning(NamedTuple):
    """Offsets to start from, and the ledger's partitions brought in line with them."""

    offsets: dict[int, int]
    partitions: dict[int, PartitionState]


async def find_beginning(
    database: Database, transport: Transport, topic: str, group: str, chosen: Mapping[int, int] | None
) -> Beginning:
    """Return where to begin; store what is skipped on purpose.

    Args:
        database: The ledger.
        transport: Started.
        topic: The inbox.
        group: Whose committed offsets are looked at.
        chosen: Offsets by partition that the caller wants, or None.

    Raises:
        TopicMissingError: There is no such inbox.
        BrokerUnavailableError: No broker answers, or not in time.
    """
    bounds = await transport.bounds(topic)
    committed = await transport.committed(group, topic)
    partitions = await database.read(read_partitions)
    offsets: dict[int, int] = {}
    for partition, (first, end) in bounds.items():
        state = partitions.get(partition)
        wanted = None if chosen is None else chosen.get(partition)
        if wanted is not None:
            offset = max(wanted, first)
            if state is None or offset > state.next_offset:
                await database.write(_skip)
                partitions[partition] = PartitionState(partition, offset, offset, None, None)
        elif state is None:
            offset = first
            partitions[partition] = PartitionState(partition, first, first, None, None)
        else:
            offset = await _resume(transport, topic, state, first, end)
            position = committed.get(partition)
            if position is not None and position < offset:
                offset = max(position, first)
        offsets[partition] = offset
    log.info("inbox_begins", topic=topic, group=group, offsets=offsets)
    return Beginning(offsets, partitions)


async def _resume(transport: Transport, topic: str, state: PartitionState, first: int, end: int) -> int:
    """Return the ledger's offset, or the first if the topic is not the one the ledger was written from."""
    known = {"topic": topic, "partition": state.partition, "next_offset": state.next_offset}
    if state.next_offset > end:
        log.warning("inbox_made_anew", **known, end=end)
        return first
    if first > state.next_offset:
        log.error("inbox_records_expired", **known, first=first)
        return first
    at = state.anchor_offset
    if at is None or at < first:
        return state.next_offset
    records = await transport.read(
        topic, state.partition, at, max_records=1, max_bytes=ANCHOR_BYTES, wait=ANCHOR_SECONDS
    )
    if not records:
        # Brokers that are slow to answer say nothing about the topic.
        raise BrokerUnavailableError(f"record {at} of {topic}/{state.partition}, the last one decided, cannot be read")
    if records[0].offset == at and sha256(records[0].value or b"").digest() == state.anchor_digest:
        return state.next_offset
    log.warning("inbox_made_anew", **known, anchor=at)
    return first


def _skip(connection: sqlite3.Connection) -> None:
    """What lies between a stream's head and its next statement was skipped on purpose."""
    connection.execute("UPDATE incoming_stream SET starts = 1")
