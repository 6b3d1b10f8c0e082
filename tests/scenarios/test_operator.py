"""What an operator sees, and is kept from."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
import structlog
from structlog.testing import capture_logs

from docbus.cli import main
from docbus.client.agency import Agency
from docbus.client.founding import found_registrar
from docbus.client.status import folder_status
from docbus.clock import SystemClock
from docbus.errors import AgencyClosedError, BrokerUnavailableError, ConfigurationError
from docbus.settings import EmbeddedSettings, KafkaServerSettings, load_settings
from tests.support.outbox import FakeClock
from tests.support.trial import HANOI, TAY_NINH, id_of, letter, opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange


async def test_status_names_what_is_undelivered_and_who_works(exchange: Exchange) -> None:
    """Each copy without an answer is listed with recipient and time, and so is the process that would send it."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        before = await hanoi.status()
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.wait(document, until="received", timeout=30)
            during = await hanoi.status()
        after = await hanoi.status()

    (open_copy,) = before.outbox.undelivered
    assert (document, id_of(TAY_NINH), "accepted") == (open_copy.document_id, open_copy.recipient, open_copy.state)
    assert () == during.outbox.undelivered
    assert (None, None) == (before.sending, before.receiving)
    assert [True, True] == [f"process {os.getpid()} " in (who or "") for who in (during.sending, during.receiving)]
    assert (None, None) == (after.sending, after.receiving)


async def test_settings_of_another_exchange_are_refused(exchange: Exchange) -> None:
    """What would be quarantined by every recipient is not signed in the first place."""
    path = exchange.folder / HANOI / "docbus.toml"
    named = next(line for line in path.read_text("utf-8").splitlines() if line.startswith("environment"))
    path.write_text(path.read_text("utf-8").replace(named, 'environment = "prod"'), "utf-8")

    with pytest.raises(ConfigurationError, match="the settings say environment = 'prod'"):
        async with Agency.open(exchange.folder / HANOI):
            pass


async def test_closed_agency_is_told_its_successor(exchange: Exchange) -> None:
    """A closed agency does not run on, and hears where its documents go now."""
    async with exchange.registrar() as registrar:
        await registrar.close(HANOI, successor=TAY_NINH, reason="merged")

    with pytest.raises(AgencyClosedError) as caught:
        async with Agency.open(exchange.folder / HANOI):
            pass

    assert f"Its successor is {id_of(TAY_NINH)}." == caught.value.hint


async def test_founding_that_failed_can_be_done_again(tmp_path: Path) -> None:
    """A broker that was away leaves nothing that stands in the way of the same command."""
    told = {"environment": "test", "name": "Registrar", "clock": SystemClock()}
    away = KafkaServerSettings(bootstrap="127.0.0.1:1", replication_factor=1)

    with pytest.raises(BrokerUnavailableError):
        await found_registrar(tmp_path / "registrar", bus=away, **told)
    founded = await found_registrar(tmp_path / "registrar", bus=EmbeddedSettings(file=tmp_path / "bus.db"), **told)

    assert 64 == len(founded.genesis)


async def test_overdue_document_is_shown_by_status_metrics_and_log(exchange: Exchange) -> None:
    """An urgent document that nobody receives is overdue after half an hour, wherever an operator looks."""
    clock = FakeClock(ms=SystemClock().now_ms())
    settings = exchange.folder / HANOI / "docbus.toml"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.write_text(settings.read_text("utf-8") + f'\n[metrics]\nlisten = "127.0.0.1:{port}"\n', "utf-8")

    async with Agency.open(exchange.folder / HANOI, clock=clock) as hanoi:
        document = (await hanoi.publish(letter(), to=[TAY_NINH], urgency=3)).document_id
        async with hanoi.serving(receive=False):
            await hanoi.wait(document, until="sent", timeout=30)
        clock.ms += 31 * 60 * 1000
        with capture_logs() as lines:
            async with hanoi.serving(receive=False):
                await until(lambda: any(line["event"] == "overdue" for line in lines))
                scraped = await asyncio.to_thread(_scrape, port)
                status = await hanoi.status()

    late = {one.stage.value: one for one in status.overdue}
    assert [0, 1, 0] == [late[stage].count for stage in ("sent", "received", "processed")]
    assert (document, id_of(TAY_NINH)) == late["received"].first[0][::2][:2]
    assert f'docbus_overdue_copies{{agency="{id_of(HANOI)}",stage="received"}} 1.0' in scraped
    assert ["received"] == [line["stage"] for line in lines if line["event"] == "overdue"]


async def test_taken_metrics_address_ends_serving_with_its_name(exchange: Exchange) -> None:
    """Nobody believes to be watched who is not: an address that cannot be listened on is an error."""
    settings = exchange.folder / HANOI / "docbus.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings.write_text(settings.read_text("utf-8") + f'\n[metrics]\nlisten = "127.0.0.1:{port}"\n', "utf-8")

        async with exchange.agency(HANOI) as hanoi:
            with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be listened on"):
                async with hanoi.serving(receive=False), asyncio.timeout(30):
                    await asyncio.Event().wait()


async def test_only_who_sends_is_watched(exchange: Exchange) -> None:
    """A second program in the same folder leaves sending, and the address for figures, to the first."""
    settings = exchange.folder / HANOI / "docbus.toml"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.write_text(settings.read_text("utf-8") + f'\n[metrics]\nlisten = "127.0.0.1:{port}"\n', "utf-8")

    async with (
        opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh),
        exchange.agency(HANOI) as second,
        hanoi.serving(),
        tay_ninh.serving(),
    ):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        async with second.serving():
            await second.wait(document, until="received", timeout=30)


def _scrape(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read(), "utf-8")


async def test_directory_that_was_cut_back_shows_in_the_status(exchange: Exchange) -> None:
    """An operator who looks sees that the directory ends before what this folder has followed."""
    async with exchange.agency(HANOI) as hanoi:
        followed = hanoi.snapshot.position
    (bus,) = exchange.folder.glob("*.db")
    with closing(sqlite3.connect(bus)) as database, database:
        (partition,) = database.execute(
            "SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = 'docbus.directory'"
        ).fetchone()
        database.execute('DELETE FROM records WHERE partition_id = ? AND "offset" = ?', (partition, followed))
        database.execute("UPDATE partitions SET next_offset = ? WHERE id = ?", (followed, partition))

    status = await folder_status(load_settings(exchange.folder / HANOI), SystemClock())

    assert (followed, followed - 1) == (status.followed, status.directory.position if status.directory else None)
    assert f"this agency has seen entry {followed}" in (status.directory_trouble or "")
    try:
        for command in ("status", "doctor"):
            assert 1 == await asyncio.to_thread(main, ["-C", str(exchange.folder / HANOI), command])
    finally:
        structlog.reset_defaults()
