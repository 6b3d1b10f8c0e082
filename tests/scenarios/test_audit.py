"""An auditor replays a busy exchange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.documents.document import Document
from docbus.documents.statuses import StatusCode
from docbus.transport import topics
from tests.support.trial import AGENCIES, COMMUNE, EXPRESS, HANOI, PATIENCE, letter, next_of, opened, settled, statuses

if TYPE_CHECKING:
    from docbus.client.agency import Agency
    from tests.support.trial import Exchange

ROUNDS = 10
CODES = [code for code, _ in AGENCIES]


async def correspond(agency: Agency, code: str) -> list[str]:
    """Publish to both other agencies, in every lane, and wait for all receipts."""
    others = [other for other in CODES if other != code]
    ids = []
    for number in range(ROUNDS):
        document = Document(
            document_id=f"{code}-{number}",
            title=f"Công văn {number}",
            files=(letter(f"{code} {number}"),),
            recipients=tuple(others),
            urgency=number % 3,  # type: ignore[arg-type] # Document makes an Urgency of it
        )
        ids += [accepted.document_id for accepted in await agency.publish_documents([document])]
    for document_id in ids:
        await agency.wait(document_id, until="received", timeout=PATIENCE)
    return ids


async def test_busy_exchange_replays_as_valid(exchange: Exchange) -> None:
    """Three agencies write to each other in all lanes: every record is valid, every receipt is there, nothing else."""
    async with opened(exchange, *CODES) as agencies:
        hanoi, tay_ninh, commune = agencies
        async with hanoi.serving(), tay_ninh.serving(), commune.serving():
            await asyncio.gather(*[correspond(agency, code) for agency, code in zip(agencies, CODES, strict=True)])
            await commune.report(HANOI, f"{HANOI}-0", StatusCode.REGISTERED, "vào sổ")
            await settled(*agencies)
        own = [await agency.status() for agency in agencies]

    report = await exchange.audit()
    assert ("valid", 0) == (report.verdict, report.exit_code)
    records = report.audit
    assert (records.records, {}, {}) == (records.valid, records.failed, records.indeterminate)
    assert len(CODES) * ROUNDS == records.documents
    assert (0, 0) == (
        sum(stream.missing for stream in records.streams),
        sum(stream.outstanding for stream in records.streams if stream.lane != "receipts"),
    )
    assert 2 * len(CODES) * ROUNDS + 1 == sum(
        stream.filed for stream in records.streams if stream.lane in {"documents", "urgent"}
    )
    assert {"3": 1} == {str(int(code)): count for code, count in records.statuses.items()}
    assert {} == {kind: count for kind, count in records.finding_counts.items() if count}
    for status in own:
        assert (2 * ROUNDS, 0, 0, 0) == (
            status.outbox.received - (status.agency == commune.id),
            status.outbox.sent,
            status.outbox.refused,
            status.outbox.receipts_waiting,
        )
        assert {0: 0, EXPRESS: 0} == status.lag
    for code in CODES:
        assert 2 * ROUNDS == len(exchange.ids_filed(code))


async def test_refusals_are_part_of_a_valid_exchange(exchange: Exchange) -> None:
    """What was refused, and why, is in the report; a refusal is an answer, so nothing is outstanding."""
    async with (
        opened(exchange, HANOI, COMMUNE) as (hanoi, commune),
        hanoi.serving(),
        commune.deliveries() as deliveries,
    ):
        for number in range(3):
            await hanoi.publish(letter(), to=[COMMUNE], id=f"letter-{number}")
        await (await next_of(deliveries)).accept()
        await (await next_of(deliveries)).reject("not_competent", "Không thuộc thẩm quyền.")
        await (await next_of(deliveries)).accept()
        await statuses(hanoi, "letter-1", 1)
        for number in range(3):
            await hanoi.wait(f"letter-{number}", until="received", timeout=PATIENCE)
        await settled(hanoi)

    report = await exchange.audit()
    assert "valid" == report.verdict
    assert {"not_competent": 1} == report.audit.refusals
    assert 0 == sum(stream.outstanding for stream in report.audit.streams if stream.lane == "documents")
    assert 1 == len(await exchange.records(topics.dead_letter(commune.id)))
