"""The transport port, on every adapter: groups, positions and bounded waits.

Groups are named like the topic, since on Kafka a group is one for all topics, and no other test may be in it.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from docbus.errors import GroupBusyError, TopicMissingError, TransportError
from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.topics import INBOX, configuration_of
from tests.contract.buses import PATIENCE, Bus, later_than, numbered, values

if TYPE_CHECKING:
    from docbus.transport.port import Record, Start, Subscription, Transport

SLACK_SECONDS = 1.0


async def fetch(subscription: Subscription, count: int) -> list[Record]:
    """Fetch until so many records have come; fails if they do not."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        records += await subscription.fetch(max_records=count - len(records), max_bytes=1 << 24, wait=1.0)
    return records


async def first(transport: Transport, topic: str, *, start: Start, count: int) -> list[bytes | None]:
    """Return the first values that a new subscription of the test's group sees."""
    async with transport.subscribe(topic, topic, start=start) as subscription:
        return values(await fetch(subscription, count))


async def test_group_resumes_where_it_committed(bus: Bus, transport: Transport) -> None:
    """A group begins at the first record, and later at its position: what was not committed comes again."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 5))
    assert {0: None} == await transport.committed(topic, topic)
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        assert [b"0", b"1", b"2", b"3"] == values(await fetch(subscription, 4))
        await subscription.commit({0: 2})
    assert {0: 2} == await transport.committed(topic, topic)
    assert {0: None} == await transport.committed(f"{topic}.other", topic)
    assert [b"2", b"3", b"4"] == await first(transport, topic, start="committed", count=3)


async def test_position_may_move_back(bus: Bus, transport: Transport) -> None:
    """Committing twice, and a lower offset after a higher one, both count."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 5))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 5)
        for offset in (4, 4, 1):
            await subscription.commit({0: offset})
    assert {0: 1} == await transport.committed(topic, topic)


async def test_start_other_than_committed(bus: Bus, transport: Transport) -> None:
    """``earliest`` and given offsets take no notice of the position, and a partition left out keeps to it."""
    topic = await bus.topic(partitions=2)
    await transport.append([*numbered(topic, 5), *numbered(topic, 3, partition=1, first=10)])
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 8)
        await subscription.commit({0: 4, 1: 2})
    assert {b"4", b"12"} == set(await first(transport, topic, start="committed", count=2))
    assert {b"0", b"1", b"2", b"3", b"4", b"10", b"11", b"12"} == set(
        await first(transport, topic, start="earliest", count=8)
    )
    assert {b"3", b"4", b"12"} == set(await first(transport, topic, start={0: 3}, count=3))
    assert {0: 4, 1: 2} == await transport.committed(topic, topic)


