"""What becomes of the errors of aiokafka."""

from __future__ import annotations

import pytest
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
from docbus.transport.kafka_client import Connector
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
