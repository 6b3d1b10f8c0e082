"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
from errno import ENOSPC
from typing import TYPE_CHECKING

import pytest

from docbus.storage.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    """Nothing is left beside it, not even by what had died there."""
    path = tmp_path / "file"
    (tmp_path / ".file.new").write_bytes(b"a longer rest")
    for content in (b"one", b"other"):
        write_whole(path, content)

        assert content == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_one_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nothing is half, and nothing lies about."""
    path = tmp_path / "file"
    write_whole(path, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"after")

    assert b"before" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
