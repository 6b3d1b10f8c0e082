"""`docbus export time-stamp` and `entry-time-stamp`: when something was, as files for whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli.files import read_file
from docbus.cli.output import when
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.cli.session import Session

STAMPED_NAME, TOKEN_NAME, EVIDENCE_NAME = "stamped.bin", "token.tst", "time-stamp.json"
Folder = Annotated[Path, typer.Option("--to-folder", "-o", metavar="FOLDER", help="A new folder for the files.")]


def time_stamp(
    context: typer.Context,
    document: Annotated[
        str | None, typer.Argument(metavar="DOCUMENT", help="The id that `docbus publish` printed.")
    ] = None,
    *,
    folder: Folder,
    to: Annotated[str | None, typer.Option(metavar="CODE", help="Whose copy, if there are several.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="Which revision; the newest if left out.")] = None,
    envelope: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The envelope itself, once the outbox has let go of it.")
    ] = None,
) -> None:
    """Write the evidence that a document was signed by some time, by the clock of a time-stamping authority.

    Three files: what was stamped and the token, for `openssl ts -verify`, and how the document leads there, for
    `docbus verify`.
    """
    session = begin(context)
    from docbus.audit.time_stamps import StampEvidence, dump_evidence
    from docbus.cli.export import stored_envelope
    from docbus.client.connect import agency_id
    from docbus.client.local import open_state
    from docbus.envelope.envelope import decode_envelope
    from docbus.envelope.stamped_batch import batch_digest_of
    from docbus.errors import DocumentError
    from docbus.producers.batch_stamps import find_stamp, is_waiting

    if (document is None) == (envelope is None):
        raise typer.BadParameter("name either a document or, with --envelope, a file")
    settings = session.settings()
    if envelope is not None:
        value = _read_envelope(envelope)
    else:
        value = stored_envelope(session, document or "", to=to, revision=revision)
    digest = batch_digest_of(decode_envelope(value))
    with open_state(settings) as database:
        found = database.read_now(lambda c: find_stamp(c, digest))
        waits = database.read_now(lambda c: is_waiting(c, digest))
    if found is None:
        why = "waits for its time stamp" if waits else "was signed while no time stamps were wished, or elsewhere"
        raise DocumentError(
            f"{document or envelope} {why}",
            hint="`docbus status` says since when, and why." if waits else "See [timestamps] in docbus.toml.",
        )
    evidence = StampEvidence(
        environment=settings.exchange.environment,
        agency=agency_id(settings),
        count=found.count,
        index=found.index,
        path=found.path,
        token=found.token,
    )
    _write(session, folder, evidence.stamped(digest) or b"", found.token, dump_evidence(evidence))


def entry_time_stamp(
    context: typer.Context,
    position: Annotated[int, typer.Argument(min=0, metavar="ENTRY", help="Position in the directory.")],
    *,
    folder: Folder,
) -> None:
    """Write the evidence that an entry of the directory existed by some time.

    It is about that entry or the next one after it that is time-stamped, whose hash covers it.
    """
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.errors import AuditError
    from docbus.identity.entries import decode_record
    from docbus.identity.time_stamps.log import carried_stamps
    from docbus.identity.time_stamps.stamped import stamped_entry
    from docbus.registry.follow import fetch_directory

    settings = session.settings()

    async def work() -> tuple[int, bytes, bytes, int]:
        async with started_transport(settings) as transport:
            snapshot, values = await fetch_directory(transport, settings.exchange.genesis_bytes)
        found = None
        for carried in carried_stamps(snapshot):
            if carried.carrier <= position:
                break
            if carried.position is not None and carried.position >= position:
                found = carried
        if found is None or found.position is None or found.stamp is None:
            raise AuditError(
                f"entry {position} is covered by no time stamp; the directory is at entry {snapshot.position}",
                hint="`docbus status` says up to where the directory is; the next time stamp covers it.",
            )
        entry = decode_record(values[found.position]).entry
        return found.position, stamped_entry(entry), found.token, found.stamp.time_ms

    about, stamped, token, time_ms = session.run(work())
    session.note(f"about entry {about}, at {when(time_ms)} by the token, which is not checked here")
    _write(session, folder, stamped, token, None)


def _read_envelope(path: Path) -> bytes:
    from docbus.errors import AuditError
    from docbus.limits import MAX_ENVELOPE_BYTES

    return read_file(path, MAX_ENVELOPE_BYTES, AuditError, "Name a file with an envelope.")


def _write(session: Session, folder: Path, stamped: bytes, token: bytes, evidence: bytes | None) -> None:
    from docbus.cli.export import write_file
    from docbus.errors import ConfigurationError

    try:
        folder.mkdir()
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror}", hint="Name a new one; nothing is overwritten."
        ) from error
    write_file(session, folder / STAMPED_NAME, stamped)
    write_file(session, folder / TOKEN_NAME, token)
    if evidence is not None:
        write_file(session, folder / EVIDENCE_NAME, evidence)
