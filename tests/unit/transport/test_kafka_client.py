"""What is left of a client of aiokafka that is given up."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from docbus.transport.kafka_client import dispose
from docbus.transport.kafka_consumer import group_less


class Answer:
    """Megabytes that nobody has asked for yet."""


async def test_what_a_disposed_consumer_has_fetched_is_freed_at_once() -> None:
    """A consumer that is given up keeps nothing that it has read ahead, whenever it is collected itself."""
    connector: Any = SimpleNamespace(options={"bootstrap_servers": ["127.0.0.1:1"]})
    consumer = group_less(connector)
    # As start() does once a broker has answered.
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    answer = Answer()
    consumer._fetcher._records[TopicPartition("t", 0)] = answer
    alive = weakref.ref(answer)
    del answer

    await dispose(consumer)

    assert alive() is None
