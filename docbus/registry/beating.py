"""The registrar's heart: an entry every few minutes, so that whoever reads the directory knows that it reads the end.

Every entry is a sign of life, so a heartbeat is signed only where nothing else was published for so long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from docbus.errors import DirectoryError, DocbusError
from docbus.waiting import wait_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from docbus.clock import Clock
    from docbus.registry.heartbeat_stamps import HeartbeatStamps
    from docbus.registry.publish import Registrar

_log = structlog.get_logger(__name__)

HEARTBEAT_MS = 5 * 60 * 1000
"""Milliseconds between two signs of life: two may be lost before anybody is alarmed, after a quarter of an hour."""
RETRY_SECONDS = 10.0
"""Seconds after which a heartbeat that failed is tried again."""
LOOK_SECONDS = 30.0
"""Seconds that one wait lasts at most: a clock that was set, or a machine that slept, delays a heartbeat no longer."""


async def keep_beating(
    opened: Callable[[], AbstractAsyncContextManager[Registrar]],
    stop: asyncio.Event,
    *,
    clock: Clock,
    every_ms: int = HEARTBEAT_MS,
    stamps: HeartbeatStamps | None = None,
    wait: Callable[[asyncio.Event, float], Awaitable[bool]] = wait_for,
) -> None:
    """Sign a heartbeat whenever nothing was published for ``every_ms``, until ``stop`` is set.

    Brokers that do not answer are waited for, for ever; the log says so once, and when they are back.

    Args:
        opened: Connects as the registrar; called again after each failure.
        stop: Ends it, at once unless an entry is being published.
        clock: How old the last entry is.
        every_ms: Milliseconds.
        stamps: Time stamps that heartbeats are to carry; one at hand makes a heartbeat due.
        wait: Waits for the stop or so many seconds.

    Raises:
        DocbusError: What does not heal: the log is broken, the brokers do not show what they acknowledged, the topic is
            not there or not this registrar's to write, a key or a setting is wrong.
    """
    failing = False
    while not stop.is_set():
        try:
            async with opened() as registrar:
                while not stop.is_set():
                    due_in = await _beat_if_due(registrar, clock, every_ms, stamps)
                    if failing:
                        _log.info("heartbeat_again")
                        failing = False
                    await wait(stop, min(due_in, LOOK_SECONDS))
        except DocbusError as error:
            if not error.retriable:
                raise
            if not failing:
                _log.warning("heartbeat_failed", error=error.text, hint=error.hint)
            failing = True
            await wait(stop, RETRY_SECONDS)


async def _beat_if_due(registrar: Registrar, clock: Clock, every_ms: int, stamps: HeartbeatStamps | None) -> float:
    """Publish a heartbeat if it is time; return seconds until the next one is due."""
    snapshot = await registrar.load()
    token = None if stamps is None else stamps.see(snapshot, registrar.newest_entry)
    due_in_ms = every_ms - snapshot.age_ms(clock.now_ms())
    # The directory may have grown old without a heartbeat's ever having been signed: it begins with one.
    if due_in_ms > 0 and snapshot.has_heartbeat and token is None:
        return due_in_ms / 1000
    try:
        published = await registrar.heartbeat(token)
    except DirectoryError:
        # Whoever was faster has given the sign of life; if nobody was, the log is broken, or the brokers lie.
        if (await registrar.load()).position <= snapshot.position:
            raise
    else:
        _log.info("heartbeat", position=published.position)
    return every_ms / 1000
