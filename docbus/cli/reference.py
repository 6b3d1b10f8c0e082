"""The reference of all commands, made of their own help texts.

``python -m docbus.cli.reference > docs/reference/cli.md`` renews it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command

from docbus.cli.app import PROGRAM, app
from docbus.cli.exits import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 100
"""Columns of the help texts on the page."""
_HEAD = """\
# Commands

<!-- Made by `python -m docbus.cli.reference`; a test compares it with what the commands say of themselves. -->

Options for all commands stand before the command, as in `docbus -C FOLDER status`.
Standard output holds the result of a command and nothing else.
Logs, progress, warnings and errors go to standard error.
With `--output json` the result is JSON, and so are errors: `{"error": {"code", "text", "hint", "step", "exit_code"}}`.
Times are shown in UTC as RFC 3339.
A time that is given needs its zone, `Z` or `+07:00`, or is a day, which begins in UTC.
What other agencies wrote is never sent to a terminal as it is.
Characters that control it or cannot be seen are named, as in `<U+202E>`.
Colours follow `NO_COLOR`, and there are none away from a terminal.

## Exit codes

| code | meaning |
|---|---|
"""


def reference() -> str:
    """Return the page."""
    rows = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return _HEAD + rows + "".join(_sections(get_command(app), PROGRAM, PROGRAM, None))


def _sections(command: Any, path: str, name: str, parent: typer.Context | None) -> Iterator[str]:
    """Yield a command's section, and those of the commands below it."""
    context = typer.Context(command, parent=parent, info_name=name, terminal_width=WIDTH)
    yield f"\n## `{path}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for below, one in getattr(command, "commands", {}).items():
        yield from _sections(one, f"{path} {below}", below, context)


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 - its output is the page
