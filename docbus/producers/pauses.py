"""Growing, jittered, bounded pauses, for ever (design D5): nothing accepted is ever given up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE = 0.25
"""Seconds after the first failure: a leader election takes about so long."""
LONGEST_PAUSE = 30.0
"""Seconds at most: after hours of outage everything flows again within half a minute."""
_DOUBLINGS = 10
"""Beyond so many failures the pause is the longest in any case; bounds the power."""
_JITTER_STEPS = 1 << 20


def jitter() -> float:
    """Return a random factor from 0.5 to 1, so that agencies do not come back all at once."""
    return 0.5 + secrets.randbelow(_JITTER_STEPS) / (2 * _JITTER_STEPS)


@dataclass(slots=True)
class Pause:
    """How often something has failed in a row, and when it is to be tried again.

    Args:
        factor: Gives the jitter; tests make it constant.
        first: Seconds after the first failure.
        longest: Seconds at most.
    """

    factor: Callable[[], float] = jitter
    failures: int = 0
    until: float = field(default=0.0)
    """On the monotonic clock, in seconds."""
    first: float = FIRST_PAUSE
    longest: float = LONGEST_PAUSE

    def fail(self, now: float) -> None:
        """Count a failure and set the next time."""
        wanted = self.first * 2 ** min(self.failures, _DOUBLINGS)
        self.failures += 1
        self.until = now + min(self.longest, wanted) * self.factor()

    def succeed(self) -> bool:
        """Forget all failures; tell whether there were any."""
        failed, self.failures, self.until = self.failures > 0, 0, 0.0
        return failed

    @property
    def worth_logging(self) -> bool:
        """Whether this failure is the 1st, 2nd, 4th, 8th …, or one in 64: no flood, and no silence either."""
        return self.failures & (self.failures - 1) == 0 or self.failures % 64 == 0
