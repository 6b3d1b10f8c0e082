"""Bytes of keys and certificates on disk."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.errors import StorageError
from docbus.identity.replay import DirectoryReplay
from docbus.registry import shelf as module
from docbus.registry.shelf import FileShelf
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files; ten bytes are written in one go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "BATCH_BYTES", 10)
    return tmp_path


def test_what_was_put_is_got_wherever_it_lies(folder: Path) -> None:
    """Values come back from the file and from what is not written yet, and nobody sees a file with a name."""
    shelf = FileShelf()
    values = [bytes([number]) * (number % 7) for number in range(50)]
    places = [(shelf.put(value), len(value)) for value in values]

    assert values == [shelf.get(at, size) for at, size in places]
    assert [] == list(folder.iterdir())
    assert len(shelf._pending) < 10


def test_little_never_needs_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small directory makes no file."""
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    shelf = FileShelf()

    assert b"123" == shelf.get(shelf.put(b"123"), 3)


@pytest.mark.parametrize("fails", ["making", "writing"])
def test_without_a_disk_it_stays_in_memory(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """A full or missing disk costs memory, is logged once, and loses nothing."""

    def refuse(*_given: object, **_more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shelf = FileShelf()
    values = [bytes([number]) * 6 for number in range(8)]
    places = [shelf.put(value) for value in values[:2]]
    monkeypatch.setattr(*((tempfile, "TemporaryFile") if fails == "making" else (os, "pwrite")), refuse)
    if fails == "making":
        shelf = FileShelf()
        places = [shelf.put(value) for value in values[:1]]
    with capture_logs() as lines:
        places += [shelf.put(value) for value in values[len(places) :]]

    assert values == [shelf.get(at, 6) for at in places]
    assert ["directory_in_memory"] == [line["event"] for line in lines]


def test_a_write_that_took_a_part_goes_on_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may write less than it was given."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, value, at: write(file, value[:3], at))
    shelf = FileShelf()
    at = shelf.put(b"0123456789abc")

    assert b"0123456789abc" == shelf.get(at, 13)


def test_file_that_was_cut_is_an_error() -> None:
    """What the disk has lost is never taken for a key."""
    shelf = FileShelf()
    at = shelf.put(b"0123456789abc")
    assert shelf._file is not None
    shelf._file.truncate(5)

    with pytest.raises(StorageError, match="shorter"):
        shelf.get(at, 13)


def test_directory_on_a_shelf_says_the_same() -> None:
    """Keys and certificates that lie on disk are those of the grants."""
    builder = DirectoryBuilder()
    granted = [builder.grant(f"vn:H{number + 10}") for number in range(4)]
    replay = DirectoryReplay(builder.genesis, FileShelf())
    for record in builder.records:
        replay.apply(record)
    snapshot = replay.snapshot()

    for keys in granted:
        agency = snapshot.agency(keys.agency)
        assert agency is not None
        assert keys.encryption.public_key == agency.encrypter.raw
        grant = snapshot.certificate(agency.certificates[0])
        assert grant is not None
        assert keys.signing.certificates == grant.certificates
        assert 1 == len(grant.public_keys)
