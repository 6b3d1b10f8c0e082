from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from docbus.errors import DiskFullError, StorageError
from docbus.storage.failures import storage_error

PATH = Path("/var/lib/docbus/state.db")


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (sqlite3.SQLITE_BUSY, "held by another process"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "held by another process"),
        (sqlite3.SQLITE_NOTADB, "not an SQLite database"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_READONLY, "cannot be written"),
        (sqlite3.SQLITE_ERROR, "as SQLite says"),
    ],
)
def test_codes_become_errors_that_name_file_and_remedy(code: int, text: str) -> None:
    """Each code of SQLite, extended or not, has a text and a hint."""
    error = storage_error(sqlite_error(code), PATH)

    assert type(error) is StorageError
    assert text in error.text
    assert str(PATH) in error.text
    assert error.hint is not None


def test_full_names_the_folder() -> None:
    """The folder is what has to be looked at."""
    error = storage_error(sqlite_error(sqlite3.SQLITE_FULL), PATH)

    assert isinstance(error, DiskFullError)
    assert "/var/lib/docbus" in error.text


@pytest.mark.parametrize(("free", "expected"), [(0, DiskFullError), (10**9, StorageError)])
def test_input_output_error_is_a_full_disk_if_it_is_full(
    free: int, expected: type[StorageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite reports some writes without space as I/O errors."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, free))  # type: ignore[attr-defined]

    assert type(storage_error(sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), PATH)) is expected


def test_error_without_code_is_kept() -> None:
    """An error that Python's module made itself has no code of SQLite."""
    assert "closed" in storage_error(sqlite3.ProgrammingError("closed"), PATH).text
