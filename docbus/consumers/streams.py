"""Streams: what a recipient may say of a statement from its position alone (design D5).

A stream is (sender, epoch). Its statements are numbered from 1 without holes, and each names the digest of the one
before. :meth:`Stream.feed` takes one statement that has passed C1 and C2 and tells what it is::

    NEW           the next position                         take it
    START         the first one seen of an older stream     take it; what lies before is not missed
    GAP           positions before it are missing           take it, report the hole
    FILLED        a late statement of a hole                take it, the hole shrinks
    EARLIER       a late statement from before the start    take it
    DUPLICATE     same position, same digest                receipt it again
    FORK          same position, other digest               evidence, the first keeps the position
    BREAK         does not follow from its neighbours       evidence, no position
    OUT_OF_RANGE  a number that no outbox reaches           evidence, no position
    FRAYED        one more hole than are remembered         evidence, no position

Only what is taken changes the stream. It knows no clock and no database: whoever feeds it tells it the positions it
asks for (:meth:`Stream.wanted`) with :meth:`Stream.remember`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from docbus.envelope.statement import FIRST_PREVIOUS

MAX_HOLES = 1024
"""Holes remembered per stream, 24 bytes each. A sender's outbox makes none; each is a statement lost on the way."""
MAX_SEQUENCE = 1 << 53
"""Largest position: more than any outbox ever sends, and neighbours still fit the ledger's 64-bit integers."""


class Place(Enum):
    """What a statement is in its stream; the codes appear in findings and quarantine headers."""

    NEW = "new"
    START = "start"
    GAP = "stream_hole"
    FILLED = "stream_hole_filled"
    EARLIER = "earlier"
    DUPLICATE = "duplicate"
    FORK = "stream_fork"
    BREAK = "stream_chain_broken"
    OUT_OF_RANGE = "stream_position_invalid"
    FRAYED = "stream_holes_exceeded"


EVIDENCE = frozenset({Place.FORK, Place.BREAK, Place.OUT_OF_RANGE, Place.FRAYED})
"""Places with which a statement goes to quarantine."""


class Hole(NamedTuple):
    """Positions not taken, both ends included; not ``missed`` are those from before the start."""

    first: int
    last: int
    missed: bool = True


class Stream:
    """The head of a stream and its holes.

    Args:
        sequence: Highest position taken, 0 for none.
        digest: Its statement digest; ignored for none.
        holes: In ascending order.
        starts: Whether the next statement beyond the head may lie anywhere without opening a hole, because earlier ones
            were skipped on purpose or happened before the ledger began.
    """

    __slots__ = ("_known", "_previous", "digest", "holes", "sequence", "starts")

    def __init__(
        self, sequence: int = 0, digest: bytes = FIRST_PREVIOUS, holes: tuple[Hole, ...] = (), *, starts: bool = False
    ) -> None:
        self.sequence = sequence
        self.digest = digest
        self.holes = holes
        self.starts = starts
        self._known: dict[int, bytes] = {sequence: digest} if sequence else {}
        self._previous: dict[int, bytes] = {}

    def copy(self) -> Stream:
        """Return a stream that can be fed without changing this one."""
        twin = Stream(self.sequence, self.digest, self.holes, starts=self.starts)
        twin._known = self._known.copy()
        twin._previous = self._previous.copy()
        return twin

    def forget(self) -> None:
        """Drop all remembered positions but the head."""
        self._known = {self.sequence: self.digest} if self.sequence else {}
        self._previous.clear()

    def remember(self, sequence: int, digest: bytes, previous: bytes | None) -> None:
        """Be told of a position that is taken, with its ``previous`` if that was kept."""
        self._known[sequence] = digest
        if previous is not None:
            self._previous[sequence] = previous

    def wanted(self, sequence: int) -> tuple[int, ...]:
        """Return the positions to be remembered, where they are taken, before this one is fed."""
        if sequence > self.sequence:
            return ()
        return sequence - 1, sequence, sequence + 1

    def previous_of(self, sequence: int) -> bytes | None:
        """Return what is to be kept as ``previous`` of a position just taken: None if the one before is taken."""
        return self._previous.get(sequence)

    def feed(self, sequence: int, previous: bytes, digest: bytes) -> Place:
        """Take the statement if it fits, and tell what it is."""
        if sequence == self.sequence + 1 and previous == self.digest:
            self.sequence, self.digest = sequence, digest
            self._known[sequence] = digest
            self.starts = False
            return Place.NEW
        if not 1 <= sequence <= MAX_SEQUENCE:
            return Place.OUT_OF_RANGE
        if sequence <= self.sequence:
            return self._behind(sequence, previous, digest)
        return self._beyond(sequence, previous, digest)

    def _beyond(self, sequence: int, previous: bytes, digest: bytes) -> Place:
        """A position after the head, which is not simply the next one."""
        if sequence == self.sequence + 1:
            # Its predecessor is known, and it names another.
            return Place.BREAK
        if len(self.holes) >= MAX_HOLES:
            return Place.FRAYED
        place = Place.START if self.starts else Place.GAP
        self.holes = (*self.holes, Hole(self.sequence + 1, sequence - 1, missed=not self.starts))
        self.remember(sequence, digest, previous)
        self.sequence, self.digest = sequence, digest
        self.starts = False
        return place

    def _behind(self, sequence: int, previous: bytes, digest: bytes) -> Place:
        """A position up to the head: taken already, or in a hole."""
        hole = next((hole for hole in self.holes if hole.first <= sequence <= hole.last), None)
        if hole is None:
            return Place.DUPLICATE if self._known[sequence] == digest else Place.FORK
        follows: bytes | None = FIRST_PREVIOUS
        if sequence > 1:
            follows = self._known[sequence - 1] if sequence == hole.first else None
        if follows not in {None, previous} or (sequence == hole.last and self._previous[sequence + 1] != digest):
            return Place.BREAK
        parts = [
            part
            for part in (Hole(hole.first, sequence - 1, hole.missed), Hole(sequence + 1, hole.last, hole.missed))
            if part.first <= part.last
        ]
        if len(self.holes) - 1 + len(parts) > MAX_HOLES:
            return Place.FRAYED
        at = self.holes.index(hole)
        self.holes = (*self.holes[:at], *parts, *self.holes[at + 1 :])
        self.remember(sequence, digest, previous if follows is None else None)
        return Place.FILLED if hole.missed else Place.EARLIER
