"""Whether the calendar by which deadlines are counted knows this year and the next."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, passed, warning
from docbus.documents.deadlines import VIETNAM

if TYPE_CHECKING:
    from docbus.documents.calendar import WorkingCalendar

CHECK = "calendar"
_FIRST_TET, _TET_DAYS = (1, 21), 31
"""The first day of the lunar year is between 21 January and 20 February."""
_SATURDAY = 5


def calendar(working: WorkingCalendar, now_ms: int) -> Diagnosis:
    """Tell whether Tết of this year and the next is known: a calendar that ends, ends with the lunar holidays.

    Days that the government moves are decided year by year, so that nobody can tell whether one is missing.
    """
    this_year = datetime.fromtimestamp(now_ms / 1000, VIETNAM).year
    years = (this_year, this_year + 1)
    unknown = [str(year) for year in years if not _knows_tet(working, year)]
    if unknown:
        return warning(
            CHECK,
            f"Tết of {' and '.join(unknown)} is not known, so that deadlines fall on it",
            "Install a newer version of the library `holidays`, or name the days in days_off under [deadlines].",
        )
    return passed(CHECK, f"Tết of {years[0]} and {years[1]} is known; for days moved since there is [deadlines]")


def _knows_tet(working: WorkingCalendar, year: int) -> bool:
    days = (date(year, *_FIRST_TET) + timedelta(number) for number in range(_TET_DAYS))
    return any(day.weekday() < _SATURDAY and not working.works(day) for day in days)
