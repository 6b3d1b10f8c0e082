"""As ``victim``, for a document with large content: ``python -m tests.faults.content_victim FOLDER PART POINT``.

Every part goes up by itself and is read by itself, so that each boundary between two parts is a point to die at.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from docbus.client.agency import Agency
from docbus.consumers import assembling, locating, wanted
from docbus.consumers.assembling import Assembly
from docbus.consumers.fetching import Fetcher
from docbus.consumers.filing import Filing
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks import folder
from docbus.consumers.sinks.folder import FolderSink
from docbus.producers import content, publisher, staging, uploading
from docbus.producers.publisher import Publisher
from docbus.producers.sealing import Sealing
from docbus.producers.staging import Stager
from docbus.producers.uploading import Uploader
from docbus.storage.content import ContentFolder
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from tests.faults.letters import DRAWINGS, DRAWINGS_PARTS, around_drawings
from tests.faults.victim import Point, arm
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, Exchange, settled, until


def _something(result: object, _arguments: object) -> bool:
    return bool(result)


def _parts(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(topics.kind_of(record.topic) == topics.CONTENT for record in arguments[1])


def _envelope(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(
        topics.kind_of(record.topic) == topics.INBOX and DRAWINGS.encode() in record.value for record in arguments[1]
    )


def _accepted(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(document.attachments for document in arguments[0].documents)


def _published(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1][0].document_id == DRAWINGS)


def _sealed(result: Any, _arguments: object) -> bool:
    return any(DRAWINGS.encode() in copy.front for copy in result.copies)


def _half_of_a_staged_part(file: Any, sealed: bytearray) -> None:
    file.write(memoryview(sealed)[: len(sealed) // 2])


def _wants(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[0].wants)


def _keeps_wants(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1].wants)


def _drops(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[0].dropped)


def _delivers(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(delivery.fetched for delivery in arguments[1])


def _numbers(_result: object, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1])


def _position(_result: object, arguments: tuple[Any, ...]) -> bool:
    return len(arguments[1]) == 8


def _half_of_a_fetched_part(descriptor: int, view: memoryview, offset: int) -> None:
    os.pwrite(descriptor, view[: len(view) // 2], offset)


_NUMBERS = range(1, DRAWINGS_PARTS + 1)
STAGING = {
    "P1 within a part": Point(owner=staging, name="_write_all", after=False, nth=3, midway=_half_of_a_staged_part),
    "P1 staged, not stored": Point(owner=Stager, name="stage"),
    "P1 stored, not committed": Point(owner=publisher._Accepting, name="store", counts=_accepted),
    "P1 committed, not answered": Point(owner=Publisher, name="publish_many", counts=_published),
}
"""No part is on the brokers yet."""
UPLOADING = {
    "P4 end of the topic noted, not committed": Point(owner=uploading, name="note_seen"),
    **{
        f"P4 before part {number}": Point(owner=SqliteTransport, name="append", after=False, counts=_parts, nth=number)
        for number in _NUMBERS
    },
    **{
        f"P4 part {number} sent, not noted": Point(owner=SqliteTransport, name="append", counts=_parts, nth=number)
        for number in _NUMBERS
    },
    "P4 part noted, not committed": Point(owner=uploading, name="mark_parts", nth=3),
    "P4 part noted": Point(owner=Uploader, name="_mark", nth=3),
    "P4 last part noted, not released": Point(owner=content, name="release", after=False),
    "P4 released, not committed": Point(owner=content, name="release"),
    "P4 released": Point(owner=Uploader, name="_mark", counts=_something),
    "P3 sealed": Point(owner=Sealing, name="seal_next", counts=_sealed),
    "P4 before the envelope": Point(owner=SqliteTransport, name="append", after=False, counts=_envelope),
    "P4 envelope sent, not marked": Point(owner=SqliteTransport, name="append", counts=_envelope),
}
FETCHING = {
    "C2 parked, not committed": Point(owner=Settlement, name="write", counts=_wants),
    "C2 parked": Point(owner=Filing, name="_keep", after=False, counts=_keeps_wants),
    "C2 files made": Point(owner=Assembly, name="open"),
    **{f"C2 before part {number}": Point(owner=Assembly, name="take", after=False, nth=number) for number in _NUMBERS},
    "C2 within the first part": Point(owner=assembling, name="_write", after=False, midway=_half_of_a_fetched_part),
    "C2 within a part": Point(owner=assembling, name="_write", after=False, nth=3, midway=_half_of_a_fetched_part),
    "C2 within the last part": Point(
        owner=assembling, name="_write", after=False, nth=DRAWINGS_PARTS, midway=_half_of_a_fetched_part
    ),
    "C2 part written, not noted": Point(owner=assembling, name="_write", nth=3),
    "C2 part noted, position not": Point(owner=os, name="pwrite", after=False, nth=3, counts=_position),
    "C2 last part noted": Point(owner=Assembly, name="take", nth=DRAWINGS_PARTS),
    "C2 whole, not checked": Point(owner=Assembly, name="finish", after=False),
    "C2 complete, not noted": Point(owner=wanted, name="complete", after=False),
    "C2 complete, not committed": Point(owner=wanted, name="complete"),
    "C2 complete": Point(owner=Fetcher, name="_finish"),
}
"""The document is not filed yet."""
FILING = {
    "C3 before the sink": Point(owner=FolderSink, name="_deliver", after=False, counts=_delivers),
    "C3 file has its second name": Point(owner=folder, name="_take_over"),
    "C3 filed, not in the ledger": Point(owner=FolderSink, name="_deliver", counts=_delivers),
    "C4 in the ledger, not committed": Point(owner=Settlement, name="write", counts=_drops),
    "C4 in the ledger, content not removed": Point(
        owner=ContentFolder, name="drop_incoming", after=False, counts=_numbers
    ),
    "C4 content removed": Point(owner=ContentFolder, name="drop_incoming", counts=_numbers),
}
"""All parts are here."""


async def send(folder_of_exchange: Path) -> None:
    """Publish call by call, while what was accepted goes out; note what was accepted, which is a promise."""
    with (folder_of_exchange / "accepted.txt").open("a", buffering=1) as noted:
        async with Agency.open(folder_of_exchange / HANOI) as hanoi, hanoi.serving(receive=False):
            for call in around_drawings():
                for accepted in await hanoi.publish_documents(call):
                    print(accepted.document_id, file=noted)
            for call in around_drawings():
                for document in call:
                    await hanoi.wait(document.document_id, until="sent", timeout=PATIENCE)


async def receive(folder_of_exchange: Path) -> None:
    """Receive and answer until everything is filed; its inbox alone is read to the end long before."""
    exchange = Exchange(folder_of_exchange, "")
    documents = sum(map(len, around_drawings()))
    async with exchange.agency(TAY_NINH) as agency, agency.serving():
        await until(lambda: len(exchange.ids_filed(TAY_NINH)) == documents)
        await settled(agency)


def main() -> None:
    """Do the part until death."""
    uploading.SLICE_PARTS = 1
    locating.WINDOW_PARTS = 1
    folder_of_exchange, part, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    points = {"sender": STAGING | UPLOADING, "recipient": FETCHING | FILING}[part]
    arm(points[point])
    asyncio.run(send(folder_of_exchange) if part == "sender" else receive(folder_of_exchange))


if __name__ == "__main__":
    main()
