from __future__ import annotations

from docbus.consumers.pace import FIRST_PORTION, PORTION_SECONDS, Pace


def test_unknown_system_gets_a_few() -> None:
    """Before anything is measured a call has few documents: what is urgent may wait behind them for as long."""
    pace = Pace()
    assert FIRST_PORTION == pace.portion(256)
    assert 1 == pace.portion(1)


def test_fast_system_gets_all_it_takes() -> None:
    """With a fast DMS, a call has as many documents as the sink says."""
    pace = Pace()
    pace.took(256, 0.05)
    assert 256 == pace.portion(256)
    pace.took(10, 0.0)
    assert 256 == pace.portion(256)


def test_slow_system_gets_what_it_takes_in_a_short_time() -> None:
    """With a slow DMS a call has what takes some seconds, and one document at least."""
    pace = Pace()
    pace.took(4, 2.0)
    assert int(PORTION_SECONDS / 0.5) == pace.portion(256)
    for _ in range(20):
        pace.took(1, 100.0)
    assert 1 == pace.portion(256)
