"""Brokers run by somebody hostile: they acknowledge records and hide them, and store whatever they like."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.clock import SystemClock
from docbus.documents.document import Document
from docbus.envelope.batch import Draft, Sealer, StreamHead
from docbus.envelope.encrypted import encrypt_document
from docbus.envelope.envelope import join
from docbus.envelope.statement import DOCUMENT_TYPE, FIRST_PREVIOUS
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.support.trial import ENVIRONMENT, id_of, letter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record, Transport


class HostileBroker:
    """A transport that says it has stored what goes to inboxes, and withholds it.

    Attributes:
        withheld: The genuine records, in the order sent.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.withheld: list[NewRecord] = []

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Keep what goes to inboxes, and store the rest."""
        hidden = [record for record in records if topics.kind_of(record.topic) == topics.INBOX]
        self.withheld += hidden
        stored = iter(await self._transport.append([record for record in records if record not in hidden]))
        return [0 if record in hidden else next(stored) for record in records]


class FrozenDirectory:
    """A transport that shows no entry of the directory from some offset on, as if none had been published.

    Args:
        transport: The real one.
        shown: How many records of the directory are shown.
    """

    def __init__(self, transport: Transport, shown: int) -> None:
        self._transport = transport
        self._shown = shown
        self._thawed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def thaw(self) -> None:
        """Show everything from now on."""
        self._thawed.set()

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Say that the directory ends where it was frozen."""
        found = await self._transport.bounds(topic)
        if topic == topics.DIRECTORY and not self._thawed.is_set():
            return {partition: (first, min(end, self._shown)) for partition, (first, end) in found.items()}
        return dict(found)

    async def read(self, topic: str, partition: int, offset: int, **limits: Any) -> list[Record]:
        """Read as the transport does, and nothing of what is withheld."""
        if topic == topics.DIRECTORY and not self._thawed.is_set() and offset >= self._shown:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._thawed.wait(), limits["wait"])
            return []
        found = await self._transport.read(topic, partition, offset, **limits)
        hides = topic == topics.DIRECTORY and not self._thawed.is_set()
        return [record for record in found if not hides or record.offset < self._shown]


def sealed_by(
    signer: Signer,
    snapshot: TrustSnapshot,
    document_id: str,
    *,
    sender: str,
    recipient: str,
    now_ms: int | None = None,
) -> NewRecord:
    """Return an envelope, in an epoch of its own, that somebody seals who has a copy of the sender's key."""
    sender, recipient = id_of(sender), id_of(recipient)
    document = Document(document_id=document_id, title="Tựa", files=(letter(),), recipients=(recipient,))
    encrypted = encrypt_document(document, environment=ENVIRONMENT, sender=sender, now_ms=1)
    (sealed,) = Sealer(environment=ENVIRONMENT, sender=sender, signer=signer).seal(
        [Draft(DOCUMENT_TYPE, recipient, "documents", encrypted.body, len(encrypted.package), encrypted.content_key)],
        epochs={"documents": sha256(document_id.encode()).digest()[:16]},
        heads={(recipient, "documents"): StreamHead(0, FIRST_PREVIOUS)},
        snapshot=snapshot,
        now_ms=SystemClock().now_ms() if now_ms is None else now_ms,
    )
    value = join(sealed.front, encrypted.package, sealed.back)
    return NewRecord(topic=topics.inbox(recipient), key=sender.encode(), value=value)
