"""How a consumer that fails again and again is built again; what it reads, the contract's tests say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.transport.kafka_subscription import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, KafkaSubscription

if TYPE_CHECKING:
    import pytest


async def test_pauses_between_consumers_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure in a row doubles the pause before the next consumer, until it is the longest."""
    pauses: list[float] = []

    async def build(_self: Any, delay: float) -> None:
        pauses.append(delay)

    monkeypatch.setattr(KafkaSubscription, "_build", build)
    connector: Any = None
    admin: Any = None
    start: Any = "committed"
    subscription = KafkaSubscription(connector, admin, topic="t", group="g", start=start)
    for _ in range(12):
        subscription._rebuild()
        assert subscription._building is not None
        await subscription._building

    assert [FIRST_BACKOFF_SECONDS, 2 * FIRST_BACKOFF_SECONDS] == pauses[:2]
    assert [MAX_BACKOFF_SECONDS] * 4 == pauses[-4:]
