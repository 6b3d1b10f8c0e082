from __future__ import annotations

import pytest

from docbus.consumers.streams import MAX_HOLES, MAX_SEQUENCE, Hole, Place, Stream
from docbus.envelope.statement import FIRST_PREVIOUS


def digest(sequence: int, fork: int = 0) -> bytes:
    return sequence.to_bytes(16, "big") + fork.to_bytes(16, "big")


def previous(sequence: int) -> bytes:
    return digest(sequence - 1) if sequence > 1 else FIRST_PREVIOUS


def feed(stream: Stream, *sequences: int) -> list[Place]:
    """Feed genuine statements of one chain."""
    return [stream.feed(sequence, previous(sequence), digest(sequence)) for sequence in sequences]


def test_statements_in_order_are_new() -> None:
    """A chain without holes is taken position by position."""
    stream = Stream()

    assert [Place.NEW] * 3 == feed(stream, 1, 2, 3)
    assert (3, digest(3), ()) == (stream.sequence, stream.digest, stream.holes)


def test_same_position_and_digest_is_a_duplicate() -> None:
    """A statement that was taken is recognised."""
    assert [Place.NEW, Place.NEW, Place.DUPLICATE, Place.DUPLICATE] == feed(Stream(), 1, 2, 1, 2)


def test_same_position_and_other_digest_is_a_fork() -> None:
    """The first keeps the position, wherever in the stream it lies."""
    stream = Stream()
    feed(stream, 1, 2, 3)

    assert [Place.FORK] * 2 == [stream.feed(n, previous(n), digest(n, 1)) for n in (2, 3)]
    assert digest(3) == stream.digest


def test_missing_positions_open_a_hole() -> None:
    """What follows a hole is taken."""
    stream = Stream()

    assert [Place.NEW, Place.GAP, Place.NEW] == feed(stream, 1, 4, 5)
    assert (Hole(2, 3),) == stream.holes


@pytest.mark.parametrize("order", [(2, 3, 4), (4, 3, 2), (3, 2, 4), (3, 4, 2)])
def test_late_statements_fill_a_hole_in_any_order(order: tuple[int, ...]) -> None:
    """A hole shrinks from either end and splits in the middle, until nothing is left of it."""
    stream = Stream()
    feed(stream, 1, 5)

    assert [Place.FILLED] * 3 == feed(stream, *order)
    assert () == stream.holes
    assert [Place.DUPLICATE] * 5 == feed(stream, 1, 2, 3, 4, 5)


def test_first_statement_names_nothing_before_it() -> None:
    """The first position has a fixed `previous`, when it comes in time and when it comes late."""
    stream = Stream()
    late = Stream()
    feed(late, 2)

    assert Place.BREAK == stream.feed(1, digest(9), digest(1))
    assert Place.BREAK == late.feed(1, digest(9), digest(1))


def test_next_statement_must_follow_the_head() -> None:
    """A statement that names another predecessor takes no position."""
    stream = Stream()
    feed(stream, 1, 2)

    assert Place.BREAK == stream.feed(3, digest(2, 1), digest(3))
    assert [Place.NEW] == feed(stream, 3)


def test_filling_statement_must_fit_both_neighbours() -> None:
    """In a hole, predecessor and successor both say which statement belongs there."""
    stream = Stream()
    feed(stream, 1, 3)

    assert Place.BREAK == stream.feed(2, digest(1, 1), digest(2))
    assert Place.BREAK == stream.feed(2, digest(1), digest(2, 1))
    assert [Place.FILLED] == feed(stream, 2)


def test_start_opens_no_hole() -> None:
    """Where earlier statements were skipped on purpose, the next one may lie anywhere, once."""
    stream = Stream(starts=True)

    assert [Place.START, Place.NEW, Place.GAP] == feed(stream, 7, 8, 10)
    assert (Hole(1, 6, missed=False), Hole(9, 9)) == stream.holes


def test_statement_from_before_the_start_is_taken() -> None:
    """A late copy of what was skipped is genuine and fits its neighbours."""
    stream = Stream(starts=True)
    feed(stream, 7)

    assert [Place.EARLIER] == feed(stream, 6)
    assert Place.BREAK == stream.feed(5, previous(5), digest(5, 1))


@pytest.mark.parametrize("sequence", [0, -1, MAX_SEQUENCE + 1, 2**63 - 1])
def test_impossible_position_is_refused(sequence: int) -> None:
    """A number no outbox reaches never becomes a key of the ledger."""
    stream = Stream()
    feed(stream, 1)

    assert Place.OUT_OF_RANGE == stream.feed(sequence, digest(1), digest(2))
    assert () == stream.holes


def test_holes_are_bounded() -> None:
    """One hole too many is refused, by opening and by splitting; the stream goes on otherwise."""
    stream = Stream()
    feed(stream, *range(1, 4 * MAX_HOLES, 4))

    assert [Place.GAP] == feed(stream, 4 * MAX_HOLES + 1)
    assert MAX_HOLES == len(stream.holes)
    assert [Place.FRAYED] == feed(stream, 4 * MAX_HOLES + 5)
    assert [Place.FRAYED] == feed(stream, 3)
    assert [Place.FILLED, Place.NEW] == feed(stream, 2, 4 * MAX_HOLES + 2)


def test_head_is_remembered_when_the_rest_is_forgotten() -> None:
    """Between batches a stream keeps its head, and asks for what it needs beyond it."""
    stream = Stream()
    feed(stream, 1, 2, 3)
    stream.forget()

    assert [Place.DUPLICATE] == feed(stream, 3)
    assert ((), (1, 2, 3)) == (stream.wanted(4), stream.wanted(2))


def test_copy_leaves_the_original_alone() -> None:
    """Feeding a copy changes nothing that is stored."""
    stream = Stream()
    feed(stream, 1)
    feed(stream.copy(), 2, 5)

    assert (1, ()) == (stream.sequence, stream.holes)
    assert [Place.NEW] == feed(stream, 2)
