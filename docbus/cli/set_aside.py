"""`docbus quarantine` and `docbus dead-letter`: what is not filed, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.export import write_file
from docbus.cli.output import Form, line, pairs, table, when, write_json
from docbus.cli.session import Session, begin
from docbus.cli.verify import checked, show_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.set_aside import SetAside
    from docbus.identity.snapshot import TrustSnapshot

quarantine = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Look into what could not be verified, or contradicts others."
)
dead_letter = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Look into verified documents that could not be filed."
)

Last = Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="How many, the newest.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="The number that `ls` prints.")]
Raw = Annotated[bool, typer.Option("--raw", help="Write the record's exact bytes to standard output.")]
Target = Annotated[Path | None, typer.Option("--to-file", "-o", metavar="FILE", help="Write the exact bytes there.")]


@quarantine.command("ls", epilog=examples("docbus quarantine ls", "docbus quarantine ls --last 5 --output json"))
def quarantine_ls(context: typer.Context, *, last: Last = 50, output: options.Output = Form.TEXT) -> None:
    """List the newest records: since when, which step, and why."""
    _list(begin(context), "quarantine", last, output)


@quarantine.command("show", epilog=examples("docbus quarantine show 3", "docbus quarantine show 3 -o record.envelope"))
def quarantine_show(
    context: typer.Context,
    number: Number,
    *,
    raw: Raw = False,
    target: Target = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Show one record: what it claims to be, which check refused it, and every check as it would go now."""
    _show(begin(context), "quarantine", number, output, raw=raw, target=target)


@dead_letter.command("ls", epilog=examples("docbus dead-letter ls"))
def dead_letter_ls(context: typer.Context, *, last: Last = 50, output: options.Output = Form.TEXT) -> None:
    """List the newest documents: since when, which step, and why."""
    _list(begin(context), "dead-letter", last, output)


@dead_letter.command("show", epilog=examples("docbus dead-letter show 0"))
def dead_letter_show(
    context: typer.Context,
    number: Number,
    *,
    raw: Raw = False,
    target: Target = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Show one document: what it is, and why it was not filed."""
    _show(begin(context), "dead-letter", number, output, raw=raw, target=target)


def _list(session: Session, where: str, last: int, output: Form) -> None:
    records, _ = _fetch(session, where, last=last)
    if output is Form.JSON:
        write_json([_json(record) for record in records])
        return
    rows = [
        (str(r.number), when(r.set_aside_at), r.step, r.reason, r.claimed_sender, f"{r.size:,}", r.detail)
        for r in records
    ]
    if not rows:
        line("empty")
        return
    table(("number", "since", "step", "reason", "key", "bytes", "what"), rows)


def _show(session: Session, where: str, number: int, output: Form, *, raw: bool, target: Path | None) -> None:
    records, snapshot = _fetch(session, where, number=number)
    record = records[0]
    if raw or target is not None:
        write_file(session, target, record.value)
        return
    report = checked(record.value, snapshot, record.owner)
    if output is Form.JSON:
        write_json(_json(record) | {"headers": _headers(record), "now": report.to_json()})
        return
    pairs(
        {
            "number": str(record.number),
            "since": when(record.set_aside_at),
            "step": record.step,
            "reason": record.reason,
            "what": record.detail,
            "came from": record.origin,
            "stored at": when(record.stored_at),
            "key": record.claimed_sender,
            "bytes": f"{record.size:,}, SHA-256 {record.digest}",
            **{f"header {name}": value for name, value in _headers(record).items()},
        }
    )
    line()
    show_report(report)


def _fetch(
    session: Session, where: str, *, last: int = 1, number: int | None = None
) -> tuple[Sequence[SetAside], TrustSnapshot]:
    """Read records, and the directory to check them against; needs no private key."""
    from docbus.client.connect import agency_id, started_transport
    from docbus.consumers.set_aside import read_newest, read_one
    from docbus.registry.follow import fetch_directory
    from docbus.transport import topics

    settings = session.settings()
    agency = agency_id(settings)
    topic = topics.quarantine(agency) if where == "quarantine" else topics.dead_letter(agency)

    async def work() -> tuple[Sequence[SetAside], TrustSnapshot]:
        async with started_transport(settings) as transport:
            snapshot, _ = await fetch_directory(transport, settings.exchange.genesis_bytes)
            if number is None:
                return await read_newest(transport, topic, last), snapshot
            return [await read_one(transport, topic, number)], snapshot

    return session.run(work())


def _json(record: SetAside) -> dict[str, Any]:
    return {
        "number": record.number,
        "set_aside_at": record.set_aside_at,
        "step": record.step,
        "reason": record.reason,
        "detail": record.detail,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "stored_at": record.stored_at,
        "key": record.claimed_sender,
        "bytes": record.size,
        "sha256": record.digest,
    }


def _headers(record: SetAside) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in record.headers}
