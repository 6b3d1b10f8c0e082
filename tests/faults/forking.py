"""Processes forked from one that has everything imported already: a death costs what is done until then, and no more.

Whoever forks must have no thread: a thread is not in the copy, and what it holds stays locked there.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VICTIM_SECONDS = 50
"""After which a process that neither ends nor dies is ended, by SIGALRM."""


def fork(job: Callable[[], object], log: Path, *, seconds: int = VICTIM_SECONDS) -> int:
    """Run a job in a process of its own; return its id. What it prints goes into the log.

    It ends with 0 once the job is done, with 1 if the job raises, and by SIGALRM after some seconds.
    """
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        signal.alarm(seconds)
        job()
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not go on in a copy of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(process: int) -> int:
    """Wait for the end of a process; return its status as :func:`os.waitpid` gives it."""
    return os.waitpid(process, 0)[1]
