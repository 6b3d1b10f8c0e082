"""By when a document has to be sent, received and processed (Decree 30/2020/NĐ-CP; Decision 28/2018/QĐ-TTg).

=========  ================================================  =================================================
stage      an ordinary document                              source
=========  ================================================  =================================================
sent       the end of the morning of the next working day    Decision 28: "at latest the next working morning"
received   the end of the same working day                   Decree 30, article 21.2: "notify receipt the same day"
processed  the end of the next working day                   Decree 30, articles 4.2c and 23.1
=========  ================================================  =================================================

An urgent one is due at once in each stage, which people and machines are given some minutes for. What comes after the
end of a working day, or on a day off, comes on the next working day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum

from docbus.documents.calendar import LONGEST_REST_DAYS, WorkingCalendar

VIETNAM = timezone(timedelta(hours=7))
"""All of Vietnam, without summer time."""
LOOK_BACK_MS = 2 * LONGEST_REST_DAYS * 24 * 60 * 60 * 1000
"""Milliseconds after which whatever is not done is overdue, by any calendar."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Stage(StrEnum):
    """What is still to be done with a document."""

    SENT = "sent"
    RECEIVED = "received"
    PROCESSED = "processed"


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """The rules by which something is overdue.

    Args:
        calendar: Working days.
        morning_ends: By Vietnamese time.
        day_ends: Likewise.
        urgent_ms: Milliseconds that "at once" lasts; no ordinary document is due sooner either.
        stages: Those that are looked at; who does not report what becomes of documents is not to be waited for.
    """

    calendar: WorkingCalendar = field(default_factory=WorkingCalendar)
    morning_ends: time = time(12)
    day_ends: time = time(17)
    urgent_ms: int = 30 * 60 * 1000
    stages: frozenset[Stage] = frozenset(Stage)

    def due_at(self, stage: Stage, since: int, *, urgent: bool) -> int:
        """Return by when a stage has to be reached, in milliseconds since 1970; later ``since``, never sooner due.

        Args:
            stage: What has to be done.
            since: When the stage before it was reached, in milliseconds since 1970: accepted, sent, received.
            urgent: Whether the document is urgent.
        """
        at_once = since + self.urgent_ms
        if urgent:
            return at_once
        begun = (_EPOCH + since * _MILLISECOND).astimezone(VIETNAM)
        day = begun.date()
        if not self.calendar.works(day) or begun.time() >= self.day_ends:
            day = self.calendar.next_day(day)
        if stage is Stage.RECEIVED:
            return max(at_once, _at(day, self.day_ends))
        # What is accepted in the evening belongs to the next working day already for receipts, and to be sent it has
        # until the next morning all the same.
        following = self.calendar.next_day(begun.date()) if stage is Stage.SENT else self.calendar.next_day(day)
        return max(at_once, _at(following, self.morning_ends if stage is Stage.SENT else self.day_ends))

    def overdue_before(self, stage: Stage, now_ms: int, *, urgent: bool) -> int:
        """Return a time: exactly what has waited since before it is overdue now.

        Found by halving, as a later start is never due sooner. So a database can count what is overdue by one
        comparison, without a calendar.
        """
        low, high = now_ms - LOOK_BACK_MS, now_ms + 1
        if self.due_at(stage, low, urgent=urgent) >= now_ms:
            return low
        while high - low > 1:
            middle = (low + high) // 2
            if self.due_at(stage, middle, urgent=urgent) < now_ms:
                low = middle
            else:
                high = middle
        return high


def _at(day: date, moment: time) -> int:
    return (datetime.combine(day, moment, tzinfo=VIETNAM) - _EPOCH) // _MILLISECOND
