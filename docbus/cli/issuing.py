"""`docbus cert ca`, `issue`, `revoke` and `crl`: a small authority for those who have none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.export import Target, check_target, write_file
from docbus.cli.output import Form, pairs, table, when, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from docbus.client.issuing import Authority

app = typer.Typer(rich_markup_mode=None)
_ca = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Found a small authority, and see what it issued.")
app.add_typer(_ca, name="ca")

REASONS = {
    "unspecified": "unspecified",
    "key-compromise": "keyCompromise",
    "affiliation-changed": "affiliationChanged",
    "superseded": "superseded",
    "cessation-of-operation": "cessationOfOperation",
    "privilege-withdrawn": "privilegeWithdrawn",
}
"""Reasons as they are written here, and in RFC 5280 section 5.3.1."""


@_ca.command(
    "init",
    epilog=examples(
        'docbus -C ca cert ca init --name "CA thử nghiệm"',
        'docbus -C ca cert ca init --name "CA thử nghiệm" --crl-uri http://ca.example.vn/ca.crl',
    ),
)
def init(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="The authority's name, as it stands in every certificate.")],
    crl_uri: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="Where its revocation list will be had; may be repeated."),
    ] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Found a small authority: a folder with its key, its certificate and a journal of what it issues.

    Its key signs for every agency that it certifies: keep the folder on a machine of its own, and a backup of it.
    """
    session = begin(context)
    from docbus.client.issuing import CERTIFICATE, found_authority
    from docbus.clock import SystemClock

    made = found_authority(session.folder, name=name, clock=SystemClock(), points=crl_uri or ())
    found = {
        "authority": made.certificate.subject.rfc4514_string(),
        "certificate": str(session.folder / CERTIFICATE),
        "valid until": when(round(made.certificate.not_valid_after_utc.timestamp() * 1000)),
    }
    if output is Form.JSON:
        write_json({name.replace(" ", "_"): value for name, value in found.items()})
    else:
        pairs(found)
    session.note(f"Next: the registrar names it: docbus registrar authority add {session.folder / CERTIFICATE}")


@_ca.command("list", epilog=examples("docbus -C ca cert ca list"))
def list_issued(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """List what the authority has issued, and what became of it."""
    session = begin(context)
    found = _authority(session).issued()
    if output is Form.JSON:
        write_json(
            [
                {
                    "serial": f"{one.serial:x}",
                    "agency": one.agency,
                    "revoked_at": one.revoked.revoked_at if one.revoked else None,
                    "reason": one.revoked.reason.value if one.revoked else None,
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            f"{one.serial:x}",
            one.agency,
            when(one.revoked.revoked_at) if one.revoked else "–",
            one.revoked.reason.value if one.revoked else "",
        )
        for one in found
    ]
    table(("serial", "agency", "revoked", "reason"), rows)


@app.command(
    "issue",
    epilog=examples(
        "docbus -C ca cert issue H26.csr.pem -o H26.crt.pem", "docbus -C ca cert issue H26.csr.pem --days 365"
    ),
)
def issue(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(help="What `docbus cert request` made: a certification request, or two.")],
    *,
    days: Annotated[int, typer.Option(min=1, help="Days for which it is valid, two years at most.")] = 730,
    target: Target = None,
) -> None:
    """Issue a certificate for an agency, PEM; of a hybrid profile both.

    That the request is the agency's own is for you to find out: it proves only that its maker has the key.
    """
    session = begin(context)
    from docbus.client.certifying import read_request_file
    from docbus.errors import DocbusError
    from docbus.identity.key_sets import certificates_pem
    from docbus.identity.pki.issuing import read_request, split_requests

    requests, authority = split_requests(read_request_file(request)), _authority(session)
    # Before any is issued: a file is taken as a whole, and nothing is issued that nobody gets.
    check_target(target)
    for one in requests:
        try:
            read_request(one)
        except DocbusError as error:
            raise type(error)(f"{request}: {error.text}", hint=error.hint) from error
    made = [authority.issue(one, days=days) for one in requests]
    for issued in made:
        session.note(f"{issued.agency}, serial number {issued.serial:x}")
    write_file(session, target, certificates_pem([issued.certificate for issued in made]))


@app.command(
    "revoke",
    epilog=examples(
        "docbus -C ca cert revoke H26.crt.pem --reason superseded",
        "docbus -C ca cert revoke 5f1c… --reason key-compromise --compromised-since 2026-11-20",
    ),
)
def revoke(
    context: typer.Context,
    certificate: Annotated[str, typer.Argument(help="Its file, or its serial number in hex.")],
    *,
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(REASONS)}.")],
    compromised_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Since when the key may have been somebody else's.")
    ] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Take a certificate back; members learn it from the next revocation list, `docbus cert crl`.

    A time since which the key was compromised acts back: what was signed after it is not valid any more.
    """
    session = begin(context)
    if reason not in REASONS:
        raise typer.BadParameter(f"{reason!r} is no reason; there are {', '.join(REASONS)}")
    if compromised_since is not None and reason != "key-compromise":
        raise typer.BadParameter("--compromised-since goes with --reason key-compromise")
    since = None if compromised_since is None else options.parse_time(compromised_since)
    from cryptography.x509 import ReasonFlags

    made = _authority(session).revoke(_serial(certificate), ReasonFlags(REASONS[reason]), compromised_at=since)
    if output is Form.JSON:
        write_json({"serial": f"{made.serial:x}", "agency": made.agency})
    else:
        pairs({"serial": f"{made.serial:x}", "agency": made.agency})
    session.note("Next: docbus cert crl, and hand the list to the members")


@app.command("crl", epilog=examples("docbus -C ca cert crl -o ca.crl", "docbus -C ca cert crl --days 1 -o ca.crl"))
def crl(
    context: typer.Context,
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days until which there will be another one.")] = 7,
    target: Target = None,
) -> None:
    """Make a new revocation list, DER; members need one that is current, or they believe no certificate of yours."""
    session = begin(context)
    check_target(target)
    write_file(session, target, _authority(session).list_revocations(days=days))


def _authority(session: Session) -> Authority:
    from docbus.client.issuing import Authority
    from docbus.clock import SystemClock

    return Authority(session.folder, SystemClock())


def _serial(text: str) -> int:
    from docbus.client.certifying import read_certificate

    if not Path(text).exists():
        try:
            return int(text, 16)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is neither a file nor a serial number in hex") from None
    return read_certificate(Path(text)).serial_number
