"""How many readers there are; what they read, the contract's tests say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from docbus.transport import kafka_reader
from docbus.transport.kafka_reader import MAX_IDLE_READERS, MAX_READERS, KafkaReaders

if TYPE_CHECKING:
    import pytest


class FakeAdmin:
    async def partitions(self, names: list[str]) -> dict[str, int]:
        return dict.fromkeys(names, 1000)


async def test_readers_are_bounded_at_work_and_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred reads at once so many have a reader, the others wait, and few readers are kept afterwards."""
    working, most, closed = 0, 0, 0
    go_on = asyncio.Event()

    async def read(_self: Any, _place: Any, _offset: int, _bounds: Any, _wait: float) -> list[Any]:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await go_on.wait()
        working -= 1
        return []

    def close(_self: Any) -> None:
        nonlocal closed
        closed += 1

    monkeypatch.setattr(kafka_reader._Reader, "read", read)
    monkeypatch.setattr(kafka_reader._Reader, "close", close)
    connector: Any = None
    admin: Any = FakeAdmin()
    readers = KafkaReaders(connector, admin)
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(readers.read(TopicPartition("t", number), 0, (1, 1), 0.0))
        for _ in range(1000):  # turns of the loop, of which each read needs a few
            await asyncio.sleep(0)
        assert MAX_READERS == working
        go_on.set()

    assert (MAX_READERS, MAX_IDLE_READERS) == (most, len(readers._idle))
    assert closed >= MAX_READERS - MAX_IDLE_READERS
