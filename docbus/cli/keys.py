"""`docbus keys`: an agency's own keys, shown, rotated, and destroyed on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, pairs, table, when, write_json
from docbus.cli.session import Session, begin
from docbus.identity.profile_names import ProfileName

if TYPE_CHECKING:
    from docbus.client.rotation import Rotation
    from docbus.consumers.key_destructions import ReadDestruction
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Show, rotate and destroy the keys of an agency's folder."
)
SHOWN_DIGITS = 16
"""Hex digits of a fingerprint in a table; JSON has all of them."""


@app.command("show", epilog=examples("docbus -C h37 keys show", "docbus -C h37 keys show --output json"))
def show(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """Show each key that still matters: for what, since when, until when, last used when, and where it lies.

    Those are the keys that docbus.toml names, and those of the agency that may still sign or to which others encrypt.

    Of a signing key it is known when this folder last sealed with it; of a decryption key nobody notes its use.
    """
    session = begin(context)
    from docbus.client.destroyed_keys import destroyed_keys
    from docbus.client.destruction import destructions
    from docbus.client.key_listing import listed_keys
    from docbus.client.local import open_state
    from docbus.clock import SystemClock
    from docbus.producers.certificates import last_sealed

    settings = session.settings()
    directory = directory_of(session, settings)
    with open_state(settings) as database:
        noted, sealed = database.read_now(destructions), database.read_now(last_sealed)
    destroyed = destroyed_keys(noted, _in_ledger(session, settings, directory))
    found = listed_keys(settings, directory, sealed, now_ms=SystemClock().now_ms())
    if output is Form.JSON:
        write_json({"keys": found, "destroyed": destroyed})
        return
    table(
        (
            "use",
            "profile",
            "fingerprint",
            "in the directory since",
            "ends",
            "certificate until",
            "last used",
            "state",
            "where",
        ),
        [
            (
                one.use,
                one.profile,
                f"{one.fingerprint[:SHOWN_DIGITS]}…" if one.fingerprint else "–",
                when(one.since),
                when(one.retires_at),
                when(one.expires_at),
                when(one.last_used_at),
                one.state,
                one.uri or "–",
            )
            for one in found
        ],
    )
    if destroyed:
        line()
        table(
            ("destroyed", "at", "by", "signed act", "reason"),
            [
                (
                    f"{one.fingerprint[:SHOWN_DIGITS]}…",
                    when(one.at),
                    one.operator,
                    "not seen in the ledger" if one.offset is None else f"ledger {one.offset}",
                    one.reason,
                )
                for one in destroyed
            ],
        )


def _in_ledger(session: Session, settings: Settings, directory: TrustSnapshot | None) -> list[ReadDestruction]:
    """Return the agency's signed acts about destroyed keys; none if they cannot be read, which is said."""
    from docbus.client.destroyed_keys import destructions_in_ledger
    from docbus.errors import TransportError, WaitTimeoutError

    if directory is None:
        return []
    try:
        read = session.run(destructions_in_ledger(settings, directory))
    except (TransportError, WaitTimeoutError) as error:
        session.warn(f"the ledger topic cannot be read for signed acts: {error.text}")
        return []
    for one in read:
        if one.digest is None:
            session.warn(f"ledger {one.offset} says that a key is destroyed, and is not believed: {one.detail}")
    return read


