"""`docbus replay`: everything, as an auditor."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, table, write_json
from docbus.cli.session import Session, begin
from docbus.cli.verify import given_material

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docbus.audit.bounds import Point
    from docbus.audit.replay import Progress
    from docbus.audit.report import ReplayReport

app = typer.Typer(rich_markup_mode=None)

TELL_SECONDS = 5.0
"""Seconds between two lines about progress where nobody watches a bar."""


@app.command(
    "replay",
    epilog=examples(
        "docbus -C audit replay --verify",
        "docbus -C audit replay --verify --from 2026-11-01 --to 2026-12-01 --agency H26 --output json",
        "echo $?    # 0 valid, 1 invalid, 2 usage, 3 incomplete, 4 cannot be read",
    ),
)
def replay(
    context: typer.Context,
    *,
    start: Annotated[
        str | None, typer.Option("--from", metavar="POINT", help="An offset or a time; the first record if left out.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="POINT", help="Not included; what is the end now if left out.")
    ] = None,
    agency: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only this agency's inbox; may be repeated.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify every record. A replay always does; this says so in scripts.")
    ] = False,
    anchor: options.Anchor = None,
    policy: options.Policy = None,
    material: options.Material = None,
    output: options.Output = Form.TEXT,
) -> int:
    """Read the streams and verify them, by the authority valid at each statement's point of the log.

    Needs no keys, only the right to read. Reports records, valid and failed ones by reason, what is indeterminate,
    holes, duplicates, forks and receipts outstanding; the exit code is the verdict.
    With --anchor, the time stamps in the directory are verified as well.
    """
    del verify
    session = begin(context, verifying=True)
    from docbus.audit.replay import Replay
    from docbus.client.connect import started_transport
    from docbus.clock import SystemClock

    first, last = _point(start), _point(end)
    known, _ = given_material(material, None)
    settings = session.settings()
    anchors = options.anchors_of(anchor)

    async def work() -> ReplayReport:
        async with started_transport(settings) as transport:
            with _progress(session) as tell:
                return await Replay(
                    transport,
                    settings.exchange.genesis_bytes,
                    SystemClock(),
                    agencies=agency or None,
                    start=first,
                    end=last,
                    progress=tell,
                    anchors=anchors,
                    policy=policy,
                    material=known,
                ).run()

    report = session.run(work())
    if output is Form.JSON:
        write_json(report.to_json())
    else:
        _show(report)
    return report.exit_code


def _point(text: str | None) -> Point | None:
    from docbus.audit.bounds import AtOffset, AtTime

    if text is None:
        return None
    point = options.parse_point(text)
    return AtOffset(point.offset) if isinstance(point, options.Offset) else AtTime(point.milliseconds)


def _show(report: ReplayReport) -> None:
    from docbus.audit.rendering import tables, verdict_line

    for one in tables(report):
        table(one.columns, one.rows, title=one.title)
        if one.left_out:
            line(f"and {one.left_out:,} more; --output json has them")
        line()
    line(f"verdict: {verdict_line(report)}")


@contextmanager
def _progress(session: Session) -> Iterator[Callable[[Progress], None] | None]:
    """Yield what is told about progress: a bar on a terminal, lines now and then otherwise, nothing when quiet."""
    if session.quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        told = 0.0

        def tell_line(progress: Progress) -> None:
            nonlocal told
            if progress.seconds >= told + TELL_SECONDS:
                told = progress.seconds
                session.note(f"{progress.records:,} of {progress.total:,} records, {progress.rate:,.0f} a second")

        yield tell_line


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda progress: bar.update(task, completed=progress.records, total=progress.total)
