"""Where the parts of large content may lie: hints first, then a search, both within the proven sender's own topic.

Hints are unsigned. Whoever changed them can at most make this reader look in vain and then search; what it finds is
believed only for its digest.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from docbus.limits import MIB
from docbus.transport import topics
from docbus.transport.topics import CONTENT_PARTITION, DAY_MS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from docbus.consumers.wanted import Wanted
    from docbus.transport.port import Record, Transport

WINDOW_PARTS = 8
"""Parts read at a time: what a reader of the Kafka transport fetches at once."""
WINDOW_BYTES = 4 * MIB + 64 * 1024
"""Bytes of them, with their frames."""
READ_SECONDS = 5.0
"""Seconds that a read waits for records that the bounds say are there."""
SEARCH_RECORDS = 16_384
"""Records looked at in vain, 8 GiB at most, by following hints and once more in a search: whoever changes hints costs a
reader so much, and no more. Parts that follow one another are no search, however many."""
EMPTY_READ_RECORDS = SEARCH_RECORDS // 2
"""Records that a read in vain of ``READ_SECONDS`` counts for: the end of a topic may be nothing but marks of
transactions, and a hint may point there a hundred times."""
SEARCH_BACK_MS = DAY_MS
"""Milliseconds before the statement was made from which on a search looks: parts go up right before it is signed,
unless brokers were away in the middle."""


class Found(NamedTuple):
    """Where a topic begins and ends, as it was when it was last looked at."""

    first: int
    end: int


class Locator:
    """Reads records that may be parts of one attachment. One event loop.

    Args:
        transport: Started.
        wanted: What is looked for.
        missing: Tells how many parts are missing.
        resume_at: Offset at which an earlier attempt, or an earlier process, stopped reading; None: there was none.
    """

    def __init__(
        self, transport: Transport, wanted: Wanted, missing: Callable[[], int], resume_at: int | None = None
    ) -> None:
        self._transport = transport
        self._wanted = wanted
        self._missing = missing
        self._topic = topics.content(wanted.sender)
        self._resume_at = resume_at
        self._in_vain = 0
        self.useful = False
        """Whether what was yielded last held parts of this attachment; for the caller to say."""
        self.bounds = Found(0, 0)
        """Of the topic, when looking began."""
        self._searched = False

    @property
    def expired(self) -> bool:
        """Whether everything was looked at in vain, and a hint points to what the topic no longer has."""
        return self._searched and any(run < self.bounds.first for run in self._wanted.runs)

    async def records(self) -> AsyncGenerator[list[Record], None]:
        """Yield what lies where the parts may be, until none is missing or everything was looked at.

        The next records are read while the caller works on those it was given.

        Raises:
            TransportError: The topic is missing, or cannot be read.
        """
        first, end = (await self._transport.bounds(self._topic))[CONTENT_PARTITION]
        self.bounds = Found(first, end)
        at = -1
        starts = self._wanted.runs if self._resume_at is None else (self._resume_at, *self._wanted.runs)
        for run in starts:
            # What was read already, by going on from the run before, is not read again.
            if max(first, at) <= run < end and self._missing() > 0 and self._in_vain < SEARCH_RECORDS:
                async with contextlib.aclosing(self._from(run, end, patient=False)) as looking:
                    async for found in looking:
                        yield found
                        at = found[-1].offset + 1
        if self._missing() > 0:
            self._in_vain = 0
            start = (await self._transport.offset_at(self._topic, self._wanted.made_at - SEARCH_BACK_MS))[
                CONTENT_PARTITION
            ]
            start = max(start, first)
            # A search goes on where the one before has stopped, and then has what lies before that.
            middle = self._resume_at if self._resume_at is not None and start < self._resume_at < end else start
            for since, until in ((middle, end), (start, middle)):
                if self._missing() > 0 and self._in_vain < SEARCH_RECORDS:
                    async with contextlib.aclosing(self._from(since, until, patient=True)) as looking:
                        async for found in looking:
                            yield found
            self._searched = self._in_vain < SEARCH_RECORDS

    async def _from(self, offset: int, end: int, *, patient: bool) -> AsyncGenerator[list[Record], None]:
        """Yield records from an offset on; impatient, only until a whole window of them brings nothing."""
        idle = 0
        reading = self._read(offset, end, self._missing(), patient=patient)
        try:
            while reading is not None:
                found = await reading
                reading = None
                if not found:
                    self._in_vain += EMPTY_READ_RECORDS
                    return
                offset = found[-1].offset + 1
                missing = self._missing()
                reading = self._read(offset, end, missing - len(found), patient=patient)
                self.useful = False
                yield found
                if self._missing() == missing:
                    self._in_vain += len(found)
                idle = 0 if self.useful else idle + len(found)
                done = self._missing() == 0 or self._in_vain >= SEARCH_RECORDS
                if done or (idle >= WINDOW_PARTS and not patient):
                    return
                if reading is None:
                    # Records of others may lie between the parts of a run, also before its last.
                    reading = self._read(offset, end, self._missing(), patient=patient or idle > 0)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait({reading})
                if not reading.cancelled():
                    reading.exception()

    def _read(self, offset: int, end: int, wanted: int, *, patient: bool) -> asyncio.Task[list[Record]] | None:
        """Begin to read as many records as are wanted; in a search, where most are something else, whole windows."""
        count = WINDOW_PARTS if patient else min(WINDOW_PARTS, wanted)
        if offset >= end or count <= 0:
            return None
        return asyncio.ensure_future(
            self._transport.read(
                self._topic,
                CONTENT_PARTITION,
                offset,
                max_records=count,
                max_bytes=WINDOW_BYTES,
                wait=READ_SECONDS,
            )
        )
