"""`docbus cert`: certificates that an authority has issued, from the request to the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import issuing, material, options
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.export import Target, write_file
from docbus.cli.output import Form, line, pairs, table, when, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.material import Piece
    from docbus.identity.pki.verdict import PathVerdict
    from docbus.identity.snapshot import TrustSnapshot

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Certificates of an authority: ask for them, use and check them, issue and revoke them.",
)


@app.command("request", epilog=examples("docbus -C h26 cert request -o H26.csr.pem"))
def request(context: typer.Context, *, target: Target = None) -> None:
    """Make a certification request, PEM, for an authority: for the folder's signing key, or for both of a hybrid one.

    In a rotation that waits for a certificate it is for the next one; `docbus keys rotate` has written it already.
    """
    session = begin(context)
    from docbus.client.certifying import certification_request

    write_file(session, target, certification_request(session.settings()))


@app.command("use", epilog=examples("docbus -C h26 cert use H26.crt.pem"))
def use(
    context: typer.Context,
    certificate: Annotated[
        list[Path],
        typer.Argument(help="What the authority has issued, PEM or DER: a certificate, or both of a hybrid profile."),
    ],
    *,
    output: options.Output = Form.TEXT,
) -> None:
    """Sign under a certificate that an authority has issued for the folder's key, and ask the registrar to grant it.

    In a rotation it is that of the next key, and the rotation goes on. Otherwise it takes the place of the one that
    `docbus init` made, which is kept beside it; nothing signed under it is believed before the registrar has granted
    the new join request.
    """
    session = begin(context)
    from docbus.cli.keys import directory_of, tell
    from docbus.client.certifying import read_given_certificates, use_certificate
    from docbus.client.connect import keys_of_settings
    from docbus.client.rotation import certify
    from docbus.clock import SystemClock

    settings, given = session.settings(), read_given_certificates(certificate)
    # A folder without it has never worked, perhaps because it may not reach the bus yet.
    directory = directory_of(session, settings) if settings.state.exists() else None
    if keys_of_settings(settings).next_signing is not None:
        found = certify(session.folder, given, directory, SystemClock())
        if output is Form.JSON:
            write_json(found)
        else:
            tell(session, found)
        return
    done = use_certificate(settings, given, SystemClock(), directory)
    if output is Form.JSON:
        write_json(done)
    else:
        pairs(
            {
                "certificate": str(done.certificate),
                "former": None if done.former is None else str(done.former),
                "join request": str(done.request),
                "fingerprint": done.fingerprint,
            }
        )
    session.note(f"Next: give {done.request} to the registrar, and compare the fingerprint by another channel.")


@app.command("show", epilog=examples("docbus cert show H26.crt.pem"))
def show(
    context: typer.Context,
    certificate: Annotated[Path, typer.Argument(help="PEM or DER.")],
    *,
    output: options.Output = Form.TEXT,
) -> None:
    """Show what a certificate says, believed or not."""
    begin(context)
    from docbus.client.certifying import read_certificate

    found = _said_in(read_certificate(certificate))
    if output is Form.JSON:
        write_json({name.replace(" ", "_"): value for name, value in found.items()})
    else:
        pairs(found)


@app.command(
    "check",
    epilog=examples(
        "docbus -C h53 cert check H26.crt.pem",
        "docbus cert check H26.crt.pem --ca ca.crt.pem --material ca.crl",
        "docbus cert check H26.crt.pem --ca ca.crt.pem --material ca.crl --at 2026-11-23T09:00:00Z",
        "echo $?    # 0 passed, 1 failed, 2 usage, 3 indeterminate",
    ),
)
def check(
    context: typer.Context,
    certificate: Annotated[Path, typer.Argument(help="PEM or DER.")],
    *,
    ca: Annotated[
        list[Path] | None,
        typer.Option(help="Certificate of an authority to trust, in place of the directory's; may be repeated."),
    ] = None,
    intermediate: Annotated[
        list[Path] | None, typer.Option(help="Certificate of an authority below it; may be repeated.")
    ] = None,
    material: options.Material = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The time to judge it for; now if left out.")] = None,
    output: options.Output = Form.TEXT,
) -> int:
    """Judge a certificate that an authority has issued, step by step.

    With --ca from files alone; else by the authorities of the directory, and what the folder knows of their lists.
    A certificate that none of them has issued needs no path: it is judged by its grant in the directory.
    """
    session = begin(context, verifying=True)
    from docbus.client.certifying import read_certificate, read_given
    from docbus.clock import SystemClock
    from docbus.identity.pki.judge import judge
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.pki.profile import is_issued, issuer_name
    from docbus.limits import MAX_CLOCK_SKEW_MS

    leaf = read_certificate(certificate)
    now_ms = SystemClock().now_ms()
    at_ms = now_ms if at is None else options.parse_time(at)
    given = [piece for path in material or () for piece in read_given(path).pieces]
    known: tuple[Piece, ...] = ()
    if ca:
        authorities = _authorities(ca, intermediate or ())
    else:
        snapshot, known = _of_folder(session)
        authorities = snapshot.authorities()
        if issuer_name(leaf) not in authorities.names:
            return _show_granted(leaf, snapshot, at_ms, output)
    verdict = judge(
        leaf,
        _agency_in(leaf) or "",
        authorities,
        ValidationMaterial((*known, *given)),
        at_ms=at_ms,
        known_by_ms=now_ms + MAX_CLOCK_SKEW_MS,
    )
    note = None
    if not is_issued(leaf):
        note = (
            "this certificate is self-made, so no authority vouches for it; where the directory grants it, it needs"
            " none: ask without --ca"
        )
    return show_verdict(verdict, at_ms, output, note)


def _show_granted(leaf: x509.Certificate, snapshot: TrustSnapshot, at_ms: int, output: Form) -> int:
    """Judge a certificate that no authority of the directory has issued: by its grant alone, as C1.23 is none of it."""
    from docbus.identity.pki.profile import is_issued
    from docbus.identity.pki.verdict import Outcome, PathVerdict
    from docbus.verification import checks

    issuer = leaf.issuer.rfc4514_string()
    counts = f"{issuer}, which issued it, is no authority of the directory, so it counts as self-made"
    note = f"{counts if is_issued(leaf) else 'it is self-made'}, and needs no path: its grant in the directory decides"
    grant = snapshot.certificate(leaf.fingerprint(_sha256()))
    outcome, code = Outcome.FAILED, None
    if grant is None:
        code = checks.CERTIFICATE.code
        text = f"the directory, known to entry {snapshot.position}, does not grant it to anybody by itself"
    elif grant.may_sign_at(at_ms):
        outcome, text = Outcome.PASSED, f"granted to {grant.agency} by entry {grant.granted_at}, in force"
    else:
        code, text = checks.AUTHORITY.code, f"granted to {grant.agency} by entry {grant.granted_at}, not in force then"
    verdict = PathVerdict(outcome=outcome, code=code, text=text, steps=(), since_ms=at_ms, until_ms=at_ms)
    return show_verdict(verdict, at_ms, output, note)


def show_verdict(verdict: PathVerdict, at_ms: int, output: Form, note: str | None = None) -> int:
    """Print each step and the verdict, with what there is to say beside it, and return the exit code."""
    if output is Form.JSON:
        write_json(
            {
                "verdict": verdict.outcome,
                "code": verdict.code,
                "as_of": at_ms,
                "steps": [
                    {"id": one.step.number, "title": one.step.title, "result": one.outcome, "detail": one.text}
                    for one in verdict.steps
                ],
                "path": verdict.path,
                "rests_on": verdict.rests_on,
                "detail": verdict.text,
                "note": note,
            }
        )
    else:
        rows = [(one.step.number, one.outcome.value, one.step.title, one.text) for one in verdict.steps]
        if rows:
            table(("step", "outcome", "what is checked", "detail"), rows)
        else:
            line(verdict.text)
        line()
        if note is not None:
            line(f"note: {note}")
        line(f"as of {when(at_ms)}")
        line(f"verdict: {verdict.outcome.value}" + (f" ({verdict.code})" if verdict.code else ""))
    return {"passed": ExitCode.OK, "failed": ExitCode.FAILED}.get(verdict.outcome.value, ExitCode.UNDECIDED)


def _authorities(anchors: Sequence[Path], below: Sequence[Path]) -> Authorities:
    from docbus.client.certifying import authorities_in

    return authorities_in(anchors, below)


def _sha256() -> hashes.SHA256:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _of_folder(session: Session) -> tuple[TrustSnapshot, tuple[Piece, ...]]:
    """Return the directory, and what the folder knows of its authorities' lists, if it is an agency's."""
    from docbus.client.connect import started_transport
    from docbus.client.local import open_state
    from docbus.client.material_memory import MaterialMemory
    from docbus.clock import SystemClock
    from docbus.registry.follow import fetch_snapshot

    settings = session.settings()

    async def work() -> tuple[TrustSnapshot, tuple[Piece, ...]]:
        async with started_transport(settings) as transport:
            snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
        if settings.agency is None:
            return snapshot, ()
        with open_state(settings) as database:
            memory = MaterialMemory(database, SystemClock())
            await memory.load()
            return snapshot, tuple(memory.current.pieces.values())

    return session.run(work())


def _agency_in(certificate: x509.Certificate) -> str | None:
    from docbus.identity.pki.profile import agency_named

    return agency_named(certificate)


def _said_in(certificate: x509.Certificate) -> dict[str, str | None]:
    from cryptography.hazmat.primitives import hashes

    from docbus.errors import IdentityError
    from docbus.identity.pki.crl import distribution_points
    from docbus.identity.pki.ocsp import responders
    from docbus.identity.signing import algorithm_of

    try:
        key = str(algorithm_of(certificate.public_key()))
    except IdentityError as error:
        key = f"not one that may sign: {error.text}"
    return {
        "subject": certificate.subject.rfc4514_string(),
        "agency": _agency_in(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial number": f"{certificate.serial_number:x}",
        "valid from": when(round(certificate.not_valid_before_utc.timestamp() * 1000)),
        "valid until": when(round(certificate.not_valid_after_utc.timestamp() * 1000)),
        "key": key,
        "digest": certificate.fingerprint(hashes.SHA256()).hex(),
        "revocation list": ", ".join(distribution_points(certificate)) or None,
        "responder": ", ".join(responders(certificate)) or None,
    }


app.add_typer(issuing.app)
app.add_typer(material.app)
