"""A whole exchange in a temporary folder, through the client library alone, and short ways to look at it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docbus.audit.replay import Replay
from docbus.client.agency import Agency
from docbus.client.connect import open_registrar, started_transport
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.documents.file import File
from docbus.identity.agency import AgencyId
from docbus.limits import DEFAULT_PARTITIONS
from docbus.settings import EmbeddedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from docbus.audit.report import ReplayReport
    from docbus.client.connect import Bus
    from docbus.consumers.sinks.handler import IncomingDocument
    from docbus.producers.journey import Leg
    from docbus.registry.publish import Registrar
    from docbus.transport.port import Record, Transport

HANOI, TAY_NINH, COMMUNE = "H26", "000.00.00.H53", "000.21.32.H53"
AGENCIES = (
    (HANOI, "Ủy ban nhân dân thành phố Hà Nội"),
    (TAY_NINH, "Ủy ban nhân dân tỉnh Tây Ninh"),
    (COMMUNE, "Ủy ban nhân dân xã An Bình"),
)
ENVIRONMENT = "test"
EXPRESS = DEFAULT_PARTITIONS - 1
"""The partition of an inbox in which urgent documents and receipts lie."""
PATIENCE = 20.0
"""Seconds after which what a test waits for has not happened."""
LOOK_SECONDS = 0.01
EVERYTHING = {"max_records": 100_000, "max_bytes": 1 << 30}


def id_of(code: str) -> str:
    """Return the canonical id of a code."""
    return str(AgencyId.parse(code))


@dataclass(frozen=True)
class Filed:
    """A document as it lies in a folder."""

    folder: Path
    metadata: dict[str, Any]
    contents: dict[str, bytes]

    @property
    def document_id(self) -> str:
        """The sender's id of the document."""
        return str(self.metadata["document"]["document_id"])

    @property
    def sender(self) -> str:
        """Canonical id."""
        return str(self.metadata["document"]["sender"])


@dataclass(frozen=True)
class Exchange:
    """Registrar, agencies and auditor, each in a folder of its own."""

    folder: Path
    genesis: str

    def agency(self, code: str) -> Agency:
        """Return an agency, not opened yet."""
        return Agency.open(self.folder / code)

    def registrar(self) -> AbstractAsyncContextManager[Registrar]:
        """Return the registrar, to be entered."""
        return open_registrar(self.folder / "registrar", clock=SystemClock())

    def bus(self) -> AbstractAsyncContextManager[Transport]:
        """Return the bus as the auditor reaches it, to be entered; on the embedded one he may write too."""
        return started_transport(load_settings(self.folder / "auditor"))

    async def audit(self) -> ReplayReport:
        """Replay everything as the auditor."""
        async with self.bus() as transport:
            return await Replay(transport, bytes.fromhex(self.genesis), SystemClock()).run()

    async def records(self, topic: str) -> list[Record]:
        """Return all records of a topic, one partition after the other."""
        async with self.bus() as transport:
            return await records_of(transport, topic)

    def filed(self, code: str) -> list[Filed]:
        """Return what an agency's folder holds, in the order of the streams."""
        found = []
        for path in (self.folder / code / "documents").glob("*/metadata.json"):
            metadata = json.loads(path.read_text("utf-8"))
            contents = {
                entry["name"]: (path.parent / entry["path"]).read_bytes() for entry in metadata["document"]["files"]
            }
            found.append(Filed(path.parent, metadata, contents))
        return sorted(found, key=lambda one: (one.sender, *_place(one.metadata["statement"])))

    def ids_filed(self, code: str) -> list[str]:
        """Return the ids of the documents in an agency's folder, in the order of their streams."""
        return [one.document_id for one in self.filed(code)]


def _place(statement: dict[str, Any]) -> tuple[str, int]:
    return statement["epoch"], statement["sequence"]


async def found(folder: Path, agencies: Iterable[tuple[str, str]] = AGENCIES, *, bus: Bus | None = None) -> Exchange:
    """Found an exchange, on an embedded bus unless another is given."""
    where = bus or EmbeddedSettings(file=folder / "bus.db")
    genesis = await found_exchange(folder, agencies, environment=ENVIRONMENT, bus=where, clock=SystemClock())
    return Exchange(folder, genesis)


async def records_of(transport: Transport, topic: str) -> list[Record]:
    """Return all records of a topic that are there now, one partition after the other."""
    records: list[Record] = []
    for partition, (first, end) in sorted((await transport.bounds(topic)).items()):
        offset = first
        while offset < end:
            records += await transport.read(topic, partition, offset, wait=PATIENCE, **EVERYTHING)
            offset = records[-1].offset + 1
    return records


def letter(text: str = "Kính gửi: các cơ quan, đơn vị.", name: str = "công văn.txt") -> File:
    """Return a small file."""
    return File(name=name, media_type="text/plain", content=text.encode())


async def next_of(deliveries: AsyncIterator[IncomingDocument]) -> IncomingDocument:
    """Return the next delivery; fails if there is none in time."""
    async with asyncio.timeout(PATIENCE):
        return await anext(deliveries)


async def until(condition: Callable[[], bool | Awaitable[bool]], patience: float = PATIENCE) -> None:
    """Wait until a condition holds; fails if it does not in time, in seconds."""
    async with asyncio.timeout(patience):
        while True:
            holds = condition()
            if await holds if not isinstance(holds, bool) else holds:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def leg_of(agency: Agency, document_id: str) -> Leg:
    """Return the only leg of a document's journey."""
    (leg,) = (await agency.track(document_id)).legs
    return leg


async def statuses(agency: Agency, document_id: str, count: int) -> list[tuple[int, str | None]]:
    """Return code and note of a document's statuses at its only recipient, once there are so many."""

    async def enough() -> bool:
        return len((await leg_of(agency, document_id)).statuses) >= count

    await until(enough)
    return [(status.code, status.note) for status in (await leg_of(agency, document_id)).statuses]


async def settled(*agencies: Agency, patience: float = PATIENCE) -> None:
    """Wait until nothing is under way any more: outboxes empty, everything answered, inboxes read to their ends."""

    async def quiet() -> bool:
        found = [await agency.status() for agency in agencies]
        outboxes = [status.outbox for status in found]
        return all(outbox.accepted == outbox.sent == outbox.receipts_waiting == 0 for outbox in outboxes) and all(
            not any((status.lag or {}).values()) for status in found
        )

    await until(quiet, patience)


async def knows(agencies: Sequence[Agency], position: int) -> None:
    """Wait until agencies have followed the directory to a position."""
    await until(lambda: all(agency.snapshot.position >= position for agency in agencies))


@asynccontextmanager
async def opened(exchange: Exchange, *codes: str) -> AsyncIterator[list[Agency]]:
    """Open several agencies."""
    if not codes:
        yield []
        return
    async with exchange.agency(codes[0]) as first, opened(exchange, *codes[1:]) as others:
        yield [first, *others]
