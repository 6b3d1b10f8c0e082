"""A rotation while documents flow both ways, on whatever bus an exchange has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from docbus.client.rotation import certify, rotate
from docbus.clock import SystemClock
from docbus.documents.document import Document
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import SCHEMAS, decode_head
from docbus.errors import MalformedError
from docbus.identity.pki.crl import read_list
from docbus.transport import topics
from docbus.wire.ids import uuid7_text
from tests.support.trial import HANOI, TAY_NINH, id_of, knows, letter, opened, settled, until

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.agency import Agency
    from docbus.client.issuing import Authority
    from docbus.client.rotation import Rotation
    from docbus.identity.snapshot import TrustSnapshot
    from tests.support.trial import Exchange

AT_ONCE = 5
"""Documents that are accepted in one go."""
OVERLAP_MS = 30 * 24 * 60 * 60 * 1000
LONG = 60.0
"""Seconds after which what is waited for has not happened: more than a thousand documents are under way."""
PARTS = 10
"""Times that each side publishes in each part of the journey."""


@dataclass
class Flow:
    """Documents from one agency to another, published as fast as they are accepted, until it is stopped."""

    agency: Agency
    to: str
    label: str
    accepted: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Seconds that the slowest acceptance took."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Publish until it is stopped."""
        loop = asyncio.get_running_loop()
        while not self.stop.is_set():
            names = [f"{self.label}-{len(self.accepted) + number:05}" for number in range(AT_ONCE)]
            began = loop.time()
            await self.agency.publish_documents(
                [Document(document_id=name, title=name, files=(letter(name),), recipients=(self.to,)) for name in names]
            )
            self.longest = max(self.longest, loop.time() - began)
            self.accepted += names
            await asyncio.sleep(0)

    async def more(self, count: int) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.accepted) + count
        await until(lambda: len(self.accepted) >= wanted, LONG)


class Flowed(NamedTuple):
    """What came of it."""

    there: Flow
    back: Flow
    begun: Rotation
    done: Rotation


async def rotate_while_documents_flow(
    exchange: Exchange,
    *,
    overlap_ms: int | None = OVERLAP_MS,
    parts: int = PARTS,
    authority: Authority | None = None,
) -> Flowed:
    """Let Hanoi rotate its keys while documents go to Tây Ninh and come from there, and wait for all receipts.

    With an authority, its certificates are that authority's before and after.
    """
    folder, clock, mark = exchange.folder / HANOI, SystemClock(), uuid7_text(0)
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        if authority is not None:
            revoked = read_list(authority.list_revocations(days=1))
            for agency in (hanoi, tay_ninh):
                await agency._material.keep_list(revoked, agency.snapshot)
        there, back = Flow(hanoi, TAY_NINH, f"{mark}-there"), Flow(tay_ninh, HANOI, f"{mark}-back")
        async with asyncio.TaskGroup() as group:
            for flow in (there, back):
                group.create_task(flow.run())
            await _both(there, back, parts=parts)
            # Something is signed with the old key, and encrypted to it, before there is another one.
            for flow in (there, back):
                await flow.agency.wait(flow.accepted[0], until="received", timeout=LONG)
            begun = await asyncio.to_thread(rotate, folder, hanoi.snapshot, clock, again=authority is not None)
            if authority is not None:
                await _both(there, back, parts=parts)
                begun = await asyncio.to_thread(certified, folder, begun, authority, hanoi.snapshot)
            assert begun.request is not None
            await _both(there, back, parts=parts)
            request = await asyncio.to_thread(begun.request.read_text, "ascii")
            async with exchange.registrar() as registrar:
                published = await registrar.rotate(request, overlap_ms=overlap_ms)
            await _both(there, back, parts=parts)
            await knows([hanoi, tay_ninh], published.position)
            # It looks by itself, every other second.
            await until(lambda: hanoi._keys.signer(hanoi.snapshot).certificate.hex() == begun.certificate)
            await _both(there, back, parts=parts)
            done = await asyncio.to_thread(rotate, folder, hanoi.snapshot, clock)
            await _both(there, back, parts=parts)
            there.stop.set()
            back.stop.set()
        await settled(hanoi, tay_ninh, patience=LONG)
    return Flowed(there, back, begun, done)


def certified(folder: Path, begun: Rotation, authority: Authority, snapshot: TrustSnapshot | None) -> Rotation:
    """Let an authority issue the certificate for which a rotation waits, and go on with it."""
    assert begun.certification is not None
    issued = authority.issue(begun.certification.read_bytes(), days=30)
    return certify(folder, [x509.load_der_x509_certificate(issued.certificate)], snapshot, SystemClock())


async def _both(*flows: Flow, parts: int) -> None:
    await asyncio.gather(*(flow.more(parts * AT_ONCE) for flow in flows))


async def certificates_in(exchange: Exchange, recipient: str, sender: str) -> list[str]:
    """Return under which certificates an agency has signed what lies in an inbox, in the order of the records."""
    found = []
    for record in await exchange.records(topics.inbox(id_of(recipient))):
        try:
            envelope = decode_envelope(record.value or b"")
        except MalformedError:
            continue  # Other tests share the exchange, and attack it.
        head, _ = decode_head(envelope.payload_type, envelope.statement)
        if head.sender == id_of(sender) and envelope.payload_type in SCHEMAS and head.lane == "documents":
            found.append(head.certificate.hex())
    return found
