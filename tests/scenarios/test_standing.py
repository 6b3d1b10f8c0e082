"""An agency is suspended while its documents are under way, and one sends for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.clock import SystemClock
from tests.support.trial import HANOI, TAY_NINH, id_of, knows, leg_of, letter, opened, settled, until

if TYPE_CHECKING:
    from tests.support.trial import Exchange

HOUR_MS = 60 * 60 * 1000


async def test_suspension_holds_and_loses_nothing(exchange: Exchange) -> None:
    """What a suspended agency sent before waits at the recipient, what it publishes waits with it, and all is filed.

    The order is that in which it was published, and nothing is in quarantine.
    """
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), exchange.registrar() as registrar:
        first = (await hanoi.publish(letter("1"), to=[TAY_NINH], id="first")).document_id
        async with hanoi.serving(receive=False):
            await hanoi.wait(first, until="sent")
            await knows([hanoi, tay_ninh], (await registrar.suspend(HANOI, reason="under investigation")).position)
            await hanoi.publish(letter("2"), to=[TAY_NINH], id="second")
            async with tay_ninh.serving():

                async def parked() -> bool:
                    return (await tay_ninh.status()).inbox.parked == 1

                await until(parked)
                assert [] == exchange.ids_filed(TAY_NINH)
                assert 1 == (await hanoi.status()).outbox.accepted
                await registrar.reinstate(HANOI, reason="settled")
                await until(lambda: len(exchange.ids_filed(TAY_NINH)) == 2)
                async with hanoi.serving(send=False):
                    await hanoi.wait("second", until="received")
                await settled(hanoi, tay_ninh)
    assert ["first", "second"] == exchange.ids_filed(TAY_NINH)
    assert [] == await exchange.records("docbus.quarantine.vn2016.000.00.00.H53")
    assert "valid" == (await exchange.audit()).verdict


async def test_document_for_another_agency_is_filed_and_proven(exchange: Exchange) -> None:
    """The recipient sees who sent it and for whom, and so does the auditor, also when the delegation is over."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), exchange.registrar() as registrar:
        delegated = await registrar.delegate(
            TAY_NINH, HANOI, reason="moving house", not_after_ms=SystemClock().now_ms() + HOUR_MS
        )
        await knows([hanoi, tay_ninh], delegated.position)
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.publish(letter(), to=[TAY_NINH], id="for-them", on_behalf_of=TAY_NINH)
            await hanoi.wait("for-them", until="received")
        await registrar.end_delegation(TAY_NINH, HANOI, reason="moved")
        assert "received" == (await leg_of(hanoi, "for-them")).state

    (filed,) = exchange.filed(TAY_NINH)
    document = filed.metadata["document"]
    assert (id_of(HANOI), id_of(TAY_NINH)) == (document["sender"], document["on_behalf_of"])
    assert "valid" == (await exchange.audit()).verdict
