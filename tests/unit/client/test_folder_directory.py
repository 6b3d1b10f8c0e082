"""What a registrar's folder keeps of the directory: each process verifies what is new alone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.client.connect import open_registrar, started_transport
from docbus.client.directory_memory import DirectoryMemory
from docbus.client.folder_directory import FILE_NAME, fetch_for_folder, folder_memory
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.replay import DirectoryReplay
from docbus.registry.follow import fetch_snapshot
from docbus.registry.reader import DirectoryReader
from docbus.settings import EmbeddedSettings, load_settings
from docbus.storage.database import Database
from docbus.transport.topics import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

CLOCK = SystemClock()


class Counted:
    """How many records were read from the bus and verified, and how many were believed because they are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verified = self.believed = 0
        verify, believe = DirectoryReader._apply, DirectoryReplay.apply_kept

        def verifying(reader: DirectoryReader, *given: object) -> None:
            self.verified += 1
            verify(reader, *given)  # type: ignore[arg-type] # passed through

        def believing(replay: DirectoryReplay, value: bytes, checked: bytes) -> None:
            self.believed += 1
            believe(replay, value, checked)

        monkeypatch.setattr(DirectoryReader, "_apply", verifying)
        monkeypatch.setattr(DirectoryReplay, "apply_kept", believing)

    def since(self) -> tuple[int, int]:
        """Return both and begin again."""
        found = (self.verified, self.believed)
        self.verified = self.believed = 0
        return found


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return the registrar's folder of an exchange of one agency: the genesis and a grant."""
    bus = EmbeddedSettings(file=tmp_path / "bus.db")
    await found_exchange(tmp_path, [("H26", "Hà Nội")], environment="test", bus=bus, clock=CLOCK)
    return tmp_path / "registrar"


async def loaded(folder: Path) -> TrustSnapshot:
    """Load the directory as the registrar's commands do that publish."""
    async with open_registrar(folder, clock=CLOCK) as registrar:
        return await registrar.load()


async def renamed(folder: Path, name: str) -> int:
    """Publish an entry and return its position."""
    async with open_registrar(folder, clock=CLOCK) as registrar:
        return (await registrar.rename("H26", name)).position


async def looked(folder: Path) -> TrustSnapshot:
    """Look at the directory as a command does that publishes nothing."""
    settings = load_settings(folder)
    async with started_transport(settings) as transport:
        return await fetch_for_folder(transport, settings)


async def whole(settings: Settings) -> TrustSnapshot:
    """Return the directory as whoever trusts nobody reads it."""
    async with started_transport(settings) as transport:
        return await fetch_snapshot(transport, settings.exchange.genesis_bytes)


def damage(folder: Path, statement: str) -> None:
    """Change what is kept."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(statement)


async def test_registrar_verifies_an_entry_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one command has verified, its own entry as well, the next one reads from the folder and says the same of."""
    await loaded(folder)
    counted = Counted(monkeypatch)

    assert 2 == await renamed(folder, "Thủ đô")
    assert (1, 2) == counted.since()
    snapshot = await loaded(folder)
    assert (0, 3) == counted.since()
    assert snapshot == await looked(folder)
    assert (0, 3) == counted.since()
    assert snapshot == await whole(load_settings(folder))


async def test_registrar_knows_the_newest_entry_that_it_has_kept(folder: Path) -> None:
    """A time stamp is about the last entry, read now or kept."""
    await loaded(folder)
    async with open_registrar(folder, clock=CLOCK) as registrar:
        head = (await registrar.load()).head
        newest = registrar.newest_entry

    assert newest is not None
    assert head == entries.entry_hash(newest)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE directory SET record = zeroblob(100) WHERE position = 1",
        "UPDATE directory SET checked = x'00' WHERE position = 1",
        "DELETE FROM directory WHERE position = 0",
        "UPDATE directory SET at_offset = 7 WHERE position = 1",
        "UPDATE outbox SET value = 'another' WHERE name = 'directory_version'",
    ],
    ids=["record", "checked", "gap", "place", "version"],
)
async def test_what_does_not_lead_to_the_brokers_log_is_verified_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """What is damaged, lies elsewhere or was verified by another version is dropped, and the next command has it."""
    before = await loaded(folder)
    damage(folder, statement)
    counted = Counted(monkeypatch)

    assert before == await loaded(folder)
    assert 2 == counted.since()[0]
    assert before == await loaded(folder)
    assert (0, 2) == counted.since()


