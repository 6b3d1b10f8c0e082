"""One stream: positions, forks, links, and what follows from them in whatever order they come."""

from __future__ import annotations

from itertools import permutations

import pytest

from docbus.audit.streams import BLOCK, MAX_BRANCHES, Stream
from docbus.envelope.statement import FIRST_PREVIOUS
from docbus.wire.tree import root_of
from tests.support.audit_readings import digest_of


def digest(sequence: int, branch: str = "") -> bytes:
    """Return the digest of the statement at a position."""
    return digest_of(f"{sequence}{branch}")


def add(
    stream: Stream,
    sequence: int,
    *,
    branch: str = "",
    place: int | None = None,
    previous: bytes | None = None,
    undecided: bool = False,
    old: bool = False,
) -> bool:
    """Add a statement that follows the one before, at the place of its own number, unless told otherwise."""
    before = FIRST_PREVIOUS if sequence == 1 else digest(sequence - 1)
    return stream.add(
        sequence,
        digest(sequence, branch),
        before if previous is None else previous,
        sequence if place is None else place,
        undecided=undecided,
        old=old,
    )


def stream_of(*sequences: int) -> Stream:
    """Return a stream that holds these positions, added in this order at increasing places."""
    stream = Stream()
    for place, sequence in enumerate(sequences):
        add(stream, sequence, place=place)
    return stream


def test_a_contiguous_stream_has_no_holes_over_many_blocks() -> None:
    """Positions 1 to 200 are held, in order and linked."""
    stream = stream_of(*range(1, 3 * BLOCK + 9))

    assert stream.held() == [(1, 3 * BLOCK + 8)]
    assert stream.holes(whole=True) == []
    assert stream.late() == 0
    assert stream.chain_breaks() == []


def test_holes_are_found_within_and_between_blocks() -> None:
    """Missing positions are ranges up to the highest one held."""
    assert stream_of(1, 2, 5, BLOCK * 3, BLOCK * 3 + 1).holes(whole=True) == [(3, 4), (6, BLOCK * 3 - 1)]


def test_a_stream_read_from_later_on_begins_where_it_begins() -> None:
    """The first statement is a start, unless the inbox was read from its first record."""
    stream = stream_of(5, 6)

    assert stream.holes(whole=False) == []
    assert stream.holes(whole=True) == [(1, 4)]


def test_a_far_position_costs_one_block() -> None:
    """A sender who jumps to the highest number makes a hole, and nothing else."""
    stream = stream_of(1, 2**62)

    assert stream.holes(whole=True) == [(2, 2**62 - 1)]
    assert stream.held() == [(1, 1), (2**62, 2**62)]


def test_the_same_statement_again_is_a_duplicate() -> None:
    """A duplicate is counted and keeps the first place."""
    stream = stream_of(1, 2)

    assert not add(stream, 2, place=9)
    assert stream.duplicates == 1
    assert stream.place(2) == 1
    assert stream.forks == {}


@pytest.mark.parametrize("order", list(permutations([0, 1, 2, 3])))
def test_a_fork_keeps_all_branches_and_the_first_place_wins(order: tuple[int, ...]) -> None:
    """Whatever order they are read in, the statement that lies first holds the position."""
    branches = [("", 7), ("x", 5), ("y", 6), ("x", 8)]
    stream = Stream()
    for index in order:
        branch, place = branches[index]
        add(stream, 1, branch=branch, place=place)

    assert stream.digest(1) == digest(1, "x")
    assert {found: b.place for found, b in stream.forks[1].items()} == {
        digest(1): 7,
        digest(1, "x"): 5,
        digest(1, "y"): 6,
    }
    assert stream.duplicates == 1
    assert stream.place(1, digest(1, "y")) == 6


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_a_wrong_link_is_found_in_any_order(order: tuple[int, ...]) -> None:
    """A statement that names another than the one before it breaks the chain, and only that one does."""
    stream = Stream()
    for sequence in order:
        add(stream, sequence, previous=digest_of("else") if sequence == 2 else None)

    assert [(found.sequence, found.digest, found.undecided) for found in stream.chain_breaks()] == [
        (2, digest(2), False)
    ]


