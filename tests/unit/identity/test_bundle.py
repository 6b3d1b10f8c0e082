"""Trust bundles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError, DocbusError, MalformedError
from docbus.identity import bundle as module
from docbus.identity.bundle import dump_bundle, load_bundle, replay_bundle
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def builder() -> DirectoryBuilder:
    """Return a directory with two agencies; tests only read it."""
    made = DirectoryBuilder()
    made.grant("vn:H26", name="Thành phố Hà Nội")
    made.grant("vn:H27")
    return made


@pytest.fixture(scope="module")
def bundle(builder: DirectoryBuilder) -> bytes:
    """Return its bundle."""
    return dump_bundle(builder.snapshot(), builder.records)


def test_bundle_says_what_the_directory_said(builder: DirectoryBuilder, bundle: bytes) -> None:
    """A snapshot out of a bundle equals the one that went in, with or without a pin."""
    for pin in (builder.genesis, None):
        loaded = load_bundle(bundle, pin)

        assert builder.snapshot() == loaded
        assert next(builder.snapshot().agencies()).name == next(loaded.agencies()).name


def test_bundle_reaches_the_past(builder: DirectoryBuilder, bundle: bytes) -> None:
    """An auditor gets earlier snapshots from the same file."""
    assert builder.replay().snapshot(1) == replay_bundle(bundle, builder.genesis).snapshot(1)


def test_another_directory_is_refused(bundle: bytes) -> None:
    """A bundle of another registrar does not pass the pin."""
    with pytest.raises(DirectoryError, match="pinned is"):
        load_bundle(bundle, DirectoryBuilder().genesis)


def _edited(bundle: bytes, edit: Callable[[dict[str, object]], object]) -> bytes:
    content = json.loads(bundle)
    edit(content)
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda c: c.update(format="docbus-trust-2"), MalformedError),
        (lambda c: c.pop("format"), MalformedError),
        (lambda c: c.pop("genesis"), MalformedError),
        (lambda c: c.update(genesis="xyz"), MalformedError),
        (lambda c: c.update(genesis=5), MalformedError),
        (lambda c: c.pop("entries"), MalformedError),
        (lambda c: c.update(entries=5), MalformedError),
        (lambda c: c.update(entries=[5]), MalformedError),
        (lambda c: c.update(entries=["é"]), MalformedError),
        (lambda c: c.update(environment="prod"), DirectoryError),
        (lambda c: c.update(entries=[]), DirectoryError),
        (lambda c: c["entries"].reverse(), DirectoryError),
        (lambda c: c["entries"].pop(1), DirectoryError),
        (lambda c: c["entries"].append(c["entries"][-1]), DirectoryError),
        (lambda c: c.update(genesis="00" * 32), DirectoryError),
    ],
)
def test_one_edit_is_refused(
    builder: DirectoryBuilder, bundle: bytes, edit: Callable[[dict[str, object]], object], error: type[DocbusError]
) -> None:
    """A bundle that was edited in one place is refused."""
    with pytest.raises(error):
        load_bundle(_edited(bundle, edit), builder.genesis)


def test_bundle_cut_at_an_entry_is_an_older_directory(builder: DirectoryBuilder, bundle: bytes) -> None:
    """A shorter log is a valid older one; that it is old shows by its position and age, not as an error."""
    older = load_bundle(_edited(bundle, lambda c: c["entries"].pop()), builder.genesis)  # type: ignore[attr-defined] # a list

    assert 1 == older.position


def test_bundle_without_entries_is_refused(bundle: bytes) -> None:
    """Nothing can be said under a directory that is empty, and what helps is another bundle."""
    emptied = json.dumps(json.loads(bundle) | {"entries": []}).encode()

    with pytest.raises(DirectoryError, match="has no entries") as caught:
        load_bundle(emptied, None)
    assert "docbus export trust" in (caught.value.hint or "")


def test_bundle_that_begins_later_is_refused(builder: DirectoryBuilder, bundle: bytes) -> None:
    """Without its first entry nothing of it is trusted, and the genesis is to be compared."""
    found = json.loads(bundle)
    cut = json.dumps(found | {"entries": found["entries"][1:]}).encode()

    with pytest.raises(DirectoryError, match="genesis_pinned") as caught:
        load_bundle(cut, builder.genesis)
    assert "Nothing of it is trusted" in (caught.value.hint or "")


def test_size_is_looked_at_first(bundle: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit is not parsed."""
    monkeypatch.setattr(module, "MAX_BUNDLE_BYTES", len(bundle) - 1)

    with pytest.raises(MalformedError, match=f"a trust bundle of {len(bundle)} bytes"):
        load_bundle(bundle, None)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b"PK\x03\x04"])
def test_other_files_are_refused(content: bytes) -> None:
    """A file that is no bundle is called that."""
    with pytest.raises(MalformedError):
        load_bundle(content, None)