@app.command(
    "rotate",
    epilog=examples(
        "docbus -C h37 keys rotate --overlap 30d",
        "docbus -C h37 keys rotate --profile rsa-pss-sha256",
        "docbus -C h37 keys rotate --authority",
        "docbus -C h37 keys rotate --status",
    ),
)
def rotate(
    context: typer.Context,
    *,
    overlap: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="For how long the registrar is to let the old key sign beside the new; 30d unless it was said before.",
        ),
    ] = None,
    profile: Annotated[
        ProfileName | None, typer.Option("--profile", help="Of the new signing key; as the old one if left out.")
    ] = None,
    authority: Annotated[
        bool | None,
        typer.Option(
            "--authority/--self-made",
            help="Ask an authority for the new certificate, or make it here; as with the old one if left out.",
        ),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only say how far the rotation is.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin another one although the last is just over, or its old key lasts.")
    ] = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Rotate to new keys, or go on with a rotation: what is to be done next is printed each time.

    The keys are made in a folder of their own and named in docbus.toml; the request for the registrar is written, or
    that for the authority first, whose certificate `docbus cert use` takes.
    Processes that run need no restart and no pause: they open what is encrypted to the new key at once, and sign with
    the new one as soon as the directory grants it. Given again, the command goes on where it is, and changes nothing
    that is done.
    """
    session = begin(context)
    from docbus.client.rotation import rotate as go_on
    from docbus.client.rotation import rotation_state
    from docbus.clock import SystemClock
    from docbus.identity.overlap import MAX_OVERLAP_MS

    lasts = None if overlap is None else options.parse_age(overlap)
    if lasts is not None and lasts > MAX_OVERLAP_MS:
        raise typer.BadParameter(f"--overlap {overlap}: an old key may sign for at most 366 days more")
    settings, clock = session.settings(), SystemClock()
    directory = directory_of(session, settings)
    if status:
        found = rotation_state(settings, directory, clock.now_ms())
    else:
        wanted = None if profile is None else int(profile.profile)
        found = go_on(
            session.folder, directory, clock, profile=wanted, authority=authority, overlap_ms=lasts, again=again
        )
        if found.done and settings.inbox.shared:
            session.warn("inbox.shared is set: put the new decryption key into the other folders before the registrar")
    if output is Form.JSON:
        write_json(found)
        return
    tell(session, found)


def tell(session: Session, found: Rotation) -> None:
    """Print how far a rotation is, and what is to be done next."""
    waits = found.step in {"begun", "certifying", "requested"}
    pairs(
        {
            "rotation": {
                "none": "none is under way",
                "begun": "begun",
                "certifying": "waits for the certificate of an authority",
                "requested": "waits for the registrar",
                "granted": "the new key signs; docbus.toml still names both",
                "overlapping": "done; the old key may sign until its end",
                "complete": "done",
            }[found.step],
            "signs": None if waits else found.certificate,
            "next": found.certificate if waits else None,
            "before": found.before,
            "ends": None if found.retires_at is None else when(found.retires_at),
            "overlap": None if found.overlap_ms is None else options.age_text(found.overlap_ms),
            "for the authority": None if found.certification is None else str(found.certification),
            "request": None if found.request is None else str(found.request),
            "fingerprint": found.fingerprint,
            "done now": "; ".join(found.done) or None,
        }
    )
    if not found.known:
        session.warn("the directory cannot be read now, so it is not known what it grants")
    lasting = "" if found.overlap_ms is None else f" --overlap {options.age_text(found.overlap_ms)}"
    after = {
        "none": "docbus keys rotate",
        "begun": "docbus keys rotate",
        "certifying": f"hand {found.certification} to the authority; with what it issues, docbus cert use CERTIFICATE",
        "requested": "give the request to the registrar, who runs"
        f" `docbus registrar rotate REQUEST{lasting}` and compares the fingerprint with you by another"
        " channel; then docbus keys rotate",
        "granted": "docbus keys rotate",
        "overlapping": "nothing; the old decryption key stays until you destroy it, `docbus keys show` has it",
        "complete": "nothing; --again begins another one",
    }[found.step]
    session.note(f"Next: {after}")


@app.command(
    "destroy",
    epilog=examples(
        'docbus -C h37 keys destroy 3f2a9c01 --reason "100 days after the rotation of 2027"',
        'docbus -C h37 keys destroy 3f2a9c01 --now --reason "the old server was stolen"',
    ),
)
def destroy(
    context: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="Of the decryption key, or its beginning, as `keys show` has it.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    operator: Annotated[str | None, typer.Option(help="Who decides; this user if left out.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Although envelopes may wait that need it: they never open then.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Destroy a decryption key that a rotation has retired: it is overwritten, removed, and named no more.

    First a signed act about it goes into the agency's ledger topic, for auditors.
    What others have encrypted to it and is not opened yet, on the brokers, in quarantine or in a backup, cannot be
    opened any more by anybody. What is filed stays as it is.
    """
    import getpass
    import sys

    session = begin(context)
    from docbus.client.destroyed_keys import append_to_ledger
    from docbus.client.destruction import destroy as destroy_key
    from docbus.client.directory_now import directory_now
    from docbus.client.local import open_state
    from docbus.clock import SystemClock

    settings = session.settings()
    who = operator or getpass.getuser()
    with open_state(settings) as database:
        directory = session.run(directory_now(settings, database))
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            typer.confirm(f"Destroy the decryption key {fingerprint} for good?", abort=True, err=True)
        done = destroy_key(
            session.folder,
            fingerprint,
            reason=reason,
            operator=who,
            snapshot=directory,
            database=database,
            clock=SystemClock(),
            append=lambda value: session.run(append_to_ledger(settings, value)),
            now=now,
        )
    if output is Form.JSON:
        write_json(done)
        return
    pairs(
        {"destroyed": done.fingerprint, "was in": done.path, "retired by entry": str(done.retired_by), "act": done.act}
    )
    session.note(
        "What was encrypted to it and is not opened yet cannot be opened any more. Copies in backups, and what a disk"
        " keeps of overwritten blocks, are for you to destroy."
    )


def directory_of(session: Session, settings: Settings) -> TrustSnapshot | None:
    """Return the directory; None if the bus cannot be reached."""
    from docbus.client.directory_now import directory_now
    from docbus.client.local import open_state
    from docbus.errors import TransportError, WaitTimeoutError

    with open_state(settings) as database:
        try:
            return session.run(directory_now(settings, database))
        except (TransportError, WaitTimeoutError):
            return None
