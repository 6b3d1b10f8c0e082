"""Databases are lost, and old copies of them are restored."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.client import working
from docbus.errors import GroupBusyError, LockedError
from docbus.producers.epochs import MARK_NAME
from docbus.transport import topics
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, id_of, letter, opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange


def remove_state(folder: Path) -> None:
    """Remove an agency's database."""
    for path in folder.glob("state.db*"):
        path.unlink()


async def publish(exchange: Exchange, *documents: str) -> None:
    """Publish from Hanoi to Tây Ninh, and wait until all is received."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        for document in documents:
            await hanoi.publish(letter(document), to=[TAY_NINH], id=document)
        for document in documents:
            await hanoi.wait(document, until="received", timeout=PATIENCE)


async def test_lost_ledger_is_rebuilt_from_the_stream(exchange: Exchange) -> None:
    """A recipient without its database reads the stream again, files nothing twice, and receipts everything again."""
    await publish(exchange, "1", "2")
    remove_state(exchange.folder / TAY_NINH)
    filed_before = {one.document_id: one.metadata for one in exchange.filed(TAY_NINH)}

    await publish(exchange, "3")
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        sender, recipient = await hanoi.status(), await tay_ninh.status()

    filed = {one.document_id: one.metadata for one in exchange.filed(TAY_NINH)}
    assert ["1", "2", "3"] == sorted(filed)
    assert filed_before == {document: filed[document] for document in filed_before}
    assert (3, 0, 0) == (sender.outbox.received, sender.outbox.sent, sender.inbox.findings)
    assert (3, 0, 0) == (recipient.inbox.documents, recipient.inbox.missing, recipient.inbox.findings)
    assert "valid" == (await exchange.audit()).verdict


async def test_receipts_lost_with_the_ledger_are_made_again(exchange: Exchange) -> None:
    """Documents were filed and the receipts died with the database: the sender still gets them."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        async with hanoi.serving(), tay_ninh.serving(send=False):
            for document in ("1", "2", "3"):
                await hanoi.publish(letter(document), to=[TAY_NINH], id=document)
            await until(lambda: len(exchange.filed(TAY_NINH)) == 3)
        assert 0 == (await hanoi.status()).outbox.received
    remove_state(exchange.folder / TAY_NINH)

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        states = [
            (await hanoi.wait(document, until="received", timeout=PATIENCE)).legs[0].state
            for document in ("1", "2", "3")
        ]

    assert ["received"] * 3 == states
    assert ["1", "2", "3"] == exchange.ids_filed(TAY_NINH)
    assert "valid" == (await exchange.audit()).verdict


@pytest.mark.parametrize("restored", ["replaced", "overwritten", "rolled back"])
async def test_restored_old_outbox_goes_on_in_new_epochs(exchange: Exchange, restored: str) -> None:
    """An outbox restored from a backup never gives out a position twice with effect: what it sends arrives.

    A copy that replaces the file, or is written over it, is noticed at once. A file system rolled back as a whole is
    noticed by the receipts for what the outbox does not know; until then it may have used a position again, and what is
    in quarantine for that goes out anew.
    """
    folder = exchange.folder / HANOI
    await publish(exchange, "1")
    shutil.copy(folder / "state.db", folder / "backup.db")
    await publish(exchange, "2")
    for path in folder.glob("state.db-*"):
        path.unlink()
    if restored == "rolled back":
        (folder / MARK_NAME).unlink()
    if restored != "replaced":
        (folder / "state.db").write_bytes((folder / "backup.db").read_bytes())
    else:
        shutil.move(folder / "backup.db", folder / "state.db")

    async with exchange.agency(HANOI) as hanoi, hanoi.serving(receive=False):
        await hanoi.publish(letter("3"), to=[TAY_NINH], id="3")
        await hanoi.wait("3", until="sent", timeout=PATIENCE)
    await publish(exchange, "3", "4")

    quarantined = await exchange.records(topics.quarantine(id_of(TAY_NINH)))
    reasons = {dict(record.headers)["docbus_reason"].decode() for record in quarantined}
    assert (restored == "rolled back") == ("stream_fork" in reasons)
    assert reasons <= ({"stream_fork", "stream_chain_broken"} if restored == "rolled back" else set())
    assert ["1", "2", "3", "4"] == sorted(exchange.ids_filed(TAY_NINH))
    epochs = {one.document_id: one.metadata["statement"]["epoch"] for one in exchange.filed(TAY_NINH)}
    assert epochs["1"] == epochs["2"] != epochs["3"] == epochs["4"]
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        assert 0 == (await hanoi.status()).outbox.sent
        assert 0 == (await tay_ninh.status()).inbox.missing


