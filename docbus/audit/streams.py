"""One stream as the auditor saw it: which position holds which statement, and where (design D5).

Nothing here depends on the order in which statements are added: at each position the one that lies first in the log
counts, the others are forks, and links of the chain are judged when everything has been read.
"""

from __future__ import annotations

from array import array
from itertools import pairwise, product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.statement import FIRST_PREVIOUS
from docbus.wire.tree import HASH_BYTES, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.audit.ranges import Range

BLOCK = 64
"""Positions in one block. A stream without holes wastes part of its last one; a position alone costs a whole one."""
MAX_BRANCHES = 64
"""Combinations of forked statements that a receipt's root is compared with, before it is called undecidable."""

_HELD, _UNDECIDED, _OLD = 1, 2, 4


class StreamId(NamedTuple):
    """A stream: sender and recipient by canonical id, and the epoch."""

    sender: str
    recipient: str
    epoch: bytes


class Branch(NamedTuple):
    """One of several statements at a forked position."""

    place: int
    undecided: bool


class ChainBreak(NamedTuple):
    """A statement whose ``previous`` is no statement at the position before."""

    sequence: int
    digest: bytes
    undecided: bool


class _Block:
    __slots__ = ("digests", "flags", "places")

    def __init__(self) -> None:
        self.digests = bytearray(HASH_BYTES * BLOCK)
        self.places = array("Q", bytes(8 * BLOCK))
        self.flags = bytearray(BLOCK)


