"""Finding out, beside the reading, whether a reader that returns nothing has nothing to return.

aiokafka gives no sign when its connection is gone or its background tasks stand still (issues 703, 712, 718, 1154): it
returns nothing, for ever. So when nothing has come for a while, the ends of the partitions are asked for. No answer
means that the broker is away; ends beyond positions that have not moved for longer than a fetch can take, that the
reader is stuck.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from docbus.transport.kafka_client import FAILURES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from docbus.transport.kafka_client import Connector

PROBE_SECONDS: Final = 5.0
"""Seconds of silence after which is asked, and between two questions."""
PROBE_ANSWER_SECONDS: Final = 10.0
"""Seconds for the answer; it queues behind a fetch that is on its way."""

STUCK_SECONDS: Final = 45.0
"""Seconds for which a reader may return nothing although there is something, or get no answer, before it is replaced:
on a slow line, one fetch may take as long as a request may, and a reader that is thrown away at that moment would never
get anywhere. Connections that break are mended by aiokafka before."""

Positions = dict[int, int]


class Probe:
    """Watches one reader."""

    def __init__(
        self,
        connector: Connector,
        what: str,
        ends_and_positions: Callable[[], Awaitable[tuple[Mapping[int, int], Positions]]],
    ) -> None:
        """Ask nothing yet.

        Args:
            connector: Makes errors.
            what: What is read, for the text of an error.
            ends_and_positions: Asks for the ends of the partitions, and where the reader stands in each.
        """
        self._connector = connector
        self._what = what
        self._question = ends_and_positions
        self._asked: asyncio.Task[Any] | None = None
        self._behind: dict[int, tuple[int, float]] = {}
        self._quiet_since = asyncio.get_running_loop().time()
        self._answered = self._quiet_since
        self.stuck = False
        """The reader should be replaced."""

    def heard(self) -> None:
        """Something was read."""
        self._quiet_since = self._answered = asyncio.get_running_loop().time()
        self._behind = {}

    def check(self) -> None:
        """Look at the last answer, and ask again if it is time. Never waits.

        Raises:
            BrokerUnavailableError: There was no answer.
            TransportError: Reading is not allowed.
        """
        now = asyncio.get_running_loop().time()
        if self._asked is not None:
            if not self._asked.done():
                return
            asked, self._asked = self._asked, None
            self._quiet_since = now
            try:
                ends, positions = asked.result()
            except FAILURES as error:
                self.stuck = now - self._answered > STUCK_SECONDS
                raise self._connector.error(error, self._what) from error
            self._answered = now
            behind = {number: at for number, at in positions.items() if at < ends.get(number, 0)}
            self._behind = {
                number: before if (before := self._behind.get(number, (at, now)))[0] == at else (at, now)
                for number, at in behind.items()
            }
            self.stuck = any(now - since > STUCK_SECONDS for _, since in self._behind.values())
        elif now - self._quiet_since >= PROBE_SECONDS:
            self._asked = asyncio.create_task(self._ask())

    def close(self) -> None:
        """Stop asking."""
        asked, self._asked = self._asked, None
        if asked is not None and not asked.cancel() and not asked.cancelled():
            asked.exception()

    async def _ask(self) -> tuple[Mapping[int, int], Positions]:
        async with asyncio.timeout(PROBE_ANSWER_SECONDS):
            return await self._question()
