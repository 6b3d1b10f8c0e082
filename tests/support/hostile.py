"""Brokers run by somebody hostile: they acknowledge records and hide them, and store whatever they like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.transport import topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.transport.port import NewRecord, Transport


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
