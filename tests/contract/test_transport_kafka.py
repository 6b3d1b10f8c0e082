"""What only Kafka can do wrong: producers that are poisoned, consumers that stand still, brokers that are away."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, NodeNotReadyError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from docbus.errors import AppendUnknownError, BrokerUnavailableError, RecordRefusedError, TransportError
from docbus.transport import kafka_client, kafka_probe, kafka_producer
from docbus.transport.kafka import KafkaSettings, KafkaTransport
from docbus.transport.kafka_records import UNREADABLE
from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.topics import MAX_RECORD_BYTES, inbox, spec_of
from tests.contract.buses import PATIENCE, Bus, KafkaBus, numbered, read_all, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from docbus.transport.kafka_subscription import KafkaSubscription
    from docbus.transport.port import Record


@pytest.fixture
async def bus(kafka: str) -> AsyncIterator[Bus]:
    """Kafka alone, in place of each adapter in turn."""
    bus = KafkaBus(kafka)
    yield bus
    await bus.aclose()


@pytest.fixture
async def transport(bus: Bus) -> KafkaTransport:
    """Return a started transport on it."""
    transport = await bus.open()
    assert isinstance(transport, KafkaTransport)
    return transport


async def fetch(subscription: KafkaSubscription, count: int) -> list[Record]:
    """Fetch until so many records have come."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        records += await subscription.fetch(max_records=100, max_bytes=1 << 24, wait=0.5)
    return records


