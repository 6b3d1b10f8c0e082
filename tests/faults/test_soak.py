"""When the soak calls memory flat."""

from __future__ import annotations

import pytest

from docbus.limits import MIB
from tests.faults.soak import grows, slope, warm

HOUR = 3600.0


def points(*sizes: float) -> list[tuple[float, float]]:
    """Return memory of so many MiB, over eight hours."""
    return [(8 * HOUR * n / len(sizes), size * MIB) for n, size in enumerate(sizes)]


def test_slope_is_that_of_the_line() -> None:
    """Points on a line have its slope, and one point has none."""
    assert 3.0 == pytest.approx(slope([(x, 3.0 * x + 7) for x in range(10)]))
    assert 0.0 == slope([(1.0, 5.0)])


def test_warm_up_is_not_judged() -> None:
    """What comes before a quarter of a long run is left out, and all of a run that ends with the warm-up."""
    assert points(*range(80))[20:] == warm(points(*range(80)))
    assert [] == warm([(10.0 * n, 1.0) for n in range(80)])


def test_memory_that_only_jitters_is_flat() -> None:
    """Memory that goes up and down is flat."""
    assert "" == grows(points(*[80, 90] * 30))


def test_memory_that_grows_steadily_is_reported() -> None:
    """Twenty MiB an hour are more than a process may grow by."""
    assert "grows by" in grows(points(*[80 + 2 * n for n in range(80)]))


def test_memory_that_jumps_late_is_reported() -> None:
    """A step at the end, too late for the slope to show it, is seen in the last quarter."""
    assert "last quarter" in grows(points(*[80] * 79, 120))
