"""Waiting for what heals by itself: brokers, a full disk, a DMS. With growing pauses, for ever, until a stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from docbus.producers.pauses import Pause
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from docbus.clock import Clock
    from docbus.errors import DocbusError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class StopReceiving(Exception):  # noqa: N818 - not an error: how a stop leaves a batch that is held
    """The stop came while something was held; what is decided is stored, the rest comes again."""


class Patience:
    """Pauses that a stop ends.

    Args:
        stop: The stop.
        clock: Measures pauses.
        factor: Jitter of pauses.
    """

    def __init__(self, stop: asyncio.Event, clock: Clock, factor: Callable[[], float]) -> None:
        self.stop = stop
        self.factor = factor
        self._clock = clock

    async def persist(self, what: str, operation: Callable[[], Awaitable[T]], awaited: type[DocbusError]) -> T:
        """Do it again while it fails in a way that heals; everything else goes to the caller.

        Args:
            what: Named in the log.
            operation: Harmless to repeat.
            awaited: Errors of this class are waited for, if they are retriable.

        Raises:
            StopReceiving: The stop has come.
        """
        pause = Pause(self.factor)
        while True:
            try:
                return await operation()
            except awaited as error:
                if not error.retriable:
                    raise
                self.failed(pause)
                if pause.worth_logging:
                    log.warning("receiving_held", what=what, attempts=pause.failures, code=error.code, error=error.text)
                await self.sleep(pause)

    def failed(self, pause: Pause) -> None:
        """Count a failure."""
        pause.fail(self._clock.monotonic())

    async def sleep(self, pause: Pause) -> None:
        """Sleep until the pause is over.

        Raises:
            StopReceiving: The stop has come.
        """
        if await wait_for(self.stop, pause.until - self._clock.monotonic()) or self.stop.is_set():
            raise StopReceiving

    async def until_stop(self, tasks: Collection[asyncio.Future[Any]], *events: asyncio.Event) -> bool:
        """Wait for one of the tasks, the stop, or one of the events; tell whether a task is done."""
        others = [asyncio.ensure_future(event.wait()) for event in (self.stop, *events)]
        try:
            await asyncio.wait({*tasks, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in others:
                other.cancel()
        return any(one.done() for one in tasks)
