"""Keeps an agency from signing while its clock is ahead of the brokers' (C1.21).

Recipients let a statement from the future wait for its time, and its stream with it, and so do senders with a receipt.
A clock that jumped ahead by hours would hold up for hours what was signed in those seconds. The brokers put their own
time on what they store; where that is far behind the agency's clock, nothing is signed until it is not.

Only an acknowledgement tells the brokers' time, and the clock that counts since then stands still while a machine is
suspended. So the guard does not believe itself for ever: after a pause one statement is signed as a trial, and its
acknowledgement decides again. Brokers whose clock is behind can hold up an agency in this way; they could do so anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.clock import Clock
    from docbus.transport.port import Stamp

log = structlog.get_logger(__name__)

FIRST_TRIAL_SECONDS = 30.0
"""Seconds before the first trial: a clock that is stepped back is right again by then."""
LONGEST_TRIAL_SECONDS = 15 * 60.0
"""Seconds between trials at most; each costs one statement that waits, if the clock is still ahead."""


class ClockGuard:
    """Decides how much may be signed now. One thread at a time.

    Args:
        clock: The agency's.
        stamp: Gives the newest time that the brokers have put on a record of this process.
    """

    def __init__(self, clock: Clock, stamp: Callable[[], Stamp | None]) -> None:
        self._clock = clock
        self._stamp = stamp
        self._judged: Stamp | None = None
        """The stamp by which the clock was found to be ahead; None while it is not."""
        self._pause = FIRST_TRIAL_SECONDS
        self._trial_at = 0.0

    def ahead_ms(self) -> float | None:
        """Return by how many milliseconds the clock is ahead of the brokers'; None if nothing was acknowledged yet."""
        stamp = self._stamp()
        if stamp is None:
            return None
        return self._clock.now_ms() - (stamp.at_ms + (self._clock.monotonic() - stamp.monotonic) * 1000)

    def room(self) -> int | None:
        """Return how many statements may be signed: None for any number, 0 for none, 1 for a trial."""
        ahead_ms, stamp, now = self.ahead_ms(), self._stamp(), self._clock.monotonic()
        if ahead_ms is None or stamp is None:
            return None
        if ahead_ms <= MAX_CLOCK_SKEW_MS:
            if self._judged is not None:
                log.info("clock.right")
                self._judged = None
            return None
        if self._judged is None:
            log.error(
                "clock.ahead",
                seconds=round(ahead_ms / 1000),
                hint="Nothing is signed until the clock is set; the brokers' is what recipients go by.",
            )
            self._pause = FIRST_TRIAL_SECONDS
        if stamp != self._judged:
            self._judged = stamp
            self._trial_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_TRIAL_SECONDS)
        if now < self._trial_at:
            return 0
        # Until its acknowledgement brings a new stamp, or the next pause is over.
        self._trial_at = now + self._pause
        return 1
