"""As ``victim``, for a recipient of changes: ``python -m tests.faults.recall_victim FOLDER part POINT``.

The inbox holds two letters and, before, between and behind them, changes of both, so that marks are written in either
order: for what is filed, and for what is still to come.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.consumers import settling
from docbus.consumers.changes import ChangeAnswer
from docbus.consumers.filing import Filing
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks import marks
from docbus.consumers.sinks.folder import FolderSink
from docbus.envelope.statement import STATUS_TYPE
from docbus.producers.sealing import Sealing
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.sqlite_groups import SqliteSubscription
from tests.faults.victim import Point, _offsets, _sealed, _to_inboxes, arm, receive
from tests.support.trial import TAY_NINH

if TYPE_CHECKING:
    from collections.abc import Callable


def _renames(directory: str) -> Callable[[object, tuple[Any, ...]], bool]:
    """A mark gets its name in such a directory."""

    def counts(_result: object, arguments: tuple[Any, ...]) -> bool:
        target = Path(arguments[1])
        return target.suffix == ".json" and directory in target.parts

    return counts


def _statuses(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[0]._changes)


def _answers(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(one.payload_type == STATUS_TYPE for one in arguments[1])


PENDING, FILED = _renames(marks.PENDING_NAME), _renames(marks.MARKS_NAME)
RECIPIENT = {
    "before the first mark": Point(owner=marks.Marker, name="mark_targets", after=False),
    "pending mark written, not named": Point(owner=Path, name="rename", after=False, counts=PENDING),
    "pending mark named, document not marked": Point(owner=Path, name="rename", counts=PENDING),
    "second pending mark named": Point(owner=Path, name="rename", counts=PENDING, nth=2),
    "mark written, not named": Point(owner=Path, name="rename", after=False, counts=FILED),
    "mark named, not synced": Point(owner=Path, name="rename", counts=FILED),
    "one of several marks named": Point(owner=Path, name="rename", counts=FILED, nth=2),
    "first change in force": Point(owner=marks.Marker, name="mark_targets"),
    "all changes in force, nothing pending applied": Point(owner=marks.Marker, name="apply_pending", after=False),
    "marks named, not synced": Point(owner=marks.Marker, name="sync", after=False),
    "pending applied to one": Point(owner=marks.Marker, name="apply_pending"),
    "marked, not in the ledger": Point(owner=FolderSink, name="_deliver"),
    "answers queued, not committed": Point(owner=settling, name="add_statements", counts=_answers),
    "one answer noted, not committed": Point(owner=ChangeAnswer, name="record"),
    "in the ledger, not committed": Point(owner=Settlement, name="write", counts=_statuses),
    "in the ledger": Point(owner=Filing, name="_keep", after=False),
    "before the offset": Point(owner=SqliteSubscription, name="commit", after=False, counts=_offsets),
    "answer sealed, not sent": Point(owner=Sealing, name="seal_next", counts=_sealed),
    "answer sent, not marked": Point(owner=SqliteTransport, name="append", counts=_to_inboxes),
}


def main() -> None:
    """Do it until death."""
    folder_of_exchange, _, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    arm(RECIPIENT[point])
    asyncio.run(receive(folder_of_exchange, TAY_NINH))


if __name__ == "__main__":
    main()
