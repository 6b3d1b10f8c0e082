"""What an operator sees, and is kept from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from docbus.client.agency import Agency
from docbus.client.founding import found_registrar
from docbus.clock import SystemClock
from docbus.errors import AgencyClosedError, BrokerUnavailableError, ConfigurationError
from docbus.settings import EmbeddedSettings, KafkaServerSettings
from tests.support.trial import HANOI, TAY_NINH, id_of, letter, opened

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
