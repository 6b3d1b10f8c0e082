"""Streams against a model that remembers everything, and ranges against what they must cover."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from docbus.consumers.ranges import ranges_of
from docbus.consumers.streams import Place, Stream
from docbus.envelope.statement import FIRST_PREVIOUS
from docbus.limits import MAX_RECEIPT_RANGE

LENGTH = 40
"""Positions of the sender's chain."""


def _digest(sequence: int, fork: int = 0) -> bytes:
    return sequence.to_bytes(16, "big") + fork.to_bytes(16, "big")


def _previous(sequence: int) -> bytes:
    return _digest(sequence - 1) if sequence > 1 else FIRST_PREVIOUS


class StreamMachine(RuleBasedStateMachine):
    """A broker that delivers a genuine chain in any order, any number of times, among forged neighbours.

    Between deliveries the stream is put away as the ledger does it: head, holes, and rows of (digest, previous), from
    which only what is wanted comes back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()
        self.taken: set[int] = set()
        self.rows: dict[int, tuple[bytes, bytes | None]] = {}

    def deliver(self, sequence: int, previous: bytes, digest: bytes) -> Place:
        for wanted in self.stream.wanted(sequence):
            if wanted in self.rows:
                self.stream.remember(wanted, *self.rows[wanted])
        place = self.stream.feed(sequence, previous, digest)
        if place in {Place.NEW, Place.GAP, Place.FILLED}:
            self.rows[sequence] = digest, self.stream.previous_of(sequence)
        return place

    @rule(sequence=st.integers(1, LENGTH))
    def genuine(self, sequence: int) -> None:
        """A genuine statement is taken exactly if its position is not."""
        highest = max(self.taken, default=0)
        if sequence in self.taken:
            expected = Place.DUPLICATE
        elif sequence == highest + 1:
            expected = Place.NEW
        else:
            expected = Place.GAP if sequence > highest else Place.FILLED

        assert expected == self.deliver(sequence, _previous(sequence), _digest(sequence))
        self.taken.add(sequence)

    @precondition(lambda self: self.taken)
    @rule(choice=st.randoms(use_true_random=False), fork=st.integers(1, 3))
    def fork(self, choice: object, fork: int) -> None:
        """Another statement at a taken position never gets in."""
        sequence = choice.choice(sorted(self.taken))  # type: ignore[attr-defined] # a random.Random

        assert Place.FORK == self.deliver(sequence, _previous(sequence), _digest(sequence, fork))

    @rule(sequence=st.integers(1, LENGTH))
    def stranger(self, sequence: int) -> None:
        """A statement that names a foreign predecessor never follows one that is taken."""
        if sequence not in self.taken and (sequence == 1 or sequence - 1 in self.taken):
            assert Place.BREAK == self.deliver(sequence, b"?" * 32, _digest(sequence, 9))

    @rule(sequence=st.integers(1, LENGTH))
    def impostor(self, sequence: int) -> None:
        """A statement that the next one does not name never gets in before it."""
        if sequence not in self.taken and sequence + 1 in self.taken:
            assert Place.BREAK == self.deliver(sequence, _previous(sequence), _digest(sequence, 9))

    @rule()
    def restart(self) -> None:
        """Forgetting everything but head, holes and rows changes nothing."""
        self.stream = Stream(self.stream.sequence, self.stream.digest, self.stream.holes)

    @rule()
    def next_batch(self) -> None:
        """A batch works on a copy, which replaces the stream."""
        self.stream = self.stream.copy()
        self.stream.forget()

    @invariant()
    def holes_are_what_is_missing(self) -> None:
        """Holes are exactly the positions below the head that were not taken, in maximal runs."""
        highest = max(self.taken, default=0)
        missing = [position for hole in self.stream.holes for position in range(hole.first, hole.last + 1)]

        assert [position for position in range(1, highest + 1) if position not in self.taken] == missing
        assert all(a.last + 1 < b.first for a, b in zip(self.stream.holes, self.stream.holes[1:], strict=False))
        assert highest == self.stream.sequence


TestStream = StreamMachine.TestCase
TestStream.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.dictionaries(st.integers(1, 200), st.none() | st.sampled_from(["conflict", "rejected"])))
def test_ranges_cover_exactly_what_is_decided(reasons: dict[int, str | None]) -> None:
    """Together the ranges say every position once, with its digest and reason, and none is longer than allowed."""
    ranges = ranges_of({sequence: (_digest(sequence), reason) for sequence, reason in reasons.items()})

    said = {
        sequence: (digest, dict(covered.refused).get(sequence))
        for covered in ranges
        for sequence, digest in enumerate(covered.digests, covered.first)
    }
    assert {sequence: (_digest(sequence), reason) for sequence, reason in reasons.items()} == said
    assert len(reasons) == sum(len(covered.digests) for covered in ranges)
    assert all(len(covered.digests) <= MAX_RECEIPT_RANGE for covered in ranges)
    assert all(a.last + 1 < b.first for a, b in pairwise(ranges))
