from __future__ import annotations

import pytest

from docbus.clock import MAX_LEAD_MS, format_time, no_earlier


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
        (253_402_300_800_000, "253402300800000 ms"),
        ((1 << 63) - 1, "9223372036854775807 ms"),
        (-(1 << 63), "-9223372036854775808 ms"),
    ],
)
def test_any_number_can_be_shown(milliseconds: int, text: str) -> None:
    """A time is shown as people write it, and a number that no calendar has as a number: nothing breaks on a lie."""
    assert text == format_time(milliseconds)


def test_registrar_is_believed_for_half_a_day() -> None:
    """A clock that was set back by a wrong time zone is helped; whoever claims more dates nobody's statements."""
    now = 1_795_424_400_000

    class Clock:
        def now_ms(self) -> int:
            return now

        def monotonic(self) -> float:
            return 0.0

    assert [now, now + MAX_LEAD_MS, now, now] == [
        no_earlier(Clock(), now + lead) for lead in (-1, MAX_LEAD_MS, MAX_LEAD_MS + 1, 10**13)
    ]
