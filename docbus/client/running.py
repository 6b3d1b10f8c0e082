"""What runs beside a block of code: following the directory, draining the outbox, receiving."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Run = Callable[[asyncio.Event], Coroutine[None, None, None]]


COLLECT_EVERY = 50_000
"""Allocations between two collections of young objects. A batch makes tens of thousands of tuples that die with it and
form no cycles; with CPython's 700, a fifth of a busy process's time went into looking at them (see ``make bench``)."""

COLLECT_OLDER_EVERY = 5
"""Collections after which older objects are looked at as well. What is in a cycle and has outlived one look may hold
the bytes of a whole batch: with 20, and so one full look in three quarters of an hour, a process that received 75
documents a second grew from 240 to 410 MiB until somebody looked (``make soak``)."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of glibc's ``mallopt``, see its manual page."""
MAPPED_BYTES = 16 * MIB
"""Bytes from which on memory is mapped by itself: more than any fetch or batch."""
KEPT_BYTES = 32 * MIB
"""Bytes of unused memory that are kept: what is in flight at a time."""
ARENAS = 2
"""Arenas that threads share. glibc has eight for each core, and each keeps the most that a thread has ever used: work
that takes 13 MiB for a moment every nine minutes, each time in another thread of a pool, let a publisher grow by as
much each time (``make soak``). Threads of Python seldom allocate at once, so that sharing costs nothing measurable."""


def relax_collector() -> None:
    """Let the garbage collector of a process that only serves run less often; for commands, not for libraries.

    What is loaded by now stays loaded and is not looked at any more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, COLLECT_OLDER_EVERY, COLLECT_OLDER_EVERY)


def relax_allocator() -> None:
    """Let the C library keep memory of a few megabytes instead of giving it back; for commands, not for libraries.

    Parts of large content, and what a broker answers with, are half a megabyte and more; glibc maps each anew, and the
    system clears it page by page: a third of the time that uploading takes (see ``make bench``). Threads share what is
    kept, if this is called before they begin. Elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(_M_ARENA_MAX, ARENAS)


@asynccontextmanager
async def beside(*runs: Run) -> AsyncIterator[None]:
    """Run coroutines as long as the block does; each gets an event that tells it to stop and ends within its own bound.

    They are stopped one after the other, the last given first: what receives is given after what sends, so that the
    receipts of its last batch still go out.

    If one fails, the block is cancelled at once and the failure is raised here, so that nobody waits for what can not
    come any more.

    Raises:
        Exception: The block's own, or the first failure; never a group of them.
    """
    try:
        async with asyncio.TaskGroup() as group:
            running = [(stop, group.create_task(run(stop))) for run in runs for stop in (asyncio.Event(),)]
            try:
                yield
                for stop, task in reversed(running):
                    stop.set()
                    await asyncio.wait({task})
            except BaseException:
                # A task group cancels its tasks once, and one that is just being left may not notice.
                for stop, _ in running:
                    stop.set()
                raise
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


async def either(wanted: asyncio.Event, stop: asyncio.Event) -> bool:
    """Wait for one of two events; tell whether the wanted one is set. Whoever stops the other bounds the wait."""
    waits = {asyncio.ensure_future(event.wait()) for event in (wanted, stop)}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    return wanted.is_set()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
