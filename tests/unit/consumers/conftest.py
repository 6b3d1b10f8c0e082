"""An inbox on an embedded bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.support.inbox import opened_inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.inbox import Inbox


@pytest_asyncio.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    """Yield an agency with its topics."""
    async with opened_inbox(tmp_path) as made:
        yield made
