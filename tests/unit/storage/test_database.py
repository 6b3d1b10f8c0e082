from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from docbus.errors import DiskFullError, StorageError
from docbus.storage import database as module
from docbus.storage.database import CACHE_KIB, LOG_BYTES, Database, used_bytes
from tests.support.outbox import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database.open(path)
    yield opened
    opened.close()


def put(name: str, value: object = 1) -> Callable[[sqlite3.Connection], str]:
    def operation(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO outbox (name, value) VALUES (?, ?)", (name, value))
        return name

    return operation


def names(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM outbox ORDER BY name")]


class Gate:
    """An operation that keeps the writer busy until it is opened, so that others queue up behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.entered.set()
        assert self.opened.wait(10)


async def behind_gate(database: Database, *operations: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """Let operations queue up and run as one group; return their results or errors."""
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    tasks = [asyncio.create_task(database.write(operation)) for operation in operations]
    await until(lambda: len(database._queue) == len(operations))
    gate.opened.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_write_is_durable_when_it_returns(database: Database, path: Path) -> None:
    """What was written is there for another connection as soon as write returns."""
    result = await database.write(put("a"))

    other = sqlite3.connect(path)
    found = names(other)
    other.close()
    assert result == "a"
    assert found == ["a"]


async def test_queued_operations_share_one_transaction(database: Database) -> None:
    """Everything queued at the moment is committed together."""
    statements: list[str] = []
    database._writer.set_trace_callback(statements.append)

    await behind_gate(database, *[put(f"{number:03}") for number in range(50)])

    database._writer.set_trace_callback(None)
    assert statements.count("BEGIN IMMEDIATE") == 2
    assert statements.count("COMMIT") == 2
    assert len(database.read_now(names)) == 50


async def test_group_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group takes at most so many operations; the rest comes in the next ones."""
    monkeypatch.setattr(module, "MAX_GROUP", 4)
    statements: list[str] = []
    database._writer.set_trace_callback(statements.append)

    await behind_gate(database, *[put(f"{number:03}") for number in range(10)])

    database._writer.set_trace_callback(None)
    assert statements.count("COMMIT") == 1 + 3


async def test_failing_operation_is_undone_alone(database: Database) -> None:
    """An operation that raises leaves nothing behind and harms no other in its group."""

    def fails(connection: sqlite3.Connection) -> None:
        put("half")(connection)
        raise ValueError("on purpose")

    before, failed, after = await behind_gate(database, put("a"), fails, put("b"))

    assert (before, after) == ("a", "b")
    assert isinstance(failed, ValueError)
    assert database.read_now(names) == ["a", "b"]


async def test_failing_statement_becomes_storage_error(database: Database) -> None:
    """SQLite's own errors never come through."""
    await database.write(put("a"))

    with pytest.raises(StorageError, match="UNIQUE"):
        await database.write(put("a"))


async def test_full_database_names_folder_and_keeps_what_was_accepted(database: Database, path: Path) -> None:
    """A full disk refuses the new and loses nothing of the old."""
    await database.write(put("a"))
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(DiskFullError, match=str(path.parent)) as caught:
        await database.write(put("large", bytes(1_000_000)))

    assert "Free space" in str(caught.value.hint)
    assert database.read_now(names) == ["a"]
    database._writer.execute("PRAGMA max_page_count = 1000000")
    assert await database.write(put("large", bytes(1_000_000))) == "large"


async def test_full_database_takes_what_still_fits(database: Database) -> None:
    """In a group the operation that does not fit fails, and the small ones around it are stored."""
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 2}")

    before, failed, after = await behind_gate(database, put("a"), put("large", bytes(1_000_000)), put("b"))

    assert (before, after) == ("a", "b")
    assert isinstance(failed, DiskFullError)
    assert database.read_now(names) == ["a", "b"]


async def test_lost_transaction_is_redone_one_by_one(database: Database) -> None:
    """When SQLite undoes the whole transaction, each operation gets one of its own."""

    def loses(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("as after an I/O error")

    before, failed, after = await behind_gate(database, put("a"), loses, put("b"))

    assert (before, after) == ("a", "b")
    assert isinstance(failed, StorageError)
    assert database.read_now(names) == ["a", "b"]


async def test_cancelled_before_its_group_writes_nothing(database: Database) -> None:
    """A caller that goes away while it waits leaves nothing behind."""
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    waiting = asyncio.create_task(database.write(put("a")))
    await until(lambda: database._queue)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.opened.set()
    await first

    assert database.read_now(names) == []


async def test_full_queue_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """More operations than may wait are refused after a bounded wait, and nothing of them is written."""
    monkeypatch.setattr(module, "MAX_QUEUED", 1)
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    second = asyncio.create_task(database.write(put("a")))
    await until(lambda: database._queue)
    with monkeypatch.context() as patched:
        patched.setattr(module, "WAIT_SECONDS", 0.01)

        with pytest.raises(StorageError, match="1 operations wait"):
            await database.write(put("b"))
    gate.opened.set()
    await asyncio.gather(first, second)

    assert database.read_now(names) == ["a"]


async def test_silent_disk_is_reported(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait for the disk is bounded."""
    gate = Gate()
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)

    with pytest.raises(StorageError, match="did not answer"):
        await database.write(gate)
    gate.opened.set()


def test_held_database_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of another process is waited for, but not for ever."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    database = Database.open(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="held by another process"):
        database.write_now(put("a"))

    other.execute("ROLLBACK")
    other.close()
    assert database.write_now(put("a")) == "a"
    database.close()


def test_reader_sees_one_state(database: Database) -> None:
    """A read sees no commit that happens meanwhile."""

    def twice(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        database.write_now(put("a"))
        return before, names(connection)

    assert database.read_now(twice) == ([], [])
    assert database.read_now(names) == ["a"]


def test_reader_cannot_write(database: Database) -> None:
    """Writing goes through the writer alone."""
    with pytest.raises(StorageError):
        database.read_now(put("a"))


async def test_read_runs_off_the_loop(database: Database) -> None:
    """Reading does not block the event loop."""
    assert await database.read(lambda _: threading.current_thread()) is not threading.current_thread()


def test_data_version_tells_that_another_has_written(database: Database, path: Path) -> None:
    """The version changes with a commit, here or in another process, and only then."""
    first = database.data_version()
    same = database.data_version()
    database.write_now(put("a"))
    second = database.data_version()
    other = Database.open(path)
    other.write_now(put("b"))
    other.close()
    third = database.data_version()

    assert same == first
    assert len({first, second, third}) == 3


def test_two_processes_share_the_file(path: Path) -> None:
    """Writers on the same file wait for each other and both succeed."""
    databases = [Database.open(path) for _ in range(2)]
    for number in range(20):
        databases[number % 2].write_now(put(f"{number:02}"))

    found = databases[0].read_now(names)
    for database in databases:
        database.close()
    assert found == [f"{number:02}" for number in range(20)]


def test_what_was_written_survives_sudden_death(path: Path) -> None:
    """A process that ends without closing loses nothing that write returned for."""
    script = (
        "import os, sys, pathlib\n"
        "from docbus.storage.database import Database\n"
        "database = Database.open(pathlib.Path(sys.argv[1]))\n"
        "database.write_now(lambda c: c.execute(\"INSERT INTO outbox VALUES ('a', 1)\") and None)\n"
        "os._exit(9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=False, env={**os.environ, "PYTHONPATH": "."}
    )
    database = Database.open(path)
    found = database.read_now(names)
    database.close()

    assert ended.returncode == 9
    assert found == ["a"]


def test_file_is_for_its_owner_alone(database: Database, path: Path) -> None:
    """Content keys lie in the file and its log."""
    database.write_now(put("a"))

    assert {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {
        "state.db": 0o600,
        "state.db-wal": 0o600,
        "state.db-shm": 0o600,
    }


def test_wide_permissions_are_narrowed(path: Path) -> None:
    """A file that others may read is closed to them when it is opened."""
    path.touch(mode=0o644)
    path.chmod(0o644)

    Database.open(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_commits_are_synced(database: Database) -> None:
    """Log and synchronous mode are those that survive a power cut."""
    settings = {
        name: database._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}


def test_other_file_is_refused(path: Path) -> None:
    """A file that is no database is named, and left as it is."""
    path.write_bytes(b"not a database " * 100)

    with pytest.raises(StorageError, match="not an SQLite database") as caught:
        Database.open(path)

    assert caught.value.hint is not None
    assert path.read_bytes() == b"not a database " * 100


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is not made."""
    with pytest.raises(StorageError, match="nowhere"):
        Database.open(tmp_path / "nowhere" / "state.db")


def test_folder_in_place_of_file_is_refused(path: Path) -> None:
    """A folder of the database's name is an error that names it."""
    path.mkdir()

    with pytest.raises(StorageError, match=r"state\.db"):
        Database.open(path)


async def test_closing_stores_what_is_queued(path: Path) -> None:
    """Operations that wait when the database is closed are still committed."""
    database = Database.open(path)
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    second = asyncio.create_task(database.write(put("a")))
    await until(lambda: database._queue)
    closing = asyncio.create_task(asyncio.to_thread(database.close))
    gate.opened.set()
    await asyncio.gather(first, second, closing)

    again = Database.open(path)
    found = again.read_now(names)
    again.close()
    assert found == ["a"]


def test_closed_database_refuses(path: Path) -> None:
    """After closing, nothing is written or read, and closing again does nothing."""
    database = Database.open(path)
    database.close()
    database.close()

    with pytest.raises(StorageError, match="closed"):
        database.write_now(put("a"))
    with pytest.raises(StorageError, match="closed"):
        database.read_now(names)
    with pytest.raises(StorageError):
        database.data_version()


def test_used_bytes_grow_and_shrink(database: Database) -> None:
    """Pages that deleting has freed do not count."""
    empty = database.file_bytes()
    database.write_now(put("large", bytes(1_000_000)))
    full = database.file_bytes()
    database.write_now(lambda connection: connection.execute("DELETE FROM outbox").rowcount)

    assert full - empty >= 990_000
    assert database.read_now(used_bytes) == empty


def test_failing_group_answers_every_caller(database: Database) -> None:
    """Nobody waits for ever because the connection broke."""
    database._writer.close()
    future: Future[str] = Future()

    database._put(put("a"), future)

    assert isinstance(future.exception(10), StorageError)


def test_cache_and_log_are_bounded(database: Database) -> None:
    """SQLite keeps so many pages in memory, and cuts its log back to so many bytes."""
    settings = [
        database._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("cache_size", "journal_size_limit")
    ]

    assert [-CACHE_KIB, LOG_BYTES] == settings


async def test_cancelled_caller_ends_also_if_its_answer_comes_just_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told to end while the writer answers ends: who goes on instead is never told again."""
    asked: list[Future[None]] = []
    monkeypatch.setattr(database, "_put", lambda _operation, future: asked.append(future))
    task = asyncio.create_task(database.write(lambda _connection: None))
    await until(lambda: bool(asked))

    asked[0].set_result(None)
    task.cancel()

    await asyncio.wait({task})
    assert task.cancelled()