async def test_group_goes_on_with_what_is_left(bus: Bus, transport: Transport) -> None:
    """A subscription that begins at an expired offset, however it was chosen, begins at the first that is left."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 3))
    await later_than(time.time_ns() // 1_000_000)
    await transport.append(numbered(topic, 2, first=3))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        await subscription.commit({0: 1})
    await bus.expire(topic, 3)
    starts: tuple[Start, ...] = ("committed", "earliest", {0: 2})
    for start in starts:
        async with transport.subscribe(topic, topic, start=start) as subscription:
            assert [b"3", b"4"] == values(await fetch(subscription, 2))
            assert {0: 2} == await subscription.lag()
    assert {0: 1} == await transport.committed(topic, topic)
    async with transport.subscribe(topic, f"{topic}.new", start="committed") as subscription:
        assert [b"3", b"4"] == values(await fetch(subscription, 2))
        assert {0: 2} == await subscription.lag()


async def test_fetch_keeps_order_and_bounds(bus: Bus, transport: Transport) -> None:
    """Fetches stop at either bound, return at least one record, and lose and repeat nothing."""
    topic = await bus.topic(partitions=2)
    await transport.append([*numbered(topic, 100), *numbered(topic, 100, partition=1)])
    seen: dict[int, list[int]] = {0: [], 1: []}
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        turn = 0
        deadline = time.monotonic() + PATIENCE
        while sum(map(len, seen.values())) < 200:
            assert time.monotonic() < deadline
            max_records, max_bytes = ((7, 1000), (50, 1), (50, 20))[turn % 3]
            records = await subscription.fetch(max_records=max_records, max_bytes=max_bytes, wait=1.0)
            assert len(records) <= max_records
            assert len(records) <= 1 or sum(len(record.value or b"") for record in records) <= max_bytes
            for record in records:
                seen[record.partition].append(record.offset)
            turn += bool(records)
    assert {0: list(range(100)), 1: list(range(100))} == seen


async def test_fetch_waits_no_longer_than_told(bus: Bus, transport: Transport) -> None:
    """With nothing to read, a fetch returns when its time is up, also while the group is still settling."""
    topic = await bus.topic()
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        for wait in (0.0, 0.1, 0.3):
            start = time.monotonic()
            assert [] == await subscription.fetch(max_records=1, max_bytes=1, wait=wait)
            assert time.monotonic() - start < wait + SLACK_SECONDS


async def test_fetch_wakes_up(bus: Bus, transport: Transport) -> None:
    """A fetch that waits returns soon after a record has come, from this transport or another."""
    topic = await bus.topic()
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await transport.append(numbered(topic, 1))
        await fetch(subscription, 1)
        for number, appender in enumerate((transport, await bus.open()), 1):
            waiting = asyncio.create_task(subscription.fetch(max_records=9, max_bytes=99, wait=PATIENCE))
            await asyncio.wait([waiting], timeout=0.1)
            start = time.monotonic()
            await appender.append(numbered(topic, 1, first=number))
            assert [str(number).encode()] == values(await waiting)
            assert time.monotonic() - start < SLACK_SECONDS


async def test_cancelled_fetch_loses_nothing(bus: Bus, transport: Transport) -> None:
    """After a fetch was cancelled, the next one returns what came meanwhile."""
    topic = await bus.topic()
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        for number in range(5):
            waiting = asyncio.create_task(subscription.fetch(max_records=9, max_bytes=99, wait=PATIENCE))
            appending = asyncio.create_task(transport.append(numbered(topic, 1, first=number)))
            # At another moment each time: before, during and after the record's arrival.
            await asyncio.wait([waiting], timeout=0.002 * number)
            waiting.cancel()
            await asyncio.wait([waiting, appending])
            got = [] if waiting.cancelled() else values(waiting.result())
            assert [str(number).encode()] == (got or values(await fetch(subscription, 1)))


async def test_lag(bus: Bus, transport: Transport) -> None:
    """The lag is what lies between the position and the end."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 5))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        assert {0: 5} == await subscription.lag()
        await subscription.commit({0: 3})
        assert {0: 2} == await subscription.lag()
        assert frozenset({0}) == subscription.assigned


async def test_groups_are_independent(bus: Bus, transport: Transport) -> None:
    """Two groups of one topic each see everything."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 3))
    async with (
        transport.subscribe(topic, f"{topic}.one", start="committed") as one,
        transport.subscribe(topic, f"{topic}.two", start="committed") as two,
    ):
        for subscription in (one, two):
            assert [b"0", b"1", b"2"] == values(await fetch(subscription, 3))


async def test_second_reader_of_a_group(bus: Bus, transport: Transport) -> None:
    """A second reader is refused with the holder's process id (embedded), or takes over half the partitions (Kafka)."""
    topic = await bus.topic(partitions=2)
    await transport.append([*numbered(topic, 2), *numbered(topic, 2, partition=1, first=10)])
    other = await bus.open()
    async with transport.subscribe(topic, topic, start="committed") as one:
        assert 4 == len(await fetch(one, 4))
        generation = one.generation
        assert frozenset({0, 1}) == one.assigned
        if bus.kind == "embedded":
            with pytest.raises(GroupBusyError, match=f"process {os.getpid()}"):
                await other.subscribe(topic, topic, start="committed").__aenter__()
        else:
            await rebalances(topic, other, one, generation)
    assert {b"0", b"1", b"10", b"11"} >= set(await first(other, topic, start="committed", count=2))


