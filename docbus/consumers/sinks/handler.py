"""A sink that hands documents to the agency's own code: what ``Agency.receive`` of the client library wraps.

::

    async with sink.deliveries() as deliveries:
        async for incoming in deliveries:
            await incoming.accept(reference="DMS-4711")

What was accepted or rejected is kept. Leaving the iterator with documents undecided, in any way, delivers nothing of
them: they come again. A decision becomes durable with its batch, shortly after the last of it was made; a crash
before that brings the batch again, so the agency's code must cope with a document it has seen.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from docbus.consumers.sinks.port import Created, Reject, Retry
from docbus.errors import DeliveryError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from docbus.consumers.sinks.port import Answer, Delivery, Outcome

MAX_BATCH = 16
"""Documents handed out before their outcomes are stored: few, because so many may come again after a crash."""
ATTEND_SECONDS = 10.0
"""Seconds for which a batch waits for somebody to iterate, before it is held with the reason shown."""


class IncomingDocument:
    """One document with its decision still open.

    Attributes:
        delivery: The document.
    """

    __slots__ = ("_decided", "_outcome", "delivery")

    def __init__(self, delivery: Delivery, decided: asyncio.Event) -> None:
        self.delivery = delivery
        self._decided = decided
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """What was decided."""
        return self._outcome

    async def accept(self, reference: str | None = None, *, answer: Answer | None = None) -> None:
        """Say that the agency has it.

        Args:
            reference: The agency's own name for it, kept in the ledger.
            answer: For a recall, update or replacement: whether the agency agrees, and why; it agrees if left out.

        Raises:
            DeliveryError: It is decided already.
        """
        self._decide(Created(reference or self.delivery.name, answer))

    async def reject(self, code: str, text: str = "") -> None:
        """Say that the agency will never take it.

        Args:
            code: Stable, lower case and underscores, at most 64 bytes; stands in clear in the receipt.
            text: For the sender's people; travels encrypted.

        Raises:
            DeliveryError: It is decided already, or the code is not one.
        """
        refused = Reject(code, text)
        if refused.usable_code() != code:
            raise DeliveryError(
                f"{code!r} is not a code for a rejection",
                hint="Use lower case letters, digits and underscores, such as not_competent.",
                step="C3",
            )
        self._decide(refused)

    def _decide(self, outcome: Outcome) -> None:
        if self._outcome is not None:
            raise DeliveryError(f"document {self.delivery.document_id} is decided already", step="C3")
        self._outcome = outcome
        self._decided.set()


class IteratorSink:
    """Hands documents to one iterator at a time. One event loop."""

    max_batch = MAX_BATCH

    def __init__(self, attend_seconds: float = ATTEND_SECONDS) -> None:
        self._attend_seconds = attend_seconds
        self._attended = asyncio.Event()
        self._left = asyncio.Event()
        self._changed = asyncio.Event()
        self._waiting: list[IncomingDocument] = []
        self._closed = False

    @asynccontextmanager
    async def deliveries(self) -> AsyncIterator[AsyncIterator[IncomingDocument]]:
        """Iterate over documents as long as the block runs.

        Raises:
            DeliveryError: Somebody iterates already.
        """
        if self._attended.is_set():
            raise DeliveryError("the deliveries are iterated over already", step="C3")
        self._left.clear()
        self._attended.set()
        try:
            yield self._iterate()
        finally:
            self._attended.clear()
            self._left.set()
            self._changed.set()

    async def _iterate(self) -> AsyncIterator[IncomingDocument]:
        while not self._closed and self._attended.is_set():
            if self._waiting:
                yield self._waiting.pop(0)
                continue
            self._changed.clear()
            # Ended by a delivery, by closing, or by the caller; an agency may get nothing for days.
            await self._changed.wait()

    async def start(self) -> None:
        """See the port."""

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """See the port; what is undecided when the iterator is left gets ``retry``."""
        try:
            async with asyncio.timeout(self._attend_seconds):
                await self._attended.wait()
        except TimeoutError:
            raise SinkUnavailableError(
                "nobody iterates over the deliveries",
                hint="Documents wait until the program asks for the next one.",
                step="C3",
            ) from None
        changed = self._changed
        handed = [(asyncio.Event(), delivery) for delivery in batch]
        documents = [IncomingDocument(delivery, decided) for decided, delivery in handed]
        self._waiting = documents.copy()
        changed.set()
        left = asyncio.ensure_future(self._left.wait())
        try:
            for decided, _ in handed:
                decision = asyncio.ensure_future(decided.wait())
                try:
                    await asyncio.wait({decision, left}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    decision.cancel()
                if left.done():
                    break
        finally:
            left.cancel()
            self._waiting = []
        return [document.outcome or Retry("left undecided") for document in documents]

    async def aclose(self) -> None:
        """See the port."""
        self._closed = True
        self._left.set()
        self._changed.set()
