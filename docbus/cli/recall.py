"""`docbus recall`: ask recipients to cancel a document."""

from __future__ import annotations

from typing import Annotated

import typer

from docbus.cli import options
from docbus.cli.content import Document, Revision
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, write_json
from docbus.cli.session import begin

app = typer.Typer(rich_markup_mode=None)


@app.command(
    "recall",
    epilog=examples(
        'docbus recall report-2026-11-23 --reason "ban hành nhầm"',
        'docbus recall report-2026-11-23 --to H37.02.02 --reason "sent to the wrong agency"',
    ),
)
def recall(
    context: typer.Context,
    document: Document,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the recipients' people; travels encrypted.")],
    to: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only this recipient; may be given several times.")
    ] = None,
    revision: Revision = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Ask recipients to cancel a document; returns once the recall is accepted, which means on disk in the outbox.

    Each recipient answers that it agrees (15) or refuses (16); `docbus track DOCUMENT` shows it. What is not signed yet
    can be taken back without a trace: `docbus withdraw`. Recalling twice is one recall.
    """
    session = begin(context)
    from docbus.client.agency import Agency
    from docbus.producers.publisher import Accepted

    async def work() -> Accepted:
        async with Agency.open(session.folder) as agency:
            return await agency.recall(document, reason=reason, revision=revision, to=to)

    accepted = session.run(work())
    if output is Form.JSON:
        write_json({"document_id": accepted.document_id, "recalls": document, "duplicate": accepted.duplicate})
        return
    before = " before" if accepted.duplicate else ""
    line(f"accepted{before}: {accepted.document_id}")
    session.note(f"The answers: docbus track {document}")
