"""The transport port, on every adapter: appending, reading, offsets and topics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from docbus.errors import RecordRefusedError, TopicMissingError, TransportError
from docbus.limits import MAX_ENVELOPE_BYTES
from docbus.transport.partitioner import partition_of
from docbus.transport.port import Difference, NewRecord, TopicSpec
from docbus.transport.topics import INBOX, MAX_RECORD_BYTES, configuration_of
from tests.contract.buses import PATIENCE, Bus, later_than, numbered, read_all, values

if TYPE_CHECKING:
    from docbus.transport.port import Transport

SLACK_SECONDS = 1.0
"""By how much a bounded wait may be late on a busy machine."""


async def count_until_refused(transport: Transport, record: NewRecord) -> int:
    """Append a record again and again, and return how often it was taken before it was refused."""
    taken = 0
    while True:
        try:
            await transport.append([record])
        except RecordRefusedError:
            return taken
        taken += 1


async def test_append_answers_offsets_and_keeps_order(bus: Bus, transport: Transport) -> None:
    """Offsets are answered in the order given, and each partition holds its records in that order."""
    one, two = await bus.topic(partitions=2), await bus.topic()
    records = [
        NewRecord(topic=topic, key=b"k", value=f"{topic}/{partition}/{turn}".encode(), partition=partition)
        for turn in range(20)
        for topic, partition in ((one, 1), (two, 0), (one, 0))
    ]
    assert [turn for turn in range(20) for _ in range(3)] == await transport.append(records)
    for topic, partition in ((one, 0), (one, 1), (two, 0)):
        expected = [f"{topic}/{partition}/{turn}".encode() for turn in range(20)]
        assert expected == values(await read_all(transport, topic, partition))


async def test_append_of_nothing(transport: Transport) -> None:
    """An empty list is appended by doing nothing."""
    assert [] == await transport.append([])


async def test_key_decides_partition(bus: Bus, transport: Transport) -> None:
    """Without a partition, the key's hash decides, and no key means partition 0."""
    topic = await bus.topic(partitions=3)
    keys = [f"vn:H{number}".encode() for number in range(12)]
    await transport.append([NewRecord(topic=topic, key=key, value=b"v") for key in [*keys, None]])
    for partition in range(3):
        expected = [key for key in [*keys, None] if partition_of(key, 3) == partition]
        assert expected == [record.key for record in await read_all(transport, topic, partition)]


async def test_record_comes_back_as_given(bus: Bus, transport: Transport) -> None:
    """Key, value and headers come back byte for byte: repeated, empty and non-ASCII headers, empty and absent keys."""
    topic = await bus.topic()
    headers = (("a", b"1"), ("a", b"2"), ("b", b""), ("tên", "Tây Ninh".encode()), ("", b"\x00\xff"))
    before = time.time_ns() // 1_000_000
    await transport.append(
        [
            NewRecord(topic=topic, key=b"vn:H26", value=bytes(range(256)), headers=headers),
            NewRecord(topic=topic, key=b"", value=b""),
            NewRecord(topic=topic, key=None, value=b"x"),
        ]
    )
    after = time.time_ns() // 1_000_000
    records = await read_all(transport, topic)
    assert [(b"vn:H26", bytes(range(256)), headers), (b"", b"", ()), (None, b"x", ())] == [
        (record.key, record.value, record.headers) for record in records
    ]
    assert [(topic, 0, 0), (topic, 0, 1), (topic, 0, 2)] == [(r.topic, r.partition, r.offset) for r in records]
    assert all(before <= record.timestamp_ms <= after for record in records)


async def test_missing_topic_stores_nothing(bus: Bus, transport: Transport) -> None:
    """A topic that does not exist is named, and nothing for other topics of the call is stored."""
    topic = await bus.topic()
    with pytest.raises(TopicMissingError, match=f"{topic}.gone") as caught:
        await transport.append([*numbered(topic, 3), *numbered(f"{topic}.gone", 1)])
    assert "docbus provision" in (caught.value.hint or "")
    assert {0: (0, 0)} == await transport.bounds(topic)


