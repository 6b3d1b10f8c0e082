"""What becomes of the errors of aiokafka, and what is left of its clients that are given up."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from docbus.errors import AccessDeniedError, BrokerUnavailableError, TopicMissingError, TransportError
from docbus.transport.kafka_client import Connector, dispose
from docbus.transport.kafka_consumer import group_less
from docbus.transport.kafka_settings import KafkaSettings


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TopicAuthorizationFailedError, AccessDeniedError),
        (GroupAuthorizationFailedError, AccessDeniedError),
        (ClusterAuthorizationFailedError, AccessDeniedError),
        (UnknownTopicOrPartitionError, TopicMissingError),
        (RequestTimedOutError, BrokerUnavailableError),
        (TimeoutError, BrokerUnavailableError),
        (CorruptRecordException, TransportError),
        (KafkaError, TransportError),
    ],
)
def test_error_of_a_broker_has_its_own(error: type[Exception], expected: type[TransportError]) -> None:
    """A right that is missing is told from a broker that is away, a topic that is not there, and all else."""
    found = Connector(KafkaSettings(bootstrap="broker1:9092")).error(error(), "reading a topic")

    assert expected is type(found)
    assert found.text.startswith("reading a topic: ")


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
