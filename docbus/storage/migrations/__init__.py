"""Schema versions: numbered SQL files, each applied once, in one transaction, by whoever opens the file first.

``PRAGMA user_version`` holds the number of the last one applied and ``PRAGMA application_id`` says whose file it is.
A file is never edited after a release; a change is a new number.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APPLICATION_ID = 0x444F4342
"""``DOCB`` in ASCII, in the header of every file made by docbus; ``file`` and SQLite's own tools show it."""
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of the schema."""

    number: int
    name: str
    script: str


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Return the migrations in their order.

    Args:
        folder: Where the ``NNNN_name.sql`` files lie.

    Raises:
        StorageError: The numbers are not 1, 2, 3 …; the installation is damaged.
    """
    found = [
        Migration(
            number=int(path.stem.partition("_")[0]),
            name=path.stem.partition("_")[2],
            script=path.read_text(encoding="utf-8"),
        )
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StorageError(
            f"the migrations in {folder} are not numbered from 1 without holes",
            hint="Install docbus again; its own files are incomplete.",
        )
    return tuple(found)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration] | None = None) -> int:
    """Bring the file to the newest schema; do nothing if it is there already.

    Args:
        connection: In autocommit mode.
        path: Named in errors.
        steps: The migrations; those of docbus if left out.

    Returns:
        The number of the schema now in force.

    Raises:
        StorageError: The file belongs to another program, or to a newer docbus.
        sqlite3.Error: A statement failed; the file keeps the schema it had.
    """
    known = migrations() if steps is None else tuple(steps)
    newest = known[-1].number if known else 0
    if _check(connection, path, newest) == newest:
        return newest
    for migration in known:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again inside the transaction: another process may have applied it while this one waited.
            if _check(connection, path, newest) < migration.number:
                for statement in _statements(migration.script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {migration.number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return newest


def schema_of(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """Return the number of a file's schema, and that of the newest one, to which the next start brings it.

    Raises:
        StorageError: The file belongs to another program, or to a newer docbus.
    """
    newest = len(migrations())
    return _check(connection, path, newest), newest


def _check(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the schema's number; raise if the file is not one that this docbus may write."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    used = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0]
    if application != APPLICATION_ID and (used or version):
        raise StorageError(
            f"{path} is an SQLite database of another program",
            hint="Name another folder for the agency; docbus does not touch this file.",
        )
    if version > newest:
        raise StorageError(
            f"{path} has schema {version}, and this docbus knows no newer one than {newest}",
            hint="Run the docbus that wrote it, or a newer one.",
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """Cut a script at the semicolons that end a statement; ``executescript`` would commit before its first one."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if any(line.strip() and not line.strip().startswith("--") for line in pending.splitlines()):
        raise StorageError("a migration ends in the middle of a statement", hint="Install docbus again.")
