"""Ranges of positions, first and last included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Range = tuple[int, int]


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the same positions as the fewest ranges, in order."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def subtract(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """Return what is left of merged ranges without the other merged ranges."""
    left: list[Range] = []
    holes = list(taken)
    at = 0
    for first, last in ranges:
        start = first
        while at < len(holes) and holes[at][1] < start:
            at += 1
        look = at
        while look < len(holes) and holes[look][0] <= last:
            if holes[look][0] > start:
                left.append((start, holes[look][0] - 1))
            start = max(start, holes[look][1] + 1)
            look += 1
        if start <= last:
            left.append((start, last))
    return left


def size(ranges: Iterable[Range]) -> int:
    """Return how many positions there are."""
    return sum(last - first + 1 for first, last in ranges)


def text(ranges: Iterable[Range]) -> str:
    """Return ranges for people, such as ``3, 7 to 9``."""
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges)
