"""An operator's command that is killed at any step is given again, and everything was done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus import Reject, Selection
from docbus.consumers.sinks.folder import FolderSink
from tests.faults.killing import inodes, kill_at
from tests.faults.redrive_victim import COMMAND
from tests.support import trial
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, letter, opened, settled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docbus import Delivery
    from tests.support.trial import Exchange

NAMES = ["letter-1", "letter-2", "letter-3"]


async def _refuse(_sink: FolderSink, batch: Sequence[Delivery]) -> list[Reject]:
    return [Reject("not_competent", "wrong office") for _ in batch]


@pytest.fixture
async def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """Found an exchange in which a recipient has refused three letters."""
    made = await trial.found(tmp_path, trial.AGENCIES[:2])
    with monkeypatch.context() as patch:
        patch.setattr(FolderSink, "deliver", _refuse)
        async with opened(made, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
            for name in NAMES:
                await hanoi.publish(letter(), to=[TAY_NINH], id=name)
            await settled(hanoi, tay_ninh)
    assert [] == made.ids_filed(TAY_NINH)
    return made


@pytest.mark.parametrize("point", COMMAND)
async def test_killed_redelivery_is_given_again(exchange: Exchange, point: str) -> None:
    """Each document is filed once, what was filed is not touched again, and the sender sees all as received."""
    kill_at(exchange, "command", point, victim="redrive_victim")
    before = inodes(exchange)

    async with exchange.agency(TAY_NINH) as tay_ninh:
        again = await tay_ninh.redeliver(Selection(everything=True), reason="mended", wait=PATIENCE)

    assert {"done", "already"} >= {one.outcome for one in again}
    await _all_is_received(exchange, before)


@pytest.mark.parametrize("point", ["act appended, not read", "act in force", "filed, not in the ledger"])
async def test_killed_redelivery_goes_on_at_the_next_start(exchange: Exchange, point: str) -> None:
    """What was signed is done by the process that receives next, without a second command."""
    kill_at(exchange, "command", point, victim="redrive_victim")

    await _all_is_received(exchange, inodes(exchange))


async def _all_is_received(exchange: Exchange, before: dict[str, tuple[int, int]]) -> None:
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():

        async def received() -> bool:
            return {"received"} == {(await trial.leg_of(hanoi, name)).state for name in NAMES}

        await trial.until(received)
        await settled(hanoi, tay_ninh)
    assert NAMES == exchange.ids_filed(TAY_NINH)
    assert before.items() <= inodes(exchange).items()
    report = await exchange.audit()
    assert "valid" == report.verdict
