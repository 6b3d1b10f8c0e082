"""An agency does not forget what it has seen of the directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.client.directory_memory import DirectoryMemory
from docbus.errors import DirectoryError
from docbus.storage.database import Database
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot


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


async def test_log_is_kept_once_and_grows(database: Database) -> None:
    """Each record is there by its position with its offset, however often the log was read."""
    builder = log_of("vn:H26")
    for _ in range(2):
        memory = DirectoryMemory(database)
        for offset, record in enumerate(builder.records):
            memory.take(record, 10 + offset)
        await memory.check(builder.snapshot(), await memory.seen())
    builder.grant("vn:H53")
    memory.take(builder.records[-1], 20)
    memory.note(builder.snapshot())
    await memory.aclose()

    assert list(zip(builder.records, (10, 11, 20), strict=True)) == await memory.kept()


async def test_what_is_kept_is_not_kept_again(database: Database) -> None:
    """Whoever began with what is kept adds what follows it."""
    builder = log_of("vn:H26")
    first = DirectoryMemory(database)
    for offset, record in enumerate(builder.records):
        first.take(record, offset)
    await first.check(builder.snapshot(), await first.seen())
    builder.grant("vn:H53")
    memory = DirectoryMemory(database)
    memory.take(builder.records[0], 0)
    memory.go_on_after(2)
    memory.take(builder.records[2], 2)
    await memory.check(builder.snapshot(), await memory.seen())

    assert [(record, offset) for offset, record in enumerate(builder.records)] == await memory.kept()
