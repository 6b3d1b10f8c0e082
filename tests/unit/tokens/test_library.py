"""Finding and loading the makers' libraries."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from docbus.errors import KeyFileError
from docbus.tokens import library
from docbus.tokens.library import library_file, load
from docbus.tokens.uri import TokenUri

if TYPE_CHECKING:
    from pathlib import Path


def test_library_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without ``lib`` and ``.so`` is looked for in the folders in their order."""
    for folder, file in (("a", "libother.so"), ("b", "libsofthsm2.so"), ("c", "softhsm2.so")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    monkeypatch.setattr(library, "FOLDERS", [str(tmp_path / name) for name in "abc"])

    assert tmp_path / "b" / "libsofthsm2.so" == library_file(TokenUri(module_name="softhsm2"))


@pytest.mark.parametrize("name", ["softhsm3", "../b/libsofthsm2", "/etc/passwd"])
def test_name_that_is_nowhere_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is none of a path, and the error says how to give one."""
    monkeypatch.setattr(library, "FOLDERS", [str(tmp_path)])

    with pytest.raises(KeyFileError, match="in the usual folders") as refused:
        library_file(TokenUri(module_name=name))

    assert "module-path" in (refused.value.hint or "")


def test_library_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """The file that the URI names is not there: the error has it, with what to do."""
    with pytest.raises(KeyFileError, match=r"token\.so is not there") as refused:
        library_file(TokenUri(module_path=tmp_path / "token.so"))

    assert "maker" in (refused.value.hint or "")


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-pkcs11 a key on a token cannot be used, and the error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(KeyFileError, match="python-pkcs11 is not installed") as refused:
        library_file(TokenUri(module_path=tmp_path))

    assert "docbus[pkcs11]" in (refused.value.hint or "")


def test_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    """A file of another kind is not taken for a token that is away: it would be waited for without end."""
    file = tmp_path / "token.so"
    file.write_text("no library")

    with pytest.raises(KeyFileError, match="cannot be loaded"):
        load(file)