async def test_poisoned_producer_is_replaced(bus: Bus, transport: KafkaTransport) -> None:
    """After a refused batch another producer sends, and nothing of the first is left running."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    first = transport._appender._producer._client
    with pytest.raises(RecordRefusedError):
        await transport.append([NewRecord(topic=topic, key=None, value=b"v" * MAX_RECORD_BYTES)])
    assert [1, 2] == await transport.append(numbered(topic, 2, first=1))
    assert first is not transport._appender._producer._client
    await transport._connector.aclose()
    assert first._sender.sender_task.done()
    assert not any(connection.connected() for connection in first.client._conns.values())


@pytest.mark.parametrize("failing", [False, True], ids=["mute", "failing"])
async def test_unanswered_append_is_unknown(
    bus: Bus,
    transport: KafkaTransport,
    failing: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without an acknowledgement in time the outcome is unknown; the producer goes without a trace, another sends."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    first = transport._appender._producer._client
    monkeypatch.setattr(kafka_producer, "APPEND_SECONDS", 0.25)
    monkeypatch.setattr(kafka_client, "STOP_SECONDS", 0.2)

    async def broken(*_: object, **__: object) -> None:
        if failing:
            raise NodeNotReadyError
        await asyncio.sleep(PATIENCE)

    monkeypatch.setattr(first.client, "send", broken)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        with pytest.raises(AppendUnknownError, match=topic):
            await transport.append(numbered(topic, 1, first=1))
        assert time.monotonic() - start < 1.0
        monkeypatch.setattr(kafka_producer, "APPEND_SECONDS", PATIENCE)
        assert [1] == await transport.append(numbered(topic, 1, first=2))
        await transport._connector.aclose()
        assert first._sender.sender_task.done()
        del first
        gc.collect()
        await asyncio.sleep(0)
    assert [] == caplog.records


async def test_cancelled_append_replaces_the_producer(bus: Bus, transport: KafkaTransport) -> None:
    """A cancelled append may be stored or not; the next one works, in order, with another producer."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    first = transport._appender._producer._client
    large = [NewRecord(topic=topic, key=None, value=b"v" * 500_000) for _ in range(20)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await transport.append(large)
    await transport.append(numbered(topic, 2, first=1))
    stored = [value for value in values(await read_all(transport, topic)) if value is not None and len(value) < 9]
    assert [b"0", b"1", b"2"] == stored
    assert first is not transport._appender._producer._client


async def test_nothing_is_left_behind(bus: Bus) -> None:
    """After closing, no task of any client is left on the event loop."""
    topic = await bus.topic()
    before = asyncio.all_tasks()
    transport = await bus.open()
    assert isinstance(transport, KafkaTransport)
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await transport.append(numbered(topic, 3))
        await fetch(subscription, 3)
        await transport.bounds(topic)
        await read_all(transport, topic)
    await transport.aclose()
    assert set() == {task for task in asyncio.all_tasks() - before if not task.done()}


async def test_failed_consumer_is_replaced(
    bus: Bus, transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer whose background task has died is built anew inside fetch; what was not committed comes again."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 3))
    async with transport.subscribe(topic, topic, start="earliest") as subscription:
        await fetch(subscription, 3)
        await subscription.commit({0: 1})
        generation = subscription.generation

        async def broken(*_: object, **__: object) -> None:
            raise KafkaError("Unexpected error during coordination")

        monkeypatch.setattr(subscription._consumer, "getmany", broken)
        with contextlib.suppress(TransportError):
            await subscription.fetch(max_records=9, max_bytes=99, wait=0.1)
        assert [b"1", b"2"] == values(await fetch(subscription, 2))
        assert generation != subscription.generation


async def test_stuck_consumer_is_replaced(bus: Bus, transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that returns nothing although there is something is noticed by the ends, and built anew."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        await subscription.commit({0: 1})

        async def nothing(*_: object, **__: object) -> dict[object, object]:
            await asyncio.sleep(0.02)
            return {}

        stuck = subscription._consumer
        monkeypatch.setattr(stuck, "getmany", nothing)
        await transport.append(numbered(topic, 2, first=1))
        with monkeypatch.context() as impatient:
            impatient.setattr(kafka_probe, "PROBE_SECONDS", 0.05)
            impatient.setattr(kafka_probe, "STUCK_SECONDS", 0.05)
            deadline = time.monotonic() + PATIENCE
            while subscription._consumer is stuck:
                assert time.monotonic() < deadline
                await subscription.fetch(max_records=9, max_bytes=99, wait=0.05)
        assert [b"1", b"2"] == values(await fetch(subscription, 2))


async def test_idle_consumer_is_left_alone(
    bus: Bus, transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer with nothing to read is not taken for one that is stuck."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        monkeypatch.setattr(kafka_probe, "PROBE_SECONDS", 0.05)
        monkeypatch.setattr(kafka_probe, "STUCK_SECONDS", 0.05)
        generation = subscription.generation
        for _ in range(10):
            assert [] == await subscription.fetch(max_records=9, max_bytes=99, wait=0.06)
        assert generation == subscription.generation


async def test_silent_broker_is_reported(bus: Bus, transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing comes and the broker does not answer either, fetch says so, goes on trying, and recovers."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        client = subscription._consumer._client
        send = client.send

        async def mute(node: int, request: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> object:
            if group is not ConnectionGroup.DEFAULT:
                return await send(node, request, group=group)
            await asyncio.sleep(PATIENCE)
            return None

        monkeypatch.setattr(client, "send", mute)
        with monkeypatch.context() as impatient:
            impatient.setattr(kafka_probe, "PROBE_SECONDS", 0.1)
            impatient.setattr(kafka_probe, "PROBE_ANSWER_SECONDS", 0.1)
            with pytest.raises(BrokerUnavailableError, match="no answer"):
                await fetch(subscription, 1)
            assert client is subscription._consumer._client
            impatient.setattr(kafka_probe, "STUCK_SECONDS", 0.2)
            for _ in range(50):
                if subscription._consumer is None:
                    break
                with contextlib.suppress(BrokerUnavailableError):
                    await subscription.fetch(max_records=9, max_bytes=99, wait=0.1)
        assert [b"0"] == values(await fetch(subscription, 1))


async def test_too_many_replicas(kafka: str) -> None:
    """More replicas than brokers is an error of that topic, with the setting in the hint."""
    transport = KafkaTransport(KafkaSettings(bootstrap=kafka, replication_factor=3))
    await transport.start()
    with pytest.raises(TransportError, match="3 replicas") as caught:
        await transport.create([TopicSpec(name="docbus.test.replicas", partitions=1, configuration={})])
    assert "replication_factor" in (caught.value.hint or "")
    assert {"docbus.test.replicas": None} == await transport.describe(["docbus.test.replicas"])
    await transport.aclose()


async def test_refused_configuration(bus: Bus, transport: KafkaTransport) -> None:
    """A value that Kafka does not take is an error naming the topic, at creation and later."""
    topic = await bus.topic()
    for name, operation in ((f"{topic}.new", transport.create), (topic, transport.configure)):
        with pytest.raises(TransportError, match=name):
            await operation([TopicSpec(name=name, partitions=1, configuration={"retention.ms": "soon"})])


async def test_single_broker_can_be_written(bus: Bus, transport: KafkaTransport) -> None:
    """With one replica, min.insync.replicas is 1, or nothing could ever be stored."""
    topic = await bus.topic()
    state = (await transport.describe([topic]))[topic]
    assert state is not None
    assert "1" == state.configuration["min.insync.replicas"]


async def test_absent_broker_is_named(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a broker, starting fails within seconds, names the address, says what to do, and floods no terminal."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = KafkaTransport(KafkaSettings(bootstrap=f"127.0.0.1:{port}"))
    start = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port}") as caught:
        await transport.start()
    assert time.monotonic() - start < 3.0
    assert "Start the broker" in (caught.value.hint or "")
    await transport.aclose()
    assert [] == caplog.records
    assert ("", "") == capfd.readouterr()


async def test_mute_broker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that takes the connection and never answers is given up within the bounds."""
    monkeypatch.setattr(kafka_client, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(kafka_client, "DIAGNOSE_SECONDS", 0.2)

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport = KafkaTransport(KafkaSettings(bootstrap=f"127.0.0.1:{port}"))
        start = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="does not answer"):
            await transport.start()
        assert time.monotonic() - start < 1.5
        await transport.aclose()


async def test_records_of_an_older_generation_are_dropped(bus: Bus, transport: KafkaTransport) -> None:
    """Records that were fetched before a rebalance, and not handed out, are left to whoever has the partition now."""
    topic = await bus.topic()
    await transport.append(numbered(topic, 1))
    async with transport.subscribe(topic, topic, start="committed") as subscription:
        await fetch(subscription, 1)
        waiting = asyncio.create_task(subscription.fetch(max_records=9, max_bytes=99, wait=PATIENCE))
        await asyncio.wait([waiting], timeout=0.05)
        waiting.cancel()
        polling = subscription._channels[None].polling
        assert polling is not None
        await transport.append(numbered(topic, 1, first=1))
        await asyncio.wait([polling], timeout=PATIENCE)
        subscription.taken()
        subscription.given([0])
        assert [] == await subscription.fetch(max_records=9, max_bytes=99, wait=0.1)


async def test_header_name_that_is_not_utf8_stops_nobody(
    kafka: str, bus: Bus, transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that aiokafka cannot decode is read with its name escaped, and what follows is read as ever."""
    topic = await bus.topic()
    build = BatchBuilder._build

    def poisoned(builder: BatchBuilder) -> Any:
        raw = bytearray(build(builder))
        at = raw.find(b"POISON")
        if at >= 0:
            raw[at : at + 6] = b"\xff" * 6
            raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
            builder._buffer = raw
        return raw

    monkeypatch.setattr(BatchBuilder, "_build", poisoned)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await producer.send_and_wait(topic, b"junk", headers=[("POISON", b"v")], partition=0)
    await producer.stop()
    monkeypatch.undo()
    await transport.append([NewRecord(topic=topic, key=None, value=b"honest", partition=0)])

    async with transport.subscribe(topic, f"{topic}.group", start="earliest") as subscription:
        as_group = await fetch(subscription, 2)
    alone = await transport.read(topic, 0, 0, max_records=10, max_bytes=1 << 20, wait=PATIENCE)

    assert [b"junk", b"honest"] == [record.value for record in as_group]
    assert [b"junk", b"honest"] == [record.value for record in alone]
    assert (("\\xff" * 6, b"v"),) == alone[0].headers


async def test_bomb_in_a_topic_that_is_stored_compressed_stops_nobody(
    kafka: str, bus: Bus, transport: KafkaTransport
) -> None:
    """Where a broker stores what it gets compressed, a bomb is an empty record, and what surrounds it is read."""
    topic = await bus.topic()
    await transport.create(
        [TopicSpec(name=f"{topic}.kept", partitions=1, configuration={"compression.type": "producer"})]
    )
    topic = f"{topic}.kept"
    producer = AIOKafkaProducer(bootstrap_servers=kafka, compression_type="gzip", max_request_size=1 << 28)
    await producer.start()
    for value in (b"before", bytes(64 << 20), b"after"):
        await producer.send_and_wait(topic, value, partition=0)
    await producer.stop()
    await transport.append([NewRecord(topic=topic, key=None, value=b"honest", partition=0)])

    async with transport.subscribe(topic, f"{topic}.group", start="earliest") as subscription:
        as_group = await fetch(subscription, 4)
    alone = await read_all(transport, topic)

    assert [b"before", None, b"after", b"honest"] == values(as_group) == values(alone)
    assert [UNREADABLE] == [name for name, _ in alone[1].headers]


async def test_topic_of_docbus_takes_no_bomb(kafka: str, bus: Bus, transport: KafkaTransport) -> None:
    """A topic with docbus's settings is stored uncompressed: the broker unpacks a bomb, and refuses it."""
    topic = inbox(f"vn:B{time.time_ns()}")
    await transport.create([spec_of(topic)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka, compression_type="gzip", max_request_size=1 << 28)
    await producer.start()
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait(topic, bytes(64 << 20), partition=0)
    await producer.send_and_wait(topic, b"small", partition=0)
    await producer.stop()

    assert [b"small"] == values(await read_all(transport, topic))


async def test_acknowledgement_tells_the_broker_s_time(bus: Bus, transport: KafkaTransport) -> None:
    """It is the time at which the broker stored the record, not the one that the producer wrote into it."""
    topic = await bus.topic()
    before = transport.stamp
    began = time.time_ns() // 1_000_000

    await transport.append([NewRecord(topic=topic, key=None, value=b"x")])

    assert before is None
    assert transport.stamp is not None
    (stored,) = await transport.read(topic, 0, 0, max_records=1, max_bytes=1000, wait=PATIENCE)
    assert stored.timestamp_ms == transport.stamp.at_ms
    assert began - 1 <= transport.stamp.at_ms <= time.time_ns() // 1_000_000 + 1
    assert 0 <= time.monotonic() - transport.stamp.monotonic < PATIENCE
