"""The command `docbus`: global options, all groups, and what happens when something goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from docbus.cli import (
    agencies,
    certificates,
    changing,
    content,
    doctor,
    export,
    founding,
    keys,
    provision,
    publish,
    redrive,
    registrar,
    replay,
    serve,
    set_aside,
    status,
    track,
    verify,
)
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.failures import report_failure, report_usage
from docbus.cli.session import Session

PROGRAM = "docbus"

app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_FIRST_EXCHANGE = examples(
    'docbus -C registrar registrar init --environment demo --name "Registrar" --bus bus.db',
    'docbus -C h26 init --code H26 --name "UBND thành phố Hà Nội" --environment demo --genesis HASH --bus bus.db',
    "docbus -C registrar registrar grant h26/H26.join",
    "docbus -C registrar provision",
    "docbus -C h26 publish letter.pdf --to H37.02.02",
    "docbus -C h26 run",
    title="A first exchange, without a broker:",
)


def _version(*, asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        except PackageNotFoundError:
            typer.echo(f"{PROGRAM}, not installed")
        raise typer.Exit


@app.callback(epilog=_FIRST_EXCHANGE)
def root(
    context: typer.Context,
    *,
    folder: Annotated[
        Path,
        typer.Option(
            "--folder", "-C", envvar="DOCBUS_FOLDER", help="Folder of the agency, registrar or auditor to work for."
        ),
    ] = Path(),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything to standard error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda value: _version(asked=value), help="Show it.")
    ] = False,
) -> None:
    """Exchange signed, encrypted documents between public agencies."""
    del version
    session: Session = context.obj
    session.folder, session.quiet, session.verbose = folder, quiet, verbose


for part in (founding, publish, serve, track, status, doctor, changing, content, export, verify, replay, provision):
    app.add_typer(part.app)
app.add_typer(registrar.app, name="registrar")
app.add_typer(agencies.app, name="agency")
app.add_typer(keys.app, name="keys")
app.add_typer(certificates.app, name="cert")
app.add_typer(set_aside.quarantine, name="quarantine")
app.add_typer(set_aside.dead_letter, name="dead-letter")
app.add_typer(redrive.app)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    session = Session(json=_asks_for_json(arguments))
    try:
        returned: Any = get_command(app).main(args=arguments, prog_name=PROGRAM, standalone_mode=False, obj=session)
        sys.stdout.flush()  # what cannot be written is an error like any other
    except typer.Abort:
        return report_usage("not confirmed, nothing was done", PROGRAM, session)
    except typer.TyperException as error:
        if not hasattr(error, "format_message"):
            return report_failure(error, session)
        path = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        text = error.format_message()
        if text.startswith("Usage: "):  # a group without a command: its help is the answer
            typer.echo(text, err=True)
            return ExitCode.USAGE
        return report_usage(text, path, session)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last place that can say it properly
        return report_failure(error, session)
    return returned if isinstance(returned, int) else 0


def _asks_for_json(arguments: list[str]) -> bool:
    """Tell whether errors are for a program; asked before anything is parsed, as parsing may be what fails."""
    return "--output=json" in arguments or any(
        arguments[at : at + 2] == ["--output", "json"] for at in range(len(arguments))
    )
