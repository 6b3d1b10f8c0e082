"""The exchange on a real Apache Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from docbus.documents.statuses import StatusCode
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.wire.ids import uuid7_text
from tests.support.demo import DEMO, ROOT
from tests.support.trial import COMMUNE, HANOI, TAY_NINH, id_of, leg_of, letter, next_of, opened, statuses

if TYPE_CHECKING:
    from tests.support.trial import Exchange

DEMO_SECONDS = 50.0
"""Until a demo that hangs is ended; it takes some 8 seconds."""
PATIENCE = 30.0
"""Seconds for receipts: joining a group takes some."""


async def test_demo_on_kafka_shows_what_it_promises(kafka: str, kafka_exchange: Exchange) -> None:
    """`make demo KAFKA=host:port`, in a folder where the exchange is founded already, ends well."""
    done = subprocess.run(  # noqa: ASYNC221 - nothing else is to run meanwhile
        [sys.executable, str(DEMO), "--kafka", kafka, "--folder", str(kafka_exchange.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "All of it holds" in done.stdout
    assert "✗" not in done.stdout


async def test_document_goes_and_its_receipt_comes_back(kafka_exchange: Exchange) -> None:
    """Accepted, rejected and reported over real brokers, as on the embedded transport."""
    mark = uuid7_text(0)
    first, second = f"{mark}-1", f"{mark}-2"
    async with opened(kafka_exchange, HANOI, COMMUNE) as (hanoi, commune):
        async with hanoi.serving(), commune.deliveries() as deliveries:
            await hanoi.publish(letter("nội dung"), to=[COMMUNE], id=first, title="V/v phòng chống bão")
            await hanoi.publish(letter(), to=[COMMUNE], id=second)
            incoming = await next_of(deliveries)
            await incoming.accept("DMS-1")
            await (await next_of(deliveries)).reject("not_competent", "Không thuộc thẩm quyền.")
            states = [
                (await hanoi.wait(document, until="received", timeout=PATIENCE)).legs[0].state
                for document in (first, second)
            ]
            refusal = await statuses(hanoi, second, 1)
            await commune.report(HANOI, first, StatusCode.REGISTERED, "Số đến 7")
            registered = await statuses(hanoi, first, 2)
        reason = (await leg_of(hanoi, second)).reason

    assert first == incoming.delivery.document_id
    assert ["nội dung".encode()] == [file.read() for file in incoming.delivery.files]
    assert ["received", "refused"] == states
    assert "not_competent" == reason
    assert [(StatusCode.REFUSED, "Không thuộc thẩm quyền.")] == refusal
    assert [(StatusCode.ARRIVED, None), (StatusCode.REGISTERED, "Số đến 7")] == registered
    dead = await kafka_exchange.records(topics.dead_letter(id_of(COMMUNE)))
    assert b"not_competent" == dict(dead[-1].headers)["docbus_reason"]


async def test_forged_record_is_quarantined_on_kafka(kafka_exchange: Exchange) -> None:
    """Random bytes in an inbox are set aside, and what comes after them arrives."""
    document = uuid7_text(0)
    async with opened(kafka_exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), kafka_exchange.bus() as wire:
        quarantine = topics.quarantine(tay_ninh.id)
        before = (await wire.bounds(quarantine))[0][1]
        await wire.append([NewRecord(topic=topics.inbox(tay_ninh.id), key=None, value=os.urandom(300))])
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.publish(letter(), to=[TAY_NINH], id=document)
            journey = await hanoi.wait(document, until="received", timeout=PATIENCE)
        (kept,) = await wire.read(quarantine, 0, before, max_records=10, max_bytes=1 << 20, wait=PATIENCE)

    assert ["received"] == [leg.state for leg in journey.legs]
    assert (b"C1.02", b"envelope_malformed") == (
        dict(kept.headers)["docbus_step"],
        dict(kept.headers)["docbus_reason"],
    )
    assert document in kafka_exchange.ids_filed(TAY_NINH)
