"""An agency starts, and accepts documents, while the bus is away."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.client.agency import Agency
from docbus.errors import BrokerUnavailableError, DirectoryError, IdentityError
from tests.support.trial import HANOI, TAY_NINH, letter, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.trial import Exchange


@contextmanager
def bus_away(exchange: Exchange) -> Iterator[None]:
    """Let the bus be a folder, which nobody can open, and bring it back afterwards."""
    (bus,) = exchange.folder.glob("*.db")
    files = [bus, *bus.parent.glob(f"{bus.name}-*")]
    aside = exchange.folder / "aside"
    aside.mkdir()
    for file in files:
        file.rename(aside / file.name)
    bus.mkdir()
    try:
        yield
    finally:
        bus.rmdir()
        for file in aside.iterdir():
            file.rename(exchange.folder / file.name)
        aside.rmdir()


async def test_documents_are_accepted_while_the_bus_is_away(exchange: Exchange) -> None:
    """A program that starts while nothing answers goes on with the directory it has kept, and says so."""
    async with exchange.agency(HANOI):
        pass
    with bus_away(exchange), capture_logs() as lines:
        async with exchange.agency(HANOI) as hanoi:
            accepted = await hanoi.publish(letter(), to=[TAY_NINH])
            with pytest.raises(IdentityError):
                await hanoi.publish(letter(), to=["H99.99"])
            during = await hanoi.status()

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.wait(accepted.document_id, until="received", timeout=30)

    assert isinstance(during.trouble, BrokerUnavailableError)
    assert ["bus_unreachable"] == [line["event"] for line in lines if line["log_level"] == "warning"][:1]
    assert [accepted.document_id] == exchange.ids_filed(TAY_NINH)


async def test_who_starts_while_the_bus_is_away_goes_on_when_it_is_back(exchange: Exchange) -> None:
    """Sending, receiving and following the directory begin by themselves; nobody has to start anything again."""
    async with opened(exchange, HANOI, TAY_NINH):
        pass
    with bus_away(exchange):
        hanoi, tay_ninh = exchange.agency(HANOI), exchange.agency(TAY_NINH)
        await hanoi.__aenter__()
        await tay_ninh.__aenter__()
        known = hanoi.snapshot.position
        accepted = await hanoi.publish(letter(), to=[TAY_NINH])
    try:
        async with hanoi.serving(), tay_ninh.serving():
            journey = await hanoi.wait(accepted.document_id, until="received", timeout=30)
        async with exchange.registrar() as registrar:
            await registrar.close(TAY_NINH, successor=HANOI, reason="merged")
        await until(lambda: hanoi.snapshot.position > known)
    finally:
        await tay_ninh.__aexit__(None, None, None)
        await hanoi.__aexit__(None, None, None)

    assert "received" == journey.legs[0].state


async def test_folder_that_never_saw_the_bus_needs_it(exchange: Exchange) -> None:
    """Without a directory nobody can be written to, so the error of the bus comes through."""
    with bus_away(exchange), pytest.raises(BrokerUnavailableError):
        async with exchange.agency(HANOI):
            pass


async def test_directory_that_was_changed_on_disk_is_not_believed(exchange: Exchange) -> None:
    """What is kept is a copy: its signatures and hashes are checked like those of the log."""
    async with exchange.agency(HANOI):
        pass
    with closing(sqlite3.connect(exchange.folder / HANOI / "state.db")) as database, database:
        (record,) = database.execute("SELECT record FROM directory WHERE position = 1").fetchone()
        database.execute("UPDATE directory SET record = ? WHERE position = 1", (record[:-1] + bytes([record[-1] ^ 1]),))

    with bus_away(exchange), pytest.raises(DirectoryError):
        async with Agency.open(exchange.folder / HANOI):
            pass
