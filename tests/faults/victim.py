"""A process that kills itself at one numbered step: ``python -m tests.faults.victim FOLDER PART POINT``.

It works through the client library as any program does; before it begins, the one function that the point names is
wrapped so that the process gets SIGKILL just before, or just after, it does its work. A process that reaches its end
exits with 0, which a test takes for a point that was never reached.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.client.agency import Agency
from docbus.consumers import answers, filing
from docbus.consumers.filing import Filing
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks import folder
from docbus.consumers.sinks.folder import FolderSink
from docbus.producers import publisher, sealing, sending
from docbus.producers.publisher import Publisher
from docbus.producers.sealing import Sealing
from docbus.producers.sending import Sender
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.sqlite_groups import SqliteSubscription
from tests.faults.letters import letters
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, settled

if TYPE_CHECKING:
    from collections.abc import Callable


def _always(*_: object) -> bool:
    return True


def _to_inboxes(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(topics.kind_of(record.topic) == topics.INBOX for record in arguments[1])


def _sealed(result: Any, _arguments: object) -> bool:
    return bool(result.copies)


def _stored(result: Any, _arguments: object) -> bool:
    return bool(result[0])


def _something(result: object, _arguments: object) -> bool:
    return bool(result)


def _offsets(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1])


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where to die.

    Attributes:
        owner: Module or class.
        name: Its function.
        after: Die once it has done its work, not before.
        nth: At which of the calls that count.
        counts: Tells from result (None before) and arguments whether a call counts.
        midway: Does a part of what the function does, given its arguments, right before death.
    """

    owner: Any
    name: str
    after: bool = True
    nth: int = 1
    counts: Callable[[Any, Any], bool] = _always
    midway: Callable[..., object] | None = None


SENDER = {
    "P1 stored, not committed": Point(owner=publisher._Accepting, name="store", nth=2),
    "P1 committed, not answered": Point(owner=Publisher, name="publish_many", nth=2),
    "P3 stored, not committed": Point(owner=sealing._Storing, name="store", counts=_stored),
    "P3 committed, not sent": Point(owner=Sealing, name="seal_next", counts=_sealed, nth=2),
    "P4 before the append": Point(owner=SqliteTransport, name="append", after=False, counts=_to_inboxes),
    "P4 sent, not marked": Point(owner=SqliteTransport, name="append", counts=_to_inboxes, nth=2),
    "P4 marked, not committed": Point(owner=sending, name="mark_sent"),
    "P4 marked": Point(owner=Sender, name="_transmit", counts=_something, nth=2),
}
RECIPIENT = {
    "C3 before the sink": Point(owner=FolderSink, name="_deliver", after=False),
    "C3 in the middle of writing": Point(owner=folder, name="_write", nth=2),
    "C3 written, not renamed": Point(owner=Path, name="rename", after=False),
    "C3 between two renames": Point(owner=Path, name="rename", nth=2),
    "C3 filed, not in the ledger": Point(owner=FolderSink, name="_deliver"),
    "C4 set aside, not in the ledger": Point(owner=filing, name="append_aside"),
    "C4 in the ledger, not committed": Point(owner=Settlement, name="write"),
    "C4 in the ledger": Point(owner=Filing, name="_keep", after=False),
    "C5 before the offset": Point(owner=SqliteSubscription, name="commit", after=False, counts=_offsets),
    "C5 after the offset": Point(owner=SqliteSubscription, name="commit", counts=_offsets),
    "receipt sealed, not sent": Point(owner=Sealing, name="seal_next", counts=_sealed),
    "receipt sent, not marked": Point(owner=SqliteTransport, name="append", counts=_to_inboxes),
}
READER_OF_RECEIPTS = {
    "receipt matched, not committed": Point(owner=answers, name="match"),
    "receipt matched": Point(owner=Filing, name="_keep", after=False),
}


def arm(point: Point) -> None:  # noqa: C901 - two wrappers that differ in one word
    """Wrap the point's function."""
    original = getattr(point.owner, point.name)
    left = point.nth

    def strike(result: Any, arguments: Any) -> None:
        nonlocal left
        if point.counts(result, arguments):
            left -= 1
            if left == 0:
                if point.midway is not None:
                    point.midway(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                strike(None, arguments)
            result = await original(*arguments, **named)
            if point.after:
                strike(result, arguments)
            return result

    else:

        @wraps(original)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                strike(None, arguments)
            result = original(*arguments, **named)
            if point.after:
                strike(result, arguments)
            return result

    setattr(point.owner, point.name, wrapped)


async def send(folder_of_exchange: Path) -> None:
    """Publish call by call; note what was accepted, which is a promise; wait until it is sent."""
    noted = (folder_of_exchange / "accepted.txt").open("a", buffering=1)
    async with Agency.open(folder_of_exchange / HANOI) as hanoi, hanoi.serving(receive=False):
        for call in letters():
            for accepted in await hanoi.publish_documents(call):
                print(accepted.document_id, file=noted)
            await hanoi.wait(call[-1].document_id, until="sent", timeout=PATIENCE)
    noted.close()


async def receive(folder_of_exchange: Path, code: str) -> None:
    """Receive and answer until nothing is under way."""
    async with Agency.open(folder_of_exchange / code) as agency, agency.serving():
        await settled(agency)


def main() -> None:
    """Do the part until death."""
    folder_of_exchange, part, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    points = {"sender": SENDER, "recipient": RECIPIENT, "reader": READER_OF_RECEIPTS}[part]
    arm(points[point])
    asyncio.run(
        send(folder_of_exchange)
        if part == "sender"
        else receive(folder_of_exchange, TAY_NINH if part == "recipient" else HANOI)
    )


if __name__ == "__main__":
    main()
