"""`docbus init`: the folder of an agency or an auditor."""

from __future__ import annotations

from typing import Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, pairs, write_json
from docbus.cli.session import Session, begin
from docbus.identity.profile_names import ProfileName

app = typer.Typer(rich_markup_mode=None)


@app.command(
    "init",
    epilog=examples(
        'docbus -C h37 init --code H37.02.02 --name "Sở Tư pháp" --environment vn --genesis HASH --bus bus.db',
        "docbus -C h37 init --code H37.02.02 --name … --environment vn --genesis HASH --kafka b1:9093 --tls-ca ca.pem",
        'docbus -C h37 init … --signing-key "pkcs11:token=H37;object=docbus?module-path=/usr/lib/…" --make-signing-key',
        "docbus -C audit init --auditor --environment vn --genesis HASH --kafka broker:9093 --tls-ca ca.pem",
    ),
)
def init(
    context: typer.Context,
    *,
    code: Annotated[str | None, typer.Option(help="The agency's official code, such as H37.02.02.")] = None,
    name: Annotated[str | None, typer.Option(help="The agency's name, for people.")] = None,
    environment: Annotated[str, typer.Option(help="Name of the exchange, from the registrar.")],
    genesis: Annotated[str, typer.Option(help="Hash of the directory's first entry, from the registrar.")],
    alias: Annotated[list[str] | None, typer.Option(help="Another code of the same agency; may be repeated.")] = None,
    profile: options.SigningProfile = ProfileName.ES256,
    auditor: Annotated[bool, typer.Option("--auditor", help="A folder without keys, only to read and verify.")] = False,
    signing_key: Annotated[
        str | None,
        typer.Option(metavar="URI", help="The signing key on a token, as a pkcs11: URI; without it a file is made."),
    ] = None,
    make_signing_key: Annotated[
        bool, typer.Option("--make-signing-key", help="Make that key on the token, which it never leaves.")
    ] = False,
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
    """Make an agency's folder: settings, keys, and the join request for the registrar.

    Nothing goes over a network, nothing that exists is overwritten, and the private keys never leave the folder.
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
    from docbus.client.founding import found_agency, found_auditor
    from docbus.clock import SystemClock

    if auditor:
        if code or name or alias or signing_key:
            raise typer.BadParameter("an auditor's folder has no --code, --name, --alias or --signing-key")
        found_auditor(session.folder, environment=environment, genesis=genesis, bus=reach)
        _tell_auditor(session, output)
        return
    if not code or not name:
        raise typer.BadParameter("give --code and --name, or --auditor")
    if make_signing_key and signing_key is None:
        raise typer.BadParameter("--make-signing-key needs --signing-key, which names the token")
    founded = found_agency(
        session.folder,
        code=code,
        name=name,
        environment=environment,
        genesis=genesis,
        bus=reach,
        clock=SystemClock(),
        profile=profile.profile,
        aliases=alias or (),
        signing_key=signing_key,
        make_signing_key=make_signing_key,
    )
    if founded.warning:
        session.warn(founded.warning)
    if output is Form.JSON:
        write_json(founded)
        return
    pairs(
        {
            "agency": founded.agency,
            "folder": str(founded.folder),
            "join request": str(founded.request),
            "fingerprint": founded.fingerprint,
        }
    )
    session.note(
        f"Next: give {founded.request} to the registrar, who runs `docbus registrar grant {founded.request.name}`"
        " and compares the fingerprint with you by another channel, such as a telephone."
    )


def _tell_auditor(session: Session, output: Form) -> None:
    if output is Form.JSON:
        write_json({"folder": session.folder})
        return
    line(f"folder  {session.folder}")
    session.note(f"Next: docbus -C {session.folder} replay --verify")
