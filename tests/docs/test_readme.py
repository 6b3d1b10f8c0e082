"""What the README shows first works as it stands there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.agencies import found_exchange
from tests.support.pages import ROOT, environment, missing_lines, programs, run_steps

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "README.md"
FIRST = "first.py"
MAX_LINES = 15
SECONDS = 30
TITLE = "Công văn đầu tiên"


def test_first_program_is_short() -> None:
    """The first document takes at most 15 lines, imports and empty lines included, and none of them is crammed."""
    lines = programs(PAGE)[FIRST].splitlines()

    assert len(lines) <= MAX_LINES
    assert [] == [line for line in lines if ";" in line or len(line) > 120]


def test_first_program_runs(tmp_path: Path) -> None:
    """It publishes, receives, accepts and sees the receipt, on an exchange where `make demo` would have left one."""
    demo = tmp_path / "build" / "demo"
    demo.mkdir(parents=True)
    agencies = {code: (code, f"Agency {code}") for code in ("H26", "000.21.32.H53")}
    asyncio.run(found_exchange(demo, agencies))
    (tmp_path / PAGE).write_bytes((ROOT / PAGE).read_bytes())
    (tmp_path / FIRST).write_text(programs(PAGE)[FIRST], "utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", FIRST],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert [f"from vn:H26 {TITLE}", "to vn2016:000.21.32.H53 received"] == [
        line for line in done.stdout.splitlines() if line.startswith(("from", "to"))
    ]


def test_commands_run(tmp_path: Path) -> None:
    """The commands found an exchange, publish a letter and bring its receipt back."""
    printed = run_steps(PAGE, tmp_path)

    assert 1 == len(printed)
    assert [] == [(line, text) for step, text in printed for line in missing_lines(step, text)]
