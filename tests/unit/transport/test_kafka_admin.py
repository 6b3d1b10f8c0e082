"""Administration of topics, without brokers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from docbus.errors import BrokerUnavailableError
from docbus.transport import kafka_admin as module
from docbus.transport.kafka_admin import KafkaAdmin


class Admin(KafkaAdmin):
    """Brokers that give so many more topics a leader each time they are asked."""

    def __init__(self, a_time: int) -> None:
        super().__init__(cast("Any", None))
        self.a_time = a_time
        self.led: set[str] = set()
        self.asked: list[int] = []

    async def _metadata(self, topics: list[str]) -> dict[str, tuple[int, bool]]:
        self.asked.append(len(topics))
        self.led |= set([topic for topic in topics if topic not in self.led][: self.a_time])
        return {topic: (1, topic in self.led) for topic in topics}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that does not go on."""
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(module, "SETTLE_STEP_SECONDS", 0.0)
    monkeypatch.setattr(module, "CHUNK_TOPICS", 10)


async def test_many_new_topics_are_waited_for_as_long_as_some_get_leaders() -> None:
    """The limit is for no leader at all: brokers that make hundreds of topics take longer than for one."""
    admin = Admin(3)
    topics = [f"topic-{number}" for number in range(25)]

    await admin._settled(topics)

    assert set(topics) == admin.led
    assert max(admin.asked) <= 10


async def test_topics_that_get_no_leader_are_named() -> None:
    """Brokers that do not go on are not waited for."""
    admin = Admin(0)

    with pytest.raises(BrokerUnavailableError, match="topic-0 and 24 others that were created have no leader yet"):
        await admin._settled([f"topic-{number}" for number in range(25)])
    with pytest.raises(BrokerUnavailableError, match="the topic topic-0 was created and has no leader yet"):
        await admin._settled(["topic-0"])
