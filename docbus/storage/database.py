"""One SQLite file, one writer thread, group commit.

An fsync costs a millisecond or more, whatever it makes durable; so everything that is queued when the writer comes
round goes into one transaction. Each operation runs in a savepoint of its own: one that fails is undone alone. Several
processes may open the same file (``docbus publish`` beside ``docbus run``); SQLite's own locks keep their transactions
apart, and ``data_version`` tells one that another has written.

File and log are made with mode 0600: the content keys of documents that wait to be sealed lie in them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, TypeVar

import structlog

from docbus.clock import Clock, SystemClock
from docbus.errors import StorageError
from docbus.limits import KIB, MIB
from docbus.storage.failures import storage_error
from docbus.storage.groups import Request, commit_group
from docbus.storage.migrations import migrate

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
"""Reads or writes through the connection and returns what its caller wants to know. It neither commits nor rolls
back, and may be run a second time after its first run was undone, so it keeps no state of its own outside."""

BUSY_SECONDS = 15.0
"""Seconds a transaction waits for another process's; a group takes milliseconds, a checkpoint of 64 MiB a second."""
WAIT_SECONDS = 120.0
"""Seconds a caller waits for its operation; beyond, the disk does not answer and the outcome is unknown."""
CLOSE_SECONDS = 30.0
"""Seconds that closing waits for what is queued."""
SLOW_SECONDS = 2.0
"""Seconds after which a group is logged: a slow disk, or a process that holds the file, should be seen."""
MAX_QUEUED = 4096
"""Operations that may wait for the writer; operations are batches, so this is far more than ever waits."""
MAX_GROUP = 256
"""Operations in one transaction, so that the first does not wait for ever while others keep coming."""
PAGE_BYTES = 8 * KIB
"""An envelope without its package takes 1.5 to 3 KB: three to a page instead of one with the default 4 KiB."""
CACHE_KIB = 8 * KIB
"""Page cache of each connection in KiB. Four times as much made nothing faster (``make bench``), as the system keeps
the file's pages too, and a steady recipient filled it for 45 minutes: memory that seems to grow."""
SCAN_KIB = MIB // KIB
"""The same of one that reads once, from one end to the other. It belongs to a thread of a pool, and the C library keeps
what each of them has freed: with the other's cache, a process that is watched grew by 150 MiB."""
CHECKPOINT_PAGES = 4096
"""Pages in the log (32 MiB) at which a commit copies them into the file; with SQLite's 1,000 a busy outbox would
write each page of its tables twice a second."""
LOG_BYTES = 64 * MIB
"""Bytes to which the log is cut back after it once had to grow."""


