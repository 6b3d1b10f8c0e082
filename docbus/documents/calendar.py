"""Working days of Vietnamese agencies: Monday to Friday, without public holidays, with the days worked instead.

Public holidays follow the lunar calendar in part, and days off are moved by the government's decision each year; the
library ``holidays`` keeps up with both. What it does not know yet, an operator names in the settings.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holidays import HolidayBase

LONGEST_REST_DAYS = 60
"""Days in a row that nobody works, at most; Tết takes ten. Beyond, the settings are taken for wrong, and the day is
taken for a working day: a deadline has to come some day."""
_DAY = timedelta(days=1)


class WorkingCalendar:
    """Tells working days from days off.

    Args:
        days_off: Further days on which nobody works.
        days_worked: Days that are worked though they are weekends or holidays.
    """

    def __init__(self, *, days_off: Iterable[date] = (), days_worked: Iterable[date] = ()) -> None:
        self._off = frozenset(days_off)
        self._worked = frozenset(days_worked)

    @cached_property
    def _vietnam(self) -> HolidayBase:
        # Loading all countries' names takes a fifth of a second, which not every command has to pay.
        from holidays import country_holidays

        return country_holidays("VN")

    def works(self, day: date) -> bool:
        """Tell whether agencies work on a day."""
        if day in self._worked:
            return True
        return day not in self._off and self._vietnam.is_working_day(day)

    def next_day(self, day: date) -> date:
        """Return the first working day after a day."""
        for _ in range(LONGEST_REST_DAYS):
            day += _DAY
            if self.works(day):
                return day
        return day + _DAY
