"""Sealed copies to the transport, each stream in its order, whatever fails (step P4).

A stream's next statement is sent only if the one before was acknowledged. Whatever could not be sent stays in the
database as it was stored; the stream is then *behind*, and continues from there once its pause is over:

- A topic is missing or refuses a record: that recipient's stream pauses, all others go on.
- The outcome of an append is unknown, twice in a row: each stream is tried alone, so that a partition without a leader
  costs only those whose inbox it is.
- No broker answers: everything pauses.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from docbus.errors import (
    AppendUnknownError,
    DiskFullError,
    RecordRefusedError,
    TopicMissingError,
    TransportError,
)
from docbus.producers.outbox import MAX_BATCH_BYTES, MAX_BATCH_STATEMENTS
from docbus.producers.pauses import Pause, jitter
from docbus.producers.records import RecordMaker
from docbus.producers.unsent import mark_failures, mark_sent, read_unsent, sent_sequences, unsent_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.clock import Clock
    from docbus.errors import DocbusError
    from docbus.producers.unsent import SealedCopy
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

log = structlog.get_logger(__name__)

UNKNOWN_BEFORE_SPLIT = 2
"""Appends of unknown outcome in a row after which streams are tried one by one."""
MAX_UNKNOWN_IN_SPLIT = 3
"""Streams with unknown outcome after which the rest of such a round is left: each may take a whole time limit."""
MAX_ERROR_CHARACTERS = 500
"""Characters of an error's text that are kept with a stream."""


