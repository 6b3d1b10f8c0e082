"""Time is passed in, so that every decision can be repeated and every test is exact."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings: one for people and evidence, one for measuring how long something took."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z, by the machine's clock; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """See :class:`Clock`."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()


MAX_LEAD_MS = 12 * 60 * 60 * 1000
"""Milliseconds by which the registrar's clock is believed against one's own: what sets clocks back by itself is a wrong
time zone. Whoever claims more would date everybody's statements as he likes."""


def no_earlier(clock: Clock, signed_at: int) -> int:
    """Return the time, or that at which the registrar signed the directory's last entry if the clock says less.

    The clock was set back then: it must not date statements before the keys that sign them, or take such keys for not
    valid yet. An entry that claims to be made more than :data:`MAX_LEAD_MS` from now says nothing about the time.

    Args:
        clock: What time it is here.
        signed_at: Milliseconds since 1970-01-01T00:00:00Z, of a trust snapshot.
    """
    now_ms = clock.now_ms()
    return signed_at if 0 < signed_at - now_ms <= MAX_LEAD_MS else now_ms


def format_time(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds, such as ``2026-11-23T09:00:00.000Z``.

    A time that no calendar has, as only somebody makes who lies about it, is returned as ``… ms``.
    """
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
