"""Killing one side of an exchange, and what the tests that do so look at afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.trial import TAY_NINH

if TYPE_CHECKING:
    from tests.support.trial import Exchange

ROOT = Path(__file__).parents[2]
VICTIM_SECONDS = 40.0
"""Until a victim that neither dies nor ends is ended."""


def kill_at(exchange: Exchange, part: str, point: str, *, victim: str = "victim") -> None:
    """Run a process that dies at the point."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{victim}", str(exchange.folder), part, point],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=VICTIM_SECONDS,
        check=False,
    )
    assert -signal.SIGKILL == done.returncode, f"{point} was not reached: {done.stdout}{done.stderr}"


def accepted(exchange: Exchange) -> list[str]:
    """Return the ids of what the killed process was promised."""
    noted = exchange.folder / "accepted.txt"
    return noted.read_text("ascii").split() if noted.exists() else []


def inodes(exchange: Exchange) -> dict[str, tuple[int, int]]:
    """Return of each document's directory what changes if it is made anew or written to."""
    return {
        one.folder.name: (one.folder.stat().st_ino, (one.folder / "metadata.json").stat().st_mtime_ns)
        for one in exchange.filed(TAY_NINH)
    }