class Stream:
    """The positions of one stream."""

    __slots__ = (
        "_any_undecided",
        "_blocks",
        "_in_order",
        "_last_place",
        "_loose",
        "count",
        "duplicates",
        "first",
        "forks",
        "lanes",
        "last",
    )

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._loose: dict[int, dict[bytes, bytes]] = {}
        """Position to {digest: previous} of statements whose predecessor was not there when they came."""
        self._any_undecided = False
        self._in_order = True
        self._last_place = -1
        self.lanes: set[str] = set()
        self.count = 0
        self.duplicates = 0
        self.first = 0
        self.last = 0
        self.forks: dict[int, dict[bytes, Branch]] = {}
        """Position to all statements at it, where there are several."""

    def add(self, sequence: int, digest: bytes, previous: bytes, place: int, *, undecided: bool, old: bool) -> bool:
        """Take a statement in; return False if it was there already, a duplicate.

        Args:
            sequence: Its position, from 1.
            digest: Its statement digest.
            previous: Digest of the one before, as it says itself.
            place: Where it lies, packed.
            undecided: Whether its key's authority is undecided.
            old: Whether it is so old that its receipt is overdue.
        """
        number, index = divmod(sequence, BLOCK)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = _Block()
        self._any_undecided |= undecided
        flags = (_HELD | _UNDECIDED if undecided else _HELD) | (_OLD if old else 0)
        start = HASH_BYTES * index
        if not block.flags[index]:
            self._hold(sequence, place)
            block.digests[start : start + HASH_BYTES] = digest
            block.places[index] = place
            block.flags[index] = flags
        elif block.digests[start : start + HASH_BYTES] == digest and sequence not in self.forks:
            self.duplicates += 1
            block.flags[index] |= flags
            if place < block.places[index]:
                block.places[index] = place
                self._in_order = False
            return False
        elif not self._fork(sequence, block, digest, place, flags):
            return False
        if not self._follows(sequence, previous):
            self._loose.setdefault(sequence, {})[digest] = previous
        return True

    def _hold(self, sequence: int, place: int) -> None:
        if sequence <= self.last or place <= self._last_place:
            self._in_order = False
        self.first = sequence if not self.count else min(self.first, sequence)
        self.last = max(self.last, sequence)
        self._last_place = max(self._last_place, place)
        self.count += 1

    def _fork(self, sequence: int, block: _Block, digest: bytes, place: int, flags: int) -> bool:
        """Add a statement at a position that holds another; return False if it is known there too."""
        index = sequence % BLOCK
        start = HASH_BYTES * index
        branches = self.forks.get(sequence)
        if branches is None:
            held = bytes(block.digests[start : start + HASH_BYTES])
            branches = self.forks[sequence] = {held: Branch(block.places[index], bool(block.flags[index] & _UNDECIDED))}
        known = branches.get(digest)
        if known is not None:
            self.duplicates += 1
        if known is None or place < known.place:
            branches[digest] = Branch(place, bool(flags & _UNDECIDED))
            if place < block.places[index]:
                self._in_order = False
                block.digests[start : start + HASH_BYTES] = digest
                block.places[index] = place
                block.flags[index] = flags | block.flags[index] & _OLD
        block.flags[index] |= flags & _OLD
        return known is None

    def _follows(self, sequence: int, previous: bytes) -> bool:
        if sequence == 1:
            return previous == FIRST_PREVIOUS
        before = self.forks.get(sequence - 1)
        return previous == self.digest(sequence - 1) or (before is not None and previous in before)

    def digest(self, sequence: int) -> bytes | None:
        """Return the digest of the first statement at a position, or None."""
        number, index = divmod(sequence, BLOCK)
        block = self._blocks.get(number)
        if block is None or not block.flags[index]:
            return None
        return bytes(block.digests[HASH_BYTES * index : HASH_BYTES * (index + 1)])

    def place(self, sequence: int, digest: bytes | None = None) -> int:
        """Return the first place of the statement at a position, or of one of several there.

        Raises:
            KeyError: There is none.
        """
        branches = self.forks.get(sequence)
        if digest is not None and branches is not None:
            return branches[digest].place
        number, index = divmod(sequence, BLOCK)
        block = self._blocks[number]
        if not block.flags[index]:
            raise KeyError(sequence)
        return block.places[index]

    def holds(self, first: int, last: int) -> bool:
        """Tell whether every position of a range holds a statement."""
        if not self.count or first < self.first or last > self.last:
            return False
        if self.count == self.last - self.first + 1:
            return True
        return all(self.digest(sequence) is not None for sequence in range(first, last + 1))

    def fits(self, first: int, last: int, root: bytes) -> bool | None:
        """Tell whether the statements at these positions, all of them held, have this RFC 9162 root.

        Returns:
            None where forks allow more combinations than are tried, and none of those tried fits.
        """
        leaves = self._digests(first, last)
        if root_of(leaves) == root:
            return True
        forked = sorted(sequence for sequence in self.forks if first <= sequence <= last)
        if not forked:
            return False
        if prod(len(self.forks[sequence]) for sequence in forked) > MAX_BRANCHES:
            return None
        for choice in product(*(self.forks[sequence] for sequence in forked)):
            for sequence, digest in zip(forked, choice, strict=True):
                leaves[sequence - first] = digest
            if root_of(leaves) == root:
                return True
        return False

    def _digests(self, first: int, last: int) -> list[bytes]:
        leaves: list[bytes] = []
        for number in range(first // BLOCK, last // BLOCK + 1):
            start = max(first - number * BLOCK, 0)
            end = min(last - number * BLOCK + 1, BLOCK)
            part = bytes(self._blocks[number].digests[HASH_BYTES * start : HASH_BYTES * end])
            leaves += [part[at : at + HASH_BYTES] for at in range(0, len(part), HASH_BYTES)]
        return leaves

    def held(self) -> list[Range]:
        """Return the positions that hold a statement, as ranges in order."""
        if self.count == self.last - self.first + 1:
            return [(self.first, self.last)] if self.count else []
        ranges: list[Range] = []
        for sequence, _place, _flags in self._positions():
            if ranges and ranges[-1][1] == sequence - 1:
                ranges[-1] = (ranges[-1][0], sequence)
            else:
                ranges.append((sequence, sequence))
        return ranges

    def holes(self, *, whole: bool) -> list[Range]:
        """Return the ranges without a statement, up to the last one held; ``whole`` streams begin at 1."""
        held = self.held()
        missing = [(before[1] + 1, after[0] - 1) for before, after in pairwise(held)]
        if whole and held and self.first > 1:
            missing.insert(0, (1, self.first - 1))
        return missing

    def late(self) -> int:
        """Return how many statements lie behind one of a higher position."""
        if self._in_order:
            return 0
        late, earliest = 0, 1 << 64
        for _sequence, place, _flags in self._positions(backwards=True):
            if place > earliest:
                late += 1
            earliest = min(earliest, place)
        return late

    def old(self, ranges: list[Range]) -> int:
        """Return how many positions of these ranges hold statements whose receipt is overdue."""
        return sum(
            bool(self._blocks[sequence // BLOCK].flags[sequence % BLOCK] & _OLD)
            for first, last in ranges
            for sequence in range(first, last + 1)
        )

    def undecided(self) -> list[Range]:
        """Return the positions whose statement is undecided, one range each."""
        if not self._any_undecided:
            return []
        return [(sequence, sequence) for sequence, _place, flags in self._positions() if flags & _UNDECIDED]

    def chain_breaks(self) -> list[ChainBreak]:
        """Return the statements that name another statement than any at the position before."""
        breaks: list[ChainBreak] = []
        for sequence, claims in sorted(self._loose.items()):
            for digest, previous in sorted(claims.items()):
                if sequence > 1 and self.digest(sequence - 1) is None:
                    continue
                if not self._follows(sequence, previous):
                    undecided = self._is_undecided(sequence, digest) or self._before_undecided(sequence)
                    breaks.append(ChainBreak(sequence, digest, undecided))
        return breaks

    def _is_undecided(self, sequence: int, digest: bytes) -> bool:
        branches = self.forks.get(sequence)
        if branches is not None:
            return branches[digest].undecided
        return bool(self._blocks[sequence // BLOCK].flags[sequence % BLOCK] & _UNDECIDED)

    def _before_undecided(self, sequence: int) -> bool:
        before = self.digest(sequence - 1)
        return before is not None and self._is_undecided(sequence - 1, before)

    def _positions(self, *, backwards: bool = False) -> Iterator[tuple[int, int, int]]:
        """Yield (position, place, flags) of all held positions, in order."""
        indexes = range(BLOCK - 1, -1, -1) if backwards else range(BLOCK)
        for number in sorted(self._blocks, reverse=backwards):
            block = self._blocks[number]
            for index in indexes:
                if block.flags[index]:
                    yield number * BLOCK + index, block.places[index], block.flags[index]
