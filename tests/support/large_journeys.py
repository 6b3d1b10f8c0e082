"""Journeys of large documents that have to go alike on both transports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.documents.statuses import StatusCode
from docbus.transport import topics
from docbus.verification.parts import claimed_part
from docbus.wire.ids import uuid7_text
from tests.support.large import PARTS, bodies_of, expire_content, large_file
from tests.support.trial import COMMUNE, HANOI, TAY_NINH, id_of, leg_of, letter, opened, statuses

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange, Filed

PATIENCE = 40.0
"""Seconds for receipts; joining a group of Kafka takes some."""


def filed(exchange: Exchange, recipient: str, document_id: str) -> Filed:
    """Return a document as it lies in its recipient's folder."""
    (found,) = [one for one in exchange.filed(recipient) if one.document_id == document_id]
    return found


async def objections_to(exchange: Exchange) -> tuple[object, ...]:
    """Return all that an auditor has against an exchange: other tests may have attacked it before."""
    report = await exchange.audit()
    return report.unreadable, report.audit.failed, report.audit.indeterminate, report.audit.finding_counts


async def arrives_whole(exchange: Exchange, folder: Path) -> None:
    """A large file beside a small one goes to two recipients, its parts once, and both file it byte for byte."""
    objections = await objections_to(exchange)
    scan, document = large_file(folder), uuid7_text(0)
    topic = topics.content(id_of(HANOI))
    async with exchange.bus() as wire:
        before = (await wire.bounds(topic))[0][1]
    async with (
        opened(exchange, HANOI, TAY_NINH, COMMUNE) as (hanoi, tay_ninh, commune),
        hanoi.serving(),
        tay_ninh.serving(),
        commune.serving(),
    ):
        await hanoi.publish(scan, letter("kèm theo"), to=[TAY_NINH, COMMUNE], id=document)
        journey = await hanoi.wait(document, until="received", timeout=PATIENCE)
    parts = [claimed_part(record.value) for record in (await exchange.records(topic)) if record.offset >= before]

    assert ["received", "received"] == [leg.state for leg in journey.legs]
    assert list(range(PARTS)) == [part.index for part in parts]
    for recipient in (TAY_NINH, COMMUNE):
        found = filed(exchange, recipient, document)
        assert {scan.name: scan.read_bytes(), "công văn.txt": "kèm theo".encode()} == found.contents
    assert objections == await objections_to(exchange)


async def expires_and_is_sent_again(exchange: Exchange, folder: Path) -> None:
    """Expired content is refused by name, its sender is told, and `resend` brings the same document."""
    objections = await objections_to(exchange)
    scan, document = large_file(folder), uuid7_text(0)
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        async with hanoi.serving(receive=False):
            await hanoi.publish(scan, to=[TAY_NINH], id=document)
            await hanoi.wait(document, until="sent", timeout=PATIENCE)
        await expire_content(exchange, HANOI)
        async with hanoi.serving(), tay_ninh.serving():
            refused = await hanoi.wait(document, until="received", timeout=PATIENCE)
            ((code, note),) = await statuses(hanoi, document, 1)
            again = await hanoi.resend(document)
            received = await hanoi.wait(document, until="received", timeout=PATIENCE)
            await tay_ninh.report(HANOI, document, StatusCode.REGISTERED)
            told = await statuses(hanoi, document, 3)
        leg = await leg_of(hanoi, document)

    assert ["content_expired"] == [one.reason for one in refused.legs]
    assert StatusCode.CONTENT_UNAVAILABLE == code
    assert note is not None
    assert note.startswith("content_expired: 5 of 5 parts are gone")
    assert (id_of(TAY_NINH),) == again.recipients
    assert ["received"] == [one.state for one in received.legs]
    assert scan.read_bytes() == filed(exchange, TAY_NINH, document).contents[scan.name]
    assert [StatusCode.ARRIVED, StatusCode.CONTENT_UNAVAILABLE, StatusCode.REGISTERED] == [code for code, _ in told]
    assert [False, False, False] == [status.flagged for status in leg.statuses]
    bodies = await bodies_of(exchange, TAY_NINH, document)
    assert (2, 1) == (len(bodies), len(set(bodies)))
    dead = await exchange.records(topics.dead_letter(id_of(TAY_NINH)))
    assert b"content_expired" == dict(dead[-1].headers)["docbus_reason"]
    assert objections == await objections_to(exchange)
