"""The loop that empties the outbox: seal what waits, send what is sealed (steps P3 and P4).

There is no linger timer: a batch is whatever queued up while the one before was under way. Sealing a batch, in a worker
thread, overlaps with sending the one before; sending is strictly one after the other.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from docbus.errors import SignerAwayError, StorageError
from docbus.producers.epochs import ensure_epochs
from docbus.producers.outbox import MAX_BATCH_STATEMENTS
from docbus.producers.pauses import Pause, jitter
from docbus.producers.pruning import KEEP_SETTLED_MS, PRUNE_COPIES, PRUNE_EVERY_SECONDS, prune
from docbus.producers.rounds import Rounds
from docbus.producers.sealing import Sealing
from docbus.producers.sending import Sender
from docbus.producers.uploading import Uploader
from docbus.producers.withdrawing import settled_content
from docbus.storage.content import CONTENT_NAME, ContentFolder
from docbus.storage.locks import hold
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from docbus.clock import Clock
    from docbus.envelope.batch import Sealer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.signer_guard import SignerTrouble
    from docbus.producers.turns import SealingKeys
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

log = structlog.get_logger(__name__)

LOCK_NAME = "outbox.lock"
"""The lock file, beside the database: the outbox has one drainer at a time."""
POLL_SECONDS = 0.05
"""Seconds after which a document that another process has accepted is noticed; one look costs microseconds."""
IDLE_SECONDS = 5.0
"""Seconds after which an idle loop looks again in any case."""
KEEP_CONTENT_MS = 24 * 60 * 60 * 1000
"""Milliseconds for which large content is kept after everybody has it: a day, as it may be gigabytes."""
STOP_SECONDS = 10.0
"""Seconds that a stop may take to send what is accepted; what is left goes out with the next start."""


class Drain:
    """Empties one outbox. Belongs to one event loop.

    Args:
        database: The outbox.
        transport: Started by the caller.
        sealer: Signs as the agency.
        sender: Canonical id of the sending agency.
        snapshot: Gives the newest trust snapshot.
        clock: Times and pauses.
        content: Where large content is kept; ``content`` beside the database if left out.
        keep_settled_ms: Milliseconds for which envelopes of settled copies are kept.
        stamped: Whether the batches wait for time stamps.
        batch_statements: Gives how many statements the next batch may have.
        factor: Jitter of pauses.
        keys: Choose what seals, from one batch to the next; ``sealer`` always does without.
    """

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        sealer: Sealer,
        sender: str,
        snapshot: Callable[[], TrustSnapshot],
        clock: Clock,
        content: ContentFolder | None = None,
        keep_settled_ms: int = KEEP_SETTLED_MS,
        stamped: bool = False,
        batch_statements: Callable[[], int] = lambda: MAX_BATCH_STATEMENTS,
        factor: Callable[[], float] = jitter,
        keys: SealingKeys | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_settled_ms = keep_settled_ms
        self._factor = factor
        self._sealing = Sealing(
            database=database,
            sealer=sealer,
            snapshot=snapshot,
            clock=clock,
            stamp=lambda: transport.stamp,
            stamped=stamped,
            keys=keys,
            batch_statements=batch_statements,
        )
        self._make_sender = partial(
            Sender, database=database, transport=transport, sender=sender, clock=clock, factor=factor
        )
        self._wake = asyncio.Event()
        self._content = content or ContentFolder(database.path.parent / CONTENT_NAME)
        self._uploader = Uploader(
            database=database,
            transport=transport,
            content=self._content,
            sender=sender,
            clock=clock,
            uploaded=self._wake.set,
            factor=factor,
        )
        self.holding = asyncio.Event()
        """Set as long as this object drains the outbox, and no other process can."""
        self.asleep = False
        """Whether the last round found nothing to do, and the next waits for something."""
        self._prune_at = 0.0

    @property
    def clock_ahead_ms(self) -> float | None:
        """Milliseconds by which the clock is ahead of the brokers'; None if they have acknowledged nothing yet."""
        return self._sealing.clock_ahead_ms

    @property
    def signer_trouble(self) -> SignerTrouble | None:
        """Why nothing can be signed, if the signer is away."""
        return self._sealing.signer.trouble

    def wake(self) -> None:
        """Say, on the loop, that something was put into the outbox; without it the loop finds out by itself."""
        self._wake.set()
        self._uploader.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Drain until ``stop`` is set, then send what was accepted until then, for a bounded time.

        Failures are waited out for ever, and logged: brokers that are away, a full disk, one recipient's topic missing.

        Raises:
            LockedError: Another process drains this outbox; the text names it.
            StorageError: The database could not be read at the start.
        """
        async with self._holding() as rounds:
            watcher = asyncio.create_task(self._watch(stop))
            uploading = asyncio.create_task(self._uploader.run(stop))
            uploading.add_done_callback(lambda _: self._wake.set())
            try:
                while not stop.is_set():
                    if uploading.done():
                        # It ends by the stop alone, so this is an error.
                        uploading.result()
                    version = self._database.data_version()
                    self._wake.clear()
                    trouble = await rounds.next_patiently()
                    await self._prune()
                    if trouble is not None:
                        await wait_for(stop, trouble.until - self._clock.monotonic())
                    elif rounds.idle:
                        await self._sleep(version, rounds.wait())
                await asyncio.wait({uploading})
                uploading.result()
                await self._finish(rounds)
            finally:
                watcher.cancel()
                uploading.cancel()
                await asyncio.wait({uploading})

    async def drain(self) -> int:
        """Seal and send until nothing more can be done now.

        Returns:
            How many statements the brokers acknowledged. Streams whose topic is missing or refuses them are left, with
            their error, see :func:`docbus.producers.journey.counts`.

        Raises:
            LockedError: Another process drains this outbox.
            TransportError: No broker answers; nothing accepted is lost.
            StorageError: The outbox cannot be written, for example because the disk is full.
            SignerAwayError: The signer is away; nothing accepted is lost.
        """
        sent = 0
        async with self._holding() as rounds:
            await self._uploader.clean()
            while True:
                while not rounds.done:
                    sent += await rounds.next()
                if rounds.sender.outage is not None:
                    raise rounds.sender.outage
                if self.signer_trouble is not None:
                    raise SignerAwayError(self.signer_trouble.text, hint=self.signer_trouble.hint)
                # What needs no upload goes first; then what was held, and what was behind it. That may be let go also
                # without any part's being sent: all were there already, or content is lost.
                uploaded = await self._uploader.upload_all()
                sent += await rounds.next()
                if not uploaded and _is_through(rounds):
                    return sent

    @asynccontextmanager
    async def _holding(self) -> AsyncIterator[Rounds]:
        path = self._database.path
        with (
            hold(path.with_name(LOCK_NAME), "sending", self._clock),
            # A batch that is being stored is waited for before the lock is let go.
            ThreadPoolExecutor(1, thread_name_prefix="docbus-seal") as worker,
        ):
            at_ms = self._clock.now_ms()
            for lane in await self._database.write(lambda c: ensure_epochs(c, path, at_ms=at_ms)):
                log.warning("epoch.begin", lane=lane, reason="the outbox was copied or restored")
            # Before anything is sent: what a key has signed that has ended goes out again, and not as it was.
            await asyncio.get_running_loop().run_in_executor(worker, self._sealing.attend)
            sender = self._make_sender()
            await sender.load()
            self.holding.set()
            try:
                yield Rounds(
                    sealing=self._sealing, sender=sender, worker=worker, pause=Pause(self._factor), clock=self._clock
                )
            finally:
                self.holding.clear()

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _finish(self, rounds: Rounds) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                # At least one round: what was accepted while the loop slept has not been looked at.
                await rounds.next()
                while not rounds.done:
                    await rounds.next()
        except (TimeoutError, StorageError) as error:
            log.warning("outbox.leave", reason=str(error) or f"not empty after {STOP_SECONDS:.0f} s")

    async def _sleep(self, version: int, wait: float | None) -> None:
        """Wait until there may be something to do: woken, another process has written, a pause is over."""
        self.asleep = True
        try:
            await self._sleep_until(version, wait)
        finally:
            self.asleep = False

    async def _sleep_until(self, version: int, wait: float | None) -> None:
        now = self._clock.monotonic()
        until = now + (IDLE_SECONDS if wait is None else min(wait, IDLE_SECONDS))
        while now < until:
            if await wait_for(self._wake, min(POLL_SECONDS, until - now)) or self._database.data_version() != version:
                return
            now = self._clock.monotonic()

    async def _prune(self) -> None:
        now = self._clock.monotonic()
        if now < self._prune_at:
            return
        settled_before_ms = self._clock.now_ms() - self._keep_settled_ms
        try:
            pruned = await self._database.write(lambda c: prune(c, settled_before_ms=settled_before_ms))
            await self._prune_content()
        except StorageError as error:
            log.warning("outbox.keep", reason=error.text, hint=error.hint)
            pruned = 0
        # As long as there is more, a part goes with every round.
        self._prune_at = now if pruned == PRUNE_COPIES else now + PRUNE_EVERY_SECONDS

    async def _prune_content(self) -> None:
        before_ms = self._clock.now_ms() - KEEP_CONTENT_MS
        files = await self._database.write(lambda c: settled_content(c, settled_before_ms=before_ms))
        if files:
            await asyncio.to_thread(self._content.drop, files)


def _is_through(rounds: Rounds) -> bool:
    """Tell whether nothing more can be done now, and no outage has to be reported."""
    return rounds.done and rounds.sender.outage is None
