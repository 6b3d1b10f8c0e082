"""A sink that files nothing: for benchmarks and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.consumers.sinks.port import Created

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import Delivery, Outcome

_CREATED = Created("")


class NullSink:
    """Says ``created`` to everything, and counts."""

    max_batch = 4096

    def __init__(self) -> None:
        self.delivered = 0

    async def start(self) -> None:
        """See the port."""

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """See the port."""
        self.delivered += len(batch)
        return [_CREATED] * len(batch)

    async def aclose(self) -> None:
        """See the port."""
