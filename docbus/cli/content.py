"""`docbus withdraw`, `forget`, `resend` and `fetch`: large content by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, write_json
from docbus.cli.progress import progress
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.producers.withdrawing import Resent

app = typer.Typer(rich_markup_mode=None)

Document = Annotated[str, typer.Argument(metavar="DOCUMENT", help="The id that `docbus publish` printed.")]
Revision = Annotated[int | None, typer.Option(min=1, help="Which revision; the newest if left out.")]


@app.command("withdraw", epilog=examples("docbus withdraw report-2026-11-23"))
def withdraw(
    context: typer.Context, document: Document, *, revision: Revision = None, output: options.Output = Form.TEXT
) -> None:
    """Take a document back that is not signed yet, for example while its large content is being uploaded.

    Nothing of it reaches anybody: parts that were uploaded name no document, and expire. What is signed already can
    only be recalled: `docbus recall`.
    """
    session = begin(context)
    from docbus.client.connect import agency_id
    from docbus.client.local import open_state
    from docbus.clock import SystemClock
    from docbus.producers.withdrawing import withdraw as take_back
    from docbus.storage.content import ContentFolder

    settings = session.settings()
    agency_id(settings)
    at_ms = SystemClock().now_ms()
    # Needs neither the bus nor a key: what is to be withdrawn lies in this folder alone.
    with open_state(settings) as database:
        done = database.write_now(lambda c: take_back(c, document, at_ms=at_ms, revision=revision))
    ContentFolder(settings.path(settings.content.folder)).drop(done.files)
    if output is Form.JSON:
        write_json({"document_id": done.document_id, "revision": done.revision, "recipients": done.recipients})
        return
    recipients = "1 recipient" if done.recipients == 1 else f"{done.recipients:,} recipients"
    line(f"withdrawn: {done.document_id} revision {done.revision}, to {recipients}")


@app.command("forget", epilog=examples("docbus forget case-file-17"))
def forget(
    context: typer.Context, document: Document, *, revision: Revision = None, output: options.Output = Form.TEXT
) -> None:
    """Let go of large content that is kept for recipients who have not answered, or could not have it.

    It is uploaded, and then only `docbus resend` needs it; after this nobody can be sent it again. What everybody has
    is let go of by itself, a day later.
    """
    session = begin(context)
    from docbus.client.connect import agency_id
    from docbus.client.local import open_state
    from docbus.producers.withdrawing import forget as let_go
    from docbus.storage.content import ContentFolder

    settings = session.settings()
    agency_id(settings)
    with open_state(settings) as database:
        done = database.write_now(lambda c: let_go(c, document, revision=revision))
    ContentFolder(settings.path(settings.content.folder)).drop(done.files)
    if output is Form.JSON:
        write_json({"document_id": done.document_id, "revision": done.revision, "bytes": done.bytes})
        return
    line(f"forgotten: {done.bytes:,} bytes of {done.document_id} revision {done.revision}")


@app.command(
    "resend", epilog=examples("docbus resend case-file-17", "docbus resend case-file-17 --to H26 --to H37.02.02")
)
def resend(
    context: typer.Context,
    document: Document,
    *,
    to: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only to this recipient; may be repeated.")
    ] = None,
    revision: Revision = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Upload large content again, for recipients that found it expired, missing or damaged.

    The document keeps its id, revision and digests, so whoever has it already files nothing twice. Returns once that is
    on disk; `docbus run` or `docbus send` uploads and sends it.
    """
    session = begin(context)
    from docbus.client.agency import Agency

    async def work() -> Resent:
        async with Agency.open(session.folder) as agency:
            return await agency.resend(document, revision, to=to)

    done = session.run(work())
    if output is Form.JSON:
        write_json(done)
        return
    recipients = ", ".join(name.partition(":")[2] for name in done.recipients)
    line(f"to be sent again: {done.document_id} revision {done.revision}, {done.bytes:,} bytes, to {recipients}")


@app.command(
    "fetch",
    epilog=examples(
        "docbus fetch documents/vn%3AH26~case-file-17~1/envelope.bin scan.pdf -o scan.pdf",
        "docbus fetch letter.envelope 'bản đồ.tif' -o map.tif",
    ),
)
def fetch(
    context: typer.Context,
    envelope: Annotated[Path, typer.Argument(metavar="ENVELOPE", help="The exact envelope, as `envelope.bin` is.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file's name in the document.")],
    *,
    target: Annotated[Path | None, typer.Option("--to-file", "-o", help="Where to put it; FILE if left out.")] = None,
) -> None:
    """Fetch one file of a document that came to this agency, without the others.

    It is verified like a delivery, and appears only when all of it is. Works as long as its parts are in the sender's
    content topic.
    """
    session = begin(context)
    from docbus.client.agency import Agency
    from docbus.documents.names import checked_name
    from docbus.errors import DocumentError, IndeterminateError, VerificationError
    from docbus.limits import MAX_ENVELOPE_BYTES

    place = Path(checked_name(file)) if target is None else target
    try:
        with envelope.open("rb") as opened:
            value = opened.read(MAX_ENVELOPE_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{envelope} cannot be read: {error.strerror}", hint="Name an envelope.") from error

    async def work() -> Path:
        async with Agency.open(session.folder) as agency:
            with progress(session, f"fetching {file}") as tell:
                try:
                    return await agency.fetch(value, file, place, progress=tell)
                except (VerificationError, IndeterminateError) as error:
                    error.text = f"{envelope}: {error.text}"
                    raise

    line(f"fetched: {session.run(work())}")
