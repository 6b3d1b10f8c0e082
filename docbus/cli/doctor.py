"""`docbus doctor`: whether an installation has all it needs, and what to do where it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.output import Form, line, write_json
from docbus.cli.session import begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.client.doctor.diagnosis import Diagnosis

app = typer.Typer(rich_markup_mode=None)

_SIGNS = {"passed": "✓", "warning": "!", "failed": "✗", "not asked": "–"}
"""What stands before each line, by the outcome."""


@app.command("doctor", epilog=examples("docbus -C h26 doctor", "docbus -C h26 doctor --output json"))
def doctor(context: typer.Context, *, output: options.Output = Form.TEXT) -> int:
    """Check settings, keys, disk, brokers, directory, topics, rights and clock, and say what helps.

    Each line begins with ✓ (as it should be), ✗ (will not work), ! (somebody should look) or – (does not apply, or
    something else has to be mended first). Below ✗ and ! stands what to do.
    Works in any folder, also without the brokers, and changes nothing. The exit code is 1 if there is a ✗.
    """
    session = begin(context)
    from docbus.client.doctor.examination import examine, has_failed
    from docbus.clock import SystemClock

    found = session.run(examine(session.folder, SystemClock()))
    if output is Form.JSON:
        write_json(found)
    else:
        show(found)
        session.note(_summary(found))
    return ExitCode.FAILED if has_failed(found) else ExitCode.OK


def show(found: Sequence[Diagnosis]) -> None:
    """Print a line for each check, and below it the remedy if there is one."""
    width = max(len(one.check) for one in found)
    for one in found:
        line(f"{_SIGNS[one.outcome]} {one.check.ljust(width)}  {one.found}")
        if one.remedy is not None:
            line(f"  {' ' * width}  → {one.remedy}")


def _summary(found: Sequence[Diagnosis]) -> str:
    counts = {outcome: sum(one.outcome == outcome for one in found) for outcome in _SIGNS}
    return ", ".join(f"{count} {_SIGNS[outcome]}" for outcome, count in counts.items() if count)
