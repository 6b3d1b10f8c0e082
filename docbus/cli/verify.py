"""`docbus verify`: one envelope, offline."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from docbus.cli import options, verify_stamps
from docbus.cli.examples import examples
from docbus.cli.files import read_file
from docbus.cli.output import Form, line, pairs, table, when, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.pki.words import AuthorityWord
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.report import VerificationReport

app = typer.Typer(rich_markup_mode=None)


@app.command(
    "verify",
    epilog=examples(
        "docbus export trust -o trust.json",
        "docbus verify report.envelope --trust trust.json --genesis HASH",
        "docbus verify report.envelope --trust trust.json --time-stamp report.time-stamp --anchor tsa-ca.pem",
        "docbus verify envelope.bin --trust trust.json --material material.json",
        "docbus verify - --trust trust.json --recipient H26 --output json < report.envelope",
        "echo $?    # 0 valid, 1 invalid, 2 usage, 3 indeterminate, 4 cannot be read",
    ),
)
def verify(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The envelope, or - for standard input.")],
    *,
    trust: Annotated[Path, typer.Option(metavar="BUNDLE", help="The trust bundle that `docbus export trust` wrote.")],
    genesis: Annotated[
        str | None, typer.Option(metavar="HASH", help="Pinned hash of the directory's first entry; else the folder's.")
    ] = None,
    recipient: Annotated[str | None, typer.Option(metavar="CODE", help="Whose inbox it was found in.")] = None,
    time_stamp: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What `docbus export time-stamp` wrote for it.")
    ] = None,
    anchor: options.Anchor = None,
    policy: options.Policy = None,
    material: options.Material = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When it was there for sure, by evidence that you believe, such as its recipient's;"
            " with time of day and zone.",
        ),
    ] = None,
    output: options.Output = Form.TEXT,
) -> int:
    """Verify one envelope as an auditor does, needing nothing but the envelope and a trust bundle.

    Every numbered check is listed with its outcome. Whether a key might sign is asked of the directory at the entry
    that the statement was made under, and later revocations are taken into account.
    Where the trust bundle ends before that entry and does not know the certificate, the verdict is indeterminate.
    With --time-stamp and --anchor it is said, too, by when it was signed at latest, and the exit code is 1 if that is
    wrong and 3 if it cannot be decided. Without, when it was signed rests on its sender's own word.
    """
    session = begin(context, verifying=True)
    from docbus.clock import SystemClock
    from docbus.errors import MalformedError
    from docbus.identity.bundle import MAX_BUNDLE_BYTES, load_bundle
    from docbus.limits import MAX_ENVELOPE_BYTES

    now_ms = SystemClock().now_ms()
    time = None if known_at is None else options.parse_known_at(known_at, now_ms)
    pinned, source = _pinned(session, genesis)
    bundle = _read(trust, MAX_BUNDLE_BYTES)
    try:
        snapshot = load_bundle(bundle, pinned)
    except MalformedError as error:
        raise MalformedError(f"{trust}: {error.text}", hint=error.hint) from error
    value = _read(file, MAX_ENVELOPE_BYTES)
    owner = None if recipient is None else snapshot.resolve(recipient)
    note = f"trust rests on the genesis {snapshot.genesis.hex()}, {source}"
    known, notes = given_material(material, value)
    asked = Asked(now_ms, known, time)
    report = checked(value, snapshot, owner, (note, *notes), asked=asked)
    times = verify_stamps.judged(
        value, snapshot, report, folder=time_stamp, anchors=options.anchors_of(anchor), policy=policy
    )
    proof = verify_stamps.proof(times)
    if proof is not None:
        if time is None:
            at = when(proof.time_ms)
            told = f"its authority's word is asked for {at}, by which it was signed as its time stamp shows"
            asked = asked._replace(known_at_ms=proof.time_ms)
            report = checked(value, snapshot, owner, (note, *notes, told), asked=asked)
        report = report.by_time_stamp(proof.time_ms, proof.authority)
    elif time is not None and report.signing_time is not None and report.signing_time.rests_on == "claimed":
        told = "the time of --known-at is before the one that the statement names as its own, so it shows nothing"
        report = replace(report, notes=(*report.notes, told))
    if output is Form.JSON:
        write_json(report.to_json() | verify_stamps.to_json(times))
    else:
        show_report(report, verify_stamps.lines(times))
    return verify_stamps.exit_code(report.exit_code, times)


class Asked(NamedTuple):
    """What is given beside envelope and directory.

    Attributes:
        now_ms: Milliseconds since 1970 UTC.
        material: What authorities say of certificates; None for nothing.
        known_at_ms: When the envelope was there for sure; None where nobody says so.
    """

    now_ms: int
    material: ValidationMaterial | None = None
    known_at_ms: int | None = None


def checked(
    value: bytes | None,
    snapshot: TrustSnapshot,
    recipient: str | None,
    notes: tuple[str, ...] = (),
    *,
    asked: Asked,
) -> VerificationReport:
    """Return what an auditor's verification says of an envelope's bytes."""
    from docbus.errors import IndeterminateError, VerificationError
    from docbus.identity.pki.material import NOTHING_KNOWN
    from docbus.identity.pki.words import words_of
    from docbus.verification.outcomes import Manner
    from docbus.verification.paths import Paths
    from docbus.verification.report import report_of
    from docbus.verification.subject import Given
    from docbus.verification.verifier import Verifier

    known = asked.material or NOTHING_KNOWN
    words: tuple[AuthorityWord, ...] = ()
    result: Given
    try:
        result = Verifier(Paths(lambda: known)).verify_recorded(
            value, key=None, recipient=recipient, snapshot=snapshot, known_at_ms=asked.known_at_ms
        )
        if result.basis is not None:
            words = words_of(result.basis.rests_on, known, asked.now_ms)
    except (VerificationError, IndeterminateError) as error:
        result = error
    manner = Manner(live=False, recipient=recipient, record=False)
    report = report_of(result, value, manner, snapshot, notes=notes, words=words, now_ms=asked.now_ms)
    return report.by_word(asked.known_at_ms)


def given_material(files: list[Path] | None, value: bytes | None) -> tuple[ValidationMaterial, tuple[str, ...]]:
    """Return the validation material in files, and what is to be said of it.

    Args:
        files: Those that `docbus export material` wrote, or lists and responses themselves.
        value: The envelope that is verified, if it is one.

    Raises:
        AuditError: One cannot be read.
    """
    from docbus.client.certifying import read_given
    from docbus.consumers.bases import digest_of
    from docbus.errors import DocbusError, MalformedError
    from docbus.identity.pki.material import ValidationMaterial

    found = [read_given(path) for path in files or ()]
    notes = []
    for one in found:
        try:
            about = value is not None and one.statement == digest_of(value)
        except MalformedError:
            about = False
        if about and one.as_of is not None:
            notes.append(
                f"its recipient judged it as of {when(one.as_of)}; --known-at says that you believe that it was there"
            )
    try:
        return ValidationMaterial(piece for one in found for piece in one.pieces), tuple(notes)
    except DocbusError as error:
        raise typer.BadParameter(error.text) from error


def show_report(report: VerificationReport, times: Sequence[str] = ()) -> None:
    """Print what the bytes are about, every check, and the verdict last."""
    subject = report.subject
    if subject is not None:
        line("This envelope is" if subject.proven else "This envelope claims to be (the sender is not proven)")
        pairs(
            {
                "  from": subject.sender,
                "  for": subject.on_behalf_of,
                "  to": subject.recipient,
                "  document": subject.document,
                "  content": subject.content,
                "  made at": f"{subject.made_at} by the sender's clock",
                "  place": f"statement {subject.sequence} of lane {subject.lane}, epoch {subject.epoch}",
                "  digest": subject.digest,
            }
        )
        line()
    rows = [
        (check.id, check.result, check.title, f"{check.code}: {check.detail}" if failed(check.result) else check.detail)
        for check in report.checks
    ]
    table(("check", "outcome", "what is checked", "detail"), rows)
    line()
    for finding in report.findings:
        line(f"finding: {finding}")
    for note in report.notes:
        line(f"note: {note}")
    line(f"directory: known up to entry {report.trust.position}, {report.trust.head}")
    if report.signing_time is not None:
        line(f"signed: {report.signing_time.text}")
    for text in times:
        line(text)
    line(f"verdict: {report.verdict}")


def failed(result: str) -> bool:
    """Tell whether a check's outcome needs its code beside it."""
    return result in {"failed", "indeterminate"}


def _pinned(session: Session, genesis: str | None) -> tuple[bytes | None, str]:
    """Return the pinned genesis hash and where it came from."""
    from docbus.settings import FILE_NAME, GENESIS_BYTES

    if genesis is not None:
        try:
            pinned = bytes.fromhex(genesis)
        except ValueError:
            pinned = b""
        if len(pinned) != GENESIS_BYTES:
            raise typer.BadParameter("--genesis has 64 hex digits; the registrar prints it: `docbus registrar show`")
        return pinned, "given with --genesis"
    if (session.folder / FILE_NAME).exists():
        return session.settings().exchange.genesis_bytes, f"pinned by {session.folder / FILE_NAME}"
    return None, "which the bundle itself names: compare it with one from the registrar, or give --genesis"


def _read(path: str | Path, limit: int) -> bytes:
    """Read at most one byte more than is allowed, so that too much is found to be so.

    Raises:
        AuditError: It cannot be read.
    """
    from docbus.errors import AuditError

    if path == "-":
        return sys.stdin.buffer.read(limit + 1)
    return read_file(Path(path), limit, AuditError, "Name a file, or - for standard input.")
