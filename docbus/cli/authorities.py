"""`docbus registrar authority`: whose certificates are believed in this exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.join_requests import digest_of
from docbus.cli.output import Form, table, write_json
from docbus.cli.registering import Reason, publish_change
from docbus.cli.session import begin

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Authorities whose certificates agencies may have.")


@app.command(
    "add",
    epilog=examples(
        "docbus -C registrar registrar authority add ca/authority.crt.pem",
        'docbus -C registrar registrar authority add root.pem --intermediate issuing.pem --name "VGCA"',
    ),
)
def add(
    context: typer.Context,
    certificate: Annotated[Path, typer.Argument(help="Certificate of the trust anchor, PEM or DER.")],
    *,
    intermediate: Annotated[
        list[Path] | None, typer.Option(help="Certificate of an authority below it; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="For people; the certificate's subject if left out.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Let agencies have certificates of an authority, from now on; or give it other authorities below it.

    From then on each certificate that it has issued, those granted before included, must have a valid path to it and
    must be known not to be revoked: see that every member has its revocation list first, `docbus cert import`.
    """
    session = begin(context)
    from cryptography.hazmat.primitives.serialization import Encoding

    from docbus.client.certifying import read_certificate

    anchor = read_certificate(certificate)
    below = [read_certificate(path).public_bytes(Encoding.DER) for path in intermediate or ()]
    called = name or anchor.subject.rfc4514_string()
    der = anchor.public_bytes(Encoding.DER)
    publish_change(session, output, lambda registrar: registrar.name_authority(called, der, below))


@app.command(
    "end", epilog=examples('docbus -C registrar registrar authority end ca/authority.crt.pem --reason "superseded"')
)
def end(
    context: typer.Context,
    certificate: Annotated[str, typer.Argument(help="PEM file of the trust anchor, or the digest that `list` prints.")],
    *,
    reason: Reason,
    output: options.Output = Form.TEXT,
) -> None:
    """Trust an authority no more: agencies that have only its certificates can sign nothing that is believed."""
    session = begin(context)
    digest = digest_of(certificate)
    publish_change(session, output, lambda registrar: registrar.end_authority(digest, reason=reason))


@app.command("list", epilog=examples("docbus -C registrar registrar authority list"))
def list_authorities(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """List the authorities in force; any folder of the exchange may ask."""
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.client.folder_directory import fetch_for_folder
    from docbus.identity.pki.authorities import TrustAnchor

    settings = session.settings()

    async def work() -> tuple[TrustAnchor, ...]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_for_folder(transport, settings)
        return snapshot.authorities().anchors

    found = session.run(work())
    if output is Form.JSON:
        write_json(
            [
                {
                    "digest": one.digest,
                    "name": one.name,
                    "named_by_entry": one.named_at,
                    "intermediates": len(one.intermediates),
                }
                for one in found
            ]
        )
        return
    table(
        ("digest", "name", "entry", "below it"),
        [(one.digest.hex(), one.name, str(one.named_at), str(len(one.intermediates))) for one in found],
    )
