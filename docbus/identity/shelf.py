"""Where lies what is seldom asked for: nearly all of what a large directory would take in memory."""

from __future__ import annotations

from typing import Protocol


class Shelf(Protocol):
    """Keeps bytes for as long as it is there. One thread puts, any thread gets."""

    def put(self, value: bytes) -> int:
        """Keep these bytes and return where they are."""
        ...

    def get(self, at: int, size: int) -> bytes:
        """Return bytes that :meth:`put` has put there, all of them or a part."""
        ...


class MemoryShelf:
    """A :class:`Shelf` in memory: for a replay that is small, or short-lived."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def put(self, value: bytes) -> int:
        """See :class:`Shelf`."""
        at = len(self._kept)
        self._kept += value
        return at

    def get(self, at: int, size: int) -> bytes:
        """See :class:`Shelf`."""
        return bytes(self._kept[at : at + size])
