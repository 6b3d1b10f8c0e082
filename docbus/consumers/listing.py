"""Reading what was set aside in bulk: who sent it, which document it is, and what was decided about it."""

from __future__ import annotations

import asyncio
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.consumers.aside import topic_of
from docbus.consumers.listed import Listed, Origin
from docbus.consumers.requests import read_rows
from docbus.consumers.selection import MAX_SELECTED
from docbus.consumers.set_aside import set_aside_of
from docbus.consumers.spans import READ_RECORDS, bounds_of, read_span
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import DocumentBody, decode_statement
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from docbus.consumers.listed import Kind
    from docbus.consumers.requests import RequestRow
    from docbus.consumers.selection import Selection
    from docbus.consumers.set_aside import SetAside
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Transport

SHOWN_DECIDED = 100
"""Records that are returned where all that are meant were decided before."""


class Reader:
    """Reads records that were set aside, with what is known of each.

    Args:
        transport: Started.
        database: Where the acts in force are.
        agency: Canonical id of the agency.
        snapshot: The directory, to prove senders with.
        verifier: Of nobody else; knows how certificates stand. One that knows nothing if left out.
    """

    def __init__(
        self,
        transport: Transport,
        database: Database,
        agency: str,
        snapshot: TrustSnapshot,
        verifier: Verifier | None = None,
    ) -> None:
        self._transport = transport
        self._database = database
        self._agency = agency
        self._snapshot = snapshot
        self._verifier = verifier or Verifier()

    async def newest(self, kind: Kind, selection: Selection, count: int, *, settled: bool) -> list[Listed]:
        """Return the newest records that are meant, the oldest of them first.

        Args:
            kind: Which topic.
            selection: What is meant; an empty one means all.
            count: At most so many.
            settled: Also those about which somebody has decided.

        Raises:
            TransportError: The topic is missing or cannot be read.
        """
        first, end = await bounds_of(self._transport, topic_of(kind, self._agency))
        rows = await self._database.read(lambda connection: read_rows(connection, kind))
        found: deque[Listed] = deque()
        while end > first and len(found) < count:
            start = max(first, end - READ_RECORDS)
            read = [one async for part in self._span(kind, start, end, rows) for one in part]
            meant = [one for one in read if selection.holds(one) and (settled or one.open)]
            found.extendleft(reversed(meant[-(count - len(found)) :]))
            end = start
        return list(found)

    async def selected(self, kind: Kind, selection: Selection) -> list[Listed]:
        """Return all records that are meant, the oldest first, at most ``MAX_SELECTED`` and one.

        Where they are not named one by one, those about which somebody has decided are left out as long as there are
        others; else the newest of them are returned, so that whoever asks again sees what came of it.

        Raises:
            TransportError: The topic is missing or cannot be read.
        """
        first, end = await bounds_of(self._transport, topic_of(kind, self._agency))
        rows = await self._database.read(lambda connection: read_rows(connection, kind))
        if selection.numbers:
            first, end = max(first, min(selection.numbers)), min(end, max(selection.numbers) + 1)
        found: list[Listed] = []
        decided: deque[Listed] = deque(maxlen=SHOWN_DECIDED)
        async for part in self._span(kind, first, end, rows):
            for one in part:
                if selection.holds(one):
                    (found if selection.named or not one.decided else decided).append(one)
            if len(found) > MAX_SELECTED:
                break
        return found[: MAX_SELECTED + 1] or list(decided)

    async def _span(
        self, kind: Kind, start: int, end: int, rows: dict[tuple[int, bytes], RequestRow]
    ) -> AsyncIterator[list[Listed]]:
        async for records in read_span(self._transport, topic_of(kind, self._agency), start, end):
            yield await asyncio.to_thread(self._list, kind, records, rows)

    def _list(self, kind: Kind, records: Sequence[Record], rows: dict[tuple[int, bytes], RequestRow]) -> list[Listed]:
        found = []
        for record in records:
            one = set_aside_of(record)
            mark = sha256(one.value).digest()
            sender, document_id, revision, proven = self._about(one)
            found.append(
                Listed(
                    kind,
                    one.number,
                    mark,
                    one.set_aside_at,
                    one.step,
                    one.reason,
                    one.detail,
                    one.size,
                    Origin(one.topic, one.partition, one.offset, one.stored_at, one.claimed_sender),
                    sender,
                    document_id,
                    revision,
                    proven,
                    rows.get((one.number, mark)),
                )
            )
        return found

    def _about(self, record: SetAside) -> tuple[str, str | None, int | None, bool]:
        """Return sender, document id and revision, proven where the signature proves them."""
        try:
            verified = self._verifier.verify_recorded(
                record.value, key=None, recipient=self._agency, snapshot=self._snapshot
            )
        except (VerificationError, IndeterminateError):
            pass
        else:
            body = verified.statement.body
            if isinstance(body, DocumentBody):
                return verified.sender, body.document_id, body.revision, True
            return verified.sender, None, None, True
        try:
            envelope = decode_envelope(record.value)
            body = decode_statement(envelope.payload_type, envelope.statement).body
        except (MalformedError, KeyError):
            return record.claimed_sender, None, None, False
        if isinstance(body, DocumentBody):
            return record.claimed_sender, body.document_id, body.revision, False
        return record.claimed_sender, None, None, False
