"""What an attack costs the process that it is carried out on: memory and time of a processor, each in its own process.

``python -m tests.support.cost MODULE FUNCTION [ARGUMENT ...]`` calls the function, which prepares an attack and returns
what carries it out. Only that is measured: the bomb may be as large as its maker likes.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK = "5"
"""What makes Linux forget the largest resident size so far (proc(5), ``clear_refs``)."""
MAX_PROCESS_BYTES = 2 << 30
"""Bytes of data after which a process that is attacked successfully ends, so that the machine does not."""
MAX_PROCESS_SECONDS = 40
"""Seconds of a processor, likewise."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attack cost.

    Attributes:
        outcome: What the attacked code made of it; whatever JSON can say.
        peak_bytes: Resident bytes at the most, beyond what the process had before.
        cpu_seconds: Seconds of a processor, whatever else the machine was doing.
    """

    outcome: Any
    peak_bytes: int
    cpu_seconds: float


def cost_of(prepare: Callable[..., Callable[[], object]], *arguments: str) -> Cost:
    """Carry an attack out in a process of its own."""
    command = [sys.executable, "-m", __name__, prepare.__module__, prepare.__name__, *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * MAX_PROCESS_SECONDS,
        check=False,
    )
    assert 0 == done.returncode, f"the attack ended its process with {done.returncode}: {done.stderr[-2000:]}"
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def resident_bytes() -> int:
    """Return the largest resident size of this process since the last reset; of this program alone, unlike rusage."""
    (line,) = [line for line in _STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _main(module: str, name: str, *arguments: str) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_PROCESS_BYTES, MAX_PROCESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_PROCESS_SECONDS, MAX_PROCESS_SECONDS))
    act = getattr(importlib.import_module(module), name)(*arguments)
    gc.collect()
    _RESET.write_text(_PEAK, "ascii")
    before, began = resident_bytes(), time.process_time()
    outcome = act()
    seconds = time.process_time() - began
    cost = {"outcome": outcome, "peak_bytes": resident_bytes() - before, "cpu_seconds": seconds}
    print(json.dumps(cost))  # noqa: T201 - read by whoever started this process


if __name__ == "__main__":
    _main(*sys.argv[1:])
