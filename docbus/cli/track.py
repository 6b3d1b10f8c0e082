"""`docbus track` and `docbus report`: one document's journey and business statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, table, when, write_json
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.producers.journey import Journey, Leg
    from docbus.producers.statuses import StatusRecord

app = typer.Typer(rich_markup_mode=None)


@app.command("track", epilog=examples("docbus track report-2026-11-23", "docbus track report-2026-11-23 --output json"))
def track(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="The id that `docbus publish` printed.")],
    *,
    revision: Annotated[int | None, typer.Option(min=1, help="Which revision; the newest if left out.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Show how far a published document has come at each recipient.

    accepted: on disk in the outbox. sent: the brokers have it. received: the recipient's signed receipt is here.
    refused: its signed receipt says that it will not file it, and why. Of large content, the share that is uploaded;
    the document itself is sent after it.
    """
    session = begin(context)
    from docbus.client.connect import agency_id
    from docbus.client.local import open_state
    from docbus.producers.content import WITHDRAWN
    from docbus.producers.journey import journey

    settings = session.settings()
    sender = agency_id(settings)
    with open_state(settings) as database:
        found = database.read_now(lambda c: journey(c, document, sender=sender, revision=revision))
    if output is Form.JSON:
        write_json(found)
        return
    line(f"{found.document_id}, revision {found.revision}, {found.kind}, urgency {found.urgency}")
    if found.content is not None and any(leg.reason != WITHDRAWN for leg in found.legs):
        content = found.content
        line(f"large content: {content.share:.0%} of {content.size:,} bytes uploaded")
    show_journey(found)


@app.command(
    "report",
    epilog=examples(
        "docbus report report-2026-11-23 --from-sender H26 --status 03",
        "docbus report report-2026-11-23 --from-sender H26 --status 02 --note 'Page 3 is missing'",
    ),
)
def report(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Its sender's id of it, as in metadata.json.")],
    *,
    from_sender: Annotated[str, typer.Option(metavar="CODE", help="The agency that sent it.")],
    status: Annotated[
        str,
        typer.Option(
            metavar="CODE",
            help="02 refused, 03 accepted and registered, 04 assigned, 05 processing, 06 finished, 15 or 16 a change"
            " agreed or refused; 13 asks for a document of your own back.",
        ),
    ],
    note: Annotated[str | None, typer.Option(help="Free text, encrypted; 02 and 13 need a reason.")] = None,
    revision: Annotated[int, typer.Option(min=1, help="Revision of the document.")] = 1,
    output: options.Output = Form.TEXT,
) -> None:
    """Report what became of a received document to its sender; returns once the report is on disk."""
    session = begin(context)
    from docbus.client.agency import Agency
    from docbus.documents.statuses import StatusCode

    if not status.isascii() or not status.isdecimal():
        raise typer.BadParameter(f"{status!r} is not a status code; write 03, for example")

    async def work() -> str:
        async with Agency.open(session.folder) as agency:
            await agency.report(from_sender, document, int(status), note, revision=revision)
            return agency.snapshot.resolve(from_sender)

    sender = session.run(work())
    code = StatusCode(int(status))
    if output is Form.JSON:
        write_json({"document_id": document, "revision": revision, "sender": sender, "status": code.text})
        return
    line(f"accepted: status {code.text} {code.english} of {document}, sender {sender}")


def show_journey(journey: Journey) -> None:
    """Print a row for each recipient, and what they reported."""
    rows = [
        (leg.recipient.partition(":")[2], _state(leg), when(leg.accepted_at), when(leg.sent_at), when(leg.settled_at))
        for leg in journey.legs
    ]
    table(("recipient", "state", "accepted", "sent", "answered"), rows)
    reported = [status for leg in journey.legs for status in leg.statuses]
    if reported:
        line()
        columns = ("reported by", "status", "at", "note")
        table(columns, [(s.issuer.partition(":")[2], _status(s), when(s.at), s.note or "") for s in reported])


def _state(leg: Leg) -> str:
    if leg.reason:
        return f"{leg.state}: {leg.reason}"
    if leg.error:
        return f"{leg.state}, {leg.failures} attempts in vain: {leg.error}"
    return leg.state


def _status(status: StatusRecord) -> str:
    from docbus.documents.statuses import StatusCode

    try:
        code = StatusCode(status.code)
        named = f"{code.text} {code.english}"
    except ValueError:
        named = f"{status.code:02d} unknown"
    return f"{named} (not possible after those before)" if status.flagged else named
