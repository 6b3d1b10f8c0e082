"""`docbus registrar`: founding the directory and what is published in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import authorities, expecting, options, registrar_keys, standing
from docbus.cli.examples import examples
from docbus.cli.join_requests import UnnamedIssuer, confirm, digest_of, read_request
from docbus.cli.output import Form, pairs, when, write_json
from docbus.cli.registering import Code, Reason, opened_registrar, publish_change
from docbus.cli.session import Session, begin
from docbus.limits import DEFAULT_PARTITIONS, MAX_PARTITIONS

if TYPE_CHECKING:
    from docbus.registry.appending import Published
    from docbus.registry.publish import Registrar

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Found a directory, and grant, change and close agencies in it."
)

MINUTE_MS = 60_000
EVERY_MINUTES = 5.0
"""Minutes between two signs of life, unless told otherwise; see ``docbus.registry.beating.HEARTBEAT_MS``."""
MIN_EVERY_MINUTES = 0.1
"""Minutes; each heartbeat is kept for ever and read by everybody at every start."""
MAX_EVERY_MINUTES = 15.0
"""Minutes: after so many everybody is alarmed, by the terms of the genesis."""


@app.callback()
def group(
    context: typer.Context,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="File or URI of another registrar key that signs beside the folder's own; may be repeated.",
        ),
    ] = None,
) -> None:
    """Found a directory, and grant, change and close agencies in it."""
    session: Session = context.obj
    session.registrar_keys = tuple(options.key_uri(one) for one in key or ())


@app.command(
    "init",
    epilog=examples(
        'docbus -C registrar registrar init --environment vn-pilot --name "Cục Văn thư" --bus bus.db',
        'docbus -C registrar registrar init --environment vn --name "Cục Văn thư" --kafka broker:9093 --tls-ca ca.pem',
    ),
)
def init(
    context: typer.Context,
    *,
    environment: Annotated[str, typer.Option(help="Name of the exchange: letters, digits, dots, hyphens.")],
    name: Annotated[str, typer.Option(help="The registrar's name, for people.")],
    bus: options.BusFile = None,
    kafka: options.Kafka = None,
    tls: options.Tls = False,
    tls_ca: options.TlsCa = None,
    tls_certificate: options.TlsCertificate = None,
    tls_key: options.TlsKey = None,
    sasl_mechanism: options.SaslMechanism = None,
    sasl_username: options.SaslUsername = None,
    replication_factor: options.ReplicationFactor = 3,
    output: options.Output = Form.TEXT,
) -> None:
    """Found an exchange: the registrar's folder and key, and the first entry of the directory.

    The hash of that entry is what everybody pins; it is printed, and `docbus registrar show` repeats it.
    """
    session = begin(context)
    reach = options.bus_of(
        file=bus,
        kafka=kafka,
        tls=tls,
        tls_ca=tls_ca,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        sasl_mechanism=sasl_mechanism,
        sasl_username=sasl_username,
        replication_factor=replication_factor,
    )
    from docbus.client.founding import found_registrar
    from docbus.clock import SystemClock

    founded = session.run(
        found_registrar(session.folder, environment=environment, name=name, bus=reach, clock=SystemClock())
    )
    if output is Form.JSON:
        write_json(founded)
        return
    pairs({"environment": founded.environment, "folder": str(founded.folder), "genesis": founded.genesis})
    where = f"--bus {bus}" if bus else f"--kafka {kafka}"
    session.note(
        "Next, for each agency: docbus -C FOLDER init --code CODE --name NAME"
        f" --environment {founded.environment} --genesis {founded.genesis} {where}"
    )


@app.command("show", epilog=examples("docbus -C registrar registrar show"))
def show(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """Show the genesis hash that everybody pins, and how far the directory has come."""
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.client.folder_directory import fetch_for_folder

    settings = session.settings()

    async def work() -> dict[str, str]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_for_folder(transport, settings)
        return {
            "environment": snapshot.environment,
            "genesis": snapshot.genesis.hex(),
            "last entry": str(snapshot.position),
            "its hash": snapshot.head.hex(),
            "made at": when(snapshot.made_at),
            "agencies": str(snapshot.size),
        }

    found = session.run(work())
    if output is Form.JSON:
        write_json({name.replace(" ", "_"): value for name, value in found.items()})
    else:
        pairs(found)


@app.command(
    "grant",
    epilog=examples(
        "docbus -C registrar registrar grant H37.02.02.join",
        "docbus -C registrar registrar grant H37.02.02.join --fingerprint '3F2A …'",
    ),
)
def grant(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(help="File with the agency's join request.")],
    *,
    fingerprint: Annotated[str | None, typer.Option(help="Refuse unless the request has this one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    role: Annotated[list[str] | None, typer.Option(help="A role, such as auditor; may be repeated.")] = None,
    partitions: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_PARTITIONS,
            help="Partitions of the agency's inbox; of several, the last is for urgent documents and receipts.",
        ),
    ] = DEFAULT_PARTITIONS,
    unexpected: Annotated[
        bool, typer.Option("--unexpected", help="Grant also what differs from the register of expected agencies.")
    ] = False,
    unnamed_issuer: UnnamedIssuer = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Give an agency its code, with the keys in its join request.

    Compare the fingerprint with the agency by another channel before you confirm: it is what tells its request from
    somebody else's.
    Where a list was imported, the request is compared with the register as well.
    """
    session = begin(context)
    text = read_request(request)
    former = expecting.compare_with_register(session, text, unexpected=unexpected)

    async def work(registrar: Registrar) -> Published:
        await confirm(session, registrar, text, fingerprint, yes=yes, unnamed_issuer=unnamed_issuer)
        return await registrar.grant(text, roles=role or (), partitions=partitions, unnamed_issuer=unnamed_issuer)

    publish_change(session, output, work)
    for command in former:
        session.note(f"The list has a former code, too: {command}")
    session.note("Next, once for all that were granted: docbus provision")


