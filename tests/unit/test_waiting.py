from __future__ import annotations

import asyncio

from docbus.waiting import wait_for


async def test_event_that_has_come_is_told() -> None:
    """Whoever waits for what is there already goes on at once, even without any time to wait."""
    event = asyncio.Event()
    event.set()

    assert await wait_for(event, 60.0)
    assert await wait_for(event, -1.0)


async def test_event_that_does_not_come_ends_the_wait() -> None:
    """The wait ends when its time is over, and says that nothing has come."""
    assert not await wait_for(asyncio.Event(), 0.001)
    assert not await wait_for(asyncio.Event(), -1.0)
