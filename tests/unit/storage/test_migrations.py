from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from docbus.errors import StorageError
from docbus.storage.database import Database
from docbus.storage.migrations import APPLICATION_ID, Migration, migrate, migrations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = Migration(
    number=1, name="first", script="CREATE TABLE a (x);\n-- a comment; with a semicolon\nCREATE TABLE b (y);\n"
)
SECOND = Migration(number=2, name="second", script="ALTER TABLE a ADD COLUMN z;\n")
BROKEN = Migration(number=2, name="broken", script="CREATE TABLE c (x);\nALTER TABLE nowhere ADD COLUMN z;\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(path, isolation_level=None)
    yield opened
    opened.close()


def tables(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def test_new_file_gets_every_migration(connection: sqlite3.Connection, path: Path) -> None:
    """An empty file ends at the newest schema and says whose it is."""
    version = migrate(connection, path, [FIRST, SECOND])

    assert version == 2
    assert tables(connection) == ["a", "b"]
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_migrations_are_applied_once(connection: sqlite3.Connection, path: Path) -> None:
    """A file at the newest schema is left alone; an older one gets only what it lacks."""
    migrate(connection, path, [FIRST])
    migrate(connection, path, [FIRST, SECOND])
    version = migrate(connection, path, [FIRST, SECOND])

    assert version == 2


def test_broken_migration_leaves_the_schema_before_it(connection: sqlite3.Connection, path: Path) -> None:
    """A migration is applied as a whole or not at all."""
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, [FIRST, BROKEN])

    assert tables(connection) == ["a", "b"]
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert migrate(connection, path, [FIRST, SECOND]) == 2


def test_newer_schema_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    """A file of a newer docbus is not touched."""
    migrate(connection, path, [FIRST, SECOND])

    with pytest.raises(StorageError, match="schema 2") as caught:
        migrate(connection, path, [FIRST])

    assert "newer" in str(caught.value.hint)


def test_database_of_another_program_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    """A file with tables that docbus did not make is not touched."""
    connection.execute("CREATE TABLE theirs (x)")

    with pytest.raises(StorageError, match="another program"):
        migrate(connection, path, [FIRST])

    assert tables(connection) == ["theirs"]


def test_script_that_ends_within_a_statement_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    """A file that was cut off is noticed."""
    with pytest.raises(StorageError, match="middle of a statement"):
        migrate(connection, path, [Migration(number=1, name="cut", script="CREATE TABLE a (x);\nCREATE TABLE")])

    assert tables(connection) == []


def test_numbers_have_no_holes(tmp_path: Path) -> None:
    """A missing file is noticed before anything is applied."""
    (tmp_path / "0001_a.sql").touch()
    (tmp_path / "0003_c.sql").touch()

    with pytest.raises(StorageError, match="without holes"):
        migrations(tmp_path)


def test_migrations_of_docbus_apply(path: Path) -> None:
    """The migrations that are shipped make a database that opens."""
    Database.open(path).close()
    Database.open(path).close()

    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    assert version == len(migrations())
    assert migrations()[0].name == "outbox"
