"""Which part of which inboxes a replay reads, settled before the first record is read.

Bounds are taken twice, of all inboxes each time: a receipt that was there when the first were taken covers statements
that were there before the second, so what it covers and is not found is missing, and not merely on its way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from docbus.audit.places import Inbox
from docbus.audit.report import Unreadable
from docbus.errors import DocbusError, TransportError
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.transport import topics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from docbus.transport.port import Transport

T = TypeVar("T")

TOPICS_AT_ONCE = 16
"""Topics whose bounds are asked for at the same time."""


class AtOffset(NamedTuple):
    """A point in every partition, by offset."""

    offset: int


class AtTime(NamedTuple):
    """A point in every partition: the first record that was stored at or after it, milliseconds since 1970 UTC."""

    milliseconds: int


Point = AtOffset | AtTime


class Bounding:
    """Takes bounds, and notes what cannot be read.

    Args:
        transport: Started by the caller.
        start: Where to begin; None begins with the first record that is left.
        end: Where to stop, not included; None stops at what is the end now.
    """

    def __init__(self, transport: Transport, start: Point | None, end: Point | None) -> None:
        self._transport = transport
        self._start = start
        self._end = end
        self.unreadable: list[Unreadable] = []

    async def inboxes(self, agencies: Sequence[str]) -> list[Inbox]:
        """Return what is to be read of these agencies' inboxes."""
        early = await self._for_all(agencies, self._ends)
        found = await self._for_all(list(early), lambda agency: self._partitions(agency, early[agency]))
        return [inbox for partitions in found.values() for inbox in partitions]

    async def _ends(self, agency: str) -> dict[int, int]:
        bounds = await self._transport.bounds(topics.inbox(agency))
        return {partition: end for partition, (_first, end) in bounds.items()}

    async def _partitions(self, agency: str, early: dict[int, int]) -> list[Inbox]:
        topic = topics.inbox(agency)
        bounds = await self._transport.bounds(topic)
        starts = await self._at(topic, self._start)
        ends = await self._at(topic, self._end)
        if isinstance(self._end, AtTime):
            # Brokers' clocks differ: what was stored just before the end may cover what was stored just behind it.
            settled = await self._at(topic, AtTime(self._end.milliseconds - MAX_CLOCK_SKEW_MS))
            early = {partition: min(end, settled.get(partition, end)) for partition, end in early.items()}
        inboxes = []
        for partition, (first, last) in bounds.items():
            start = max(first, starts.get(partition, first))
            end = min(last, ends.get(partition, last))
            inboxes.append(
                Inbox(
                    agency=agency,
                    topic=topic,
                    partition=partition,
                    start=min(start, end),
                    end=end,
                    settled=early.get(partition, 0),
                    whole=start == 0,
                    to_now=not isinstance(self._end, AtOffset) or end == last,
                )
            )
        return inboxes

    async def _at(self, topic: str, point: Point | None) -> dict[int, int]:
        if isinstance(point, AtTime):
            return await self._transport.offset_at(topic, point.milliseconds)
        if isinstance(point, AtOffset):
            return dict.fromkeys(await self._transport.bounds(topic), point.offset)
        return {}

    async def _for_all(self, agencies: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        """Ask for every agency, some at a time; one that cannot be read is noted and left out."""
        answers: dict[str, T] = {}
        for at in range(0, len(agencies), TOPICS_AT_ONCE):
            part = agencies[at : at + TOPICS_AT_ONCE]
            results = await asyncio.gather(*(self._ask(agency, ask) for agency in part))
            for agency, result in zip(part, results, strict=True):
                if isinstance(result, DocbusError):
                    self.unreadable.append(
                        Unreadable(
                            agency=agency,
                            topic=topics.inbox(agency),
                            partition=None,
                            offset=None,
                            code=result.code,
                            text=result.text,
                        )
                    )
                else:
                    answers[agency] = result
        return answers

    @staticmethod
    async def _ask(agency: str, ask: Callable[[str], Awaitable[T]]) -> T | TransportError:
        try:
            return await ask(agency)
        except TransportError as error:
            return error
