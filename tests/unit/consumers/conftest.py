"""An inbox on an embedded bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from docbus.transport.sqlite import SqliteTransport
from tests.support.inbox import Inbox
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest_asyncio.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    """Yield an agency with its topics."""
    clock = FakeClock()
    bus = SqliteTransport(tmp_path / "bus.db", clock)
    await bus.start()
    folder = tmp_path / "agency"
    folder.mkdir()
    made = Inbox(folder=folder, bus=bus, clock=clock)
    await made.found()
    try:
        yield made
    finally:
        await bus.aclose()
