"""Looking at a database file without making it, changing its schema, or getting in the way of whoever works with it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.storage.failures import storage_error
from docbus.storage.migrations import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.clock import Clock

WAIT_SECONDS = 5.0
"""Seconds that looking waits for a process that holds the file; a transaction takes milliseconds."""
STEPS = 1000
"""Steps of SQLite's machine between two looks at the clock: well below a millisecond."""
SHOWN_DAMAGE = 5
"""Faults of a file that are named; one is enough to restore it."""
_SOUND = [("ok",)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found in a file.

    Attributes:
        schema: Number of its schema.
        newest: Number of the newest one, to which the next start brings it.
        damage: What SQLite says is wrong, at most ``SHOWN_DAMAGE`` of it.
        complete: Whether it was looked at to its end; what was seen until then had no damage otherwise.
        size: Bytes of the file, its log left out.
    """

    schema: int
    newest: int
    damage: tuple[str, ...]
    complete: bool
    size: int


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that only reads, on one state of a file that is there already.

    Raises:
        StorageError: It is not there, cannot be opened, or is no database.
    """
    try:
        with closing(_connect(path)) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise storage_error(error, path) from error


def inspect(path: Path, clock: Clock, seconds: float) -> Inspection:
    """Look for damage in a file, for so many seconds at most.

    Raises:
        StorageError: It cannot be opened, is not docbus's, or is of a newer docbus.
    """
    with reading(path) as connection:
        schema, newest = schema_of(connection, path)
        pages, page_bytes = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")
        )
        complete, damage = _quick_check(connection, clock, seconds)
    return Inspection(schema=schema, newest=newest, damage=damage, complete=complete, size=pages * page_bytes)


def _quick_check(connection: sqlite3.Connection, clock: Clock, seconds: float) -> tuple[bool, tuple[str, ...]]:
    """Return whether SQLite got to the end in time, and what it says is wrong."""
    deadline = clock.monotonic() + seconds
    connection.set_progress_handler(lambda: clock.monotonic() >= deadline, STEPS)
    # Before SQLite 3.41 the clock is not looked at while it walks through one tree, however large that is.
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        found = connection.execute(f"PRAGMA quick_check({SHOWN_DAMAGE})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return False, ()
    finally:
        timer.cancel()
        timer.join()
        connection.set_progress_handler(None, 0)
    if found == _SOUND:
        return True, ()
    # Newer versions of SQLite list an interruption as the last fault instead of failing.
    faults = tuple(str(row[0]) for row in found if row[0] != "interrupted")
    return len(faults) == len(found), faults


def _connect(path: Path) -> sqlite3.Connection:
    # Mode rw, so that the log of a process that has died is seen too, and an absent file is not made.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection
