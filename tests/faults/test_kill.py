"""Processes are killed with SIGKILL at every step of the journey, and run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.faults import invariants
from tests.faults.killing import accepted, inodes, kill_at
from tests.faults.letters import letters
from tests.faults.victim import READER_OF_RECEIPTS, RECIPIENT, SENDER
from tests.support import trial
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, id_of, opened, settled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange

PUBLISHED = [letter for call in letters() for letter in call]


@pytest.fixture
async def exchange(tmp_path: Path) -> Exchange:
    """A sender and a recipient."""
    return await trial.found(tmp_path, trial.AGENCIES[:2])


async def publish_and_send(exchange: Exchange) -> None:
    async with exchange.agency(HANOI) as hanoi, hanoi.serving(receive=False):
        for call in letters():
            await hanoi.publish_documents(call)
        for letter in PUBLISHED:
            await hanoi.wait(letter.document_id, until="sent", timeout=PATIENCE)


async def go_on(exchange: Exchange) -> None:
    """Start both sides again, as their operators would, until nothing is under way."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await settled(hanoi, tay_ninh)


@pytest.mark.parametrize("point", SENDER)
async def test_killed_sender_loses_and_doubles_nothing(exchange: Exchange, point: str) -> None:
    """A sender killed at any step delivers all that it accepted; published again, each letter arrives once."""
    kill_at(exchange, "sender", point)
    promised = accepted(exchange)
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await settled(hanoi, tay_ninh)
    delivered_without_help = exchange.ids_filed(TAY_NINH)

    async with exchange.agency(HANOI) as hanoi:
        answers = [answer for call in letters() for answer in await hanoi.publish_documents(call)]
    await go_on(exchange)

    assert set(promised) <= set(delivered_without_help)
    assert sorted(delivered_without_help) == [answer.document_id for answer in answers if answer.duplicate]
    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED)


@pytest.mark.parametrize("point", RECIPIENT)
async def test_killed_recipient_files_everything_once(exchange: Exchange, point: str) -> None:
    """A recipient killed at any step files every letter once, and what it had filed is not touched again."""
    forged = int(point == "C4 set aside, not in the ledger")
    if forged:
        async with exchange.bus() as wire:
            await wire.append([NewRecord(topic=topics.inbox(id_of(TAY_NINH)), key=None, value=b"not an envelope")])
    await publish_and_send(exchange)
    kill_at(exchange, "recipient", point)
    before = inodes(exchange)

    await go_on(exchange)

    assert before.items() <= inodes(exchange).items()
    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED, forged=forged)


@pytest.mark.parametrize("point", READER_OF_RECEIPTS)
async def test_sender_killed_while_it_reads_receipts_reads_them_again(exchange: Exchange, point: str) -> None:
    """A sender killed between receipt and state has the state right after the next start."""
    await publish_and_send(exchange)
    async with exchange.agency(TAY_NINH) as tay_ninh, tay_ninh.serving():
        await settled(tay_ninh)
    kill_at(exchange, "reader", point)

    await go_on(exchange)

    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED)


async def test_every_process_is_killed_again_and_again(exchange: Exchange) -> None:
    """One exchange through one crash after another, on both sides, ends as if nothing had been."""
    for point in ("P3 committed, not sent", "P4 sent, not marked"):
        kill_at(exchange, "sender", point)
    await publish_and_send(exchange)
    for point in ("C3 between two renames", "C4 in the ledger, not committed", "receipt sent, not marked"):
        kill_at(exchange, "recipient", point)
    kill_at(exchange, "reader", "receipt matched, not committed")

    await go_on(exchange)

    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED)
