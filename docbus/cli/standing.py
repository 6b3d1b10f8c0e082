"""`docbus registrar suspend`, `reinstate`, `move`, `delegate` and `undelegate`: what an agency may do, and for whom."""

from __future__ import annotations

from typing import Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form
from docbus.cli.registering import Code, Reason, publish_change
from docbus.cli.session import begin

app = typer.Typer(rich_markup_mode=None)
Delegate = Annotated[str, typer.Option("--to", metavar="CODE", help="Code of the agency that sends for it.")]


@app.command(
    "suspend", epilog=examples('docbus -C registrar registrar suspend H53.32 --reason "key holder under investigation"')
)
def suspend(context: typer.Context, code: Code, *, reason: Reason, output: options.Output = Form.TEXT) -> None:
    """Let an agency sign nothing until it is reinstated; its keys stay its own.

    What it made before and recipients have not filed yet waits there for a day, and then goes to quarantine.
    Others may go on sending to it.
    """
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.suspend(code, reason=reason))


@app.command("reinstate", epilog=examples('docbus -C registrar registrar reinstate H53.32 --reason "settled"'))
def reinstate(context: typer.Context, code: Code, *, reason: Reason, output: options.Output = Form.TEXT) -> None:
    """Let a suspended agency sign again."""
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.reinstate(code, reason=reason))


@app.command(
    "move",
    epilog=examples(
        "docbus -C registrar registrar move H37.02.02 --under H53", "docbus -C registrar registrar move H37.02 --top"
    ),
)
def move(
    context: typer.Context,
    code: Code,
    *,
    under: Annotated[str | None, typer.Option(metavar="CODE", help="Code of the agency that it belongs to.")] = None,
    top: Annotated[bool, typer.Option("--top", help="It belongs to no other.")] = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Say where an agency belongs, if that is not what its code says; its code stays."""
    session = begin(context)
    if (under is None) is not top:
        raise typer.BadParameter("give either --under CODE or --top")
    publish_change(session, output, lambda registrar: registrar.move(code, parent=under))


@app.command(
    "delegate",
    epilog=examples(
        'docbus -C registrar registrar delegate H37.02.02 --to H37.02 --until 2027-01-31 --reason "moving house"',
        "docbus -C registrar registrar delegate H26.01 --to H26 --until 2027-06-30 --kind document --reason leave",
    ),
)
def delegate(
    context: typer.Context,
    code: Code,
    *,
    to: Delegate,
    until: Annotated[str, typer.Option(metavar="TIME", help="When it ends.")],
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="When it begins; now.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only documents of this kind, such as document; may be repeated.")
    ] = None,
    reason: Reason,
    output: options.Output = Form.TEXT,
) -> None:
    """Let one agency send documents for another, under its own key; an earlier delegation of the two ends."""
    session = begin(context)
    begins, ends = None if since is None else options.parse_time(since), options.parse_time(until)
    kinds = options.document_kinds(kind or ())
    publish_change(
        session,
        output,
        lambda registrar: registrar.delegate(
            code, to, reason=reason, not_before_ms=begins, not_after_ms=ends, kinds=kinds
        ),
    )


@app.command(
    "undelegate", epilog=examples("docbus -C registrar registrar undelegate H37.02.02 --to H37.02 --reason back")
)
def undelegate(
    context: typer.Context, code: Code, *, to: Delegate, reason: Reason, output: options.Output = Form.TEXT
) -> None:
    """End a delegation from now on; what was filed under it stays valid."""
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.end_delegation(code, to, reason=reason))
