"""Watching an agency's folder while it sends: figures for Prometheus, and a word in the log about what is overdue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from docbus.client.metrics import Exposition
from docbus.clock import format_time
from docbus.errors import DocbusError
from docbus.identity.pki.verdict import Outcome
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from docbus.client.own_standing import OwnStanding
    from docbus.client.status import AgencyStatus
    from docbus.clock import Clock
    from docbus.producers.journey import OutboxCounts
    from docbus.producers.overdue import OverdueStage

log = structlog.get_logger(__name__)

TICK_SECONDS = 15.0
"""Seconds between two looks: Prometheus usually asks that often, and deadlines are minutes."""
LOOK_SECONDS = 60.0
"""Seconds that one look may take; brokers that do not answer are given up long before."""

LOOKS_RATIO = 20
"""Times as long as it took is waited before the next look: counting ten million copies takes seconds."""

ReadStatus = Callable[[], Awaitable["AgencyStatus"]]


class OverdueLog:
    """Says once that something is overdue, again whenever it has doubled, and when nothing is any more."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def look(self, agency: str, stages: tuple[OverdueStage, ...]) -> None:
        """Log what has changed since the last look."""
        for one in stages:
            said = self._said.get(one.stage, 0)
            if not one.count:
                if said:
                    log.info("nothing_overdue", agency=agency, stage=one.stage.value)
                    self._said[one.stage] = 0
            elif one.count >= 2 * said:
                first = one.first[0]
                log.warning(
                    "overdue",
                    agency=agency,
                    stage=one.stage.value,
                    copies=one.count,
                    document=first.document_id,
                    recipient=first.recipient,
                    since=format_time(first.since),
                    due=format_time(first.due_at),
                )
                self._said[one.stage] = one.count


class RefusedLog:
    """Says when recipients have refused something, or something failed, since the last look; once for all of it."""

    def __init__(self) -> None:
        self._known: int | None = None

    def look(self, agency: str, outbox: OutboxCounts) -> None:
        """Log what has come since the last look; what was there at the first is known."""
        count = outbox.refused + outbox.failed
        if self._known is not None and count > self._known and outbox.newest_refused:
            newest = outbox.newest_refused[0]
            log.warning(
                "documents_refused",
                agency=agency,
                copies=count - self._known,
                document=newest.document_id,
                recipient=newest.recipient,
                state=newest.state,
                reason=newest.reason,
            )
        self._known = count


class StandingLog:
    """Says once how the own certificate stands with its authority where it does not pass, and when it does again."""

    def __init__(self) -> None:
        self._said: str | None = None

    def look(self, agency: str, standing: OwnStanding | None) -> None:
        """Log what has changed since the last look."""
        code = None if standing is None else standing.code
        if code == self._said:
            return
        self._said = code
        if standing is not None and code is not None:
            event = "own_certificate_refused" if standing.outcome is Outcome.FAILED else "own_certificate_not_known"
            log.warning(event, agency=agency, code=code, error=standing.text)
        else:
            log.info("own_certificate_passes", agency=agency)


class Monitor:
    """Looks at the state of an agency's folder again and again. Belongs to one event loop.

    Args:
        read: Reads the state; bounded by itself, and here.
        clock: For the age of what was read.
        address: Where Prometheus reads the figures; nowhere if None.
        tick_seconds: Seconds between two looks.
    """

    def __init__(
        self,
        *,
        read: ReadStatus,
        clock: Clock,
        address: tuple[str, int] | None,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        self._read = read
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._overdue = OverdueLog()
        self._refused = RefusedLog()
        self._standing = StandingLog()
        self._exposition = None if address is None else Exposition(address, clock=clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set; what cannot be read is logged, and tried again with the next look.

        Raises:
            ConfigurationError: The address for Prometheus cannot be listened on.
        """
        if self._exposition is None:
            await self._watch(stop)
            return
        with self._exposition.listening():
            await self._watch(stop)

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began = self._clock.monotonic()
            await self._look()
            took = self._clock.monotonic() - began
            await wait_for(stop, max(self._tick_seconds, LOOKS_RATIO * took))

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                status = await self._read()
        except (DocbusError, TimeoutError) as error:
            log.warning("status_not_read", error=str(error) or f"it took more than {LOOK_SECONDS:.0f} s")
            return
        if self._exposition is not None:
            self._exposition.latest = status
        self._overdue.look(status.agency, status.overdue)
        self._refused.look(status.agency, status.outbox)
        self._standing.look(status.agency, status.standing)
