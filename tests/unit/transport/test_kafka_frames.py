"""A broker cannot make a client wait for two gigabytes in memory."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from aiokafka.conn import AIOKafkaConnection

from docbus.transport import kafka_client
from docbus.transport.kafka_frames import MAX_FRAME_BYTES


class Connection:
    """What aiokafka's loop needs of a connection."""

    def __init__(self) -> None:
        self._reader = asyncio.StreamReader()
        self.frames: list[bytes] = []

    def _handle_frame(self, frame: bytes) -> None:
        self.frames.append(frame)


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 2**31 - 1])
async def test_an_answer_that_is_too_long_is_not_read(size: int) -> None:
    """What is within the bound is handled; a longer one ends the connection as soon as its length is there."""
    assert kafka_client.REQUEST_MS
    connection = Connection()
    connection._reader.feed_data((5).to_bytes(4, "big") + b"small" + size.to_bytes(4, "big") + b"beginning")

    with pytest.raises(ConnectionError, match="announces an answer of"):
        await AIOKafkaConnection._read(weakref.ref(connection))

    assert [b"small"] == connection.frames


async def test_an_answer_of_the_bound_is_waited_for() -> None:
    """The bound itself is read until its end, or until the broker goes."""
    connection = Connection()
    connection._reader.feed_data(MAX_FRAME_BYTES.to_bytes(4, "big") + b"beginning")
    connection._reader.feed_eof()

    with pytest.raises(asyncio.IncompleteReadError):
        await AIOKafkaConnection._read(weakref.ref(connection))


async def test_what_a_closed_connection_has_buffered_is_freed_at_once() -> None:
    """A connection that ends in the middle of an answer keeps nothing of it until some garbage collection."""
    connection = Connection()
    connection._reader.feed_data((50).to_bytes(4, "big") + b"beginning")
    reading = asyncio.create_task(AIOKafkaConnection._read(weakref.ref(connection)))
    await asyncio.sleep(0)
    alive = weakref.ref(connection._reader)
    gc.disable()
    try:
        reading.cancel()
        await asyncio.wait({reading})
        del connection, reading

        assert alive() is None
    finally:
        gc.enable()
