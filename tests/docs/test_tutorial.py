"""The tutorial works as it is written: every command succeeds and prints what the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.pages import missing_lines, run_steps, steps

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "docs/tutorial/first-exchange.md"


def test_tutorial_runs_as_written(tmp_path: Path) -> None:
    """All blocks run in one shell in an empty folder, and each prints the lines that the page shows."""
    printed = run_steps(PAGE, tmp_path)

    assert [] == [(line, text) for step, text in printed for line in missing_lines(step, text)]


def test_tutorial_shows_what_its_commands_print() -> None:
    """Most blocks are followed by their output, so that a reader sees whether it works."""
    found = steps(PAGE)

    assert len(found) >= 10
    assert len(found) <= 2 * sum(bool(step.shown) for step in found)
