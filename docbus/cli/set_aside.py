"""`docbus quarantine` and `docbus dead-letter`: what is not filed, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docbus.cli import options, selecting
from docbus.cli.examples import examples
from docbus.cli.export import write_file
from docbus.cli.output import Form, line, pairs, plain, table, when, write_json
from docbus.cli.session import Session, begin
from docbus.cli.verify import Asked, checked, show_report

if TYPE_CHECKING:
    from docbus.consumers.listed import Kind, Listed
    from docbus.consumers.selection import Selection
    from docbus.consumers.set_aside import SetAside
    from docbus.identity.snapshot import TrustSnapshot

quarantine = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Look into what could not be verified, or contradicts others."
)
dead_letter = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Look into verified documents that could not be filed."
)

Last = Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="How many, the newest.")]
Settled = Annotated[bool, typer.Option("--all", help="Also those about which somebody has decided.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="The number that `ls` prints.")]
Raw = Annotated[bool, typer.Option("--raw", help="Write the record's exact bytes to standard output.")]
Target = Annotated[Path | None, typer.Option("--to-file", "-o", metavar="FILE", help="Write the exact bytes there.")]


def _listing(group: typer.Typer, kind: Kind, what: str, *lines: str) -> None:
    """Add the command that lists one topic."""

    @group.command(
        "ls",
        help=f"List the newest {what} about which nobody has decided: since when, which step, and why.",
        epilog=examples(*lines),
    )
    def listing(
        context: typer.Context,
        *,
        last: Last = 50,
        everything: Settled = False,
        document: selecting.Documents = None,
        sender: selecting.Sender = None,
        refused_for: selecting.RefusedFor = None,
        older_than: selecting.OlderThan = None,
        newer_than: selecting.NewerThan = None,
        output: options.Output = Form.TEXT,
    ) -> None:
        chosen = selecting.selection_of(
            documents=document,
            sender=sender,
            refused_for=refused_for,
            older_than=older_than,
            newer_than=newer_than,
        )
        _list(begin(context), kind, chosen, last, output, settled=everything)


_listing(
    quarantine,
    "quarantine",
    "records",
    "docbus quarantine ls",
    "docbus quarantine ls --all --refused-for signature_invalid --last 5",
)
_listing(dead_letter, "dead-letter", "documents", "docbus dead-letter ls", "docbus dead-letter ls --older-than 7d")


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


def _list(session: Session, kind: Kind, chosen: Selection, last: int, output: Form, *, settled: bool) -> None:
    from docbus.client.connect import agency_id, started_transport
    from docbus.client.doctor.authorities import known_material
    from docbus.client.local import open_state
    from docbus.consumers.listing import Reader
    from docbus.consumers.selection import resolved
    from docbus.registry.follow import fetch_snapshot
    from docbus.verification.paths import Paths
    from docbus.verification.verifier import Verifier

    settings = session.settings()
    known = known_material(settings.state)

    async def work() -> list[Listed]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
            with open_state(settings) as database:
                verifier = Verifier(Paths(lambda: known))
                reader = Reader(transport, database, agency_id(settings), snapshot, verifier)
                return await reader.newest(kind, resolved(chosen, snapshot), last, settled=settled)

    records = session.run(work())
    if output is Form.JSON:
        write_json([_listed_json(record) for record in records])
        return
    if not records:
        line("empty" if settled else "nothing is open; --all shows the rest, too")
        return
    rows = [
        (str(r.number), when(r.set_aside_at), r.step, r.reason, r.sender, r.document_id or "–", r.state, r.detail)
        for r in records
    ]
    table(("number", "since", "step", "reason", "sender", "document", "state", "what"), rows)


def _show(session: Session, where: str, number: int, output: Form, *, raw: bool, target: Path | None) -> None:
    from docbus.clock import SystemClock

    record, snapshot = _fetch(session, where, number)
    if raw or target is not None:
        write_file(session, target, record.value)
        return
    from docbus.client.doctor.authorities import known_material

    asked = Asked(SystemClock().now_ms(), known_material(session.settings().state))
    report = checked(record.value, snapshot, record.owner, asked=asked)
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


def _fetch(session: Session, where: str, number: int) -> tuple[SetAside, TrustSnapshot]:
    """Read a record, and the directory to check them against; needs no private key."""
    from docbus.client.connect import agency_id, started_transport
    from docbus.consumers.aside import topic_of
    from docbus.consumers.set_aside import read_one
    from docbus.registry.follow import fetch_snapshot

    settings = session.settings()
    agency = agency_id(settings)
    topic = topic_of(where, agency)

    async def work() -> tuple[SetAside, TrustSnapshot]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
            return await read_one(transport, topic, number), snapshot

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


def _listed_json(listed: Listed) -> dict[str, Any]:
    row = listed.row
    return {
        "number": listed.number,
        "set_aside_at": listed.set_aside_at,
        "step": listed.step,
        "reason": listed.reason,
        "detail": listed.detail,
        "topic": listed.origin.topic,
        "partition": listed.origin.partition,
        "offset": listed.origin.offset,
        "stored_at": listed.origin.stored_at,
        "key": listed.origin.key,
        "bytes": listed.size,
        "sha256": listed.mark.hex(),
        "sender": listed.sender,
        "document_id": listed.document_id,
        "revision": listed.revision,
        "proven": listed.proven,
        "state": listed.state,
        "act": None if row is None else plain(row._asdict() | {"mark": None, "state": row.state.text}),
    }


def _headers(record: SetAside) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in record.headers}