async def test_log_that_others_have_signed_is_not_believed_because_it_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that somebody wrote into the folder is none of those that the brokers show, so that none is believed."""
    await loaded(folder)
    settings = load_settings(folder)
    snapshot = await whole(settings)
    forged = entries.encode_entry(
        entries.DirectoryEntry(
            version=entries.VERSION,
            environment="test",
            position=2,
            previous=snapshot.head,
            made_at=snapshot.made_at,
            change=entries.Rename(agency="vn:H26", name="Somebody else"),
        )
    )
    value = entries.sign_entry(forged, [])
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(
            "INSERT INTO directory (position, at_offset, record, checked) VALUES (2, 2, ?, x'')", (value,)
        )

    found = await loaded(folder)
    assert snapshot == found
    agency = found.agency("vn:H26")
    assert agency is not None
    assert "Hà Nội" == agency.name
    assert snapshot == await looked(folder)


async def test_brokers_that_show_an_older_log_are_noticed_as_before(folder: Path) -> None:
    """What is kept does not make the registrar believe brokers that have lost an entry which it has seen."""
    await renamed(folder, "Thủ đô")
    with closing(sqlite3.connect(folder.parent / "bus.db")) as connection, connection:
        # No other topic has an offset so high yet.
        assert 1 == connection.execute('DELETE FROM records WHERE "offset" = 2').rowcount
        assert 1 == connection.execute("UPDATE partitions SET next_offset = 2 WHERE next_offset = 3").rowcount

    with pytest.raises(DirectoryError, match="this registrar has seen entry 2"):
        await loaded(folder)
    (folder / "last-entry").unlink()
    assert 1 == (await loaded(folder)).position


async def test_registrar_works_where_nothing_can_be_kept(folder: Path) -> None:
    """A file that is no database is named in the log, and the directory comes from the bus."""
    (folder / FILE_NAME).write_bytes(b"no database" * 100)
    with capture_logs() as logs:
        assert 2 == await renamed(folder, "Thủ đô")

    assert ["directory_not_kept"] == [one["event"] for one in logs if one["log_level"] == "warning"]
    assert (await whole(load_settings(folder))) == await looked(folder)


async def test_agency_and_auditor_look_as_they_are_wont(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agency's folder reads what it has kept; an auditor's keeps nothing, and verifies everything."""
    agency = folder.parent / "H26"
    counted = Counted(monkeypatch)
    first = await looked(agency)
    assert (2, 0) == counted.since()
    with closing(Database.open(agency / "state.db")) as database:
        memory = DirectoryMemory(database)
        replay = DirectoryReplay(first.genesis)
        settings = load_settings(agency)
        async with started_transport(settings) as transport:
            for record in await transport.read(DIRECTORY, 0, 0, max_records=9, max_bytes=1 << 20, wait=1.0):
                assert record.value is not None
                replay.apply(record.value)
                memory.take(record.value, record.offset, replay.checked)
        await memory.check(replay.snapshot(), await memory.seen())
    counted.since()

    assert first == await looked(agency)
    assert (0, 2) == counted.since()
    auditor = folder.parent / "auditor"
    assert first == await looked(auditor)
    assert (2, 0) == counted.since()
    async with folder_memory(load_settings(auditor)) as none:
        assert none is None


async def test_two_processes_of_a_registrar_keep_one_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever beats beside whoever grants leaves a log that the next one can use."""
    await asyncio.gather(loaded(folder), loaded(folder))
    async with open_registrar(folder, clock=CLOCK) as beating:
        await beating.load()
        await renamed(folder, "Thủ đô")
        await beating.heartbeat()
    counted = Counted(monkeypatch)

    assert 3 == (await loaded(folder)).position
    assert (0, 4) == counted.since()