async def rebalances(topic: str, other: Transport, one: Subscription, generation: int) -> None:
    """Let a second member join: both end up with one partition, and a commit for the lost one is left out."""
    async with other.subscribe(topic, topic, start="committed") as two:
        deadline = time.monotonic() + PATIENCE
        while not (one.generation != generation and len(one.assigned) == len(two.assigned) == 1):
            assert time.monotonic() < deadline, (one.assigned, two.assigned)
            await asyncio.gather(
                one.fetch(max_records=9, max_bytes=99, wait=0.2), two.fetch(max_records=9, max_bytes=99, wait=0.2)
            )
        assert frozenset({0, 1}) == one.assigned | two.assigned
        await one.commit({0: 2, 1: 2})
        (kept,) = one.assigned
        (lost,) = two.assigned
        assert {kept: 2, lost: None} == await other.committed(topic, topic)


async def test_subscription_of_what_is_missing(bus: Bus, transport: Transport) -> None:
    """Subscribing to a topic that does not exist fails when it is entered."""
    topic = await bus.topic()
    with pytest.raises(TopicMissingError, match=topic):
        await transport.subscribe(f"{topic}.gone", topic, start="committed").__aenter__()
    with pytest.raises(TopicMissingError):
        await transport.committed(topic, f"{topic}.gone")


async def test_subscription_outside_its_block(bus: Bus, transport: Transport) -> None:
    """A subscription that is not entered, or entered twice, says so; leaving frees the group for the next."""
    topic = await bus.topic()
    subscription = transport.subscribe(topic, topic, start="committed")
    with pytest.raises(TransportError, match="not entered"):
        await subscription.fetch(max_records=1, max_bytes=1, wait=0.0)
    async with subscription:
        with pytest.raises(TransportError, match="entered already"):
            await subscription.__aenter__()
    with pytest.raises(TransportError, match="not entered"):
        await subscription.commit({0: 0})
    await transport.append(numbered(topic, 1))
    assert [b"0"] == await first(await bus.open(), topic, start="committed", count=1)


async def test_express_partition_of_an_inbox_is_read_beside_the_others(bus: Bus, transport: Transport) -> None:
    """Express records of an inbox lie in its last partition, keys share the others, and each is fetched by itself."""
    topic = f"docbus.inbox.test.{uuid.uuid4().hex}"
    await transport.create([TopicSpec(name=topic, partitions=3, configuration=configuration_of(INBOX))])
    keys = [f"vn:H{number:02}" for number in range(20)]
    await transport.append([NewRecord(topic=topic, key=key.encode(), value=key.encode()) for key in keys])
    await transport.append([NewRecord(topic=topic, key=b"vn:H26", value=b"urgent", express=True)])

    async with transport.subscribe(topic, topic, start="committed") as subscription:
        others: list[Record] = []
        express: list[Record] = []
        deadline = time.monotonic() + PATIENCE
        while len(others) < len(keys) or not express:
            assert time.monotonic() < deadline
            one, other = await asyncio.gather(
                subscription.fetch(max_records=99, max_bytes=1 << 20, wait=0.5, express=True),
                subscription.fetch(max_records=99, max_bytes=1 << 20, wait=0.5, express=False),
            )
            express += one
            others += other
        assert subscription.settled
        assert frozenset({0, 1, 2}) == subscription.assigned

    assert [(2, b"urgent")] == [(record.partition, record.value) for record in express]
    assert {key.encode() for key in keys} == set(values(others))
    assert {0, 1} == {record.partition for record in others}


async def test_topic_without_express_partition_has_no_express_records(bus: Bus, transport: Transport) -> None:
    """Where a topic has one partition, all is read as the others, and asking for express records waits and ends."""
    topic = await bus.topic()
    await transport.append([NewRecord(topic=topic, key=b"a", value=b"1", express=True)])
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        (record,) = await fetch(subscription, 1)
        assert [] == await subscription.fetch(max_records=1, max_bytes=1, wait=0.1, express=True)
    assert 0 == record.partition


async def test_start_that_is_a_function_holds_whatever_the_group_says(bus: Bus, transport: Transport) -> None:
    """A function is asked for each partition when it is given, and the group's position is never looked at."""
    topic = await bus.topic(partitions=2)
    await transport.append([*numbered(topic, 5), *numbered(topic, 3, partition=1, first=10)])
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 8)
        await subscription.commit({0: 5, 1: 3})

    asked: list[int] = []

    def start(partition: int) -> int:
        asked.append(partition)
        return 2

    assert {b"2", b"3", b"4", b"12"} == set(await first(transport, topic, start=start, count=4))
    assert {0, 1} == set(asked)
