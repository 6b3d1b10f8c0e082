"""Sending and receiving for an agency, as long as somebody wants it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from docbus.client.collecting import keep_collecting
from docbus.client.connect import check_decrypters
from docbus.client.monitor import Monitor
from docbus.client.opened import OpenAgency
from docbus.client.running import beside, either
from docbus.client.status import agency_status
from docbus.client.time_stamping import batch_stamps, stamping
from docbus.consumers.answers import AnswerReader
from docbus.consumers.content_limits import ContentLimits
from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.handler import IncomingDocument, IteratorSink
from docbus.consumers.subscriber import Subscriber
from docbus.errors import LockedError
from docbus.waiting import wait_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Mapping, Sequence

    from docbus.client.running import Run
    from docbus.consumers.sinks.port import Delivery, Sink

    Deliveries = AsyncIterator[IncomingDocument]

log = structlog.get_logger(__name__)

STAND_BY_SECONDS = 5.0
"""Seconds after which it is tried again what another process holds: one lock file is looked at, and nobody waits long
where that process has ended."""


class WorkingMethods(OpenAgency):
    """What an open :class:`~docbus.client.agency.Agency` does for longer."""

    async def run(
        self, *, stop: asyncio.Event, send: bool = True, receive: bool = True, start: Mapping[int, int] | None = None
    ) -> None:
        """Send and receive into the settings' folder until ``stop`` is set, then finish what is in hand.

        Args:
            stop: Ends it within seconds.
            send: Drain the outbox.
            receive: Receive into the folder that the settings name.
            start: Offsets by partition to receive from, instead of where the ledger ends.

        Raises:
            LockedError: Another process sends or receives for this folder; the text names it.
            IdentityError: The agency's key may not sign any more; what waits is sealed under the next one.
            GroupBusyError: Another folder's process receives for this agency on the embedded transport.
        """
        runs: list[Run] = []
        if send:
            runs.append(self._send)
        if receive:
            runs.append(lambda stopped: self.receive_into(self._folder_sink(), stopped, start))
        async with beside(*runs):
            await stop.wait()

    @asynccontextmanager
    async def serving(self, *, send: bool = True, receive: bool = True) -> AsyncIterator[None]:
        """Send and receive into the settings' folder as long as the block runs.

        What another process of this folder does already is left to it, and taken over when that process ends.

        Raises:
            DocbusError: What ended sending or receiving.
        """
        runs: list[Run] = [self._send_or_stand_by] if send else []
        if receive:
            runs.append(self._receive_or_stand_by)
        async with beside(*runs):
            yield

    @asynccontextmanager
    async def deliveries(self, *, start: Mapping[int, int] | None = None) -> AsyncIterator[Deliveries]:
        """Yield an iterator over verified documents; each is to be accepted or rejected.

        Receipts are sent meanwhile, by another process if one sends for this folder already. What is undecided when the
        block ends comes again.

        Raises:
            LockedError: Another process receives for this folder.
        """
        sink = IteratorSink()

        async def receive(stop: asyncio.Event) -> None:
            await self.receive_into(sink, stop, start)

        async with beside(self._send_or_stand_by, receive), sink.deliveries() as deliveries:
            yield deliveries

    def _folder_sink(self) -> FolderSink:
        return FolderSink(self.settings.path(self.settings.sink.folder))

    async def receive_into(self, sink: Sink, stop: asyncio.Event, start: Mapping[int, int] | None = None) -> None:
        """Receive into a sink of one's own until ``stop`` is set; receipts are put into the outbox.

        Raises:
            LockedError: Another process receives for this folder.
            GroupBusyError: Another folder's process receives for this agency on the embedded transport.
            KeyFileError: None of the decryption keys opens what others encrypt to this agency now.
        """
        check_decrypters(self._decrypters, self.snapshot, self.id)
        await self._subscriber(sink, start).run(stop)

    def _subscriber(self, sink: Sink, start: Mapping[int, int] | None = None) -> Subscriber:
        return Subscriber(
            agency=self.id,
            database=self.database,
            transport=self.transport,
            snapshot=lambda: self.snapshot,
            decrypters=self._decrypters,
            sink=sink,
            offered=self._note_offered,
            clock=self._clock,
            wake_drain=self._drain.wake,
            verifier=self._verifier(),
            start=start,
            shared=self.settings.inbox.shared,
            content=self.content,
            limits=ContentLimits(
                document_bytes=self.settings.content.max_bytes, spool_bytes=self.settings.content.spool_bytes
            ),
        )

    def _note_offered(self, batch: Sequence[Delivery]) -> None:
        """Keep what the sink has in hand: it may report on a document before the ledger has it."""
        self._in_hand = frozenset((one.sender, one.document_id, one.revision) for one in batch)

    async def _send(self, stop: asyncio.Event) -> None:
        """Drain the outbox, and watch the folder; where others of the agency receive too, read its answers as well."""
        runs: list[Run] = [self._watch, self._collect, *self._stamping()]
        if not self.settings.inbox.shared:
            async with beside(*runs):
                await self._drain.run(stop)
            return
        answers = AnswerReader(
            agency=self.id,
            database=self.database,
            transport=self.transport,
            snapshot=lambda: self.snapshot,
            decrypters=self._decrypters,
            clock=self._clock,
            verifier=self._verifier(),
        )
        async with beside(*runs, answers.run):
            await self._drain.run(stop)

    def _stamping(self) -> list[Run]:
        """Return what has this folder's batches time-stamped, where its settings wish so."""
        stamps = batch_stamps(self.settings, self.database, self.id)
        if stamps is None:
            return []
        work = stamping(self.settings, stamps, self._clock)

        async def run(stop: asyncio.Event) -> None:
            # Whoever sends has stamped what is sent: one process of a folder, as for everything else.
            if await either(self._drain.holding, stop):
                await work(stop)

        return [run]

    async def _watch(self, stop: asyncio.Event) -> None:
        """Look at the folder's state once nobody else sends for it: each folder is watched by one process."""
        if not await either(self._drain.holding, stop):
            return
        await Monitor(
            read=lambda: agency_status(self, self._clock, self._drain.clock_ahead_ms),
            clock=self._clock,
            address=self.settings.metrics.address,
        ).run(stop)

    async def _collect(self, stop: asyncio.Event) -> None:
        """Fetch what authorities say, once nobody else sends for the folder, if the settings let it."""
        if self.settings.certificates.fetch and await either(self._drain.holding, stop):
            await keep_collecting(lambda: self.snapshot, self.id, self._material, stop)

    async def _send_or_stand_by(self, stop: asyncio.Event) -> None:
        await self._stand_by(self._send, "sending", stop)

    async def _receive_or_stand_by(self, stop: asyncio.Event) -> None:
        await self._stand_by(lambda stopped: self.receive_into(self._folder_sink(), stopped), "receiving", stop)

    async def _stand_by(self, run: Run, work: str, stop: asyncio.Event) -> None:
        """Do some work as soon as no other process does it for this folder."""
        told = False
        # Once in any case: a block may end before this begins, and what is accepted still has to go out.
        while not (told and stop.is_set()):
            try:
                await run(stop)
            except LockedError as error:
                if not told:
                    log.info("standing_by", agency=self.id, work=work, held=error.text)
                told = True
                await wait_for(stop, STAND_BY_SECONDS)
            else:
                return
