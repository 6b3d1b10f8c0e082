"""Nothing is signed under a clock that is ahead of the brokers'."""

from __future__ import annotations

from structlog.testing import capture_logs

from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.producers.clock_guard import FIRST_TRIAL_SECONDS, LONGEST_TRIAL_SECONDS, ClockGuard
from docbus.transport.port import Stamp
from tests.support.outbox import NOW_MS, FakeClock

HOUR_MS = 60 * 60 * 1000


class Brokers:
    """Acknowledge records with their own time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.behind_ms = 0
        self.stamp: Stamp | None = None

    def acknowledge(self) -> None:
        self.stamp = Stamp(self.clock.ms - self.behind_ms, self.clock.monotonic())


def guarded() -> tuple[ClockGuard, Brokers, FakeClock]:
    clock = FakeClock(ms=NOW_MS)
    brokers = Brokers(clock)
    return ClockGuard(clock, lambda: brokers.stamp), brokers, clock


def test_without_an_acknowledgement_nothing_is_known() -> None:
    """A process that has sent nothing yet signs as much as there is."""
    guard, _, _ = guarded()

    assert None is guard.room()


def test_clock_may_be_ahead_by_as_much_as_recipients_bear() -> None:
    """Five minutes and no millisecond more."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()

    clock.ms += MAX_CLOCK_SKEW_MS
    allowed = guard.room()
    clock.ms += 1

    assert (None, 0) == (allowed, guard.room())


def test_clock_that_was_set_right_signs_again_and_each_is_logged_once() -> None:
    """A step ahead is an error in the log, once however often it is asked, and its end is told."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()

    with capture_logs() as logs:
        clock.ms += 6 * HOUR_MS
        held = [guard.room(), guard.room()]
        clock.ms -= 6 * HOUR_MS
        after = guard.room()

    assert ([0, 0], None) == (held, after)
    assert [("clock.ahead", 21_600), ("clock.right", None)] == [(one["event"], one.get("seconds")) for one in logs]


def test_time_goes_on_at_the_brokers_too() -> None:
    """However long ago they acknowledged something, a clock that runs as it should is never ahead."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()

    clock.advance(24 * 3600)

    assert None is guard.room()


def test_clock_that_is_behind_is_not_held() -> None:
    """What it signs is older than it should be, and believed."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()

    clock.ms -= 6 * HOUR_MS

    assert None is guard.room()


def test_machine_that_was_suspended_gets_going_by_a_trial() -> None:
    """The monotonic clock stood still, so the right clock looks ahead; one statement finds out that it is not."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()
    clock.ms += 8 * HOUR_MS
    held = guard.room()

    clock.advance(FIRST_TRIAL_SECONDS)
    trial = guard.room()
    under_way = guard.room()
    brokers.acknowledge()

    assert (0, 1, 0, None) == (held, trial, under_way, guard.room())


def test_trials_become_rare() -> None:
    """As long as the clock stays ahead each acknowledgement says so, and pauses double up to the longest."""
    guard, brokers, clock = guarded()
    brokers.behind_ms = HOUR_MS
    brokers.acknowledge()
    pauses = []
    for _ in range(8):
        began = clock.monotonic()
        while guard.room() == 0:
            clock.advance(1.0)
        pauses.append(clock.monotonic() - began)
        brokers.acknowledge()

    assert [min(FIRST_TRIAL_SECONDS * 2**number, LONGEST_TRIAL_SECONDS) for number in range(8)] == pauses


def test_trial_without_an_answer_is_made_again() -> None:
    """The brokers may be away; the next trial comes after the next pause."""
    guard, brokers, clock = guarded()
    brokers.acknowledge()
    clock.ms += HOUR_MS
    guard.room()
    clock.advance(FIRST_TRIAL_SECONDS)

    assert (1, 0) == (guard.room(), guard.room())
    clock.advance(2 * FIRST_TRIAL_SECONDS)
    assert 1 == guard.room()


def test_distance_is_told_as_long_as_it_is_known() -> None:
    """Ahead above 0, behind below it, and nothing before the first acknowledgement."""
    guard, brokers, clock = guarded()
    before = guard.ahead_ms()
    brokers.acknowledge()
    clock.advance(60)
    right = guard.ahead_ms()
    clock.ms -= 1000

    assert (None, 0.0, -1000.0) == (before, right, guard.ahead_ms())
