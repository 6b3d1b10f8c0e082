"""One exchange on the shared broker: the directory's topic exists once for each broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from docbus.settings import KafkaServerSettings
from tests.support import trial
from tests.support.demo import load_demo

if TYPE_CHECKING:
    from tests.support.trial import Exchange


@pytest.fixture(scope="session")
def kafka_exchange(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    """Found the demo's agencies on the broker, once; tests publish documents under ids of their own."""
    folder = tmp_path_factory.mktemp("exchange")
    bus = KafkaServerSettings(bootstrap=kafka, replication_factor=1)
    return asyncio.run(trial.found(folder, load_demo().AGENCIES, bus=bus))
