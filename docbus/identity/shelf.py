"""Where keys and certificates lie that are seldom asked for: half of what a large directory takes in memory."""

from __future__ import annotations

from typing import Protocol


class Shelf(Protocol):
    """Keeps bytes for as long as it is there. One thread puts, any thread gets."""

    def put(self, value: bytes) -> int:
        """Keep these bytes and return where they are."""
        ...

    def get(self, at: int, size: int) -> bytes:
        """Return the bytes that :meth:`put` has put there."""
        ...


class MemoryShelf:
    """A :class:`Shelf` in memory: for a replay that is small, or short-lived."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def put(self, value: bytes) -> int:
        """See :class:`Shelf`."""
        self._kept.append(value)
        return len(self._kept) - 1

    def get(self, at: int, size: int) -> bytes:
        """See :class:`Shelf`."""
        return self._kept[at][:size]
