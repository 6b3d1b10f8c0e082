"""`docbus publish`: a document from files, from standard input, or from edXML."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from docbus.cli import options
from docbus.cli.edxml import edxml_document, edxml_file
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, write_json
from docbus.cli.progress import progress
from docbus.cli.session import Session, begin
from docbus.cli.waiting import wait_showing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.client.agency import Agency
    from docbus.documents.document import Document
    from docbus.documents.file import File, FileStream
    from docbus.producers.journey import Journey
    from docbus.producers.publisher import Accepted

app = typer.Typer(rich_markup_mode=None)

STANDARD_INPUT = "-"
SHOWN_RECIPIENTS = 10
"""Recipients that are named when a document is accepted."""


@app.command(
    "publish",
    epilog=examples(
        "docbus publish letter.pdf annex.xlsx --to H26 --to H37.02.02 --title 'Report on the second quarter'",
        "docbus publish decision.edxml",
        "generate-report | docbus publish - --name report.csv --to H26 --id report-2026-11-23",
        "docbus publish case-file.zip --to H26 --wait sent --timeout 3600",
        "docbus publish recall.txt --to H26 --kind recall --concerns report-2026-11-23",
        "docbus publish letter.pdf --to H26 --wait received --timeout 60",
    ),
)
def publish(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="Files, or - for standard input.")] = None,
    *,
    to: Annotated[list[str] | None, typer.Option(metavar="CODE", help="A recipient; may be repeated.")] = None,
    title: Annotated[str | None, typer.Option(help="What it is about; the first file's name if left out.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Document type, such as Công văn.")] = None,
    number: Annotated[str | None, typer.Option(help="Number and notation, such as 7816/VPCP-TTĐT.")] = None,
    summary: Annotated[str | None, typer.Option(help="Free text.")] = None,
    urgency: Annotated[int | None, typer.Option(min=0, max=4, help="0 normal to 4; urgent ones overtake.")] = None,
    document_id: Annotated[
        str | None, typer.Option("--id", help="Your own id: the same again is the same document, not a second one.")
    ] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="Revision of that id.")] = None,
    kind: Annotated[
        Literal["document", "recall", "update", "replacement"] | None,
        typer.Option(help="What it does to the documents it concerns."),
    ] = None,
    concerns: Annotated[
        list[str] | None, typer.Option(metavar="ID[@REVISION]", help="A document of yours that it recalls or updates.")
    ] = None,
    reply_to: Annotated[
        str | None, typer.Option(metavar="CODE/ID[@REVISION]", help="The document that it answers.")
    ] = None,
    not_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recipients refuse it if the brokers have stored it later.")
    ] = None,
    on_behalf_of: Annotated[
        str | None, typer.Option(metavar="CODE", help="The agency for which it is sent, by a delegation.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the file that is read from standard input.")] = None,
    as_file: Annotated[bool, typer.Option("--as-file", help="Send an edXML file as any other file.")] = False,
    wait: Annotated[
        Literal["accepted", "sent", "received"], typer.Option(help="How far the document must have come.")
    ] = "accepted",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait at most.")] = 60.0,
    output: options.Output = Form.TEXT,
) -> int:
    """Publish a document; returns once it is accepted, which means on disk in the outbox.

    Files may have any size up to max_bytes in [content]: they are read once, encrypted, and kept on disk until they
    are sent. From then on the document cannot be lost: `docbus run` or `docbus send` sends it, also after a crash. A
    single edXML file is
    read: its recipients, title and files are the document's unless options say otherwise.
    """
    session = begin(context)
    from docbus.client.agency import Agency

    given = {
        "title": title,
        "type": type_,
        "number": number,
        "summary": summary,
        "urgency": urgency,
        "document_id": document_id,
        "revision": revision,
        "kind": kind,
        "on_behalf_of": on_behalf_of,
        "not_after": None if not_after is None else options.parse_time(not_after),
    }
    wanted: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    own = [options.parse_document(text) for text in concerns or ()]
    answered = None if reply_to is None else options.parse_foreign_document(reply_to)
    sources = read_files(files or (), name)

    async def work() -> tuple[Document, Accepted, Journey | None]:
        from docbus.documents.document import DocumentReference

        async with Agency.open(session.folder) as agency:
            if own:
                await _warn_of_unknown(session, agency, own)
                wanted["concerns"] = tuple(DocumentReference(sender=agency.id, **each._asdict()) for each in own)
            if answered is not None:
                code, named = answered
                wanted["in_reply_to"] = DocumentReference(sender=agency.snapshot.resolve(code), **named._asdict())
            document = _document(session, agency, sources, to or (), wanted, as_file=as_file)
            with progress(session, f"encrypting {document.document_id}") as tell:
                accepted = (await agency.publish_documents([document], progress=tell))[0]
            sender = agency.snapshot.agency(agency.id)
            if sender is not None and sender.suspended_at is not None:
                session.warn(
                    f"this agency is suspended by directory entry {sender.suspended_at}:"
                    " what is accepted is sent once it is reinstated"
                )
            if accepted.duplicate:
                await _warn_of_failed(session, agency, accepted)
            return document, accepted, await _waited(session, agency, accepted, wait, timeout)

    document, accepted, journey = session.run(work())
    _show(session, document, accepted, journey, output)
    return 0 if journey is None or all(leg.state not in {"refused", "failed"} for leg in journey.legs) else 1


async def _warn_of_unknown(session: Session, agency: Agency, own: Sequence[options.DocumentName]) -> None:
    """Say what is not in this outbox: another one of the agency may have sent it, or the id has a typing error."""
    from docbus.errors import DocumentError

    for each in own:
        try:
            await agency.track(each.document_id, each.revision)
        except DocumentError as error:
            session.warn(f"{error.text}; recipients look for it under this id all the same")


async def _warn_of_failed(session: Session, agency: Agency, accepted: Accepted) -> None:
    """Say that the same document does not go out again where it has failed for good."""
    journey = await agency.track(accepted.document_id, accepted.revision)
    failed = [leg for leg in journey.legs if leg.state == "failed"]
    if failed:
        session.warn(
            f"it has failed for {len(failed)} of {len(journey.legs)} recipients ({failed[0].reason}) and is not sent"
            " again: publish it as the next revision, or under another id"
        )


def read_files(paths: Sequence[str], name: str | None) -> list[File | FileStream]:
    """Return all files; what they hold is read when the document is published.

    Raises:
        DocumentError: One cannot be read, is empty, or is a directory.
        BadParameter: Standard input has no name.
    """
    from docbus.client.files import read_file

    if (STANDARD_INPUT in paths) != (name is not None):
        raise typer.BadParameter("- for standard input and --name for its file name go together")
    return [_read_input(name or "") if path == STANDARD_INPUT else read_file(path) for path in paths]


def _read_input(name: str) -> FileStream:
    from docbus.documents.file import FileStream

    return FileStream(name=name, opener=lambda: sys.stdin.buffer)


def _document(
    session: Session,
    agency: Agency,
    sources: Sequence[File | FileStream],
    to: Sequence[str],
    wanted: dict[str, Any],
    *,
    as_file: bool,
) -> Document:
    """Return the document to publish, its recipients resolved."""
    from docbus.clock import SystemClock
    from docbus.documents.document import Document
    from docbus.errors import DocumentError
    from docbus.wire.ids import uuid7_text

    edxml = None if as_file or len(sources) != 1 else edxml_file(sources[0])
    if edxml is not None:
        return replace(edxml_document(session, agency, edxml, to), **wanted)
    if not to:
        raise DocumentError(
            "no recipient is given", hint="Name one with --to CODE; `docbus agency list` shows the codes.", step="P1"
        )
    defaults: dict[str, Any] = {
        "document_id": uuid7_text(SystemClock().now_ms()),
        "title": sources[0].name if sources else wanted.get("kind", "document"),
    }
    recipients = tuple(agency.snapshot.resolve(code) for code in to)
    return Document(**(defaults | wanted), files=tuple(sources), recipients=recipients)


async def _waited(
    session: Session,
    agency: Agency,
    accepted: Accepted,
    wait: str,
    timeout: float,  # noqa: ASYNC109
) -> Journey | None:
    """Send, and for receipts receive, until the document has come so far."""
    if wait == "accepted":
        return None
    until: Literal["sent", "received"] = "sent" if wait == "sent" else "received"
    async with agency.serving(receive=until == "received"):
        return await wait_showing(session, agency, accepted, until, timeout)


def _show(session: Session, document: Document, accepted: Accepted, journey: Journey | None, output: Form) -> None:
    if output is Form.JSON:
        write_json(
            {
                "document_id": accepted.document_id,
                "revision": accepted.revision,
                "duplicate": accepted.duplicate,
                "recipients": document.recipients,
                "journey": journey,
            }
        )
        return
    if session.quiet:
        line(accepted.document_id)
        return
    if accepted.duplicate:
        line(f"accepted before: {accepted.document_id} is the same document; it is not sent a second time")
    else:
        recipients = ", ".join(name.partition(":")[2] for name in document.recipients[:SHOWN_RECIPIENTS])
        more = len(document.recipients) - SHOWN_RECIPIENTS
        line(f"accepted: {accepted.document_id} to {recipients}" + (f" and {more} more" if more > 0 else ""))
    if journey is not None:
        from docbus.cli.track import show_journey

        show_journey(journey)
    else:
        session.note(f"Follow it: docbus track {_quoted(accepted.document_id)}")


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
