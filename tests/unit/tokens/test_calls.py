"""Calls that may never return."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from docbus.errors import SignerAwayError
from docbus.tokens.calls import MAX_WAITING_CALLS, CallThread

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Return what a hanging call waits for; it is opened at the end."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_calls_are_made_one_after_the_other_in_one_thread() -> None:
    """However many threads call, the library is entered by one, and each gets its own answer."""
    calls = CallThread("calls", "it")
    inside: set[int] = set()

    def job(number: int) -> int:
        inside.add(threading.get_ident())
        return number * number

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda number: calls.call(lambda: job(number)), range(100)))

    assert [number * number for number in range(100)] == answers
    assert 1 == len(inside)
    assert inside.isdisjoint({threading.get_ident()})


def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    """An error costs the one who called, and the next call is made all the same."""
    calls = CallThread("calls", "it")

    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0)

    assert 2 == calls.call(lambda: 2)


def test_a_call_that_hangs_is_not_waited_for_without_end(gate: threading.Event) -> None:
    """Its caller and those behind it get an error that can be retried; what nobody waits for any more is not done."""
    calls = CallThread("calls", "the library", seconds=0.05)
    done: list[int] = []

    with pytest.raises(SignerAwayError, match="the library has not answered"):
        calls.call(gate.wait)
    with pytest.raises(SignerAwayError, match="the library has not answered"):
        calls.call(lambda: done.append(1))
    gate.set()
    # By now the thread has passed by the call that was given up.
    calls.call(lambda: done.append(2))

    assert [2] == done


def test_calls_that_wait_are_bounded(gate: threading.Event) -> None:
    """So many may wait for one that hangs; the next one is told at once."""
    calls = CallThread("calls", "the library", seconds=PATIENCE)
    begun = threading.Event()

    def hang() -> None:
        begun.set()
        gate.wait(PATIENCE)

    with ThreadPoolExecutor(MAX_WAITING_CALLS + 1) as callers:
        first = callers.submit(calls.call, hang)
        begun.wait(PATIENCE)
        waiting = [callers.submit(calls.call, threading.get_ident) for _ in range(MAX_WAITING_CALLS)]
        while not calls._calls.full():
            threading.Event().wait(0.001)

        with pytest.raises(SignerAwayError, match=f"{MAX_WAITING_CALLS} calls wait"):
            calls.call(threading.get_ident)
        gate.set()

        assert None is first.result(PATIENCE)
        assert 1 == len({one.result(PATIENCE) for one in waiting})
