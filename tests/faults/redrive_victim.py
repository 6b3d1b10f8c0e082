"""As ``victim``, for an operator's command: ``python -m tests.faults.redrive_victim FOLDER command POINT``.

Nobody receives, so that the command does everything itself: act, request, delivery.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from docbus import Agency, Selection
from docbus.client import redrive as client
from docbus.consumers import redrive, requests
from docbus.consumers.filing import Filing
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks.folder import FolderSink
from tests.faults.victim import Point, arm
from tests.support.trial import PATIENCE, TAY_NINH


def _acts(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1])


COMMAND = {
    "act signed, not appended": Point(owner=client, name="append_acts", after=False),
    "act appended, not read": Point(owner=client, name="append_acts"),
    "act in force, not committed": Point(owner=requests, name="put_acts", counts=_acts),
    "act in force": Point(owner=client, name="follow_acts", nth=2),
    "request read, record not": Point(owner=redrive, name="read_numbers", after=False),
    "record read": Point(owner=redrive, name="read_numbers"),
    "before the sink": Point(owner=FolderSink, name="_deliver", after=False),
    "filed, not in the ledger": Point(owner=FolderSink, name="_deliver"),
    "in the ledger, not committed": Point(owner=Settlement, name="write"),
    "in the ledger": Point(owner=Filing, name="_keep", after=False),
}


async def redeliver(folder_of_exchange: Path) -> None:
    """Redeliver all dead letters."""
    async with Agency.open(folder_of_exchange / TAY_NINH) as agency:
        await agency.redeliver(Selection(everything=True), reason="mended", wait=PATIENCE)


def main() -> None:
    """Do it until death."""
    folder_of_exchange, _, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    arm(COMMAND[point])
    asyncio.run(redeliver(folder_of_exchange))


if __name__ == "__main__":
    main()
