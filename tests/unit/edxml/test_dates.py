"""Dates and times."""

from __future__ import annotations

from datetime import date

import pytest

from docbus.edxml.dates import day_of, milliseconds_of


def test_a_day() -> None:
    """Year, month, day."""
    assert date(2026, 11, 2) == day_of("2026/11/02")


@pytest.mark.parametrize(
    "text",
    [
        "2014/02/30",
        "2026/13/01",
        "0000/01/01",
        "02/11/2026",
        "2026-11-02",
        "2026/1/2",
        "",
        "\uff12\uff10\uff12\uff16/11/02",
    ],
)
def test_what_is_no_day(text: str) -> None:
    """Impossible days and other forms."""
    assert day_of(text) is None


def test_times_are_vietnamese() -> None:
    """A time without zone is seven hours ahead of UTC."""
    assert 1_442_722_116_000 == milliseconds_of("2015/09/20 11:08:36")
    assert 0 == milliseconds_of("1970/01/01 07:00:00")


@pytest.mark.parametrize(
    "text",
    ["1970/01/01 06:59:59", "2014/02/30 00:00:00", "2026/11/02 24:00:00", "2026/11/02", "2026/11/02T08:00:00", "null"],
)
def test_what_is_no_time(text: str) -> None:
    """Impossible times, those before 1970, and other forms."""
    assert milliseconds_of(text) is None
