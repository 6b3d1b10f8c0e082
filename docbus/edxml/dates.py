"""Dates and times of edXML: local (UTC+7) without saying so, sometimes impossible (domain notes 1.4, 1.6 no. 6)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

VIETNAM = timedelta(hours=7)
"""Offset from UTC; without summer time since 1976."""
_DATE = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})")
_TIME = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")


def day_of(text: str) -> date | None:
    """Return the day of ``yyyy/MM/dd``, or None if it is not written so or not in the calendar."""
    found = _DATE.fullmatch(text)
    if not found:
        return None
    try:
        return date(*map(int, found.groups()))
    except ValueError:
        return None


def milliseconds_of(text: str) -> int | None:
    """Return milliseconds since 1970-01-01T00:00:00Z of ``yyyy/MM/dd HH:mm:ss`` in UTC+7, or None as above.

    Times before 1970 are None too: no document exchange is that old, and docbus's own times begin there.
    """
    found = _TIME.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC) - VIETNAM) // timedelta(seconds=1)
    return seconds * 1000 if seconds >= 0 else None
