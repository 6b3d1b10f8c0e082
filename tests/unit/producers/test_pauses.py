from __future__ import annotations

from docbus.producers.pauses import FIRST_PAUSE, LONGEST_PAUSE, Pause, jitter


def test_pauses_double_up_to_the_longest() -> None:
    """Each failure doubles the pause until it is the longest."""
    pause = Pause(lambda: 1.0)
    pauses = []
    for _ in range(12):
        pause.fail(100.0)
        pauses.append(pause.until - 100.0)

    assert pauses[:8] == [FIRST_PAUSE * 2**power for power in range(7)] + [LONGEST_PAUSE]
    assert set(pauses[7:]) == {LONGEST_PAUSE}


def test_success_forgets() -> None:
    """After a success the next failure begins small again, and only a success after failures is news."""
    pause = Pause(lambda: 1.0)
    pause.fail(0.0)

    assert pause.succeed()
    assert not pause.succeed()
    assert pause.until == 0.0


def test_jitter_stays_within_half_and_whole() -> None:
    """Agencies do not come back all at once, nor later than the longest pause."""
    drawn = {jitter() for _ in range(100)}

    assert all(0.5 <= factor < 1 for factor in drawn)
    assert len(drawn) > 50


def test_log_is_neither_flooded_nor_silent() -> None:
    """Of a thousand failures a few are logged, and the last ones too."""
    pause = Pause(lambda: 1.0)
    logged = []
    for number in range(1, 1001):
        pause.fail(0.0)
        if pause.worth_logging:
            logged.append(number)

    assert logged[:6] == [1, 2, 4, 8, 16, 32]
    assert len(logged) < 25
    assert logged[-1] > 900