class Database:
    """The agency's ``state.db``. Thread-safe; one object per process.

    Every method that touches the file raises :class:`StorageError`, and :class:`DiskFullError` where space has run
    out; what an operation itself raises comes through unchanged, after its savepoint was undone.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        watcher: sqlite3.Connection,
    ) -> None:
        """Use :meth:`open`."""
        self.path = path
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._watcher = watcher
        self._read_lock = threading.Lock()
        self._watch_lock = threading.Lock()
        self._changed = threading.Condition()
        self._queue: deque[Request] = deque()
        self._closing = False
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="docbus-read")
        self._thread = threading.Thread(target=self._serve, name="docbus-write", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> Database:
        """Open the file, make it if it is not there, and bring its schema up to date.

        Args:
            path: The database file; its folder must exist.
            clock: Measures how long groups take.

        Raises:
            StorageError: Not an SQLite file, not docbus's, of a newer schema, or not accessible.
        """
        try:
            with ExitStack() as opened:
                _create(path)
                writer = opened.enter_context(closing(_connect(path, read_only=False)))
                migrate(writer, path)
                reader, watcher = (opened.enter_context(closing(_connect(path, read_only=True))) for _ in range(2))
                database = cls(path, clock or SystemClock(), writer, reader, watcher)
                opened.pop_all()
                return database
        except sqlite3.Error as error:
            raise storage_error(error, path) from error
        except OSError as error:
            raise StorageError(
                f"{path} cannot be opened: {error.strerror}",
                hint="Check that the folder exists and that this user may read and write in it.",
            ) from error

    # --- writing ----------------------------------------------------------------------------------

    async def write(self, operation: Operation[T]) -> T:
        """Run the operation in the next group; return when the commit is durable.

        A caller that is cancelled before its group starts has written nothing; afterwards the group is committed
        all the same.

        Raises:
            StorageError: See the class; also if the answer takes longer than ``WAIT_SECONDS``.
        """
        if len(self._queue) >= MAX_QUEUED:
            await asyncio.to_thread(self._wait_for_room)
        future: Future[T] = Future()
        self._put(operation, future)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise self._silent() from error

    def write_now(self, operation: Operation[T]) -> T:
        """Do what :meth:`write` does, blocking the calling thread; never call it on an event loop."""
        self._wait_for_room()
        future: Future[T] = Future()
        self._put(operation, future)
        try:
            return future.result(WAIT_SECONDS)
        except FutureTimeoutError as error:
            raise self._silent() from error

    def _wait_for_room(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < MAX_QUEUED, WAIT_SECONDS)

    def _put(self, operation: Operation[T], future: Future[T]) -> None:
        with self._changed:
            if self._closing:
                raise StorageError(f"{self.path} is closed", hint="Nothing was written; open the database again.")
            if len(self._queue) >= MAX_QUEUED:
                raise StorageError(
                    f"{len(self._queue):,} operations wait for {self.path}",
                    hint="The disk is too slow for what is asked of it; look at its load.",
                )
            self._queue.append(Request(operation, future))
            self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._changed:
                # Woken by notify; the timeout only bounds the wait.
                while not self._queue and not self._closing:
                    self._changed.wait(WAIT_SECONDS)
                if not self._queue:
                    break
                group = [self._queue.popleft() for _ in range(min(MAX_GROUP, len(self._queue)))]
                self._changed.notify_all()
            began = self._clock.monotonic()
            commit_group(self._writer, group, self.path)
            took = self._clock.monotonic() - began
            if took >= SLOW_SECONDS:
                log.warning("database.slow", path=str(self.path), seconds=round(took, 3), operations=len(group))
        self._writer.close()

    def _silent(self) -> StorageError:
        return StorageError(
            f"{self.path} did not answer within {WAIT_SECONDS:.0f} s",
            hint="Look at the disk; whether the last operation was stored is shown once it answers again.",
        )

    # --- reading ----------------------------------------------------------------------------------

    async def read(self, operation: Operation[T]) -> T:
        """Run the operation on one consistent state, in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, operation)

    def read_now(self, operation: Operation[T]) -> T:
        """Do what :meth:`read` does in the calling thread."""
        try:
            with self._read_lock:
                self._reader.execute("BEGIN")
                try:
                    return operation(self._reader)
                finally:
                    self._reader.execute("COMMIT")
        except sqlite3.ProgrammingError as error:
            raise StorageError(
                f"{self.path} is closed or was misused: {error}", hint="Open the database again."
            ) from error
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    async def read_apart(self, operation: Operation[T]) -> T:
        """Run a long read on a connection of its own, so that those of :meth:`read` do not wait behind it."""
        return await asyncio.to_thread(self._read_apart, operation)

    def _read_apart(self, operation: Operation[T]) -> T:
        try:
            with closing(_connect(self.path, read_only=True, cache_kib=SCAN_KIB)) as connection:
                connection.execute("BEGIN")
                return operation(connection)
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    def data_version(self) -> int:
        """Return a number that changes whenever anybody, here or in another process, has committed.

        Costs microseconds and may be called on an event loop.
        """
        try:
            with self._watch_lock:
                return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    def file_bytes(self) -> int:
        """Return how many bytes of the file are in use; pages that deleting has freed are not counted."""
        return self.read_now(used_bytes)

    def close(self) -> None:
        """Store what is queued, then close; a second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        self._readers.shutdown(wait=True, cancel_futures=True)
        with self._read_lock:
            self._reader.close()
        with self._watch_lock:
            self._watcher.close()


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the database's pages in use, by the state that the connection sees."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _create(path: Path) -> None:
    """Make the file for its owner alone; SQLite gives its log and shared memory the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _use_log(connection: sqlite3.Connection, path: Path) -> None:
    mode = str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    if mode != "wal":
        raise StorageError(
            f"{path} cannot be kept with a write-ahead log (mode {mode})",
            hint="Keep the agency's folder on a local disk; network file systems lack shared memory.",
        )


def _connect(path: Path, *, read_only: bool, cache_kib: int = CACHE_KIB) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not read_only:
            # Takes effect only in a file that is still empty.
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _use_log(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection
