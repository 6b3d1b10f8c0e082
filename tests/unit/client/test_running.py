"""What runs beside a block."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys

import pytest

from docbus.client.running import ARENAS, beside

BOUND = 20.0


class _Failed(Exception):  # noqa: N818 - neither docbus's nor anybody's error
    pass


class _Helper:
    """Notes what happens to it."""

    def __init__(self, name: str, noted: list[str], failure: BaseException | None = None) -> None:
        self._name = name
        self._noted = noted
        self._failure = failure

    async def __call__(self, stop: asyncio.Event) -> None:
        self._noted.append(f"{self._name} begins")
        if self._failure is not None:
            raise self._failure
        try:
            await stop.wait()
        except asyncio.CancelledError:
            self._noted.append(f"{self._name} is cancelled")
            raise
        self._noted.append(f"{self._name} ends")


async def test_helpers_run_as_long_as_the_block() -> None:
    """They begin with the block, and stop one by one when it ends, the last first: so receipts still go out."""
    noted: list[str] = []
    async with asyncio.timeout(BOUND):
        async with beside(_Helper("first", noted), _Helper("second", noted)):
            await asyncio.sleep(0)
            noted.append("block ends")

    assert ["first begins", "second begins", "block ends", "second ends", "first ends"] == noted


async def test_failing_helper_ends_the_block() -> None:
    """A block that waits for what can not come any more is cancelled, and gets the helper's own error, not a group."""
    noted: list[str] = []
    failure = _Failed("no broker")

    with pytest.raises(_Failed) as raised:
        async with asyncio.timeout(BOUND), beside(_Helper("good", noted), _Helper("bad", noted, failure)):
            await asyncio.get_running_loop().create_future()

    assert failure is raised.value
    assert "good is cancelled" in noted or "good ends" in noted


async def test_own_error_of_the_block_is_raised_as_it_is() -> None:
    """An error of the block stops the helpers and comes out unchanged."""
    noted: list[str] = []
    failure = _Failed("mine")

    with pytest.raises(_Failed) as raised:  # noqa: PT012 - the block under test is the statement
        async with asyncio.timeout(BOUND), beside(_Helper("helper", noted)):
            await asyncio.sleep(0)
            raise failure

    assert failure is raised.value
    assert "helper begins" == noted[0]


async def test_helper_that_fails_while_it_stops_is_heard() -> None:
    """A failure after the block has ended well is raised: something accepted may not have been finished."""

    async def fails_late(stop: asyncio.Event) -> None:
        await stop.wait()
        raise _Failed("disk full")

    with pytest.raises(_Failed, match="disk full"):
        async with asyncio.timeout(BOUND), beside(fails_late):
            await asyncio.sleep(0)


async def test_cancelled_block_stops_its_helpers() -> None:
    """Whoever cancels the whole gets no helper left running."""
    noted: list[str] = []

    async def whole() -> None:
        async with beside(_Helper("helper", noted)):
            noted.append("block begins")
            await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(whole())
    while len(noted) < 2:  # noqa: ASYNC110 - what is waited for is what the code under test notes
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert noted[-1] in {"helper ends", "helper is cancelled"}


async def test_nothing_beside_is_just_the_block() -> None:
    """Without helpers the block runs as it is."""
    async with beside():
        done = True

    assert done


async def test_failure_while_stopping_stops_all() -> None:
    """If one fails when told to stop, those still to be stopped end too, also if a cancellation does not end them."""
    failure = _Failed("held")

    async def steadfast(stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()

    async def failing(stop: asyncio.Event) -> None:
        await stop.wait()
        raise failure

    async def work() -> None:
        async with beside(steadfast, failing):
            await asyncio.sleep(0)

    done, _ = await asyncio.wait({asyncio.ensure_future(work())}, timeout=BOUND)

    assert [failure] == [task.exception() for task in done]


_THREADS = """
import ctypes, sys, threading
from docbus.client.running import relax_allocator
if sys.argv[1] == "relaxed":
    relax_allocator()
together = threading.Barrier(6)

def work():
    together.wait()
    kept = [bytes(1000) for _ in range(100)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_threads_share_what_the_allocator_keeps() -> None:
    """Six threads that need memory at the same time have few arenas; each arena keeps the most it ever had."""

    def arenas(how: str) -> int:
        command = [sys.executable, "-c", _THREADS, how]
        return subprocess.run(command, check=True, capture_output=True, text=True).stderr.count("Arena ")

    assert arenas("relaxed") <= ARENAS < arenas("as it comes")
