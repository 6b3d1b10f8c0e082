"""How far a command has come with many bytes, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
from collections import deque
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TextIO

from docbus.cli.escape import shown
from docbus.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console, RenderableType
    from rich.progress import Progress

    from docbus.cli.session import Session

LINE_SECONDS = 5.0
"""Seconds between two lines, and before the first: what takes less needs none, and an hour is 720 lines of a log."""
RATE_LINES = 6
"""Lines back from which a rate is measured: half a minute, as rich does, so that it neither jumps nor lags."""
_KIB = 1024
_MIB = 1024 * _KIB
_MINUTE = 60
_HOUR = 60 * _MINUTE


@contextmanager
def progress(
    session: Session, what: str, *, clock: Clock | None = None, stream: TextIO | None = None
) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far the block has come; one at a time, for a terminal has room for one bar.

    Yields what is to be told (bytes done so far, bytes in all or None if that is unknown), from any thread and as often
    as is handy. Told after the block, it does nothing.

    Args:
        session: Whose user may want quiet.
        what: A few words such as ``uploading report-1``; may come from anybody.
        clock: By which rates are measured and lines are due.
        stream: Standard error unless given.
    """
    if session.quiet:
        yield _say_nothing
        return
    display = _display(shown(what), clock or SystemClock(), sys.stderr if stream is None else stream)
    try:
        yield display.tell
    finally:
        display.close()


def _say_nothing(_done: int, _total: int | None) -> None:
    pass


def _display(what: str, clock: Clock, stream: TextIO) -> _Bar | _Lines:
    """Return a bar if the terminal can draw one over another; TERM=dumb, as an editor's shell has it, cannot."""
    if stream.isatty():
        from rich.console import Console

        console = Console(file=stream, markup=False, emoji=False, highlight=False)
        if console.is_interactive:
            return _Bar(what, clock, console)
    return _Lines(what, clock, stream)


class _Bar:
    """A bar that appears when it is told something for the first time, and is gone at the end."""

    def __init__(self, what: str, clock: Clock, console: Console) -> None:
        self._latest: tuple[int, int | None] = (0, None)
        self._drawn = _drawn(what, clock, console, lambda: self._latest)
        self._lock = Lock()
        self._waits = True

    def tell(self, done: int, total: int | None) -> None:
        """Leave the numbers for the thread that draws, which comes for them ten times a second."""
        self._latest = done, total
        if self._waits:
            with self._lock:
                if self._waits:
                    self._waits = False
                    self._drawn.start()

    def close(self) -> None:
        """Give the terminal back; a thread that is late with its first numbers must not take it again."""
        with self._lock:
            self._waits = False
        self._drawn.stop()


def _drawn(what: str, clock: Clock, console: Console, latest: Callable[[], tuple[int, int | None]]) -> Progress:
    """Return rich's bar, which asks how far it is whenever it is drawn."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        RenderableColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.table import Column
    from rich.text import Text
    from typing_extensions import override

    class Drawn(Progress):
        @override
        def get_renderables(self) -> Iterable[RenderableType]:
            done, total = latest()
            for task in self.task_ids:  # none yet when rich asks for the first time, while it is being made
                self.update(task, completed=done, total=total)
            return super().get_renderables()

    drawn = Drawn(
        # A Text is never read as markup. Where the terminal is narrow, the text and the bar give way to the numbers.
        RenderableColumn(Text(what, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=None),
        DownloadColumn(table_column=Column(no_wrap=True)),
        TransferSpeedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        get_time=clock.monotonic,
        redirect_stdout=False,  # results belong on standard output, also while there is a bar
        redirect_stderr=console.file is sys.stderr,  # warnings stand above the bar
    )
    drawn.add_task("", total=None)
    return drawn


class _Sample(NamedTuple):
    """How far it was at a time."""

    at: float
    done: int


class _Lines:
    """A line every ``LINE_SECONDS``, if it is told something."""

    def __init__(self, what: str, clock: Clock, stream: TextIO) -> None:
        self._what = what
        self._clock = clock
        self._stream = stream
        self._lock = Lock()
        self._due = clock.monotonic() + LINE_SECONDS
        self._samples: deque[_Sample] = deque(maxlen=RATE_LINES)

    def tell(self, done: int, total: int | None) -> None:
        """Write a line if one is due."""
        now = self._clock.monotonic()
        if now < self._due and self._samples:
            return  # as nearly always, and therefore without the lock
        with self._lock:
            if now >= self._due:
                self._due = now + LINE_SECONDS
                # Whoever reads may have gone; the bytes are worth more than the line about them.
                with suppress(OSError):
                    print(self._line(now, done, total), file=self._stream, flush=True)
                self._samples.append(_Sample(now, done))
            elif not self._samples:
                self._samples.append(_Sample(now, done))

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            self._due = math.inf

    def _line(self, now: float, done: int, total: int | None) -> str:
        rate = self._rate(now, done)
        parts = [] if total is None else [f"{_percent(done, total)} %"]
        parts.append(_size(done) if total is None else f"{_size(done, total, unit=False)} of {_size(total)}")
        if rate is not None:
            parts.append(f"{_size(rate)}/s")
        if rate and total is not None and done < total:
            parts.append(f"{_duration((total - done) / rate)} left")
        return f"{self._what}: {', '.join(parts)}"

    def _rate(self, now: float, done: int) -> float | None:
        """Return bytes per second, or None where there is nothing to measure from."""
        if self._samples and done < self._samples[-1].done:
            self._samples.clear()  # it began again
        if not self._samples or now <= self._samples[0].at:
            return None
        return (done - self._samples[0].done) / (now - self._samples[0].at)


def _percent(done: int, total: int) -> int:
    """Return whole per cent, rounded down: 100 is all."""
    return 100 if done >= total else max(0, done * 100 // total)


def _size(count: float, whole: float | None = None, *, unit: bool = True) -> str:
    """Return a number of bytes in the unit that suits the whole."""
    size, name = (_MIB, "MiB") if (count if whole is None else whole) >= _MIB else (_KIB, "KiB")
    return f"{count / size:,.1f}" + (f" {name}" if unit else "")


def _duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"
