from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docbus.documents.deadlines import VIETNAM, Deadlines, Stage

RULES = Deadlines()
HOUR_MS = 60 * 60 * 1000
MOMENTS = st.integers(1_767_225_600_000, 1_830_297_600_000)
"""2026 and 2027."""

if TYPE_CHECKING:
    from collections.abc import Callable


def ms(local: str) -> int:
    return round(datetime.fromisoformat(local).replace(tzinfo=VIETNAM).timestamp() * 1000)


def local(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, VIETNAM).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("since", "sent", "received", "processed"),
    [
        ("2026-11-18 09:00", "2026-11-19 12:00", "2026-11-18 17:00", "2026-11-19 17:00"),
        ("2026-11-18 16:45", "2026-11-19 12:00", "2026-11-18 17:15", "2026-11-19 17:00"),
        ("2026-11-18 17:00", "2026-11-19 12:00", "2026-11-19 17:00", "2026-11-20 17:00"),
        ("2026-11-20 20:00", "2026-11-23 12:00", "2026-11-23 17:00", "2026-11-25 17:00"),
        ("2026-11-21 10:00", "2026-11-23 12:00", "2026-11-23 17:00", "2026-11-25 17:00"),
        ("2026-02-13 18:00", "2026-02-23 12:00", "2026-02-23 17:00", "2026-02-24 17:00"),
    ],
    ids=["morning", "late afternoon", "evening", "Friday evening", "Saturday", "before Tết"],
)
def test_ordinary_documents(since: str, sent: str, received: str, processed: str) -> None:
    """Sent by the next working morning, received on the same working day, processed by the end of the next one."""
    due = [local(RULES.due_at(stage, ms(since), urgent=False)) for stage in Stage]

    assert [sent, received, processed] == due


@pytest.mark.parametrize("stage", Stage)
def test_urgent_documents_are_due_at_once(stage: Stage) -> None:
    """At any time of any day, an urgent document is due after the minutes that "at once" lasts."""
    assert "2026-11-21 23:30" == local(RULES.due_at(stage, ms("2026-11-21 23:00"), urgent=True))


def test_times_are_the_settings() -> None:
    """An agency's own hours count."""
    rules = Deadlines(morning_ends=time(11, 30), day_ends=time(16, 30), urgent_ms=HOUR_MS)

    assert "2026-11-19 11:30" == local(rules.due_at(Stage.SENT, ms("2026-11-18 09:00"), urgent=False))
    assert "2026-11-18 16:30" == local(rules.due_at(Stage.RECEIVED, ms("2026-11-18 09:00"), urgent=False))
    assert "2026-11-18 10:00" == local(rules.due_at(Stage.SENT, ms("2026-11-18 09:00"), urgent=True))


@given(since=MOMENTS, later=st.integers(0, 40 * 24 * HOUR_MS), stage=st.sampled_from(Stage), urgent=st.booleans())
def test_later_is_never_due_sooner(since: int, later: int, stage: Stage, urgent: bool) -> None:
    """Whatever begins to wait later is due at the same time or later: counting by one comparison relies on it."""
    assert RULES.due_at(stage, since, urgent=urgent) <= RULES.due_at(stage, since + later, urgent=urgent)


@given(now=MOMENTS, stage=st.sampled_from(Stage), urgent=st.booleans())
def test_overdue_is_exactly_what_began_before(now: int, stage: Stage, urgent: bool) -> None:
    """The last millisecond before the bound is overdue, the bound itself is not."""
    before = RULES.overdue_before(stage, now, urgent=urgent)

    due: Callable[[int], int] = lambda since: RULES.due_at(stage, since, urgent=urgent)  # noqa: E731
    assert due(before - 1) < now <= due(before)
