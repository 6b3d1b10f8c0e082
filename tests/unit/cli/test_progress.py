from __future__ import annotations

import io
import os
import pty
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from docbus.cli.output import line
from docbus.cli.progress import LINE_SECONDS, progress
from docbus.cli.session import Session
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ERASE_LINE = "\x1b[2K"
MIB = 1024 * 1024
HOSTILE = "uploading \x1b[31m[bold]\u202ereport[/bold]\r\n{task.fields}:smile:"
HARMLESS = "uploading <U+001B>[31m[bold]<U+202E>report[/bold]<U+000D><U+000A>{task.fields}:smile:"


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True

    @property
    def drawn(self) -> list[str]:
        """Return the lines that were drawn, one over another, without escapes."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())
        return [one.rstrip() for one in re.split(r"[\r\n]+", plain) if one.strip()]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "120", "LINES": "24", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def _lines(clock: FakeClock, *told: tuple[float, int, int | None], what: str = "uploading report-1") -> list[str]:
    """Return what is written where no terminal is, told (seconds since the call before, done, total)."""
    stream = io.StringIO()
    with progress(Session(), what, clock=clock, stream=stream) as tell:
        for seconds, done, total in told:
            clock.advance(seconds)
            tell(done, total)
    return stream.getvalue().splitlines()


def test_terminal_gets_a_bar_with_bytes_rate_and_time_left(clock: FakeClock, terminal: Terminal) -> None:
    """The bar says what is done, how many bytes of how many, how fast, and how long it will still take."""
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
        tell(100_000_000, 1_000_000_000)
        clock.advance(2.0)
        tell(300_000_000, 1_000_000_000)

    assert terminal.drawn[0].startswith("uploading report-1 ")
    assert "0.1/1.0 GB" in terminal.drawn[0]
    assert terminal.drawn[-1].startswith("uploading report-1 ")
    assert terminal.drawn[-1].endswith("0.3/1.0 GB 100.0 MB/s 0:00:07")


def test_terminal_shows_bytes_and_rate_where_the_total_is_unknown(clock: FakeClock, terminal: Terminal) -> None:
    """Without a total there is no time left to tell."""
    with progress(Session(), "encrypting scan.pdf", clock=clock, stream=terminal) as tell:
        tell(1_000_000, None)
        clock.advance(2.0)
        tell(5_000_000, None)

    assert terminal.drawn[-1].endswith("5.0/? MB 2.0 MB/s")


def test_bar_knows_the_total_as_soon_as_it_is_told(clock: FakeClock, terminal: Terminal) -> None:
    """A total may become known on the way."""
    with progress(Session(), "encrypting scan.pdf", clock=clock, stream=terminal) as tell:
        tell(1_000_000, None)
        tell(5_000_000, 8_000_000)

    assert "5.0/8.0 MB" in terminal.drawn[-1]


def test_bar_is_gone_at_the_end(clock: FakeClock, terminal: Terminal) -> None:
    """What is left is an empty line with the cursor on it, and the cursor can be seen."""
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
        tell(1, 2)
        assert terminal.getvalue().startswith(HIDE_CURSOR)

    assert terminal.getvalue().endswith(f"\n{SHOW_CURSOR}\r\x1b[1A{ERASE_LINE}")


def test_terminal_is_given_back_when_the_block_raises(clock: FakeClock, terminal: Terminal) -> None:
    """An upload that fails leaves no bar and no hidden cursor behind, and its error goes on."""

    def upload() -> None:
        with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
            tell(1, 2)
            raise ConnectionError("lost")

    with pytest.raises(ConnectionError, match="lost"):
        upload()

    assert terminal.getvalue().endswith(f"\n{SHOW_CURSOR}\r\x1b[1A{ERASE_LINE}")


def test_terminal_stays_empty_as_long_as_nothing_is_told(clock: FakeClock, terminal: Terminal) -> None:
    """A command that finds nothing to do draws nothing."""
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal):
        clock.advance(60.0)

    assert terminal.getvalue() == ""


@pytest.mark.parametrize("told_before", [False, True])
def test_thread_that_is_late_does_not_take_the_terminal_again(
    told_before: bool, clock: FakeClock, terminal: Terminal
) -> None:
    """Told after the block, the bar stays away."""
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
        if told_before:
            tell(1, 2)
    before = terminal.getvalue()

    tell(2, 2)

    assert before == terminal.getvalue()


def test_terminal_obeys_nothing_in_the_text(
    clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escapes, line feeds and letters that turn a line round are named; markup, emoji and braces stay as they are."""
    monkeypatch.setenv("COLUMNS", "250")
    with progress(Session(), HOSTILE, clock=clock, stream=terminal) as tell:
        tell(1, 2)

    assert terminal.drawn
    assert all(one.startswith(HARMLESS) for one in terminal.drawn)
    assert "\x1b[31m" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()


