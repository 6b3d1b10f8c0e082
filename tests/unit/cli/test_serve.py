from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from docbus.cli import serve
from docbus.cli.options import Moment, Offset
from docbus.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.transport.port import Transport

BOUNDS = {0: (5, 20), 1: (0, 0)}


class _Log:
    """Two partitions, one of them empty."""

    async def bounds(self, _topic: str) -> dict[int, tuple[int, int]]:
        return BOUNDS

    async def offset_at(self, _topic: str, timestamp_ms: int) -> dict[int, int]:
        return {0: 12} if timestamp_ms < 1_000 else {}


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (Offset(0), {0: 5, 1: 0}),
        (Offset(7), {0: 7, 1: 0}),
        (Offset(99), {0: 20, 1: 0}),
        (Moment(500), {0: 12, 1: 0}),
        (Moment(5_000), {0: 20, 1: 0}),
    ],
)
async def test_point_means_an_offset_in_every_partition(point: Offset | Moment, expected: dict[int, int]) -> None:
    """A point before the first record means the first, one after the last means the end."""
    transport: Transport = _Log()  # type: ignore[assignment] # as much of it as is asked

    assert expected == await serve.offsets_of(transport, "t", point)


class _Left:
    """Notes exit codes of leaving at once, in place of leaving."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.any = asyncio.Event()

    def leave(self, code: int) -> None:
        self.codes.append(code)
        self.any.set()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> _Left:
    """Keep the test's process alive."""
    noted = _Left()
    monkeypatch.setattr(os, "_exit", noted.leave)
    return noted


@pytest.mark.parametrize("number", serve.SIGNALS)
async def test_first_signal_asks_and_second_leaves(
    left: _Left, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """The first signal sets the event and says so; the second ends the process at once."""
    stop = asyncio.Event()

    with serve.stopping(stop, Session()):
        signal.raise_signal(number)
        await asyncio.wait_for(stop.wait(), 5)
        first = [*left.codes]
        signal.raise_signal(number)
        await asyncio.wait_for(left.any.wait(), 5)

    assert ([], [128 + number]) == (first, left.codes)
    assert number.name in capsys.readouterr().err


async def test_stop_that_takes_too_long_is_ended(left: _Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop has a bound: what hangs is left behind, as after a crash."""
    monkeypatch.setattr(serve, "STOP_SECONDS", 0.0)
    stop = asyncio.Event()

    with serve.stopping(stop, Session(quiet=True)):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 5)
        await asyncio.wait_for(left.any.wait(), 5)

    assert [128 + signal.SIGTERM] == left.codes


async def test_signals_are_given_back(left: _Left) -> None:
    """Afterwards signals do what they did before, and no bound is left running."""
    before: Callable[..., object] | int | None = signal.getsignal(signal.SIGTERM)

    with serve.stopping(asyncio.Event(), Session(quiet=True)):
        during = signal.getsignal(signal.SIGTERM)

    assert during != before
    assert before == signal.getsignal(signal.SIGTERM)
    assert [] == left.codes
