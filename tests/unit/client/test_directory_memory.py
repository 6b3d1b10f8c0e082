"""An agency does not forget what it has seen of the directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from docbus.client import directory_memory as module
from docbus.client.directory_memory import DirectoryMemory, begin_directory, fetch_after_kept
from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.replay import DirectoryReplay
from docbus.registry.follow import DirectoryFollower
from docbus.registry.reader import Kept
from docbus.storage.database import Database
from tests.support.bus import append_entries, found_bus
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record
    from docbus.transport.sqlite import SqliteTransport


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "state.db")
    yield database
    database.close()


def log_of(*agencies: str) -> DirectoryBuilder:
    """Return a directory of these agencies."""
    builder = DirectoryBuilder()
    for agency in agencies:
        builder.grant(agency)
    return builder


async def check(database: Database, snapshot: TrustSnapshot) -> None:
    """Check a snapshot as a process does that starts."""
    memory = DirectoryMemory(database)
    await memory.check(snapshot, await memory.seen())


async def test_directory_that_grows_is_fine(database: Database) -> None:
    """The same directory, and a longer one, go on from what was seen."""
    builder = log_of("vn:H26")
    await check(database, builder.snapshot())
    builder.grant("vn:H53")

    await check(database, builder.snapshot())
    await check(database, builder.snapshot())


async def test_directory_that_was_cut_back_is_refused(database: Database) -> None:
    """An entry that was followed while running cannot be taken away before the next start."""
    builder = log_of("vn:H26", "vn:H53")
    short = builder.replay().snapshot(1)
    memory = DirectoryMemory(database)
    await memory.check(short, await memory.seen())
    memory.note(builder.snapshot())
    await memory.aclose()

    with pytest.raises(DirectoryError, match="ends at entry 1, and this agency has seen entry 2"):
        await check(database, short)


async def test_other_directory_is_refused(database: Database) -> None:
    """Another entry at a position that was seen is somebody else's directory."""
    await check(database, log_of("vn:H26").snapshot())

    with pytest.raises(DirectoryError, match="entry 1 of the directory is not the one"):
        await check(database, log_of("vn:H26", "vn:H53").snapshot())


async def test_what_another_process_has_seen_meanwhile_is_no_alarm(database: Database) -> None:
    """A newer entry that was noted after this process asked is not held against the directory that it has read."""
    builder = log_of("vn:H26", "vn:H53")
    short = builder.replay().snapshot(1)
    memory = DirectoryMemory(database)
    seen = await memory.seen()
    await check(database, builder.snapshot())

    await memory.check(short, seen)
    assert await memory.seen() == (builder.snapshot().position, builder.snapshot().head)


async def kept_by(memory: DirectoryMemory) -> list[Kept]:
    """Return everything that is kept."""
    return [one async for one in memory.kept()]


async def keep(database: Database, builder: DirectoryBuilder, version: str = "1") -> list[Kept]:
    """Read a directory as a process does that starts with nothing, and return what it has kept."""
    memory = DirectoryMemory(database, version)
    replay = DirectoryReplay(builder.genesis)
    for offset, record in enumerate(builder.records):
        replay.apply(record)
        memory.take(record, offset, replay.checked)
    await memory.check(replay.snapshot(), await memory.seen())
    await memory.aclose()
    return await kept_by(memory)


async def test_log_is_kept_once_and_grows(database: Database) -> None:
    """Each record is there by its position with its offset, however often the log was read."""
    builder = log_of("vn:H26")
    once = await keep(database, builder)
    assert once == await keep(database, builder)
    builder.grant("vn:H53")
    memory = DirectoryMemory(database, "1")
    memory.go_on_after(2)
    memory.take(builder.records[-1], 20, b"checked")
    memory.note(builder.snapshot())
    await memory.aclose()

    assert [*once, Kept(builder.records[-1], 20, b"checked")] == await kept_by(memory)
    assert builder.records[:2] == [one.value for one in once]


async def test_what_is_kept_is_not_kept_again(database: Database) -> None:
    """Whoever began with what is kept adds what follows it."""
    builder = log_of("vn:H26")
    once = await keep(database, builder)
    builder.grant("vn:H53")
    memory = DirectoryMemory(database, "1")
    memory.take(builder.records[0], 0, b"")
    memory.go_on_after(2)
    memory.take(builder.records[2], 2, b"")
    await memory.check(builder.snapshot(), await memory.seen())

    assert [*once, Kept(builder.records[2], 2, b"")] == await kept_by(memory)


async def test_long_log_is_kept_bit_by_bit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long log is read, a bounded number of records is in memory, here and when it is read again."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 2)
    builder = log_of("vn:H26", "vn:H53", "vn:H37", "vn:H01")
    memory = DirectoryMemory(database, "1")
    waiting = []
    for offset, record in enumerate(builder.records):
        memory.take(record, offset, b"")
        waiting.append(len(memory._read))
    await memory.check(builder.snapshot(), await memory.seen())

    assert [1, 0, 1, 0, 1] == waiting
    assert builder.records == [one.value for one in await kept_by(memory)]


async def test_what_another_version_has_kept_counts_as_verified_for_that_one_only(database: Database) -> None:
    """Its rules may have been others; whoever reads the log anew puts what it has found in the place of that."""
    builder = log_of("vn:H26")
    await keep(database, builder, "1")
    other = DirectoryMemory(database, "2")
    assert await DirectoryMemory(database, "1").is_verified()
    assert not await other.is_verified()

    await keep(database, builder, "2")
    assert await other.is_verified()
    assert not await DirectoryMemory(database, "1").is_verified()