class Sender:
    """Sends for one outbox; whoever uses it holds the outbox's lock. Belongs to one event loop.

    Args:
        database: Where sealed copies lie.
        transport: Where they go.
        sender: Canonical id of the sending agency.
        clock: Times of marks, and of pauses.
        factor: Jitter of pauses.
    """

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        sender: str,
        clock: Clock,
        factor: Callable[[], float] = jitter,
    ) -> None:
        self._database = database
        self._transport = transport
        self._maker = RecordMaker(sender)
        self._clock = clock
        self._factor = factor
        self._next: dict[int, int] = {}
        """Stream to the sequence to be sent next; of a stream that is missing the database knows."""
        self._behind: dict[int, Pause] = {}
        """Streams of which the database, and not the next batch, says what comes next; longest untouched first."""
        self._unmarked: list[SealedCopy] = []
        """Acknowledged, but not yet marked so in the database."""
        self._everything = Pause(factor)
        self._unknown = 0
        self.outage: DocbusError | None = None
        """Why nothing at all can be sent at present."""

    async def load(self) -> None:
        """Find what is stored and unsent: at the start, and after a failure of which the outcome is not known."""
        for stream in await self._database.read(unsent_streams):
            self._behind.setdefault(stream.stream, Pause(self._factor))

    @property
    def blocked(self) -> int:
        """How many streams pause because their last attempt was in vain."""
        return sum(pause.failures > 0 for pause in self._behind.values())

    def wait(self) -> float | None:
        """Return the seconds until something that is stored can be sent: 0 for now, None if there is nothing."""
        if self._unmarked:
            return 0.0
        if not self._behind:
            return None
        first = min(pause.until for pause in self._behind.values())
        return max(0.0, max(first, self._everything.until) - self._clock.monotonic())

    async def send(self, copies: Sequence[SealedCopy]) -> int:
        """Send a batch that has just been stored; what is not next in its stream is left for :meth:`recover`.

        Returns:
            How many were acknowledged.

        Raises:
            StorageError: What was acknowledged could not be marked; the next call tries it again before all else.
        """
        try:
            await self._mark()
            unknown = {copy.stream for copy in copies} - self._next.keys() - self._behind.keys()
            if unknown:
                sent = await self._database.read(lambda c: sent_sequences(c, unknown))
                self._next.update({stream: sequence + 1 for stream, sequence in sent.items()})
            return await self._transmit(self._in_turn(copies))
        except BaseException:
            # Whatever happened, what comes next in these streams is now for the database to say.
            for copy in copies:
                self._fall_behind(copy.stream)
            raise

    async def recover(self) -> int:
        """Send the next part of what is stored, of streams that are behind and not in a pause.

        Returns:
            How many were acknowledged.

        Raises:
            StorageError: As in :meth:`send`.
        """
        await self._mark()
        now = self._clock.monotonic()
        if self._everything.until > now:
            return 0
        due = [stream for stream, pause in self._behind.items() if pause.until <= now]
        if not due:
            return 0
        found = await self._database.read(lambda c: read_unsent(c, due, MAX_BATCH_STATEMENTS, MAX_BATCH_BYTES))
        for stream, copies in found.items():
            pause = self._behind.pop(stream)
            if copies:
                # Put at the end, so that a long stream does not keep the others waiting.
                self._behind[stream] = pause
        return await self._transmit([copy for copies in found.values() for copy in copies])

    def _fall_behind(self, stream: int) -> Pause:
        return self._behind.setdefault(stream, Pause(self._factor))

    def _in_turn(self, copies: Sequence[SealedCopy]) -> list[SealedCopy]:
        """Return those that are next in their streams; streams of the others fall behind."""
        ready: list[SealedCopy] = []
        following: dict[int, int] = {}
        for copy in copies:
            stream, sequence = copy.stream, copy.sequence
            expected = following.get(stream) or self._next.get(stream, 0)
            if self.outage is not None or stream in self._behind or sequence > expected:
                self._fall_behind(stream)
            elif sequence == expected:
                following[stream] = sequence + 1
                ready.append(copy)
        return ready

    async def _transmit(self, copies: Sequence[SealedCopy]) -> int:
        if not copies:
            return 0
        acknowledged, failures = await self._append(copies)
        self._unmarked = acknowledged
        for copy in acknowledged:
            self._next[copy.stream] = copy.sequence + 1
        for stream in {copy.stream for copy in acknowledged} & self._behind.keys():
            if self._behind[stream].succeed():
                log.info("stream.resume", stream=stream)
        count = len(acknowledged)
        if failures:
            at_ms = self._clock.now_ms()
            await self._database.write(lambda c: mark_failures(c, failures, at_ms=at_ms))
        await self._mark()
        return count

    async def _mark(self) -> None:
        if self._unmarked:
            copies, at_ms = self._unmarked, self._clock.now_ms()
            await self._database.write(lambda c: mark_sent(c, copies, at_ms=at_ms))
            self._unmarked = []

    async def _append(self, copies: Sequence[SealedCopy]) -> tuple[list[SealedCopy], dict[int, str]]:
        """Append as one list, and apart where that tells whose fault it is.

        Returns:
            What was acknowledged, and for each stream of the rest why not.
        """
        try:
            await self._transport.append(self._maker.records(copies))
        except (TopicMissingError, RecordRefusedError):
            return await self._append_apart(copies)
        except AppendUnknownError as error:
            self._unknown += 1
            if self._unknown >= UNKNOWN_BEFORE_SPLIT:
                return await self._append_apart(copies)
            return [], self._fail_all(copies, error)
        except (TransportError, DiskFullError) as error:
            return [], self._fail_all(copies, error)
        self._succeed()
        return list(copies), {}

    async def _append_apart(self, copies: Sequence[SealedCopy]) -> tuple[list[SealedCopy], dict[int, str]]:
        streams: dict[int, list[SealedCopy]] = defaultdict(list)
        for copy in copies:
            streams[copy.stream].append(copy)
        acknowledged: list[SealedCopy] = []
        failures: dict[int, str] = {}
        unknown = 0
        while streams:
            stream = next(iter(streams))
            part = streams.pop(stream)
            try:
                await self._transport.append(self._maker.records(part))
            except (TopicMissingError, RecordRefusedError, AppendUnknownError) as error:
                failures[stream] = self._fail_one(part[0], error)
                unknown += isinstance(error, AppendUnknownError)
                if unknown >= MAX_UNKNOWN_IN_SPLIT:
                    rest = [copy for others in streams.values() for copy in others]
                    return acknowledged, failures | self._fail_all(rest, error)
            except (TransportError, DiskFullError) as error:
                rest = [copy for others in (part, *streams.values()) for copy in others]
                return acknowledged, failures | self._fail_all(rest, error)
            else:
                acknowledged += part
        self._succeed()
        return acknowledged, failures

    def _fail_one(self, copy: SealedCopy, error: DocbusError) -> str:
        pause = self._fall_behind(copy.stream)
        pause.fail(self._clock.monotonic())
        if pause.worth_logging:
            log.warning(
                "stream.pause",
                recipient=copy.recipient,
                stream=copy.stream,
                failures=pause.failures,
                code=error.code,
                reason=error.text,
                hint=error.hint,
            )
        return error.text[:MAX_ERROR_CHARACTERS]

    def _fail_all(self, copies: Sequence[SealedCopy], error: DocbusError) -> dict[int, str]:
        pause = self._everything
        pause.fail(self._clock.monotonic())
        self.outage = error
        if pause.worth_logging:
            log.warning("transport.pause", failures=pause.failures, code=error.code, reason=error.text, hint=error.hint)
        streams = {copy.stream for copy in copies}
        for stream in streams:
            self._fall_behind(stream)
        return dict.fromkeys(streams, error.text[:MAX_ERROR_CHARACTERS])

    def _succeed(self) -> None:
        self._unknown = 0
        self.outage = None
        if self._everything.succeed():
            log.info("transport.resume")
