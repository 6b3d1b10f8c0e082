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
    from docbus.registry.access import AccessTerms
    from docbus.registry.provision import Provisioned, Step
    from docbus.settings import Settings
    from docbus.transport.access import AccessControl
    from docbus.transport.port import Transport

app = typer.Typer(rich_markup_mode=None)


@app.command("provision", epilog=examples("docbus -C registrar provision --dry-run", "docbus -C registrar provision"))
def provision(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: options.Output = Form.TEXT,
) -> int:
    """Create and configure the topics of all open agencies; no topic is ever deleted.

    With [access] in the settings, who may read and write what, and how much a second, is brought to the state that the
    directory asks for, too: what a closed agency had is taken away. Run again, it changes nothing. On Kafka it needs a
    user who may create and alter topics, and for [access] one who may alter the cluster.
    """
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.client.folder_directory import fetch_for_folder
    from docbus.registry.access import AccessAction, AccessStep, apply_access, plan_access
    from docbus.registry.provision import Action, Provisioned, apply, plan
    from docbus.transport.topics import DAY_MS

    settings = session.settings()

    terms = access_terms(settings)

    async def work() -> tuple[list[Step], Provisioned, list[AccessStep]]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_for_folder(transport, settings)
            retention_ms = settings.content.retention_days * DAY_MS
            steps = await plan(transport, snapshot, content_retention_ms=retention_ms)
            access = [] if terms is None else await plan_access(reached(transport), snapshot, terms)
            if dry_run:
                left = tuple(step for step in steps if step.action is Action.UNCHANGEABLE)
                return steps, Provisioned(created=(), configured=(), left=left), access
            done = await apply(transport, steps)
            if access:
                await apply_access(reached(transport), access)
            return steps, done, access

    steps, done, access = session.run(work())
    foreign = [step for step in access if step.action is AccessAction.FOREIGN]
    for step in foreign:
        session.warn(step.text)
    todo = [step for step in access if step.action is not AccessAction.FOREIGN]
    if output is Form.JSON:
        planned = [{"action": step.action, "topic": step.topic, "text": step.text} for step in steps]
        ruled = [{"action": step.action, "principal": step.principal, "text": step.text} for step in access]
        left = [step.text for step in done.left]
        write_json(
            {"planned": planned, "access": ruled, "created": done.created, "configured": done.configured, "left": left}
        )
    else:
        for text in [step.text for step in steps] + [step.text for step in todo]:
            line(text)
        if dry_run:
            count = len(steps) + len(todo)
            line(f"{count} steps would be done" if count else "nothing to do")
        else:
            line(f"{len(done.created)} topics created, {len(done.configured)} configured, {len(done.left)} left")
            if terms is not None:
                line(f"{len(todo)} principals' access changed, {len(foreign)} left")
    return ExitCode.FAILED if done.left else ExitCode.OK


def access_terms(settings: Settings) -> AccessTerms | None:
    """Return who is who at the brokers, by the settings; None if access is not docbus's to set."""
    from docbus.registry.access import AccessTerms
    from docbus.transport.access import Quota

    found = settings.access
    if found is None:
        return None
    return AccessTerms(
        agencies=found.agencies,
        registrars=found.registrars,
        auditors=found.auditors,
        quota=Quota(found.agency_write_bytes, found.agency_read_bytes),
    )


def reached(transport: Transport) -> AccessControl:
    """Return the brokers' rules.

    Raises:
        ConfigurationError: There are none on this transport.
    """
    from docbus.errors import ConfigurationError

    if transport.access is None:
        raise ConfigurationError(
            "[access] is for Kafka: on the embedded transport whoever can open the file may do everything",
            hint="Take the table out of docbus.toml.",
        )
    return transport.access
