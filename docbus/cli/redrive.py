"""`docbus quarantine release`, `dead-letter redeliver`, `reject`, `docbus redeliver` and `docbus acts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from docbus.cli import options, selecting
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.output import Form, line, plain, table, when, write_json
from docbus.cli.selecting import selection_of
from docbus.cli.session import Session, begin
from docbus.cli.set_aside import dead_letter, quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.client.redrive import Redriven
    from docbus.consumers.acts import ReadAct
    from docbus.consumers.listed import Kind
    from docbus.consumers.selection import Selection
    from docbus.envelope.act import Action

app = typer.Typer(rich_markup_mode=None)

WAIT_SECONDS = 30.0
"""Seconds that a command waits for what comes of it, unless told otherwise."""


class _Asked(NamedTuple):
    """What an operator said besides which records are meant."""

    reason: str
    operator: str | None
    wait: float
    dry_run: bool
    output: Form


def _command(group: typer.Typer, action: Action, kind: Kind, text: str, *lines: str) -> None:
    """Add a command that decides about records of one topic."""

    @group.command(action, help=text, epilog=examples(*lines))
    def decide(
        context: typer.Context,
        numbers: selecting.Numbers = None,
        *,
        reason: selecting.Reason,
        document: selecting.Documents = None,
        sender: selecting.Sender = None,
        refused_for: selecting.RefusedFor = None,
        older_than: selecting.OlderThan = None,
        newer_than: selecting.NewerThan = None,
        everything: selecting.Everything = False,
        operator: selecting.Operator = None,
        dry_run: selecting.DryRun = False,
        wait: selecting.Wait = WAIT_SECONDS,
        output: options.Output = Form.TEXT,
    ) -> int:
        chosen = selection_of(
            numbers=numbers or (),
            documents=document,
            sender=sender,
            refused_for=refused_for,
            older_than=older_than,
            newer_than=newer_than,
            everything=everything,
        )
        return _act(begin(context), action, chosen, (kind,), _Asked(reason, operator, wait, dry_run, output))


_command(
    quarantine,
    "release",
    "quarantine",
    "Let records go their way as if they had just come: every check, the sink, a receipt.\n\n"
    "Nothing is skipped. A record that fails again stays where it is, and that is told with exit code 1.",
    'docbus quarantine release 3 --reason "the missing key is in the settings"',
    'docbus quarantine release --refused-for batch_key_unusable --reason "key restored" --dry-run',
)
_command(
    quarantine,
    "reject",
    "quarantine",
    "Refuse records for good.\n\n"
    "The sender of a genuine document gets status 02 with the reason, encrypted; of all others only the act is kept.",
    'docbus quarantine reject 3 --reason "random bytes, reported to whoever runs the brokers"',
)
_command(
    dead_letter,
    "redeliver",
    "dead-letter",
    "Offer documents to the agency's system again.\n\n"
    "One that is filed is receipted anew, so that its sender sees it as received instead of refused.",
    'docbus dead-letter redeliver 0 --reason "the register has this procedure now"',
)
_command(
    dead_letter,
    "reject",
    "dead-letter",
    "Refuse documents for good; their senders get status 02 with the reason, encrypted.",
    'docbus dead-letter reject 0 --reason "agreed with the sender: it was a test"',
)


@app.command(
    "redeliver",
    epilog=examples(
        'docbus redeliver --document 15/UBND-VP --reason "the clash of names is mended"',
        'docbus redeliver --sender H26 --newer-than 2h --reason "the register was down" --dry-run',
    ),
)
def redeliver(
    context: typer.Context,
    *,
    reason: selecting.Reason,
    document: selecting.Documents = None,
    sender: selecting.Sender = None,
    refused_for: selecting.RefusedFor = None,
    older_than: selecting.OlderThan = None,
    newer_than: selecting.NewerThan = None,
    everything: selecting.Everything = False,
    operator: selecting.Operator = None,
    dry_run: selecting.DryRun = False,
    wait: selecting.Wait = WAIT_SECONDS,
    output: options.Output = Form.TEXT,
) -> int:
    """Offer documents to the agency's system again that it refused: dead letters, and conflicts in quarantine.

    What is selected by several options has to fit all of them. Doing it twice does nothing more.
    """
    chosen = selection_of(
        documents=document,
        sender=sender,
        refused_for=refused_for,
        older_than=older_than,
        newer_than=newer_than,
        everything=everything,
    )
    asked = _Asked(reason, operator, wait, dry_run, output)
    return _act(begin(context), "redeliver", chosen, ("dead-letter", "quarantine"), asked)


@app.command("acts", epilog=examples("docbus acts", "docbus acts --output json"))
def acts(context: typer.Context, *, output: options.Output = Form.TEXT) -> int:
    """List what operators decided about records that were set aside, from the agency's ledger topic, verified.

    Needs no private key. Exit code 1 says that there are acts that do not pass; they have no effect.
    """
    session = begin(context)
    from docbus.client.connect import agency_id, started_transport
    from docbus.client.doctor.authorities import known_material
    from docbus.consumers.acts import read_acts
    from docbus.registry.follow import fetch_snapshot
    from docbus.verification.paths import Paths
    from docbus.verification.verifier import Verifier

    settings = session.settings()
    agency, known = agency_id(settings), known_material(settings.state)

    async def work() -> list[ReadAct]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
            verifier = Verifier(Paths(lambda: known))
            return [one async for _, part in read_acts(transport, agency, snapshot, verifier=verifier) for one in part]

    found = session.run(work())
    if output is Form.JSON:
        write_json([_act_json(one) for one in found])
    elif found:
        columns = ("offset", "made at", "operator", "action", "record", "refused for", "document", "verified", "reason")
        table(columns, [_act_row(one) for one in found])
    else:
        line("nothing was decided yet")
    return ExitCode.OK if all(one.verdict == "passed" for one in found) else ExitCode.FAILED


def _act(session: Session, action: Action, chosen: Selection, where: Sequence[Kind], asked: _Asked) -> int:
    from docbus.client.agency import Agency

    async def work() -> list[Redriven]:
        async with Agency.open(session.folder) as agency:
            said: dict[str, Any] = asked._asdict()
            del said["output"]
            if action == "release":
                return await agency.release(chosen, **said)
            if action == "redeliver":
                return await agency.redeliver(chosen, topics=where, **said)
            return await agency.reject(chosen, topics=where, **said)

    found = session.run(work())
    if asked.output is Form.JSON:
        write_json([_json(one) for one in found])
    else:
        rows = [
            (one.listed.topic, str(one.listed.number), one.outcome, one.code, one.listed.document_id or "–", one.detail)
            for one in found
        ]
        table(("topic", "number", "outcome", "code", "document", "what"), rows)
    outcomes = [one.outcome for one in found]
    if asked.dry_run:
        session.note(f"a dry run: {outcomes.count('to do'):,} of {len(found):,} records to {action}; nothing was done")
        return ExitCode.OK
    if "requested" in outcomes:
        session.note(
            "What is requested is signed and kept. Whoever receives for this agency does it:"
            " the running process within seconds, else the next that starts."
        )
        return ExitCode.RETRY if asked.wait > 0 else ExitCode.OK
    return ExitCode.FAILED if "in vain" in outcomes else ExitCode.OK


def _json(one: Redriven) -> dict[str, Any]:
    listed = one.listed
    return {
        "topic": listed.topic,
        "number": listed.number,
        "outcome": one.outcome,
        "code": one.code,
        "detail": one.detail,
        "refused_for": listed.reason,
        "sender": listed.sender,
        "document_id": listed.document_id,
        "revision": listed.revision,
        "proven": listed.proven,
        "sha256": listed.mark.hex(),
    }


def _act_row(one: ReadAct) -> tuple[str, ...]:
    verdict = one.verdict if one.code is None else f"{one.verdict}: {one.step} {one.code}"
    if one.act is None:
        return (str(one.offset), "–", "–", "–", "–", "–", "–", verdict, one.detail)
    act = one.act
    record = f"{act.topic} {act.number}"
    return (
        str(one.offset),
        when(act.made_at),
        act.operator,
        act.action,
        record,
        act.refused_for,
        act.document_id or "–",
        verdict,
        act.reason,
    )


def _act_json(one: ReadAct) -> dict[str, Any]:
    verified: dict[str, Any] = plain(one._asdict())
    return verified