@app.command(
    "rotate",
    epilog=examples(
        "docbus -C registrar registrar rotate H37.02.02.join --overlap 30d",
        "docbus -C registrar registrar rotate H37.02.02.join",
    ),
)
def rotate(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(help="File with a join request of the same agency, with its new keys.")],
    *,
    overlap: Annotated[
        str | None, typer.Option(metavar="AGE", help="Let the old certificate sign for so long beside the new: 30d.")
    ] = None,
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Leave the old keys in force beside the new.")] = False,
    fingerprint: Annotated[str | None, typer.Option(help="Refuse unless the request has this one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    unnamed_issuer: UnnamedIssuer = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Give an agency new keys and retire those it has: at once, or after an overlap.

    With an overlap nothing that is under way has to be signed again. Encryption keys need none: others encrypt to the
    new one at once, and the agency keeps the old one to decrypt with.
    """
    session = begin(context)
    if overlap is not None and keep_old:
        raise typer.BadParameter("--overlap and --keep-old exclude each other")
    lasts = None if overlap is None else options.parse_age(overlap)
    text = read_request(request)

    async def work(registrar: Registrar) -> Published:
        await confirm(session, registrar, text, fingerprint, yes=yes, unnamed_issuer=unnamed_issuer)
        return await registrar.rotate(text, keep_old=keep_old, overlap_ms=lasts, unnamed_issuer=unnamed_issuer)

    publish_change(session, output, work)


@app.command(
    "revoke",
    epilog=examples(
        'docbus -C registrar registrar revoke h37/keys/certificate.pem --reason "server stolen"',
        'docbus -C registrar registrar revoke 3f2a… --reason "server stolen" --suspected-since 2026-11-20',
    ),
)
def revoke(
    context: typer.Context,
    certificate: Annotated[str, typer.Argument(help="PEM file, or the 64 hex digits that `agency show` prints.")],
    *,
    reason: Reason,
    suspected_since: Annotated[str | None, typer.Option(metavar="TIME", help="Abused since then, perhaps.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Revoke a certificate from now on; what was anchored before stays valid."""
    session = begin(context)
    since = None if suspected_since is None else options.parse_time(suspected_since)
    digest = digest_of(certificate)
    publish_change(session, output, lambda registrar: registrar.revoke(digest, reason=reason, suspected_since_ms=since))


@app.command(
    "close", epilog=examples('docbus -C registrar registrar close H53.32 --successor H53.33 --reason "merged"')
)
def close(
    context: typer.Context,
    code: Code,
    *,
    reason: Reason,
    successor: Annotated[str | None, typer.Option(help="Code of the agency that it was merged into.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Close an agency's code for good; codes are never used again."""
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.close(code, reason=reason, successor=successor))


@app.command("alias", epilog=examples("docbus -C registrar registrar alias H53.32 000.21.32.H53"))
def alias(
    context: typer.Context,
    code: Code,
    other: Annotated[str, typer.Argument(help="Another code by which people may name it.")],
    *,
    output: options.Output = Form.TEXT,
) -> None:
    """Let people name an agency by another code too, such as its older form."""
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.alias(code, other))


@app.command("rename", epilog=examples('docbus -C registrar registrar rename H26 "UBND thành phố Hà Nội"'))
def rename(
    context: typer.Context,
    code: Code,
    name: Annotated[str, typer.Argument(help="The new name.")],
    *,
    output: options.Output = Form.TEXT,
) -> None:
    """Give an agency another name; its code stays."""
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.rename(code, name))


@app.command("heartbeat", epilog=examples("docbus -C registrar registrar heartbeat"))
def heartbeat(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """Sign that nothing has changed, once; `registrar run` does so every few minutes.

    The first heartbeat brings the freshness limit into force: from then on a directory without a newer entry decides
    nothing after a day, so that somebody has to go on beating.
    """
    session = begin(context)
    publish_change(session, output, lambda registrar: registrar.heartbeat(), beating=True)


@app.command("run", epilog=examples("docbus -C registrar registrar run", "docbus -C registrar registrar run --every 3"))
def run(
    context: typer.Context,
    *,
    every: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=MIN_EVERY_MINUTES,
            max=MAX_EVERY_MINUTES,
            help="Minutes without any entry after which a heartbeat is signed.",
        ),
    ] = EVERY_MINUTES,
) -> None:
    """Sign a heartbeat every few minutes, until SIGTERM or Ctrl-C.

    It waits for brokers that are away. Grants, rotations and revocations may be published meanwhile by other commands:
    each is a sign of life as well.
    With the table [timestamps] in docbus.toml, heartbeats carry time stamps of an authority, one an hour.
    """
    session = begin(context, serving=True)
    from docbus.cli.serve import stopping
    from docbus.client.running import beside
    from docbus.client.time_stamping import registrar_stamps, stamping
    from docbus.clock import SystemClock
    from docbus.registry.beating import keep_beating

    clock = SystemClock()
    settings = session.settings()
    stamps = registrar_stamps(settings)
    runs = [] if stamps is None else [stamping(settings, stamps, clock)]

    async def work() -> None:
        stop = asyncio.Event()
        with stopping(stop, session):
            session.note(f"a heartbeat every {every:g} minutes; stop with Ctrl-C")
            async with beside(*runs):
                await keep_beating(
                    lambda: opened_registrar(session, beating=True),
                    stop,
                    clock=clock,
                    every_ms=round(every * MINUTE_MS),
                    stamps=stamps,
                )
        session.note("stopped")

    session.run(work())


app.add_typer(standing.app)
app.add_typer(registrar_keys.app, name="keys")
app.add_typer(authorities.app, name="authority")
app.add_typer(expecting.app)