async def test_second_folder_of_one_agency_may_not_receive(exchange: Exchange) -> None:
    """On the embedded transport one inbox has one reader; the second, from another folder, is told who it is."""
    shutil.copytree(exchange.folder / TAY_NINH, exchange.folder / "copy")
    async with exchange.agency(TAY_NINH) as first, exchange.agency("copy") as second, first.deliveries():
        group = topics.inbox(id_of(TAY_NINH))
        await until(lambda: any((exchange.folder / "bus.db.groups").glob("*.lock")))
        with pytest.raises(GroupBusyError, match=f"{group} is read already.*by process [0-9]+ on .* since 2"):
            async with second.serving():
                await until(lambda: False)


async def test_second_drainer_of_one_outbox_is_told_who_drains(exchange: Exchange) -> None:
    """`docbus send` beside `docbus run` does not send anything twice: it names the other and stops."""
    async with exchange.agency(HANOI) as first, exchange.agency(HANOI) as second, first.serving(receive=False):
        await until((exchange.folder / HANOI / "outbox.lock").exists)
        with pytest.raises(LockedError, match=r"outbox.lock is held for sending by process [0-9]+ on .* since 2"):
            await second.run(stop=asyncio.Event(), receive=False)


async def test_publishing_beside_a_serving_process_needs_no_lock(exchange: Exchange) -> None:
    """`docbus publish` beside `docbus run`: what one accepts, the other sends."""
    async with (
        opened(exchange, HANOI, HANOI, TAY_NINH) as (serving, publishing, tay_ninh),
        serving.serving(),
        tay_ninh.serving(),
    ):
        document = (await publishing.publish(letter(), to=[TAY_NINH])).document_id
        journey = await publishing.wait(document, until="received", timeout=PATIENCE)

    assert ["received"] == [leg.state for leg in journey.legs]


async def test_serving_takes_over(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a process that works, a program stands by, says once for whom, and works when that process ends."""
    monkeypatch.setattr(working, "STAND_BY_SECONDS", 0.01)
    stop = asyncio.Event()
    async with opened(exchange, HANOI, HANOI, TAY_NINH) as (running, program, tay_ninh), tay_ninh.serving():
        run = asyncio.ensure_future(running.run(stop=stop))
        for lock in ("outbox.lock", "inbox.lock"):
            await until((exchange.folder / HANOI / lock).exists)
        with capture_logs() as logs:
            async with program.serving():
                await until(lambda: len([one for one in logs if one["event"] == "standing_by"]) == 2)
                stop.set()
                await run
                sent = (await program.publish(letter(), to=[TAY_NINH, HANOI])).document_id
                journey = await program.wait(sent, until="received", timeout=PATIENCE)

    assert ["received"] * 2 == [leg.state for leg in journey.legs]
    told = {one["work"]: one["held"] for one in logs if one["event"] == "standing_by"}
    assert {"sending", "receiving"} == set(told)
    assert all(f"for {work} by process" in held for work, held in told.items())


async def test_deliveries_beside_another_receiver_are_an_error(exchange: Exchange) -> None:
    """Also a block that does nothing gets it, and none hangs."""
    async with opened(exchange, TAY_NINH, TAY_NINH) as (running, program), running.serving():
        for lock in ("outbox.lock", "inbox.lock"):
            await until((exchange.folder / TAY_NINH / lock).exists)

        async def receive() -> None:
            async with program.deliveries():
                pass

        done, _ = await asyncio.wait({asyncio.ensure_future(receive())}, timeout=PATIENCE)

    (error,) = [task.exception() for task in done]
    assert isinstance(error, LockedError)
    assert "for receiving by process" in error.text
