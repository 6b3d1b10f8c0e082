"""The transport port, on every adapter: what large content asks of it, and what is left when records have expired."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from docbus.errors import TransportError
from docbus.limits import MIB
from docbus.transport.port import NewRecord
from docbus.transport.topics import CONTENT, configuration_of
from tests.contract.buses import PATIENCE, Bus, later_than, numbered, read_all, values

if TYPE_CHECKING:
    from docbus.transport.port import Record, Transport

PART_RECORD_BYTES = 525_300
"""Bytes of a record's value with a part of 512 KiB in it: encrypted, and in its frame."""
PARTS = 20
WINDOW_BYTES = 4 * MIB


async def content_topic(bus: Bus) -> str:
    """Create a topic as large content has it."""
    return await bus.topic(configuration=configuration_of(CONTENT))


def parts(topic: str, count: int = PARTS, *, first: int = 0) -> list[NewRecord]:
    """Return records as large as parts of large content, each of which differs from every other throughout."""
    return [
        NewRecord(
            topic=topic,
            key=b"vn:H26",
            value=number.to_bytes(4, "big") * (PART_RECORD_BYTES // 4),
            headers=(("docbus_part", str(number).encode()),),
            partition=0,
        )
        for number in range(first, first + count)
    ]


async def read_windows(transport: Transport, topic: str, offset: int, end: int) -> list[Record]:
    """Return the records from an offset up to another, as read in windows."""
    records: list[Record] = []
    while offset < end:
        window = await transport.read(topic, 0, offset, max_records=end - offset, max_bytes=WINDOW_BYTES, wait=PATIENCE)
        assert window, f"nothing came from offset {offset} on"
        assert sum(len(record.value or b"") for record in window) <= WINDOW_BYTES
        records += window
        offset = window[-1].offset + 1
    return records


async def test_parts_are_stored_and_come_back(bus: Bus, transport: Transport) -> None:
    """Twenty parts of large content are taken by one append, in order, and come back byte for byte in windows."""
    topic = await content_topic(bus)
    given = parts(topic)

    offsets = await transport.append(given)
    records = await read_windows(transport, topic, 0, PARTS)

    assert list(range(PARTS)) == offsets
    assert offsets == [record.offset for record in records]
    assert [(new.key, new.value, new.headers) for new in given] == [(r.key, r.value, r.headers) for r in records]


async def test_part_is_read_by_its_position(bus: Bus, transport: Transport) -> None:
    """A read gives what lies from its offset on, wherever the reads before it were, also another transport's."""
    topic = await content_topic(bus)
    stored = [new.value for new in parts(topic)]
    await transport.append(parts(topic))
    other = await bus.open()

    for reader, offset in ((transport, 12), (transport, 5), (other, 7), (transport, 19), (transport, 0)):
        end = min(offset + 8, PARTS)
        records = await read_windows(reader, topic, offset, end)

        assert list(range(offset, end)) == [record.offset for record in records]
        assert stored[offset:end] == values(records)


async def test_appends_of_two_transports_keep_their_order(bus: Bus, transport: Transport) -> None:
    """Parts that two transports append to a partition at the same time are all stored, each call's in its order."""
    topic = await content_topic(bus)
    other = await bus.open()
    calls = [parts(topic, 8), parts(topic, 8, first=100)]

    answers = await asyncio.gather(transport.append(calls[0]), other.append(calls[1]))
    stored = {record.offset: record.value for record in await read_windows(transport, topic, 0, 16)}

    assert list(range(16)) == sorted(stored)
    for call, offsets in zip(calls, answers, strict=True):
        assert sorted(offsets) == offsets
        assert [new.value for new in call] == [stored[offset] for offset in offsets]


async def test_what_is_left_begins_above_zero(bus: Bus, transport: Transport) -> None:
    """When old records have expired, bounds, times and reads begin at the first left, and what is left is unchanged."""
    topic = await content_topic(bus)
    await transport.append(numbered(topic, 5))
    await later_than((await read_all(transport, topic))[-1].timestamp_ms)
    await transport.append(numbered(topic, 4, first=5))
    before = await read_all(transport, topic)

    await bus.expire(topic, 5)

    assert {0: (5, 9)} == await transport.bounds(topic)
    for offset in (0, 4, 5):
        assert before[5:] == await transport.read(topic, 0, offset, max_records=9, max_bytes=999, wait=PATIENCE)
    assert before[7:] == await transport.read(topic, 0, 7, max_records=9, max_bytes=999, wait=PATIENCE)
    assert [5, 5, 9] == [
        (await transport.offset_at(topic, at))[0]
        for at in (before[0].timestamp_ms, before[5].timestamp_ms, before[8].timestamp_ms + 1)
    ]
    assert [9] == await transport.append(numbered(topic, 1, first=9))


async def test_offsets_go_on_when_nothing_is_left(bus: Bus, transport: Transport) -> None:
    """When all records have expired, a partition is empty at its end, and what is appended gets the next offset."""
    topic = await content_topic(bus)
    await transport.append(numbered(topic, 3))

    await bus.expire(topic, 3)

    assert {0: (3, 3)} == await transport.bounds(topic)
    assert {0: 3} == await transport.offset_at(topic, 0)
    assert [] == await transport.read(topic, 0, 0, max_records=9, max_bytes=999, wait=0.1)
    with pytest.raises(TransportError, match=r"offset 4 .* ends at 3"):
        await transport.read(topic, 0, 4, max_records=9, max_bytes=999, wait=1.0)
    assert [3] == await transport.append(numbered(topic, 1, first=3))
    assert [b"3"] == values(await transport.read(topic, 0, 1, max_records=9, max_bytes=999, wait=PATIENCE))
