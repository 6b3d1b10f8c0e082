"""An exchange of one agency, whose keys change."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings
from tests.support.rotating import ENVIRONMENT, HANOI

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found an exchange once; tests work in copies."""
    folder = tmp_path_factory.mktemp("rotating")
    bus = EmbeddedSettings(file=folder / "bus.db")
    asyncio.run(found_exchange(folder, [(HANOI, "Hà Nội")], environment=ENVIRONMENT, bus=bus, clock=SystemClock()))
    return folder


@pytest.fixture
def exchange(founded: Path, tmp_path: Path) -> Path:
    """Return an exchange with one agency."""
    return shutil.copytree(founded, tmp_path / "exchange")


@pytest.fixture
def hanoi(exchange: Path) -> Path:
    """Return the agency's folder."""
    return exchange / HANOI
