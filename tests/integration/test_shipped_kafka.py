"""What compose.yaml ships is what the integration tests run on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tests.support import jars
from tests.support.compose import NODE_LOCAL, service, shipped_settings

CREATE_SECONDS = 1.0
"""How long a send to a missing topic may wait; a broker that creates topics answers within milliseconds."""


async def _broker_settings(kafka: str) -> dict[str, str | None]:
    """Return what the running broker says its settings are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    ((_, _, _, _, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries}


async def test_broker_has_the_shipped_settings(kafka: str) -> None:
    """Every setting of compose.yaml but addresses and folders is in force, so none is misspelt or left out."""
    running = await _broker_settings(kafka)

    shipped = {name: value for name, value in shipped_settings().items() if name not in NODE_LOCAL}
    assert shipped == {name: running.get(name) for name in shipped}


async def test_broker_creates_no_topics(kafka: str) -> None:
    """A record for a topic that nobody provisioned is not stored, and the topic does not appear."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=int(CREATE_SECONDS * 1000))
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("docbus.inbox.mistyped", b"record")
    finally:
        await producer.stop()

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        topics = await admin.list_topics()
    finally:
        await admin.close()
    assert "docbus.inbox.mistyped" not in topics


def test_same_version_is_shipped_and_tested() -> None:
    """The image of compose.yaml and the jars of the tests are the same Apache Kafka."""
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", jars.POM.read_text("utf-8"))
    assert found is not None

    assert f"apache/kafka:{found[1]}" == service()["image"]


def test_shipped_broker_is_reachable_from_this_machine_only() -> None:
    """A broker without TLS and accounts is published on 127.0.0.1 and nowhere else, and is health-checked."""
    shipped = service()

    assert ["127.0.0.1:9092:9092"] == shipped["ports"]
    assert "127.0.0.1:9092" in shipped["healthcheck"]["test"]


def test_a_setting_that_yaml_would_rewrite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unquoted number or boolean in compose.yaml is an error, not a setting that reads differently in Docker."""
    monkeypatch.setattr("tests.support.compose.service", lambda: {"environment": {"KAFKA_NODE_ID": 1}})

    with pytest.raises(TypeError, match="KAFKA_NODE_ID must be quoted"):
        shipped_settings()


def test_jars_are_pinned_by_checksum(kafka: str) -> None:
    """Every jar that runs was compared with a checksum of the repository."""
    pinned = {line.split()[1] for line in jars.CHECKSUMS.read_text("utf-8").splitlines()}
    running = {path.name for path in Path(jars.jars()).glob("*.jar")}

    assert pinned == running
