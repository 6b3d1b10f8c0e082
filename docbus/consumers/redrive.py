"""Redrive: doing what operators requested of records that were set aside.

A record is read from its topic again and goes the way of any other, as if it had just come: C1, C2, its position, the
sink, ledger and receipt. Nothing is skipped. What differs:

- it moves no partition forward, and if it is refused again it is not set aside a second time: the request is in vain;
- a position that was taken with a refusal is decided anew, and a new receipt turns refused into filed;
- what the sink, a check or its stream wants to have later is not parked: the request stays, with a pause;
- the time until which its sender wanted it delivered is compared with now.

===================  ===================================================================================================
dies before          what happens next
===================  ===================================================================================================
the act is stored    nothing was decided; the command is given again
it is in force       whoever reads the ledger topic next puts it into force: the next command, or the next start
the sink             the request is taken up again
ledger               it is delivered again, and the sink answers "already there"
===================  ===================================================================================================
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from docbus.clock import no_earlier
from docbus.consumers import requests
from docbus.consumers.acts import follow_acts
from docbus.consumers.attempts import CRASH_LOOP
from docbus.consumers.holding import StopReceiving
from docbus.consumers.items import Item
from docbus.consumers.parking import LONGEST_ATTEMPT_MS
from docbus.consumers.requests import GONE, RequestState, Settled
from docbus.consumers.set_aside import original_of, read_numbers
from docbus.consumers.settling import read_partitions
from docbus.consumers.values import read_value, write_value
from docbus.errors import DocbusError, TransportError
from docbus.transport import topics

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    from docbus.clock import Clock
    from docbus.consumers.filing import Filing
    from docbus.consumers.holding import Patience
    from docbus.consumers.inspection import Inspected
    from docbus.consumers.requests import Request
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Transport
    from docbus.verification.verifier import Verifier

log = structlog.get_logger(__name__)

_FILES = "filed_by"
"""Name of the ledger's value that says which sink files for this agency."""


