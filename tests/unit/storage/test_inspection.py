from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from docbus.errors import StorageError
from docbus.storage.database import Database
from docbus.storage.inspection import SHOWN_DAMAGE, STEPS, inspect, reading
from docbus.storage.migrations import migrations
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20.0
ROWS = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of docbus, with rows in a table that has an index."""
    path = tmp_path / "state.db"
    database = Database.open(path)
    database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers (name TEXT NOT NULL, number INTEGER)")
        connection.execute("CREATE INDEX by_name ON numbers (name)")
        connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(f"row {at}", at) for at in range(ROWS)])
    connection.close()
    return path


class TickingClock(FakeClock):
    """A second passes with each look."""

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


def test_sound_file(path: Path) -> None:
    """A file without damage is looked at to its end, and stays as it is."""
    before = path.read_bytes()

    found = inspect(path, FakeClock(), SECONDS)

    assert (True, (), len(before)) == (found.complete, found.damage, found.size)
    assert found.schema == found.newest == len(migrations())
    assert before == path.read_bytes()


def test_damage_is_named_and_bounded(path: Path) -> None:
    """Rows that a rule of their table forbids are found; the first faults are named."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'number INTEGER', 'number INTEGER CHECK (number < 0)')"
        )
    connection.close()

    found = inspect(path, FakeClock(), SECONDS)

    assert SHOWN_DAMAGE == len(found.damage)
    assert "CHECK constraint failed in numbers" == found.damage[0]


def test_looking_ends(path: Path) -> None:
    """When the time is up, nothing is said of the rest."""
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO numbers VALUES (?, ?)", [("x", at) for at in range(10 * STEPS)])
    connection.close()

    found = inspect(path, TickingClock(), 1.0)

    assert (False, ()) == (found.complete, found.damage)


def test_reading_only_reads(path: Path) -> None:
    """A connection for looking cannot write."""
    with pytest.raises(StorageError, match="cannot be written"), reading(path) as connection:
        connection.execute("DELETE FROM numbers")


def test_looking_makes_no_file(tmp_path: Path) -> None:
    """A file that is not there is an error, and is not there afterwards."""
    with pytest.raises(StorageError, match="cannot be opened"):
        inspect(tmp_path / "state.db", FakeClock(), SECONDS)

    assert [] == list(tmp_path.iterdir())


def test_what_is_in_the_log_is_seen(path: Path) -> None:
    """What another process has committed and not yet copied into the file counts."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("INSERT INTO numbers VALUES ('new', 1)")

    with reading(path) as connection:
        found = connection.execute("SELECT count(*) FROM numbers").fetchone()
    writer.close()

    assert (ROWS + 1,) == found


def test_newer_schema_is_refused(path: Path) -> None:
    """A file of a newer docbus is not looked into."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()

    with pytest.raises(StorageError, match="has schema 999"):
        inspect(path, FakeClock(), SECONDS)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """Any other file is said to be none."""
    (tmp_path / "state.db").write_bytes(b"Kinh gui quy co quan" * 100)

    with pytest.raises(StorageError, match="is not an SQLite database"):
        inspect(tmp_path / "state.db", FakeClock(), SECONDS)