class Start:
    """A process that starts on a folder, and what it reads of the bus."""

    def __init__(self, database: Database, transport: SqliteTransport, genesis: bytes) -> None:
        self.memory = DirectoryMemory(database)
        self.transport = transport
        self.follower = DirectoryFollower(transport, genesis, on_entry=self._take)
        self.read = 0

    def _take(self, value: bytes, offset: int, checked: bytes) -> None:
        self.read += 1
        self.memory.take(value, offset, checked)

    async def begin(self) -> TrustSnapshot:
        """Begin, and return the directory as it was loaded."""
        await begin_directory(self.transport, self.follower, self.memory)
        await self.memory.aclose()
        return self.follower.snapshot


async def test_second_start_reads_and_verifies_what_is_new_alone(database: Database, tmp_path: Path) -> None:
    """The directory is the same as if all of it had been read, down to the last version of each grant."""
    builder = log_of("vn:H26")
    async with found_bus(tmp_path / "bus.db") as transport:
        await append_entries(transport, builder.records)
        first = Start(database, transport, builder.genesis)
        await first.begin()
        builder.grant("vn:H53")
        builder.append(entries.Heartbeat())
        await append_entries(transport, builder.records[2:])
        second = Start(database, transport, builder.genesis)
        snapshot = await second.begin()
        third = Start(database, transport, builder.genesis)
        again = await third.begin()

    assert (2, 2, 0) == (first.read, second.read, third.read)
    assert builder.snapshot() == snapshot == again
    assert list(builder.snapshot().agencies()) == list(again.agencies())
    digests = [digest for agency in again.agencies() for digest in agency.certificates]
    assert [builder.snapshot().certificate(one) for one in digests] == [again.certificate(one) for one in digests]
    assert builder.records == [one.value for one in await kept_by(DirectoryMemory(database))]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE directory SET record = zeroblob(100) WHERE position = 1",
        "UPDATE directory SET record = (SELECT record FROM directory WHERE position = 0) WHERE position = 1",
        "UPDATE directory SET checked = x'00' WHERE position = 1",
        "DELETE FROM directory WHERE position = 0",
    ],
)
async def test_what_is_kept_and_damaged_is_read_anew(database: Database, tmp_path: Path, damage: str) -> None:
    """A record that does not follow the one before is not believed, nor the rest; what is read takes its place."""
    builder = log_of("vn:H26", "vn:H53")
    async with found_bus(tmp_path / "bus.db") as transport:
        await append_entries(transport, builder.records)
        await Start(database, transport, builder.genesis).begin()
        await database.write(lambda connection: connection.execute(damage))
        start = Start(database, transport, builder.genesis)
        snapshot = await start.begin()

        again = Start(database, transport, builder.genesis)
        await again.begin()

    assert builder.snapshot() == snapshot
    assert (3, 0) == (start.read, again.read)
    assert builder.records == [one.value for one in await kept_by(again.memory)]


@pytest.mark.parametrize("shown", ["shorter", "other", "other end"])
async def test_bus_that_does_not_have_what_is_kept_is_refused(database: Database, tmp_path: Path, shown: str) -> None:
    """A log that was cut back, or written anew, is noticed by its last record that this folder knows."""
    builder = log_of("vn:H26", "vn:H53")
    other = DirectoryBuilder(signers=builder.signers)
    other.records, other.hashes = builder.records[:2], builder.hashes[:2]
    other.grant("vn:H37")
    other.grant("vn:H01")
    async with found_bus(tmp_path / "bus.db") as transport:
        await append_entries(transport, builder.records)
        await Start(database, transport, builder.genesis).begin()
    values = {"shorter": builder.records[:2], "other": other.records, "other end": other.records[:3]}[shown]
    async with found_bus(tmp_path / "other.db") as transport:
        await append_entries(transport, values)
        with pytest.raises(DirectoryError, match="entry 2 of the directory, which this agency has seen"):
            await Start(database, transport, builder.genesis).begin()


async def test_whoever_only_looks_reads_what_is_new_and_keeps_nothing(database: Database, tmp_path: Path) -> None:
    """Beside what is kept only the rest is read; a bus that shows another log is shown as it is."""
    builder = log_of("vn:H26")
    async with found_bus(tmp_path / "bus.db") as transport:
        await append_entries(transport, builder.records)
        await Start(database, transport, builder.genesis).begin()
        builder.grant("vn:H53")
        await append_entries(transport, builder.records[2:])
        offsets: list[int] = []
        read = transport.read

        async def noted(topic: str, partition: int, offset: int, **limits: Any) -> list[Record]:
            offsets.append(offset)
            return await read(topic, partition, offset, **limits)

        transport.read = noted  # type: ignore[method-assign] # to see what is asked
        longer = await fetch_after_kept(transport, builder.genesis, DirectoryMemory(database))
    async with found_bus(tmp_path / "other.db") as transport:
        await append_entries(transport, builder.records[:1])
        shorter = await fetch_after_kept(transport, builder.genesis, DirectoryMemory(database))

    assert [1, 2] == offsets
    assert (builder.snapshot(), 0) == (longer, shorter.position)
    assert 2 == len(await kept_by(DirectoryMemory(database)))
