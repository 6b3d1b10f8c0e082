"""Ranges of positions."""

from __future__ import annotations

from docbus.audit import ranges


def test_merging_joins_what_touches() -> None:
    """Overlapping and neighbouring ranges become one; others stay apart."""
    assert ranges.merge([(7, 9), (1, 3), (4, 4), (2, 3), (11, 11)]) == [(1, 4), (7, 9), (11, 11)]


def test_subtracting_leaves_what_is_not_taken() -> None:
    """A range is cut at its beginning, in its middle and at its end."""
    assert ranges.subtract([(1, 10), (20, 30)], [(1, 2), (5, 6), (10, 21), (30, 40)]) == [(3, 4), (7, 9), (22, 29)]


def test_subtracting_one_long_range_reaches_several() -> None:
    """One taken range ends several others."""
    assert ranges.subtract([(1, 3), (5, 7), (9, 9)], [(2, 9)]) == [(1, 1)]


def test_nothing_taken_leaves_everything() -> None:
    """Without anything to take, the ranges stay."""
    assert ranges.subtract([(1, 3)], []) == [(1, 3)]


def test_ranges_are_counted_and_written() -> None:
    """Both ends belong to a range; one position alone is written as such."""
    assert ranges.size([(3, 3), (7, 9)]) == 4
    assert ranges.text([(3, 3), (7, 9)]) == "3, 7 to 9"