@pytest.mark.parametrize("partition", [-1, 1])
async def test_missing_partition_stores_nothing(bus: Bus, transport: Transport, partition: int) -> None:
    """A partition that does not exist is refused before anything is stored."""
    topic = await bus.topic()
    with pytest.raises(TopicMissingError, match=topic):
        await transport.append([*numbered(topic, 3), *numbered(topic, 1, partition=partition)])
    assert {0: (0, 0)} == await transport.bounds(topic)


async def test_largest_envelope_fits(bus: Bus, transport: Transport) -> None:
    """An envelope of the largest size, with its key and headers, fits an inbox, also among small records."""
    topic = await bus.topic()
    large = NewRecord(topic=topic, key=b"k" * 64, value=b"v" * MAX_ENVELOPE_BYTES, headers=(("h", b"x" * 1000),) * 10)
    small = NewRecord(topic=topic, key=b"k", value=b"v")
    assert [0, 1, 2, 3] == await transport.append([small, large, large, small])
    assert [1, MAX_ENVELOPE_BYTES, MAX_ENVELOPE_BYTES, 1] == [
        len(record.value or b"") for record in await read_all(transport, topic)
    ]


async def test_oversize_is_refused_and_nothing_overtakes(bus: Bus, transport: Transport) -> None:
    """A record above max.message.bytes is refused, nothing behind it is stored, and the next append works."""
    topic = await bus.topic()
    large = NewRecord(topic=topic, key=None, value=b"v" * MAX_RECORD_BYTES, partition=0)
    with pytest.raises(RecordRefusedError, match=topic):
        await transport.append([large, *numbered(topic, 3)])
    assert {0: (0, 0)} == await transport.bounds(topic)
    await transport.append(numbered(topic, 2))
    with pytest.raises(RecordRefusedError, match=topic):
        await transport.append([*numbered(topic, 1, first=2), large, *numbered(topic, 3, first=3)])
    await transport.append(numbered(topic, 1, first=9))
    stored = values(await read_all(transport, topic))
    # Of what stood before the refused record, an adapter may have stored any part.
    assert [b"0", b"1", b"9"] == [value for value in stored if value != b"2"]


async def test_five_thousand_records(bus: Bus, transport: Transport) -> None:
    """A call with 5,000 records over four partitions keeps every partition's order."""
    topic = await bus.topic(partitions=4)
    records = [
        NewRecord(topic=topic, key=f"{number % 7}".encode(), value=f"{number}".encode().rjust(1000))
        for number in range(5000)
    ]
    offsets = await transport.append(records)
    for partition in range(4):
        mine = [index for index in range(5000) if partition_of(f"{index % 7}".encode(), 4) == partition]
        assert list(range(len(mine))) == [offsets[index] for index in mine]
        assert [records[index].value for index in mine] == values(await read_all(transport, topic, partition))


async def test_concurrent_appends(bus: Bus, transport: Transport) -> None:
    """Appends at the same time are all stored, each in its own order."""
    topic = await bus.topic()
    answers = await asyncio.gather(*(transport.append(numbered(topic, 50, first=call * 100)) for call in range(8)))
    stored = values(await read_all(transport, topic))
    assert 400 == len(stored)
    for call, offsets in enumerate(answers):
        assert [str(call * 100 + number).encode() for number in range(50)] == [stored[offset] for offset in offsets]


async def test_read_bounds(bus: Bus, transport: Transport) -> None:
    """A read starts at its offset, stops at either bound, and returns one record even if that is too large."""
    topic = await bus.topic()
    await transport.append([NewRecord(topic=topic, key=None, value=bytes([number]) * 100) for number in range(10)])

    async def read(offset: int, max_records: int, max_bytes: int) -> list[int]:
        records = await transport.read(topic, 0, offset, max_records=max_records, max_bytes=max_bytes, wait=PATIENCE)
        return [record.offset for record in records]

    assert [4, 5, 6] == await read(4, 3, 1 << 20)
    assert [7, 8] == await read(7, 100, 250)
    assert [9] == await read(9, 100, 1)
    assert [0] == await read(0, 100, 1)
    assert [1] == await read(1, 1, 1 << 20)
    assert [2, 3, 4, 5, 6, 7, 8, 9] == await read(2, 100, 1 << 20)