def test_a_first_statement_must_name_none() -> None:
    """Position 1 with a previous digest breaks the chain."""
    stream = Stream()
    add(stream, 1, previous=digest_of("else"))

    assert [found.sequence for found in stream.chain_breaks()] == [1]


def test_a_link_over_a_hole_is_not_judged() -> None:
    """Without the statement before, nothing is said about the link."""
    assert stream_of(1, 3, 4).chain_breaks() == []


@pytest.mark.parametrize("order", list(permutations([0, 1, 2])))
def test_a_link_to_a_forked_statement_holds(order: tuple[int, ...]) -> None:
    """It is enough that one of the branches before is the one named."""
    stream = Stream()
    for index in order:
        if index == 0:
            add(stream, 1, place=1)
        elif index == 1:
            add(stream, 1, branch="x", place=2)
        else:
            add(stream, 2, place=3, previous=digest(1, "x"))

    assert stream.chain_breaks() == []


def test_a_wrong_link_to_or_from_an_undecided_statement_is_undecided() -> None:
    """Whoever signed it may not have been the sender."""
    stream = Stream()
    add(stream, 1, undecided=True)
    add(stream, 2, previous=digest_of("else"))

    assert [found.undecided for found in stream.chain_breaks()] == [True]
    assert stream.undecided() == [(1, 1)]


@pytest.mark.parametrize(("order", "late"), [((1, 2, 3), 0), ((2, 3, 1), 1), ((3, 2, 1), 2), ((1, 3, 2, 4), 1)])
def test_statements_behind_a_higher_one_are_late(order: tuple[int, ...], late: int) -> None:
    """A statement that lies behind one of a higher position came late."""
    assert stream_of(*order).late() == late


def test_an_earlier_copy_makes_others_late() -> None:
    """The first copy of a statement tells its place, even if it is read last."""
    stream = Stream()
    add(stream, 1, place=10)
    add(stream, 2, place=11)
    add(stream, 2, place=5)

    assert stream.late() == 1


def test_a_root_over_held_statements_fits() -> None:
    """A receipt's root is compared with the statements it covers, across blocks."""
    stream = stream_of(*range(1, 200))
    leaves = [digest(sequence) for sequence in range(60, 131)]

    assert stream.fits(60, 130, root_of(leaves)) is True
    assert stream.fits(60, 129, root_of(leaves)) is False


def test_only_held_ranges_can_be_compared() -> None:
    """A range with a hole, or beyond either end, is not held."""
    stream = stream_of(2, 3, 5, 6)

    assert [stream.holds(2, 3), stream.holds(2, 5), stream.holds(1, 2), stream.holds(5, 7)] == [
        True,
        False,
        False,
        False,
    ]


def test_a_root_over_either_branch_of_a_fork_fits() -> None:
    """The recipient may have filed any of the forked statements."""
    stream = stream_of(1, 2, 3)
    add(stream, 2, branch="x", place=9)

    assert stream.fits(1, 3, root_of([digest(1), digest(2), digest(3)])) is True
    assert stream.fits(1, 3, root_of([digest(1), digest(2, "x"), digest(3)])) is True
    assert stream.fits(1, 3, root_of([digest(1), digest(2, "y"), digest(3)])) is False


def test_too_many_branches_are_not_tried() -> None:
    """Where forks allow more combinations than the limit, no answer is given."""
    stream = stream_of(*range(1, 8))
    for sequence in range(1, 8):
        add(stream, sequence, branch="x", place=100 + sequence)

    assert 2**7 > MAX_BRANCHES
    assert stream.fits(1, 7, digest_of("else")) is None


def test_old_statements_are_counted_where_asked() -> None:
    """Only the given positions count."""
    stream = Stream()
    for sequence in range(1, 6):
        add(stream, sequence, old=sequence < 4)

    assert stream.old([(1, 1), (3, 5)]) == 2
