"""How long large content that was not fetched is still there: the recipient's lag against its senders' retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.errors import AgencyCodeError
from docbus.transport import topics
from docbus.transport.topics import CONTENT_PARTITION, DAY_MS

if TYPE_CHECKING:
    from docbus.consumers.overview import LedgerOverview
    from docbus.transport.port import Record, Transport

SOON_MS = 14 * DAY_MS
"""Milliseconds before content expires from which on it counts as urgent: two weeks, in which somebody comes by."""
LOOK_BYTES = 2 * 1024 * 1024
"""Bytes read to see when one record was stored."""
LOOK_SECONDS = 2.0
"""Seconds to wait for it; it is either there at once, or gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentExpiry:
    """When content begins to expire that this agency has not fetched; times in milliseconds since 1970.

    Attributes:
        undecided_at: When the oldest record of the inbox was stored that is not decided yet; None if all are.
        expires_at: When the first content expires that may still be wanted; None if none is, or it never does.
        sender: Whose it is.
        document_id: Which document it belongs to, if that is known.
        soon: Whether that is within ``SOON_MS``, or past.
    """

    undecided_at: int | None
    expires_at: int | None
    sender: str | None
    document_id: str | None
    soon: bool


async def content_expiry(transport: Transport, agency: str, inbox: LedgerOverview, now_ms: int) -> ContentExpiry:
    """Return it, from the ledger, the inbox, and the settings of content topics at the brokers.

    Args:
        transport: Started.
        agency: Canonical id of the recipient.
        inbox: What the ledger says: how far partitions are decided, and what it waits for.
        now_ms: Now.

    Raises:
        TransportError: The brokers cannot be asked.
    """
    undecided = await _undecided(transport, topics.inbox(agency), inbox)
    found: list[tuple[int, str, str | None]] = []
    if undecided is not None:
        # Its key is a hint of its sender; whether it has large content, only reading it tells.
        found.append((undecided.timestamp_ms, (undecided.key or b"").decode(errors="replace"), None))
    for document in inbox.content.oldest:
        stored_at = document.stored_at
        if document.offset is not None:
            part = await _record(transport, topics.content(document.sender), CONTENT_PARTITION, document.offset)
            # Where the first part is gone, what follows it goes next; its envelope's time is as good as any.
            stored_at = stored_at if part is None else min(stored_at, part.timestamp_ms)
        found.append((stored_at, document.sender, document.document_id))
    retention = await _retention(transport, {sender for _, sender, _ in found})
    expiring = [
        (stored_at + kept, sender, document_id)
        for stored_at, sender, document_id in found
        if (kept := retention.get(sender, -1)) >= 0
    ]
    first = min(expiring, default=None)
    return ContentExpiry(
        undecided_at=None if undecided is None else undecided.timestamp_ms,
        expires_at=None if first is None else first[0],
        sender=None if first is None else first[1],
        document_id=None if first is None else first[2],
        soon=first is not None and first[0] - now_ms < SOON_MS,
    )


async def _undecided(transport: Transport, topic: str, inbox: LedgerOverview) -> Record | None:
    """Return the oldest record that is not decided, over all partitions that are read here."""
    oldest: Record | None = None
    for partition, (first, end) in (await transport.bounds(topic)).items():
        if inbox.held is not None and partition not in inbox.held:
            continue
        offset = max(first, inbox.decided.get(partition, first))
        record = await _record(transport, topic, partition, offset) if offset < end else None
        if record is not None and (oldest is None or record.timestamp_ms < oldest.timestamp_ms):
            oldest = record
    return oldest


async def _record(transport: Transport, topic: str, partition: int, offset: int) -> Record | None:
    first, end = (await transport.bounds(topic))[partition]
    if not first <= offset < end:
        return None
    records = await transport.read(topic, partition, offset, max_records=1, max_bytes=LOOK_BYTES, wait=LOOK_SECONDS)
    return records[0] if records else None


async def _retention(transport: Transport, senders: set[str]) -> dict[str, int]:
    """Return for how many milliseconds each sender's content topic keeps its parts; -1 is for ever."""
    names = {}
    for sender in senders:
        try:
            names[topics.content(sender)] = sender
        except AgencyCodeError:
            # A key in an inbox may be anything.
            continue
    states = await transport.describe(list(names)) if names else {}
    return {
        names[name]: int(state.configuration.get("retention.ms", "-1"))
        for name, state in states.items()
        if state is not None
    }
