"""Processes that die at a chosen change of the file system: nothing is cleaned up, as when power is lost."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FINISHED, DIED = 0, 77


def dies_at(number: int, work: Callable[[], object]) -> bool:
    """Do something in a process of its own that dies at the n-th change, from 1; tell whether it came to that.

    A change is what makes, moves or removes a file or a directory, or opens a file to write; the process dies before
    it, and after a file was opened it dies once more with nothing in it.
    """
    child = os.fork()
    if child == 0:
        _work(number, work)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {FINISHED, DIED}:
        raise AssertionError(f"the process ended with {code}")
    return code == DIED


def _work(number: int, work: Callable[[], object]) -> None:
    seen = 0
    code = 1

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os._exit(DIED)

    def look(event: str, values: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(values[2], int) and values[2] & _WRITING
        if event in _CHANGES or writes:
            count()

    opened = os.open

    def open_and_count(path: Any, flags: int, *given: Any, **named: Any) -> int:
        descriptor = opened(path, flags, *given, **named)
        if flags & _WRITING:
            count()
        return descriptor

    try:
        os.open = open_and_count  # type: ignore[assignment] # takes what the original takes
        sys.addaudithook(look)
        work()
        code = FINISHED
    finally:
        os._exit(code)