async def test_read_waits_no_longer_than_told(bus: Bus, transport: Transport) -> None:
    """At the end, a read returns nothing when its time is up."""
    topic = await bus.topic()
    start = time.monotonic()
    assert [] == await transport.read(topic, 0, 0, max_records=1, max_bytes=1000, wait=0.2)
    assert 0.2 <= time.monotonic() - start < 0.2 + SLACK_SECONDS


async def test_read_wakes_up(bus: Bus, transport: Transport) -> None:
    """A read that waits returns soon after another transport has appended."""
    topic = await bus.topic()
    other = await bus.open()
    waiting = asyncio.create_task(transport.read(topic, 0, 0, max_records=10, max_bytes=1000, wait=PATIENCE))
    await asyncio.wait([waiting], timeout=0.1)
    start = time.monotonic()
    await other.append(numbered(topic, 1))
    assert [b"0"] == values(await waiting)
    assert time.monotonic() - start < SLACK_SECONDS


async def test_many_reads_at_once(bus: Bus, transport: Transport) -> None:
    """Several readers of one place, and of several places, do not hold each other up."""
    topic = await bus.topic(partitions=2)
    reads = [
        asyncio.create_task(transport.read(topic, number % 2, 0, max_records=10, max_bytes=1000, wait=PATIENCE))
        for number in range(8)
    ]
    await asyncio.wait(reads, timeout=0.1)
    await transport.append([*numbered(topic, 1, partition=0), *numbered(topic, 1, partition=1, first=1)])
    assert [[str(number % 2).encode()] for number in range(8)] == [values(await read) for read in reads]


