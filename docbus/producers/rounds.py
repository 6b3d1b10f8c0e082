"""One round: seal the next batch while the one before is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from docbus.errors import StorageError
from docbus.producers.sealing import SealedBatch

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from docbus.clock import Clock
    from docbus.producers.pauses import Pause
    from docbus.producers.sealing import Sealing
    from docbus.producers.sending import Sender

log = structlog.get_logger(__name__)

_NOTHING = SealedBatch([], 0)


class Rounds:
    """The pipeline of sealing and sending, as long as the outbox's lock is held.

    Args:
        sealing: Seals; runs in the worker.
        sender: Sends; runs on the loop.
        worker: One thread.
        pause: Between rounds that failed for want of disk.
        clock: Measures the pause.
    """

    def __init__(self, *, sealing: Sealing, sender: Sender, worker: Executor, pause: Pause, clock: Clock) -> None:
        self.sender = sender
        self.idle = False
        """Whether the last round found nothing to do."""
        self._sealing = sealing
        self._worker = worker
        self._pause = pause
        self._clock = clock
        self._batch = _NOTHING
        self._doubtful = False

    @property
    def done(self) -> bool:
        """Whether everything is sent, or all that is left is in a pause after a failure."""
        return self.idle and self.sender.wait() != 0.0

    def wait(self) -> float | None:
        """Return the seconds until an idle round may find something to do; None if nobody knows."""
        waits = [wait for wait in (self.sender.wait(), self._sealing.signer.wait()) if wait is not None]
        return min(waits, default=None)

    async def next(self) -> int:
        """Do one round; return how many statements were acknowledged.

        Raises:
            StorageError: The database could not be read or written; what is stored stays, and nothing is out of turn.
        """
        if self._doubtful:
            await self.sender.load()
        batch, self._batch = self._batch, _NOTHING
        # Until the round is through: a disk that answers too late may have stored a batch that nobody was told of.
        self._doubtful = True
        # While nothing can be sent nothing is sealed either: what waits goes out under the keys of a later day.
        sealing = (
            None
            if self.sender.outage is not None
            else asyncio.get_running_loop().run_in_executor(self._worker, self._sealing.seal_next)
        )
        try:
            acknowledged = await self.sender.send(batch.copies) + await self.sender.recover()
        finally:
            # Shielded by nature: the thread goes on, and what it stores is found again as unsent.
            if sealing is not None:
                self._batch = await sealing
        self._doubtful = False
        self.idle = not (acknowledged or self._batch.copies or self._batch.failed)
        return acknowledged

    async def next_patiently(self) -> Pause | None:
        """Do one round; return the pause that is due if the database failed, instead of raising."""
        try:
            await self.next()
        except StorageError as error:
            self._pause.fail(self._clock.monotonic())
            self._report(error)
            return self._pause
        if self._pause.succeed():
            log.info("outbox.resume")
        return None

    def _report(self, error: StorageError) -> None:
        pause = self._pause
        if pause.worth_logging:
            log.error("outbox.pause", failures=pause.failures, code=error.code, reason=error.text, hint=error.hint)
