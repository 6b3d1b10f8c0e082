"""The brokers go away in the middle, and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.settings import KafkaServerSettings
from tests.support import trial
from tests.support.restart import StoppableBroker
from tests.support.trial import HANOI, TAY_NINH, letter, opened

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 90.0
"""Seconds for receipts after an outage: an append without an answer is given up after 45, and then pauses grow."""
LETTERS = 3


@pytest.mark.timeout(180)  # Two starts of a broker, beside the pauses that an outage makes.
async def test_everything_arrives_after_an_outage(kafka: str, tmp_path: Path) -> None:
    """While no broker answers, documents are accepted, also by who starts only then; all arrive later, in order."""
    with StoppableBroker(tmp_path / "node") as broker:
        await broker.start()
        bus = KafkaServerSettings(bootstrap=broker.bootstrap, replication_factor=1)
        exchange = await trial.found(tmp_path, trial.AGENCIES[:2], bus=bus)
        async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
            for number in range(LETTERS):
                await hanoi.publish(letter(), to=[TAY_NINH], id=f"before-{number}")
            await hanoi.wait(f"before-{LETTERS - 1}", until="received", timeout=PATIENCE)
            await broker.stop()
            accepted = [
                await hanoi.publish(letter(), to=[TAY_NINH], id=f"during-{number}") for number in range(LETTERS)
            ]
            async with exchange.agency(HANOI) as started_meanwhile:
                accepted.append(await started_meanwhile.publish(letter(), to=[TAY_NINH], id="started"))
            during = await hanoi.status()
            await broker.start()
            states = [
                (await hanoi.wait(one.document_id, until="received", timeout=PATIENCE)).legs[0].state
                for one in accepted
            ]
            await hanoi.publish(letter(), to=[TAY_NINH], id="after")
            await hanoi.wait("after", until="received", timeout=PATIENCE)
        filed = exchange.ids_filed(TAY_NINH)
        report = await exchange.audit()

    assert LETTERS + 1 == during.outbox.accepted
    assert during.trouble is not None
    assert ["received"] * (LETTERS + 1) == states
    before = [f"before-{number}" for number in range(LETTERS)]
    assert [*before, *(one.document_id for one in accepted), "after"] == filed
    assert "valid" == report.verdict
