"""The file of the embedded transport: opening it, its tables, its one thread, and what its errors mean."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from docbus.errors import BrokerUnavailableError, DiskFullError, TransportError
from docbus.storage.failures import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

APPLICATION_ID: Final = 0x646F6362
"""``docb`` in the header of the file, so that another program's database is never taken for a bus."""
FORMAT: Final = 1
"""Version of the tables, in the header as ``user_version``."""
BUSY_SECONDS: Final = 10.0
"""Seconds to wait for another process that is writing; a commit takes milliseconds."""
CLOSE_SECONDS: Final = 5.0
"""Seconds that closing may take, of which a checkpoint of the write-ahead log is the longest part."""
CACHE_KIB: Final = 16 * 1024
"""Page cache in KiB: a fetch of 8 MiB and the indexes."""

_TABLES: Final = """
CREATE TABLE topics (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    partitions    INTEGER NOT NULL,
    max_bytes     INTEGER NOT NULL,             -- max.message.bytes, checked at every append
    configuration TEXT    NOT NULL              -- JSON object of strings
) STRICT;
CREATE TABLE partitions (
    id              INTEGER PRIMARY KEY,
    topic           INTEGER NOT NULL REFERENCES topics (id),
    number          INTEGER NOT NULL,
    next_offset     INTEGER NOT NULL DEFAULT 0,
    last_stored_ms  INTEGER NOT NULL DEFAULT 0, -- so that time does not go back within a partition
    UNIQUE (topic, number)
) STRICT;
CREATE TABLE records (
    id           INTEGER PRIMARY KEY,           -- order of storing; keeps large values out of the index below
    partition_id INTEGER NOT NULL REFERENCES partitions (id),
    "offset"     INTEGER NOT NULL,
    stored_ms    INTEGER NOT NULL,
    key          BLOB,
    value        BLOB,
    headers      BLOB    NOT NULL,
    UNIQUE (partition_id, "offset")
) STRICT;
CREATE TABLE positions (
    partition_id INTEGER NOT NULL REFERENCES partitions (id),
    group_name   TEXT    NOT NULL,
    next_offset  INTEGER NOT NULL,
    PRIMARY KEY (partition_id, group_name)
) STRICT, WITHOUT ROWID;
"""


class BusFile:
    """One connection, used by one thread of its own, so that the event loop never waits for the disk.

    Args:
        path: The file.
        make: Make it if it is not there; otherwise that is an error, as an empty bus in the place of one that was moved
            looks like one that has lost everything.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        """Open nothing yet."""
        self.path = path
        self._make = make
        self._worker: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._opening = asyncio.Lock()
        self._wanted = False

    async def open(self) -> None:
        """Open the file, and make it and its tables if they may be made. A second call does nothing.

        Raises:
            BrokerUnavailableError: It is not there, cannot be opened, or is not a bus.
            DiskFullError: There is no room for it.
        """
        self._wanted = True
        async with self._opening:
            if self._worker is not None:
                return
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="docbus-bus")
            try:
                self._connection = await self._hand_over(self._open)
            except BaseException:
                await self._let_go()
                raise

    async def close(self) -> None:
        """Close connection and thread, waiting for what runs at most :data:`CLOSE_SECONDS`."""
        self._wanted = False
        await self._let_go()

    async def _let_go(self) -> None:
        worker, self._worker = self._worker, None
        connection, self._connection = self._connection, None
        if worker is None:
            return
        if connection is not None:
            closing = asyncio.get_running_loop().run_in_executor(worker, connection.close)
            await asyncio.wait([closing], timeout=CLOSE_SECONDS)
        worker.shutdown(wait=False)

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run an operation in the file's thread, after those handed over before.

        A cancelled caller does not stop it: it is done or undone as a whole.

        Raises:
            TransportError: The file was never opened, cannot be opened now, or SQLite failed.
            DiskFullError: There is no room left; a transaction that was under way is undone.
        """
        if self._connection is None and self._wanted:
            await self.open()
        connection = self._connection
        if connection is None:
            raise TransportError(f"the bus file {self.path} is not open", hint="Call start() first.")
        return await self._hand_over(lambda: operation(connection))

    async def write(
        self,
        operation: Callable[[sqlite3.Connection], T],
        *,
        stored: Callable[[sqlite3.Connection], object] | None = None,
    ) -> T:
        """Run an operation as one transaction, synced to disk when this returns; then ``stored``, in its thread."""

        def job(connection: sqlite3.Connection) -> T:
            outcome = transaction(connection, operation)
            if stored is not None:
                stored(connection)
            return outcome

        return await self.run(job)

    async def _hand_over(self, job: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._worker, job)
        except sqlite3.Error as error:
            raise _bus_error(error, self.path) from error
        except RuntimeError as error:
            if self._worker is not None:
                raise
            raise TransportError(f"the bus file {self.path} was closed") from error

    def _open(self) -> sqlite3.Connection:
        if not self._make and not _has_content(self.path):
            raise BrokerUnavailableError(
                f"the bus file {self.path} cannot be found",
                hint="Put it back, with the -wal and -shm beside it, or correct file under [embedded] in docbus.toml:"
                " only `docbus registrar init` makes one.",
            )
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            # Only close() may come from another thread, and only after this one is idle.
            _use_write_ahead_log(connection, self.path)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys=ON")
            transaction(connection, self._prepare)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version == FORMAT:
            return
        if application == APPLICATION_ID:
            raise BrokerUnavailableError(
                f"{self.path} has format {version}, this docbus knows {FORMAT}",
                hint="Use the version of docbus that wrote it.",
            )
        if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise BrokerUnavailableError(
                f"{self.path} is a database of something else, not a bus of docbus",
                hint="Name another file in the settings; this one was not touched.",
            )
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT}")


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise BrokerUnavailableError(
            f"{path} lies where SQLite cannot keep a write-ahead log (journal mode {mode})",
            hint="Put the bus file on a local disk: several processes share memory beside it.",
        )


def transaction(connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], T]) -> T:
    """Run an operation as one transaction, in the file's thread."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcome = operation(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A full disk or an I/O error may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcome


def _bus_error(error: sqlite3.Error, path: Path) -> TransportError | DiskFullError:
    failure = storage_error(error, path)
    if isinstance(failure, DiskFullError):
        return failure
    return BrokerUnavailableError(f"the bus file cannot be used: {failure.text}", hint=failure.hint)