@pytest.mark.parametrize("columns", [50, 80])
def test_narrow_terminal_keeps_the_numbers_on_one_line(
    columns: int, clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long name is cut short; the bar never becomes two lines, of which one would stay behind."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with progress(Session(), "uploading " + "a-long-name " * 20, clock=clock, stream=terminal) as tell:
        tell(100_000_000, 900_000_000)
        clock.advance(2.0)
        tell(300_000_000, 900_000_000)

    assert all(one.startswith("uploa") and len(one) <= columns for one in terminal.drawn)
    assert terminal.drawn[-1].endswith("300.0/900.0 MB 100.0 MB/s 0:00:06")


def test_real_terminal_gets_the_bar_on_standard_error(
    clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a stream it is standard error that decides and that is written to."""
    reading, writing = pty.openpty()
    with closing(os.fdopen(reading, "rb", buffering=0)) as screen:
        with os.fdopen(writing, "w") as stream:
            monkeypatch.setattr("sys.stderr", stream)
            with progress(Session(), "uploading report-1", clock=clock) as tell:
                tell(1_000, 2_000)
        drawn = screen.read(4096).decode()

    assert "uploading report-1" in drawn
    assert "1.0/2.0 kB" in drawn


def test_results_and_warnings_keep_their_streams_beside_a_bar(
    clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While there is a bar, results still go to standard output, and warnings to a line of their own."""
    monkeypatch.setattr("sys.stderr", terminal)
    session = Session()
    with progress(session, "uploading report-1", clock=clock) as tell:
        tell(1, 2)
        line("accepted: report-1")
        session.warn("the certificate expires tomorrow")

    assert capsys.readouterr().out == "accepted: report-1\n"
    assert "warning: the certificate expires tomorrow" in terminal.drawn
    assert terminal is sys.stderr


def test_terminal_that_cannot_draw_gets_lines(
    clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TERM=dumb there is no bar, and no escape that would be shown as it is."""
    monkeypatch.setenv("TERM", "dumb")
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
        tell(0, 2 * MIB)
        clock.advance(LINE_SECONDS)
        tell(MIB, 2 * MIB)

    assert terminal.getvalue() == "uploading report-1: 50 %, 1.0 of 2.0 MiB, 204.8 KiB/s, 5 s left\n"


def test_line_says_share_bytes_rate_and_time_left(clock: FakeClock) -> None:
    """Where no terminal is, a line has all that the bar has."""
    lines = _lines(clock, (0.0, 0, 1024 * MIB), (5.0, 400 * MIB, 1024 * MIB))

    assert lines == ["uploading report-1: 39 %, 400.0 of 1,024.0 MiB, 80.0 MiB/s, 8 s left"]


@pytest.mark.parametrize(
    ("seconds", "left"), [(53, "53 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (9_000, "2 h 30 min")]
)
def test_line_of_a_slow_transfer_has_its_rate_and_time_left(seconds: int, left: str, clock: FakeClock) -> None:
    """A slow transfer has a rate other than zero, and its time left is told in two units at most."""
    lines = _lines(clock, (0.0, 0, (5 + seconds) * 1024), (5.0, 5 * 1024, (5 + seconds) * 1024))

    assert lines[0].endswith(f"iB, 1.0 KiB/s, {left} left")


def test_what_is_finished_early_writes_no_line(clock: FakeClock) -> None:
    """Small documents print nothing."""
    assert _lines(clock, (0.0, 0, MIB), (LINE_SECONDS - 0.1, MIB, MIB)) == []


def test_lines_keep_their_distance(clock: FakeClock) -> None:
    """However often it is told, there is one line per LINE_SECONDS, and none before the first are over."""
    lines = _lines(clock, *((0.01, count * MIB, 4_000 * MIB) for count in range(1_600)))

    assert [one.split(",")[0] for one in lines] == [f"uploading report-1: {share} %" for share in (12, 25, 37)]


def test_line_has_bytes_and_rate_where_the_total_is_unknown(clock: FakeClock) -> None:
    """Without a total there is neither a share nor time left."""
    assert _lines(clock, (0.0, 0, None), (8.0, 4 * MIB, None)) == ["uploading report-1: 4.0 MiB, 512.0 KiB/s"]


def test_line_has_no_rate_where_there_is_nothing_to_measure_from(clock: FakeClock) -> None:
    """Bytes that were there when it began, as after a crash, are not counted as fast ones."""
    assert _lines(clock, (9.0, 3 * MIB, 4 * MIB)) == ["uploading report-1: 75 %, 3.0 of 4.0 MiB"]


def test_rate_is_that_of_the_last_half_minute(clock: FakeClock) -> None:
    """A transfer that became slow says so once the fast part is half a minute back, and so does its time left."""
    fast = [(5.0, count * 500 * MIB, 1_045 * MIB) for count in (1, 2)]
    slow = [(5.0, (1_000 + 5 * count) * MIB, 1_045 * MIB) for count in range(1, 7)]

    *_, before, last = _lines(clock, (0.0, 0, 1_045 * MIB), *fast, *slow)

    assert before.endswith("17.5 MiB/s, 1 s left")
    assert last.endswith("1.0 MiB/s, 15 s left")


def test_bytes_that_go_back_do_no_harm(clock: FakeClock) -> None:
    """A transfer that begins again has no rate below zero."""
    lines = _lines(clock, (0.0, 0, 8 * MIB), (5.0, 6 * MIB, 8 * MIB), (5.0, MIB, 8 * MIB), (5.0, 2 * MIB, 8 * MIB))

    assert lines[1:] == [
        "uploading report-1: 12 %, 1.0 of 8.0 MiB",
        "uploading report-1: 25 %, 2.0 of 8.0 MiB, 204.8 KiB/s, 30 s left",
    ]


@pytest.mark.parametrize(("done", "total"), [(0, 0), (5, 0), (9, 4), (-1, 4)])
def test_odd_numbers_do_no_harm(done: int, total: int, clock: FakeClock, terminal: Terminal) -> None:
    """Nothing of nothing, more than all and less than nothing are shown somehow; the work goes on."""
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:
        tell(2, 4)
        tell(done, total)

    assert terminal.drawn
    assert len(_lines(clock, (0.0, 2, 4), (5.0, done, total))) == 1


def test_line_obeys_nothing_in_the_text(clock: FakeClock) -> None:
    """A log is read on a terminal too."""
    assert _lines(clock, (9.0, MIB, None), what=HOSTILE) == [f"{HARMLESS}: 1.0 MiB"]


def test_threads_that_tell_at_once_write_one_line(clock: FakeClock) -> None:
    """A line that is due is written by one thread."""
    threads = 8
    stream = io.StringIO()
    barrier = Barrier(threads)
    with progress(Session(), "uploading report-1", clock=clock, stream=stream) as tell:

        def work() -> None:
            barrier.wait(20.0)
            for count in range(1_000):
                tell(count, 1_000)

        clock.advance(LINE_SECONDS)
        with ThreadPoolExecutor(threads) as pool:
            for each in [pool.submit(work) for _ in range(threads)]:
                each.result(20.0)

    assert len(stream.getvalue().splitlines()) == 1


def test_threads_that_tell_at_once_start_one_bar(clock: FakeClock, terminal: Terminal) -> None:
    """The terminal is taken once, whichever thread is the first."""
    threads = 8
    barrier = Barrier(threads)
    with progress(Session(), "uploading report-1", clock=clock, stream=terminal) as tell:

        def work(number: int) -> None:
            barrier.wait(20.0)
            tell(number, threads)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))

    assert terminal.getvalue().count(HIDE_CURSOR) == 1
    assert terminal.getvalue().count(SHOW_CURSOR) == 1


def test_line_after_the_block_is_not_written(clock: FakeClock) -> None:
    """A thread that is late does not speak into the result."""
    stream = io.StringIO()
    with progress(Session(), "uploading report-1", clock=clock, stream=stream) as tell:
        pass
    clock.advance(60.0)

    tell(1, 2)

    assert stream.getvalue() == ""


def test_reader_who_has_gone_does_not_stop_the_work(clock: FakeClock) -> None:
    """An upload goes on when nobody reads how far it is."""

    class Closed(io.StringIO):
        @override
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with progress(Session(), "uploading report-1", clock=clock, stream=Closed()) as tell:
        clock.advance(LINE_SECONDS)
        tell(1, 2)


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_quiet_shows_nothing(make: Callable[[], io.StringIO], clock: FakeClock, terminal: Terminal) -> None:
    """With --quiet there is neither a bar nor a line."""
    stream = make()
    with progress(Session(quiet=True), "uploading report-1", clock=clock, stream=stream) as tell:
        tell(0, 2)
        clock.advance(60.0)
        tell(1, 2)

    assert stream.getvalue() == ""
