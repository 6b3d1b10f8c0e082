"""`docbus provision`: topics as the directory asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.output import Form, line, write_json
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.registry.provision import Provisioned, Step

app = typer.Typer(rich_markup_mode=None)


@app.command("provision", epilog=examples("docbus -C registrar provision --dry-run", "docbus -C registrar provision"))
def provision(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: options.Output = Form.TEXT,
) -> int:
    """Create and configure the topics of all open agencies; nothing is ever deleted.

    Run again, it changes nothing. On Kafka it needs a user who may create and alter topics.
    """
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.registry.follow import fetch_directory
    from docbus.registry.provision import Action, Provisioned, apply, plan
    from docbus.transport.topics import DAY_MS

    settings = session.settings()

    async def work() -> tuple[list[Step], Provisioned]:
        async with started_transport(settings) as transport:
            snapshot, _ = await fetch_directory(transport, settings.exchange.genesis_bytes)
            retention_ms = settings.content.retention_days * DAY_MS
            steps = await plan(transport, snapshot, content_retention_ms=retention_ms)
            if dry_run:
                left = tuple(step for step in steps if step.action is Action.UNCHANGEABLE)
                return steps, Provisioned(created=(), configured=(), left=left)
            return steps, await apply(transport, steps)

    steps, done = session.run(work())
    if output is Form.JSON:
        planned = [{"action": step.action, "topic": step.topic, "text": step.text} for step in steps]
        left = [step.text for step in done.left]
        write_json({"planned": planned, "created": done.created, "configured": done.configured, "left": left})
    else:
        for step in steps:
            line(step.text)
        if dry_run:
            line(f"{len(steps)} steps would be done" if steps else "nothing to do")
        else:
            line(f"{len(done.created)} topics created, {len(done.configured)} configured, {len(done.left)} left")
    return ExitCode.FAILED if done.left else ExitCode.OK