async def test_cancelled_read_loses_nothing(bus: Bus, transport: Transport) -> None:
    """After a read was cancelled, the same read returns everything."""
    topic = await bus.topic()
    waiting = asyncio.create_task(transport.read(topic, 0, 0, max_records=10, max_bytes=1000, wait=PATIENCE))
    await asyncio.wait([waiting], timeout=0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    await transport.append(numbered(topic, 3))
    assert [b"0", b"1", b"2"] == values(
        await transport.read(topic, 0, 0, max_records=10, max_bytes=1000, wait=PATIENCE)
    )


async def test_read_beyond_the_end(bus: Bus, transport: Transport) -> None:
    """Reading beyond the end is an error, because a log never gets shorter by itself."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 2))
    with pytest.raises(TransportError, match=r"offset 3 .* ends at 2"):
        await transport.read(topic, 0, 3, max_records=1, max_bytes=1, wait=1.0)
    assert [] == await transport.read(topic, 0, 2, max_records=1, max_bytes=1, wait=0.05)


async def test_read_of_what_is_missing(bus: Bus, transport: Transport) -> None:
    """Reading a missing topic or partition is an error at once."""
    topic = await bus.topic()
    for name, partition in ((f"{topic}.gone", 0), (topic, 1), (topic, -1)):
        with pytest.raises(TopicMissingError, match=name):
            await transport.read(name, partition, 0, max_records=1, max_bytes=1, wait=PATIENCE)
    for question in (transport.bounds(f"{topic}.gone"), transport.offset_at(f"{topic}.gone", 0)):
        with pytest.raises(TopicMissingError):
            await question


async def test_bounds_and_offset_at(bus: Bus, transport: Transport) -> None:
    """Bounds and times are answered by partition; a time after the last record answers the end."""
    topic = await bus.topic(partitions=2)
    await transport.append(numbered(topic, 3, partition=1))
    third = (await read_all(transport, topic, 1))[2].timestamp_ms
    await later_than(third)
    await transport.append(numbered(topic, 2, partition=1, first=3))
    fourth = (await read_all(transport, topic, 1))[3].timestamp_ms
    assert {0: (0, 0), 1: (0, 5)} == await transport.bounds(topic)
    assert {0: 0, 1: 0} == await transport.offset_at(topic, 0)
    assert {0: 0, 1: 3} == await transport.offset_at(topic, third + 1)
    assert {0: 0, 1: 3} == await transport.offset_at(topic, fourth)
    assert {0: 0, 1: 5} == await transport.offset_at(topic, fourth + 1_000_000)


async def test_topics_are_created_once(bus: Bus, transport: Transport) -> None:
    """A topic is created with its configuration; creating it again changes nothing and says so."""
    there = await bus.topic(partitions=2)
    spec = TopicSpec(name=f"{there}.new", partitions=3, configuration=configuration_of(INBOX))
    again = TopicSpec(name=there, partitions=5, configuration={"retention.ms": "1"})
    assert (spec.name,) == await transport.create([spec, again, spec])
    states = await transport.describe([spec.name, there, f"{there}.gone"])
    new, old = states[spec.name], states[there]
    assert new is not None
    assert old is not None
    assert states[f"{there}.gone"] is None
    assert (3, 2) == (new.partitions, old.partitions)
    assert configuration_of(INBOX)["retention.ms"] == old.configuration["retention.ms"]
    assert {} == {
        name: new.configuration[name]
        for name, value in spec.configuration.items()
        if new.configuration[name] != value and name != "min.insync.replicas"
    }
    assert () == await transport.compare([spec])


async def test_configuring_touches_only_what_differs(bus: Bus, transport: Transport) -> None:
    """Differences are reported, then applied, except partitions; a setting that the specification lacks stays."""
    topic = await bus.topic(configuration={"retention.ms": "1000", "segment.ms": "7200000"})
    spec = TopicSpec(name=topic, partitions=2, configuration=configuration_of(INBOX))
    gone = TopicSpec(name=f"{topic}.gone", partitions=1, configuration={})
    partitions = Difference(topic=topic, setting="partitions", actual="1", intended="2")
    retention = Difference(
        topic=topic, setting="retention.ms", actual="1000", intended=spec.configuration["retention.ms"]
    )
    missing = Difference(topic=gone.name, setting="topic", actual=None, intended="1 partitions")
    assert {partitions, retention, missing} == set(await transport.compare([spec, gone]))
    assert {partitions, retention, missing} == set(await transport.configure([spec, gone]))
    assert (partitions,) == await transport.compare([spec])
    state = (await transport.describe([topic]))[topic]
    assert state is not None
    assert ("7200000", 1) == (state.configuration["segment.ms"], state.partitions)


async def test_limit_follows_configuration(bus: Bus, transport: Transport) -> None:
    """A topic whose max.message.bytes was lowered refuses what it took before."""
    topic = await bus.topic()
    record = NewRecord(topic=topic, key=None, value=b"v" * 5000)
    await transport.append([record])
    await transport.configure([TopicSpec(name=topic, partitions=1, configuration={"max.message.bytes": "4000"})])
    # Kafka's controller has the change when it answers, the brokers follow, and their refusal says that they did.
    async with asyncio.timeout(PATIENCE):
        taken = 1 + await count_until_refused(transport, record)
    assert taken == 1 or bus.kind == "kafka"
    await transport.append(numbered(topic, 1))
    assert [*[b"v" * 5000] * taken, b"0"] == values(await read_all(transport, topic))


async def test_start_and_close_twice(bus: Bus) -> None:
    """Starting and closing are harmless a second time; afterwards the transport says that it is closed."""
    topic = await bus.topic()
    transport = await bus.open()
    await transport.start()
    await transport.append(numbered(topic, 1))
    await transport.aclose()
    await transport.aclose()
    with pytest.raises(TransportError):
        await transport.append(numbered(topic, 1))
