"""The buses that the contract is checked on: a file, and a real Apache Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.transport.kafka import KafkaSettings, KafkaTransport
from docbus.transport.sqlite import SqliteTransport
from tests.contract.buses import Bus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.transport.port import Transport


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """Each adapter in turn."""
    if request.param == "kafka":
        settings = KafkaSettings(bootstrap=request.getfixturevalue("kafka"), replication_factor=1)
        bus = Bus("kafka", lambda: KafkaTransport(settings))
    else:
        bus = Bus("embedded", lambda: SqliteTransport(tmp_path / "bus.db"))
    yield bus
    await bus.aclose()


@pytest.fixture
async def transport(bus: Bus) -> Transport:
    """Return a started transport on it."""
    return await bus.open()
