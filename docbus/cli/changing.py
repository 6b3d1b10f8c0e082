"""`docbus recall`, `update` and `replace`: changing what was published."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.content import Document, Revision
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, write_json
from docbus.cli.progress import progress
from docbus.cli.publish import read_files
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.producers.publisher import Accepted

app = typer.Typer(rich_markup_mode=None)

Reason = Annotated[str, typer.Option(help="Why, for the recipients' people; travels encrypted.")]
To = Annotated[list[str] | None, typer.Option(metavar="CODE", help="Only this recipient; may be given several times.")]
Files = Annotated[list[str] | None, typer.Argument(metavar="FILE", help="Files, or - for standard input.")]
Id = Annotated[
    str | None, typer.Option("--id", help="Your own id: the same again is the same document, not a second one.")
]
Title = Annotated[str | None, typer.Option(help="What it is about; the first file's name if left out.")]
Number = Annotated[str | None, typer.Option(help="Number and notation, such as 7816/VPCP-TTĐT.")]
Type = Annotated[str | None, typer.Option("--type", help="Document type, such as Công văn.")]
Name = Annotated[str | None, typer.Option(help="Name of the file that is read from standard input.")]


@app.command(
    "recall",
    epilog=examples(
        'docbus recall report-2026-11-23 --reason "ban hành nhầm"',
        'docbus recall report-2026-11-23 --to H37.02.02 --reason "sent to the wrong agency"',
        'docbus recall report-2026-11-23 --again --reason "as agreed by telephone"',
    ),
)
def recall(
    context: typer.Context,
    document: Document,
    *,
    reason: Reason,
    to: To = None,
    revision: Revision = None,
    again: Annotated[bool, typer.Option("--again", help="Ask those once more who refused (16).")] = False,
    output: options.Output = Form.TEXT,
) -> None:
    """Ask recipients to cancel a document; returns once the recall is accepted, which means on disk in the outbox.

    Each recipient answers that it agrees (15) or refuses (16); `docbus track DOCUMENT` shows it. What is not signed yet
    can be taken back without a trace: `docbus withdraw`. Recalling twice is one recall.
    """
    session = begin(context)
    from docbus.client.agency import Agency

    async def work() -> Accepted:
        async with Agency.open(session.folder) as agency:
            return await agency.recall(document, reason=reason, revision=revision, to=to, again=again)

    _show(session, session.run(work()), "recalls", [document], output)


@app.command(
    "update",
    epilog=examples(
        'docbus update report-2026-11-23 report.pdf --reason "table 3 corrected"',
        'docbus update report-2026-11-23 --to H26 --reason "the deadline is 30 November, not 31" --id correction-1',
    ),
)
def update(
    context: typer.Context,
    document: Document,
    files: Files = None,
    *,
    reason: Reason,
    to: To = None,
    revision: Revision = None,
    document_id: Id = None,
    title: Title = None,
    number: Number = None,
    type_: Type = None,
    name: Name = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Amend a document at its recipients; returns once the update is accepted, which means on disk in the outbox.

    The update is a document of its own, with its own id, that says which one it amends; it needs no file if the reason
    says it all. Each recipient answers that it agrees (15) or refuses (16); `docbus track DOCUMENT` shows it.
    """
    session = begin(context)
    from docbus.client.agency import Agency

    sources = read_files(files or (), name)

    async def work() -> Accepted:
        async with Agency.open(session.folder) as agency:
            with progress(session, f"encrypting the update of {document}") as tell:
                return await agency.update(
                    document,
                    *sources,
                    reason=reason,
                    revision=revision,
                    to=to,
                    id=document_id,
                    title=title,
                    number=number,
                    type=type_,
                    progress=tell,
                )

    _show(session, session.run(work()), "updates", [document], output)


@app.command(
    "replace",
    epilog=examples(
        'docbus replace decision-17 decision.pdf --reason "replaced by decision 21" --number 21/QĐ-UBND',
        'docbus replace list-1 list.xlsx --also list-2 --also list-3 --reason "one list for all" --id list-4',
    ),
)
def replace(
    context: typer.Context,
    document: Document,
    files: Files = None,
    *,
    reason: Reason,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="DOCUMENT", help="A further document that is replaced; may be given several times."),
    ] = None,
    to: To = None,
    revision: Revision = None,
    document_id: Id = None,
    title: Title = None,
    number: Number = None,
    type_: Type = None,
    name: Name = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Publish a document in the place of former ones; returns once it is accepted, which means on disk in the outbox.

    It goes to all who were sent the former documents; whoever was not sent all of them is an error. Each recipient
    answers for each former document that it agrees (15) or refuses (16); `docbus track DOCUMENT` shows it.
    """
    session = begin(context)
    from docbus.client.agency import Agency

    sources = read_files(files or (), name)

    async def work() -> Accepted:
        async with Agency.open(session.folder) as agency:
            with progress(session, f"encrypting the replacement of {document}") as tell:
                return await agency.replace(
                    document,
                    *sources,
                    reason=reason,
                    revision=revision,
                    also=also or (),
                    to=to,
                    id=document_id,
                    title=title,
                    number=number,
                    type=type_,
                    progress=tell,
                )

    _show(session, session.run(work()), "replaces", [document, *(also or ())], output)


def _show(session: Session, accepted: Accepted, does: str, concerned: Sequence[str], output: Form) -> None:
    if output is Form.JSON:
        about = list(concerned) if does == "replaces" else concerned[0]
        write_json({"document_id": accepted.document_id, does: about, "duplicate": accepted.duplicate})
        return
    if session.quiet:
        line(accepted.document_id)
        return
    before = " before" if accepted.duplicate else ""
    line(f"accepted{before}: {accepted.document_id}")
    for document in concerned:
        session.note(f"The answers: docbus track {shlex.quote(document)}")
