"""What a registrar's folder has seen of the directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError
from docbus.registry.last_entry import MAX_BYTES, LastEntry
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def builder() -> DirectoryBuilder:
    """Return a directory of two agencies."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H53")
    return builder


def test_a_directory_that_goes_on_is_fine(tmp_path: Path, builder: DirectoryBuilder) -> None:
    """From nothing, from the same entry, and from an earlier one, whoever has signed those in between."""
    path = tmp_path / "last-entry"
    LastEntry(path).check(builder.replay().snapshot(1))
    for _ in range(2):
        LastEntry(path).check(builder.snapshot())

    assert f"2 {builder.hashes[2].hex()}\n" == path.read_text("ascii")
    assert [path] == list(tmp_path.iterdir())


def test_a_directory_that_was_cut_back_is_refused(tmp_path: Path, builder: DirectoryBuilder) -> None:
    """Also after another start, until somebody has removed the file, which the hint names."""
    path = tmp_path / "last-entry"
    LastEntry(path).check(builder.snapshot())

    for _ in range(2):
        with pytest.raises(DirectoryError, match="ends at entry 1, and this registrar has seen entry 2") as refused:
            LastEntry(path).check(builder.replay().snapshot(1))
        assert str(path) in (refused.value.hint or "")
    path.unlink()
    LastEntry(path).check(builder.replay().snapshot(1))


def test_another_entry_in_its_place_is_refused(tmp_path: Path, builder: DirectoryBuilder) -> None:
    """A fork shows at the entry that was seen, however long it is."""
    path = tmp_path / "last-entry"
    LastEntry(path).check(builder.snapshot())
    del builder.records[2:], builder.hashes[2:]
    builder.grant("vn:H37")
    builder.grant("vn:H38")

    with pytest.raises(DirectoryError, match="has another entry 2"):
        LastEntry(path).check(builder.snapshot())


@pytest.mark.parametrize("content", [b"", b"2", b"two ff", b"2 xyz", b"\xff 00", b"0 " + b"0" * MAX_BYTES + b"0"])
def test_what_is_no_entry_is_refused(tmp_path: Path, builder: DirectoryBuilder, content: bytes) -> None:
    """A file that was damaged is not taken for nothing, as it may have said something."""
    path = tmp_path / "last-entry"
    path.write_bytes(content)

    with pytest.raises(DirectoryError):
        LastEntry(path).check(builder.snapshot())


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path, builder: DirectoryBuilder) -> None:
    """What was seen before counts on, and it is logged."""
    path = tmp_path / "gone" / "last-entry"

    LastEntry(path).check(builder.snapshot())

    assert not path.exists()