class Redrive:
    """Takes up requests. Belongs to whoever holds the inbox of the folder.

    Args:
        agency: Canonical id of the agency.
        database: Where requests are.
        transport: Started.
        snapshot: Gives the newest trust snapshot.
        inspect: C1 and C2 of records.
        filing: Brings them to their end.
        patience: Pauses.
        clock: Times.
        acquit: Told of records that are worked off.
        verifier: Of nobody else: for acts.
    """

    def __init__(
        self,
        *,
        agency: str,
        database: Database,
        transport: Transport,
        snapshot: Callable[[], TrustSnapshot],
        inspect: Callable[[Sequence[Record]], Awaitable[list[Inspected]]],
        filing: Filing,
        patience: Patience,
        clock: Clock,
        acquit: Callable[[Sequence[Record]], Awaitable[None]],
        verifier: Verifier,
    ) -> None:
        self._agency = agency
        self._database = database
        self._transport = transport
        self._snapshot = snapshot
        self._inspect = inspect
        self._filing = filing
        self._patience = patience
        self._clock = clock
        self._acquit = acquit
        self._verifier = verifier
        self._act_waits = False
        self._followed_under: tuple[int, ValidationMaterial] | None = None
        self._follow_at = 0.0

    async def begin(self, sink: object) -> None:
        """Put acts into force that a crash has left, and note which sink files."""
        await self._database.write(lambda connection: note_sink(connection, sink))
        await self._database.write(requests.restore_waiting)
        await self._follow()

    async def _follow(self) -> None:
        """Put into force what can be, and note whether an act waits, and for what to change."""
        snapshot = self._snapshot()
        self._followed_under = snapshot.position, self._verifier.paths.material
        self._follow_at = self._clock.monotonic() + LONGEST_ATTEMPT_MS / 1000
        now_ms = no_earlier(self._clock, snapshot.made_at)
        try:
            self._act_waits = await follow_acts(
                self._database, self._transport, self._agency, snapshot, verifier=self._verifier, now_ms=now_ms
            )
        except TransportError as error:
            # No reason not to receive: whoever acts next reads them.
            log.warning("acts_not_read", error=error.text)

    async def _look_at_waiting_acts(self) -> None:
        """Follow again where an act waits, as soon as what is known has changed, and every few minutes."""
        if self._act_waits:
            known = self._snapshot().position, self._verifier.paths.material
            if known != self._followed_under or self._clock.monotonic() >= self._follow_at:
                await self._follow()

    async def run(self, stop: asyncio.Event) -> None:
        """Take up requests until none is due, where nobody receives."""
        await self._filing.load(await self._database.read(read_partitions))
        while not stop.is_set() and await self.step():
            pass

    async def step(self) -> bool:
        """Take up requests that are due, a bounded number; tell whether there were any.

        Raises:
            StopReceiving: The stop came while something was waited for; requests stay.
        """
        await self._look_at_waiting_acts()
        now_ms = self._clock.now_ms()
        due = await self._database.read(lambda connection: requests.read_due(connection, now_ms))
        taken = requests.portion_of(due)
        if not taken:
            return False
        # Taken back unless the process dies, or is about to: then it counts against them.
        await self._database.write(lambda connection: requests.note_begun(connection, taken, 1))
        ended = False
        try:
            await self._do(taken, now_ms)
            ended = True
        except (DocbusError, StopReceiving):
            ended = True
            raise
        finally:
            if ended:
                await self._database.write(lambda connection: requests.note_begun(connection, taken, -1))
        return True

    async def _do(self, taken: Sequence[Request], now_ms: int) -> None:
        settled = [
            Settled(one, RequestState.IN_VAIN, CRASH_LOOP, f"{one.begun} times the process died while it worked on it")
            for one in taken
            if one.begun >= requests.CONDEMNED_AT
        ]
        chosen: list[Request] = []
        records: list[Record] = []
        for topic in (topics.quarantine(self._agency), topics.dead_letter(self._agency)):
            # Of two requests about one number, as there may be if the topic was made anew, the other comes next.
            of_topic = {
                one.number: one
                for one in taken
                if one.topic == topics.kind_of(topic) and one.begun < requests.CONDEMNED_AT
            }
            for request, record in await self._read(topic, of_topic, settled):
                chosen.append(request)
                records.append(original_of(record, self._agency))
        if settled:
            await self._database.write(lambda connection: requests.write_settled(connection, settled, now_ms))
        if not records:
            return
        inspected = await self._inspect(records)
        items = [Item(*pair) for pair in zip(records, inspected, strict=True)]
        for item, request in zip(items, chosen, strict=True):
            item.request = request
        await self._filing.process(items, inspected, moved=lambda: False)
        await self._acquit(records)

    async def _read(
        self, topic: str, of_topic: dict[int, Request], settled: list[Settled]
    ) -> list[tuple[Request, Record]]:
        """Return requests with their records; those whose record is gone are added to ``settled``."""
        if not of_topic:
            return []
        try:
            found = await self._patience.persist(
                "redrive", lambda: read_numbers(self._transport, topic, of_topic), TransportError
            )
        except TransportError as error:
            log.warning("redrive_topic_unreadable", topic=topic, error=error.text)
            settled += [Settled(one, RequestState.IN_VAIN, error.code, error.text) for one in of_topic.values()]
            return []
        pairs = []
        for number, record in found.items():
            request = of_topic[number]
            if record is not None and sha256(record.value or b"").digest() == request.mark:
                pairs.append((request, record))
            else:
                what = "there is no such record any more" if record is None else "another record lies there now"
                settled.append(Settled(request, RequestState.IN_VAIN, GONE, what))
        return pairs


def note_sink(connection: sqlite3.Connection, sink: object) -> None:
    """Note which sink files for this agency, so that no command files elsewhere."""
    write_value(connection, _FILES, {"sink": sink_name(sink)})


def filed_by(connection: sqlite3.Connection) -> str | None:
    """Return the name of the sink that filed last for this agency, or None if nothing ever did."""
    value = read_value(connection, _FILES)
    return None if value is None else str(value["sink"])


def sink_name(sink: object) -> str:
    """Return a name that is another one for every kind of sink."""
    kind = sink if isinstance(sink, type) else type(sink)
    return f"{kind.__module__}.{kind.__qualname__}"
