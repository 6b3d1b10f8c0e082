"""Whether this machine's clock is behind that of the others."""

from __future__ import annotations

from docbus.client.doctor.diagnosis import Diagnosis, failed, not_asked, passed
from docbus.clock import format_time
from docbus.limits import MAX_CLOCK_SKEW_MS

CHECK = "clock"


def clock(newest_ms: int | None, now_ms: int) -> Diagnosis:
    """Tell whether something was stored or signed later than it is now.

    Args:
        newest_ms: The latest time that brokers and registrar have set, in milliseconds since 1970-01-01T00:00:00Z.
        now_ms: The same of this machine, read afterwards.
    """
    if newest_ms is None:
        return not_asked(CHECK, "there is no time of anybody else to compare it with")
    behind = newest_ms - now_ms
    if behind > MAX_CLOCK_SKEW_MS:
        return failed(
            CHECK,
            f"it says {format_time(now_ms)} and is {behind // 1000:,} s behind the time of a record or an entry,"
            f" {format_time(newest_ms)}",
            "Set it, for example by `timedatectl set-ntp true`; if it is right, the clock of the brokers or of the"
            " registrar is not: tell them.",
        )
    return passed(
        CHECK,
        f"{format_time(now_ms)}, not behind the newest time of the others, {format_time(newest_ms)};"
        " whether it is ahead cannot be told from that",
    )
