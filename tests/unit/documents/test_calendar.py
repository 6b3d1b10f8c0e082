from __future__ import annotations

from datetime import date, timedelta

import pytest

from docbus.documents.calendar import LONGEST_REST_DAYS, WorkingCalendar

CALENDAR = WorkingCalendar()


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 11, 23), True),
        (date(2026, 11, 28), False),
        (date(2026, 9, 2), False),
        (date(2026, 4, 30), False),
        (date(2026, 2, 17), False),
        (date(2026, 4, 27), False),
        (date(2024, 4, 29), False),
        (date(2024, 5, 4), True),
    ],
    ids=[
        "Monday",
        "Saturday",
        "National Day",
        "Reunification",
        "Tết",
        "Hùng Kings",
        "day off",
        "day for it",
    ],
)
def test_days_that_agencies_work(day: date, works: bool) -> None:
    """Weekends and public holidays are free, those of the lunar calendar too; a day off may be made up for."""
    assert works is CALENDAR.works(day)


def test_next_day_leaps_over_tet() -> None:
    """After the last working day before Tết comes the first one after it."""
    assert date(2026, 2, 23) == CALENDAR.next_day(date(2026, 2, 13))


def test_settings_correct_the_calendar() -> None:
    """What the calendar does not know, or knows otherwise, the settings say."""
    corrected = WorkingCalendar(days_off=[date(2026, 11, 23)], days_worked=[date(2026, 11, 28)])

    assert (False, True) == (corrected.works(date(2026, 11, 23)), corrected.works(date(2026, 11, 28)))
    assert date(2026, 11, 25) == corrected.next_day(date(2026, 11, 22))


def test_rest_without_end_ends() -> None:
    """Settings by which nobody ever works do not keep a deadline from coming."""
    first = date(2026, 1, 1)
    never = WorkingCalendar(days_off=[first + timedelta(days=n) for n in range(500)])

    assert first + timedelta(days=LONGEST_REST_DAYS + 1) == never.next_day(first)
