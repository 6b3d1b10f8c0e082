"""Waiting for worker threads that must never be left behind with what they work on."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def to_end(doing: asyncio.Future[T]) -> T:
    """Return what a thread is doing; a caller who is cancelled waits for its end all the same.

    Otherwise files would be closed under a thread that writes, and it might go on in whatever is opened next.
    """
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        if not doing.cancelled():
            # Looked at, so that nobody is told of an error that came too late to matter.
            doing.exception()
        raise
