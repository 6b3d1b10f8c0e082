"""Validation material in a file: what was put in comes out, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki import material_file
from docbus.identity.pki.material import MAX_PIECES
from docbus.identity.pki.material_file import FORMAT, dump_material, load_material
from tests.support.pki import TestAuthority

ROOT = TestAuthority()
PIECES = (ROOT.revocations(), ROOT.response(ROOT.issue()))
GOOD = {"format": FORMAT, "statement": None, "as_of": None, "material": []}


def test_a_file_reads_back() -> None:
    """With the statement it is about, and without."""
    about = load_material(dump_material(PIECES, statement=b"s" * 32, as_of=7))

    assert (list(PIECES), b"s" * 32, 7) == ([one.content for one in about.pieces], about.statement, about.as_of)
    assert ((), None, None) == load_material(dump_material(()))


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON",
        b"[]",
        b"[" * 100_000,
        json.dumps(GOOD | {"format": "another"}).encode(),
        json.dumps({"format": FORMAT}).encode(),
        json.dumps(GOOD | {"statement": "no hex"}).encode(),
        json.dumps(GOOD | {"as_of": "today"}).encode(),
        json.dumps(GOOD | {"material": ["no base64!"]}).encode(),
        json.dumps(GOOD | {"material": ["AAAA"]}).encode(),
        json.dumps(GOOD | {"material": [""] * (MAX_PIECES + 1)}).encode(),
    ],
)
def test_other_files_are_refused(content: bytes) -> None:
    """Each is malformed, and none is read halfway."""
    with pytest.raises(MalformedError):
        load_material(content)


def test_a_piece_that_cannot_be_used_is_named() -> None:
    """A list without a number is no evidence."""
    with pytest.raises(IdentityError, match="without a number"):
        load_material(dump_material([ROOT.revocations(number=None)]))


def test_a_file_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte too much is not looked at."""
    monkeypatch.setattr(material_file, "MAX_FILE_BYTES", 10)
    with pytest.raises(MalformedError, match="10 are allowed"):
        load_material(bytes(11))
