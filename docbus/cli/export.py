"""`docbus export`: evidence as files, to be checked elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from docbus.cli import export_stamps
from docbus.cli.examples import examples
from docbus.cli.files import read_file
from docbus.cli.output import write_bytes
from docbus.cli.session import Session, begin

app = typer.Typer(rich_markup_mode=None)
_group = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Write evidence to files, to be checked elsewhere."
)
app.add_typer(_group, name="export")

Target = Annotated[
    Path | None, typer.Option("--to-file", "-o", metavar="FILE", help="Standard output if left out; never overwritten.")
]


@_group.command(
    "envelope",
    epilog=examples(
        "docbus export envelope report-2026-11-23 --to H26 -o report.envelope",
        "docbus verify report.envelope --trust trust.json",
    ),
)
def envelope(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="The id that `docbus publish` printed.")],
    *,
    to: Annotated[str | None, typer.Option(metavar="CODE", help="Whose copy, if there are several.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="Which revision; the newest if left out.")] = None,
    target: Target = None,
) -> None:
    """Write the exact bytes that were sent for a document.

    Of a received document they lie beside its files, as envelope.bin.
    """
    session = begin(context)
    write_file(session, target, stored_envelope(session, document, to=to, revision=revision))


def stored_envelope(session: Session, document: str, *, to: str | None, revision: int | None) -> bytes:
    """Return the envelope that the folder's outbox holds for one recipient of a document.

    Raises:
        DocumentError: There is none, or several and nobody has said which.
    """
    from docbus.client.connect import agency_id
    from docbus.client.local import open_state
    from docbus.errors import DocumentError
    from docbus.identity.agency import AgencyId
    from docbus.producers.journey import journey
    from docbus.producers.unsent import stored_envelopes

    settings = session.settings()
    sender = agency_id(settings)
    wanted = None if to is None else str(AgencyId.parse(to))
    with open_state(settings) as database:
        found = database.read_now(lambda c: journey(c, document, sender=sender, revision=revision))
        stored = database.read_now(lambda c: stored_envelopes(c, document, revision=found.revision))
    recipients = [leg.recipient for leg in found.legs]
    if wanted is None and len(recipients) > 1:
        raise DocumentError(
            f"{document} has {len(recipients)} recipients, and an envelope is one recipient's",
            hint=f"Name one with --to: {', '.join(name.partition(':')[2] for name in recipients[:20])}.",
        )
    if wanted is not None and wanted not in recipients:
        raise DocumentError(f"{wanted} is not a recipient of {document}", hint=f"These are: {', '.join(recipients)}.")
    copies = [value for name, value in stored if wanted in {None, name}]
    if not copies:
        sent = any(leg.sent_at is not None for leg in found.legs)
        why = "no longer kept, as it was answered long ago" if sent else "not signed yet"
        hint = "The recipient keeps it beside the document." if sent else "`docbus send` signs and sends it."
        raise DocumentError(f"the envelope of {document} is {why}", hint=hint)
    return copies[-1]


@_group.command("trust", epilog=examples("docbus export trust -o trust.json"))
def trust(context: typer.Context, *, target: Target = None) -> None:
    """Write the trust bundle: the whole directory log, with which `docbus verify` works offline."""
    session = begin(context)
    from docbus.client.connect import started_transport
    from docbus.identity.bundle import dump_bundle
    from docbus.registry.follow import fetch_directory

    settings = session.settings()

    async def work() -> bytes:
        async with started_transport(settings) as transport:
            snapshot, values = await fetch_directory(transport, settings.exchange.genesis_bytes)
        return dump_bundle(snapshot, values)

    write_file(session, target, session.run(work()))


_group.command(
    "time-stamp",
    epilog=examples(
        "docbus export time-stamp report-2026-11-23 --to H26 -o report.time-stamp",
        "docbus verify report.envelope --trust trust.json --time-stamp report.time-stamp --anchor tsa-ca.pem",
        "cd report.time-stamp && openssl ts -verify -data stamped.bin -token_in -in token.tst -CAfile tsa-ca.pem",
    ),
)(export_stamps.time_stamp)
_group.command("entry-time-stamp", epilog=examples("docbus export entry-time-stamp 12 -o entry-12.time-stamp"))(
    export_stamps.entry_time_stamp
)


@_group.command(
    "material",
    epilog=examples(
        "docbus -C h26 export material documents/vn%3AH37~letter-1~1/envelope.bin -o material.json",
        "docbus verify envelope.bin --trust trust.json --material material.json",
    ),
)
def material(
    context: typer.Context,
    envelope: Annotated[
        Path | None,
        typer.Argument(metavar="ENVELOPE", help="Of a document that was received; all that is known if left out."),
    ] = None,
    *,
    target: Target = None,
) -> None:
    """Write the revocation lists and responses on which the verdict on a received document rested, and its time.

    With the envelope and a trust bundle, anybody gets the same verdict from them in years, without asking anyone.
    """
    session = begin(context)
    import asyncio

    from docbus.client.local import open_state
    from docbus.client.material_memory import MaterialMemory, read_contents
    from docbus.clock import SystemClock
    from docbus.consumers.bases import digest_of, read_basis
    from docbus.errors import DocumentError
    from docbus.identity.pki.material_file import dump_material

    settings = session.settings()
    value = None if envelope is None else _read(envelope)

    async def work() -> bytes:
        with open_state(settings) as database:
            memory = MaterialMemory(database, SystemClock())
            if value is None:
                return dump_material(await database.read(read_contents))
            basis = await database.read(lambda connection: read_basis(connection, value))
            if basis is None:
                raise DocumentError(
                    f"{envelope} was not taken by this folder, or its verdict rested on no validation material",
                    hint="Only certificates that an authority of the directory has issued need any.",
                )
            pieces = await memory.contents(basis.rests_on)
        return dump_material(pieces, statement=digest_of(value), as_of=basis.at_ms)

    write_file(session, target, asyncio.run(work()))


def _read(path: Path) -> bytes:
    from docbus.errors import DocumentError
    from docbus.limits import MAX_ENVELOPE_BYTES

    return read_file(path, MAX_ENVELOPE_BYTES, DocumentError, "Name the envelope.bin of a document.")


def check_target(target: Path | None) -> None:
    """Return unless a file cannot be made, before anything is done that is not to be done for nothing.

    Raises:
        ConfigurationError: It exists, or its folder is missing or cannot be written.
    """
    from docbus.errors import ConfigurationError

    if target is None:
        return
    if target.exists():
        raise ConfigurationError(f"{target} exists already", hint="Name another file; nothing is overwritten.")
    folder = target.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigurationError(
            f"{target} cannot be written: {folder} is no folder that may be written", hint="Name another file."
        )


def write_file(session: Session, target: Path | None, content: bytes) -> None:
    """Write a result that is a file, to a new file or to standard output.

    Raises:
        ConfigurationError: The file exists, or cannot be written.
        BadParameter: Standard output is a terminal and the content is not text.
    """
    from docbus.errors import ConfigurationError, DiskFullError

    if target is None:
        if sys.stdout.isatty() and not content.startswith(b"{"):
            raise typer.BadParameter("these bytes are not for a terminal; name a file with -o FILE")
        write_bytes(content)
        return
    try:
        with target.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigurationError(
            f"{target} exists already", hint="Name another file; nothing is overwritten."
        ) from error
    except OSError as error:
        if error.errno == 28:  # noqa: PLR2004 - ENOSPC
            raise DiskFullError(f"no space left for {target}", hint="Make room, then run the command again.") from error
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from error
    session.note(f"{len(content):,} bytes in {target}")
