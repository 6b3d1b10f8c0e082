"""Options that say which records that were set aside are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli.options import parse_age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.selection import Selection

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER]...", min=0, help="Those of the numbers that `ls` prints.")
]
Documents = Annotated[
    list[str] | None, typer.Option("--document", metavar="ID", help="Those with this document id; may be repeated.")
]
Sender = Annotated[str | None, typer.Option("--sender", metavar="CODE", help="Those of this sender.")]
RefusedFor = Annotated[
    str | None, typer.Option("--refused-for", metavar="CODE", help="Those set aside for this code, as `ls` has it.")
]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", help="Those set aside longer ago, such as 30m, 2h or 7d.")
]
NewerThan = Annotated[str | None, typer.Option("--newer-than", metavar="AGE", help="Those set aside since.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them; has to be said if nothing else selects.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; signed and kept, in clear.")]
Operator = Annotated[
    str | None, typer.Option("--operator", metavar="NAME", help="Who decides; the user of the system if left out.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, max=86_400, help="How long to wait for what comes of it."),
]


def selection_of(
    *,
    numbers: Sequence[int] = (),
    documents: Sequence[str] | None,
    sender: str | None,
    refused_for: str | None,
    older_than: str | None,
    newer_than: str | None,
    everything: bool = False,
) -> Selection:
    """Return what the options select.

    Raises:
        BadParameter: An age is none.
    """
    from docbus.clock import SystemClock
    from docbus.consumers.selection import Selection

    now_ms = SystemClock().now_ms()
    return Selection(
        numbers=tuple(dict.fromkeys(numbers)),
        documents=tuple(dict.fromkeys(documents or ())),
        sender=sender,
        refused_for=refused_for,
        before_ms=None if older_than is None else now_ms - parse_age(older_than),
        after_ms=None if newer_than is None else now_ms - parse_age(newer_than),
        everything=everything,
    )
