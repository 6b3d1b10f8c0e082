"""What every command has in common: the folder, how much to say, and how to run asynchronous work."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from docbus.cli.escape import shown

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import typer

    from docbus.settings import Settings

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of the command line.

    Attributes:
        folder: Whose settings and state are used.
        quiet: Say nothing but results and errors.
        verbose: Log everything, and show where an unexpected error came from.
        json: Errors are for a program too.
        verifying: The exit code is a verdict.
        registrar_keys: URIs of registrar keys that sign beside the folder's own.
    """

    folder: Path = Path()
    quiet: bool = False
    verbose: bool = False
    json: bool = False
    verifying: bool = False
    registrar_keys: tuple[str, ...] = ()

    def note(self, text: str) -> None:
        """Tell the user something that is not the result, on standard error."""
        if not self.quiet:
            print(shown(text), file=sys.stderr)  # noqa: T201 - this is the command line

    def warn(self, text: str) -> None:
        """Tell the user about something odd, also when quiet."""
        print(f"warning: {shown(text)}", file=sys.stderr)  # noqa: T201 - this is the command line

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run asynchronous work to its end."""
        return asyncio.run(work)

    def settings(self) -> Settings:
        """Return the folder's settings.

        Raises:
            ConfigurationError: They are missing or wrong.
        """
        from docbus.settings import load_settings

        return load_settings(self.folder)


def begin(context: typer.Context, *, serving: bool = False, verifying: bool = False) -> Session:
    """Return the session of a command, with logging set up.

    Args:
        context: The command's.
        serving: It works for long, so that its log is what the user watches.
        verifying: Its exit code is a verdict.
    """
    from docbus.cli.logs import configure

    session: Session = context.obj
    session.verifying = verifying
    configure(quiet=session.quiet, verbose=session.verbose, serving=serving)
    return session
