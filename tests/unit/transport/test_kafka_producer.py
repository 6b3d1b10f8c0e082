"""How much is handed to aiokafka at a time; what is stored, the contract's tests say."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from docbus.errors import AccessDeniedError, RecordRefusedError, TopicMissingError, TransportError
from docbus.transport import kafka_producer as module
from docbus.transport.kafka_admin import CHUNK_TOPICS, _chunks
from docbus.transport.kafka_producer import (
    MAX_BATCH_BYTES,
    MAX_ROUND_BYTES,
    MAX_ROUNDS_AT_ONCE,
    KafkaAppender,
    _build_round,
    _Queue,
)
from docbus.transport.port import NewRecord

VALUE_BYTES = 256 << 10


class FakeProducer:
    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(MAX_BATCH_BYTES, 0, is_transactional=False)


def test_a_round_is_bounded() -> None:
    """Each batch stays below its bound, and batches are built until the round is full; the rest has its turn later."""
    partitions, each = 8, 6
    records = [
        NewRecord(topic="t", key=None, value=bytes(VALUE_BYTES), partition=partition)
        for partition in range(partitions)
        for _ in range(each)
    ]
    queues = [_Queue("t", number, [*range(number * each, (number + 1) * each)]) for number in range(partitions)]
    producer: Any = FakeProducer()

    rounds = []
    while batches := _build_round(producer, queues, records):
        rounds.append([batch.builder.size() for batch in batches])

    assert all(size <= MAX_BATCH_BYTES for sizes in rounds for size in sizes)
    assert all(sum(sizes) < MAX_ROUND_BYTES + MAX_BATCH_BYTES for sizes in rounds)
    assert 4 == len(rounds[0]) < partitions
    assert all(queue.done == each for queue in queues)


def test_topics_are_asked_for_in_chunks() -> None:
    """One request to the brokers names so many topics, and none is left out."""
    topics = [f"t{number}" for number in range(2 * CHUNK_TOPICS + 1)]

    assert [CHUNK_TOPICS, CHUNK_TOPICS, 1] == [len(chunk) for chunk in _chunks(topics)]
    assert topics == [name for chunk in _chunks(topics) for name in chunk]


async def test_rounds_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many appends at once so many have a round at the brokers; the others wait for one to be acknowledged."""
    nothing: Any = SimpleNamespace(options={}, dispose=lambda _: None)
    producer = KafkaAppender(nothing, nothing)
    under_way, most = 0, 0

    async def answer(value: Any) -> Any:
        return value

    async def hand_over(_producer: Any, _batches: Any) -> list[Any]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return []

    async def acknowledged(*_: Any) -> None:
        nonlocal under_way
        for _ in range(3):
            await asyncio.sleep(0)
        under_way -= 1

    rounds = iter(range(20))
    monkeypatch.setattr(producer, "_queues", lambda _: answer([]))
    monkeypatch.setattr(producer, "_know_topics", lambda *_: answer(None))
    monkeypatch.setattr(producer._producer, "get", lambda: answer(None))
    monkeypatch.setattr(producer, "_hand_over", hand_over)
    monkeypatch.setattr(producer, "_acknowledged", acknowledged)
    monkeypatch.setattr(module, "_build_round", lambda *_: [1] if next(rounds, None) is not None else [])

    await asyncio.gather(*(producer.append([]) for _ in range(10)))

    assert MAX_ROUNDS_AT_ONCE == most


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AccessDeniedError, RecordRefusedError),
        (TransportError, RecordRefusedError),
        (TopicMissingError, TopicMissingError),
    ],
)
async def test_topic_that_is_hidden_refuses_a_record(error: type[Exception], expected: type[Exception]) -> None:
    """A topic that this user may not see takes no record of it, ever; one that is missing may be made."""

    async def partitions(_topics: object) -> dict[str, int]:
        raise error("asking for topic t")

    appender = KafkaAppender(SimpleNamespace(options={}), SimpleNamespace(partitions=partitions))

    with pytest.raises(expected, match="asking for topic t"):
        await appender.append([NewRecord(topic="t", key=None, value=b"")])
