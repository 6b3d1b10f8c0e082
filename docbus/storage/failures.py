"""From SQLite's result codes to the errors of docbus, with what to do about each."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

from docbus.errors import DiskFullError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes keep the primary code in the low byte (sqlite.org/rescode.html)."""
_NO_SPACE_BYTES = 256 * 1024
"""Free bytes below which an I/O error is taken for a full disk: extending the shared-memory file or truncating
the log reports SQLITE_IOERR, not SQLITE_FULL, when the device has no block left."""

_HINTS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: (
        "is held by another process",
        "Find the process that has held a transaction open for so long, for example with `fuser`, and end it.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database",
        "Move the file away and restore it from a backup: docs/how-to/restore-state.md says what is lost without one.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "Keep the file as it is, check the disk, and restore the file from a backup.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that the folder exists and that this user may read and write in it.",
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot be written",
        "Check the owner and the permissions of the file and its folder, and whether the file system is read-only.",
    ),
    sqlite3.SQLITE_PERM: (
        "cannot be opened for lack of permission",
        "Check the owner and the permissions of the file and its folder.",
    ),
    sqlite3.SQLITE_AUTH: (
        "cannot be opened for lack of permission",
        "Check the owner and the permissions of the file and its folder.",
    ),
}


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """Return the error of docbus for an error of SQLite.

    Args:
        error: What SQLite raised.
        path: The database file, named in the text.

    Returns:
        :class:`DiskFullError` where space has run out, otherwise :class:`StorageError`; never raised here, so that
        the caller can write ``raise … from error``.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _without_space(path)):
        return DiskFullError(
            f"no space left in {path.parent}: {path.name} could not be written",
            hint=f"Free space on the disk that holds {path.parent}; what was accepted before is kept, nothing new was.",
        )
    wrong, hint = _HINTS.get(code, (f"failed: {error}", "Look at the disk and at the log of the system."))
    return StorageError(f"{path} {wrong}", hint=hint)


def _without_space(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NO_SPACE_BYTES
    except OSError:
        return False
