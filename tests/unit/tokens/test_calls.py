"""Calls that may never return."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from docbus.errors import SignerAwayError
from docbus.tokens.calls import MAX_CALLS_OF_TOKEN, MAX_WAITING_CALLS, Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20.0
TOKEN = "token=H26"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Return what a hanging call waits for; it is opened at the end."""
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.fixture
def shared() -> Calls:
    """Return calls into a library that several threads may enter."""
    calls = Calls("calls", "the library", seconds=PATIENCE)
    calls.call(TOKEN, lambda alone: calls.share())
    return calls


class Inside:
    """Jobs that hang until a gate opens, and tell how many are inside."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate
        self._entered = threading.Semaphore(0)

    def job(self, alone: bool) -> bool:
        self._entered.release()
        self._gate.wait(PATIENCE)
        return alone

    def wait(self, count: int) -> None:
        """Wait until so many more are inside."""
        for _ in range(count):
            assert self._entered.acquire(timeout=PATIENCE)

    def one_more(self, seconds: float = 0.05) -> bool:
        """Tell whether another one comes in within a moment."""
        return self._entered.acquire(timeout=seconds)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    for _ in range(int(PATIENCE / 0.001)):
        if condition():
            return
        threading.Event().wait(0.001)
    pytest.fail("it has not come true")


def test_calls_are_made_one_after_the_other_unless_they_are_shared() -> None:
    """However many threads call, one at a time is inside, in a thread that is none of theirs, and gets its answer."""
    calls = Calls("calls", "it")
    inside, most = set[int](), list[int]()

    def job(number: int, alone: bool) -> int:
        assert alone
        inside.add(threading.get_ident())
        most.append(len(inside))
        inside.remove(threading.get_ident())
        return number * number

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda number: calls.call(TOKEN, lambda alone: job(number, alone)), range(100)))

    assert [number * number for number in range(100)] == answers
    assert [1] * 100 == most
    assert threading.get_ident() != calls.call(TOKEN, lambda alone: threading.get_ident())


def test_so_many_calls_of_one_token_are_made_at_a_time(shared: Calls, gate: threading.Event) -> None:
    """One more waits, though others return; a call of another token does not."""
    inside = Inside(gate)
    with ThreadPoolExecutor(MAX_CALLS_OF_TOKEN + 1) as callers:
        answers = [callers.submit(shared.call, TOKEN, inside.job) for _ in range(MAX_CALLS_OF_TOKEN + 1)]
        inside.wait(MAX_CALLS_OF_TOKEN)
        entered = inside.one_more()
        other = shared.call("token=H37", lambda alone: alone)
        gate.set()

        assert [False] * len(answers) == [one.result(PATIENCE) for one in answers]
        assert (False, False) == (entered, other)


def test_a_failure_lets_the_next_call_be_alone(shared: Calls, gate: threading.Event) -> None:
    """It waits until all others have returned, whatever becomes of them; then it may share again."""
    inside = Inside(gate)
    with ThreadPoolExecutor(3) as callers:
        hanging = callers.submit(shared.call, TOKEN, inside.job)
        inside.wait(1)
        with pytest.raises(ZeroDivisionError):
            shared.call(TOKEN, lambda alone: 1 // 0)
        next_one = callers.submit(shared.call, TOKEN, inside.job)
        entered = inside.one_more()
        gate.set()

        assert (False, False, True) == (entered, hanging.result(PATIENCE), next_one.result(PATIENCE))


def test_a_call_that_must_be_alone_is_not_overtaken(shared: Calls, gate: threading.Event) -> None:
    """Those behind it wait as well, so that its turn comes, and enter when it has returned."""
    inside = Inside(gate)
    with ThreadPoolExecutor(3) as callers:
        hanging = callers.submit(shared.call, TOKEN, inside.job)
        inside.wait(1)
        alone = callers.submit(shared.call, "", inside.job, alone=True)
        until(lambda: len(shared._waiting) == 1)
        behind = callers.submit(shared.call, TOKEN, inside.job)
        until(lambda: len(shared._waiting) == 2)
        entered = inside.one_more()
        gate.set()

        assert (False, False) == (entered, hanging.result(PATIENCE))
        assert (True, True) == (alone.result(PATIENCE), behind.result(PATIENCE))


def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    """An error costs the one who called, and the next call is made all the same."""
    calls = Calls("calls", "it")

    with pytest.raises(ZeroDivisionError):
        calls.call(TOKEN, lambda alone: 1 // 0)

    assert 2 == calls.call(TOKEN, lambda alone: 2)


def test_a_call_that_hangs_is_not_waited_for_without_end(gate: threading.Event) -> None:
    """Its caller and those behind it get an error that can be retried; what nobody waits for any more is not done."""
    calls = Calls("calls", "the library", seconds=0.05)
    done: list[int] = []

    with pytest.raises(SignerAwayError, match="the library has not answered"):
        calls.call(TOKEN, lambda alone: gate.wait(PATIENCE))
    with pytest.raises(SignerAwayError, match="the library has not answered"):
        calls.call(TOKEN, lambda alone: done.append(1))
    gate.set()
    calls._seconds = PATIENCE
    calls.call(TOKEN, lambda alone: done.append(2))

    assert [2] == done


def test_a_call_that_hangs_holds_up_no_other(shared: Calls, gate: threading.Event) -> None:
    """Where several are made at a time, the others of its token go on before and after its caller has given up."""
    inside = Inside(gate)
    with ThreadPoolExecutor(1) as callers:
        hanging = callers.submit(shared.call, TOKEN, inside.job)
        inside.wait(1)

        assert [False] * 8 == [shared.call(TOKEN, lambda alone: alone) for _ in range(8)]
        gate.set()
        assert not hanging.result(PATIENCE)


def test_threads_are_as_many_as_calls_at_a_time(shared: Calls) -> None:
    """One call after the other is made by one thread, however many there are."""
    threads = {shared.call(TOKEN, lambda alone: threading.get_ident()) for _ in range(50)}

    assert 1 == len(threads)


def test_calls_that_wait_are_bounded(gate: threading.Event) -> None:
    """So many may wait for one that hangs; the next one is told at once."""
    calls = Calls("calls", "the library", seconds=PATIENCE)
    inside = Inside(gate)

    with ThreadPoolExecutor(MAX_WAITING_CALLS + 1) as callers:
        first = callers.submit(calls.call, TOKEN, inside.job)
        inside.wait(1)
        waiting = [callers.submit(calls.call, TOKEN, lambda alone: alone) for _ in range(MAX_WAITING_CALLS)]
        until(lambda: len(calls._waiting) == MAX_WAITING_CALLS)

        with pytest.raises(SignerAwayError, match=f"{MAX_WAITING_CALLS} calls wait"):
            calls.call(TOKEN, lambda alone: alone)
        gate.set()

        assert first.result(PATIENCE)
        assert [True] * MAX_WAITING_CALLS == [one.result(PATIENCE) for one in waiting]


def test_calls_that_nobody_waits_for_take_no_place(gate: threading.Event) -> None:
    """After many have given up behind one that hangs, the next one waits, and is not refused."""
    calls = Calls("calls", "the library", seconds=0.01)
    for _ in range(MAX_WAITING_CALLS + 2):
        with pytest.raises(SignerAwayError, match="has not answered"):
            calls.call(TOKEN, lambda alone: gate.wait(PATIENCE))

    assert not calls._waiting
