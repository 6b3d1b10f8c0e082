"""What the receipts about one stream say, recomputed from the statements themselves (design D5).

A receipt is believed when the root it signs is the root over the statements that were read. Until they have been read
it waits; what still waits at the end is wrong, or covers something that is not there.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from docbus.audit.ranges import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docbus.audit.ranges import Range
    from docbus.audit.streams import Stream
    from docbus.envelope.statement import Refusal

MAX_ANSWERS = 64
"""Answers to one refused statement that are compared with each other; a recipient changes its mind once."""


class Receipt(NamedTuple):
    """A receipt's body and where it stands: number of its own stream, position in it, statement digest.

    ``last`` comes first, so that waiting receipts order by it.
    """

    last: int
    first: int
    root: bytes
    refused: tuple[Refusal, ...]
    stream: int
    sequence: int
    digest: bytes


class Answer(NamedTuple):
    """What one receipt says of one statement: filed (no reason), or refused."""

    stream: int
    sequence: int
    reason: str | None


class Unresolved(NamedTuple):
    """Receipts that could not be believed."""

    wrong: list[Receipt]
    undecidable: list[Receipt]
    missing: list[Receipt]


class Contradiction(NamedTuple):
    """Two answers to one statement, of which the later may not follow the earlier."""

    statement: int
    earlier: Answer
    later: Answer


class Receipts:
    """The receipts about one stream."""

    __slots__ = ("_filed", "_refused", "_unresolved", "_waiting")

    def __init__(self) -> None:
        self._filed = array("Q")
        """Four numbers for each filed range: first, last, and the receipt's stream and sequence."""
        self._refused: dict[int, list[Answer]] = {}
        self._waiting: list[Receipt] = []
        self._unresolved: list[Receipt] = []

    def take(self, receipt: Receipt, stream: Stream | None) -> bool:
        """Take a receipt in; return False if it waits for statements."""
        if stream is not None and self._believe(receipt, stream):
            return True
        heapq.heappush(self._waiting, receipt)
        return False

    def retry(self, stream: Stream) -> bool:
        """Look again at what waits, once more statements have been read; return False if some still waits."""
        while self._waiting and self._waiting[0].last <= stream.last:
            receipt = heapq.heappop(self._waiting)
            if not self._believe(receipt, stream):
                # It is looked at once more at the end: the hole in it may be filled late.
                self._unresolved.append(receipt)
        return not self._waiting

    def finish(self, stream: Stream | None) -> Unresolved:
        """Judge what is left, now that everything has been read."""
        left = sorted(self._unresolved + self._waiting)
        result = Unresolved([], [], [])
        self._unresolved, self._waiting = [], []
        for receipt in left:
            if stream is None or not stream.holds(receipt.first, receipt.last):
                result.missing.append(receipt)
            elif not self._believe(receipt, stream):
                fits = stream.fits(receipt.first, receipt.last, receipt.root)
                (result.undecidable if fits is None else result.wrong).append(receipt)
        self._unresolved = result.wrong + result.undecidable + result.missing
        return result

    def _believe(self, receipt: Receipt, stream: Stream) -> bool:
        if not stream.holds(receipt.first, receipt.last) or not stream.fits(receipt.first, receipt.last, receipt.root):
            return False
        start = receipt.first
        for refusal in receipt.refused:
            if refusal.sequence > start:
                self._filed.extend((start, refusal.sequence - 1, receipt.stream, receipt.sequence))
            start = refusal.sequence + 1
            answers = self._refused.setdefault(refusal.sequence, [])
            answers.append(Answer(receipt.stream, receipt.sequence, refusal.reason))
        if start <= receipt.last:
            self._filed.extend((start, receipt.last, receipt.stream, receipt.sequence))
        return True

    def filed(self) -> list[Range]:
        """Return the positions that are filed according to a believed receipt."""
        return merge((first, last) for first, last, _stream, _sequence in self._ranges())

    def answers(self) -> dict[int, list[Answer]]:
        """Return by position of every refused statement all answers to it, filed ones included."""
        found = {statement: list(answers) for statement, answers in sorted(self._refused.items())}
        positions = list(found)
        for first, last, stream, sequence in self._ranges():
            at = bisect_left(positions, first)
            while at < len(positions) and positions[at] <= last:
                found[positions[at]].append(Answer(stream, sequence, None))
                at += 1
        return found

    def _ranges(self) -> Iterator[tuple[int, int, int, int]]:
        numbers = iter(self._filed)
        return zip(numbers, numbers, numbers, numbers, strict=True)


def contradictions(answers: dict[int, list[Answer]], place: Callable[[Answer], int]) -> Iterator[Contradiction]:
    """Yield for each statement the first answer that contradicts one before it.

    Refused may become filed. Filed never becomes refused, and no reason becomes another. Where both answers are in one
    stream, their positions tell which was before, so that nobody makes a contradiction by delaying a record; else their
    places do.

    Args:
        answers: By position of the statement.
        place: Tells where the receipt that gave an answer lies.
    """
    for statement, found in answers.items():
        ordered = sorted(set(found), key=lambda answer: (place(answer), answer.reason or ""))[:MAX_ANSWERS]
        pairs = (
            Contradiction(statement, earlier, later)
            for later in ordered
            if later.reason is not None
            for earlier in ordered
            if earlier.reason != later.reason and _before(earlier, later, place)
        )
        yield from list(pairs)[:1]


def _before(one: Answer, other: Answer, place: Callable[[Answer], int]) -> bool:
    if one.stream == other.stream:
        return one.sequence < other.sequence
    return place(one) < place(other)
