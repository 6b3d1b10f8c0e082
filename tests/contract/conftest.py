"""The buses that the contract is checked on: a file, and a real Apache Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.buses import Bus, EmbeddedBus, KafkaBus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.transport.port import Transport


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """Each adapter in turn."""
    kafka = request.param == "kafka"
    bus = KafkaBus(request.getfixturevalue("kafka")) if kafka else EmbeddedBus(tmp_path / "bus.db")
    yield bus
    await bus.aclose()


@pytest.fixture
async def transport(bus: Bus) -> Transport:
    """Return a started transport on it."""
    return await bus.open()
