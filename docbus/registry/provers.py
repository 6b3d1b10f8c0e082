"""Processes that prove entries of a long log, so that all processors of the machine work on it (ADR 0025).

Verifying a signature holds Python's lock, so threads do not help. What is not proven in time, or at all, is verified
by the process itself: a machine with one processor, or where no process can be started, only takes longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Self

import structlog

from docbus.registry.prover import IDENTITY, WORD, pack, proofs_in, request_of

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence
    from types import TracebackType

    from docbus.identity.registrar_terms import RegistrarTerms

FROM_ENTRIES = 10_000
"""Entries ahead from which on processes are started: below, starting them takes longer than they save."""
MAX_PROVERS = 8
"""Processes at a time; one process cannot apply what more of them prove. Each has some 33 MiB."""
ANSWER_SECONDS = 60.0
"""Seconds for an answer; 512 entries take 0.1."""
START_SECONDS = 30.0
"""Seconds for a process to say that it is there."""
LEAVE_SECONDS = 5.0
"""Seconds for one that was killed to be gone."""

_log = structlog.get_logger(__name__)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Provers:
    """Proves records in other processes, as an async context manager. Belongs to one event loop.

    Attributes:
        count: How many work; 0 if there are none to be had.
    """

    def __init__(self) -> None:
        found = processors()
        self.count = min(MAX_PROVERS, found) if found > 1 else 0
        self._idle: asyncio.Queue[Process] = asyncio.Queue(MAX_PROVERS)
        self._all: list[Process] = []

    async def __aenter__(self) -> Self:
        """Start them."""
        try:
            for _ in range(self.count):
                self._all.append(await self._start())
            async with asyncio.timeout(START_SECONDS):
                for process in self._all:
                    await _greet(process)
                    self._idle.put_nowait(process)
        except (OSError, EOFError, TimeoutError) as error:
            _log.info("directory_provers_missing", error=str(error) or type(error).__name__)
            await self._end()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        await self._end()

    async def prove(self, terms: RegistrarTerms, values: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return for each record what :func:`~docbus.identity.proving.prove` does; None also where nobody answers."""
        nothing = [None] * len(values)
        if not self.count:
            return nothing
        process = await self._idle.get()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                assert process.stdin is not None  # noqa: S101 - it was started with one
                process.stdin.write(request_of(terms, values))
                await process.stdin.drain()
                found = proofs_in(await _read(process))
        except (OSError, EOFError, TimeoutError) as error:
            _log.info("directory_prover_gone", error=str(error) or type(error).__name__)
            # Whoever waits for it gets it again, and the same answer at once.
            self._kill(process)
            found = []
        self._idle.put_nowait(process)
        return found if len(found) == len(values) else nothing

    async def _start(self) -> Process:
        # The folder in which a command is run is nowhere that docbus would be looked for: -P.
        command = [sys.executable, "-P", "-m", "docbus.registry.prover"]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
        )

    async def _end(self) -> None:
        self.count = 0
        for process in self._all:
            self._kill(process)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                for process in self._all:
                    await process.wait()
        self._all.clear()

    def _kill(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _greet(process: Process) -> None:
    """Return if a process is of the same software as this one.

    Raises:
        OSError: It is not.
        EOFError: It has ended.
    """
    if await _read(process) != pack([IDENTITY])[WORD.size :]:
        raise OSError("another version of docbus answered")


async def _read(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was started with one
    (size,) = WORD.unpack(await process.stdout.readexactly(WORD.size))
    return await process.stdout.readexactly(size)
