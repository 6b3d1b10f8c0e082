"""C2: what is opened, and what is remembered. Each check's failures are in ``tests/vectors``."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from docbus.envelope.package import Outside
from docbus.errors import VerificationError
from docbus.verification.opening import Opener, _contents
from tests.support.letters import seal, verify, world
from tests.vectors.building.letters import (
    make_head,
    make_package,
    write_document,
    write_receipt,
    write_status,
)
from tests.vectors.building.world import HANOI, LANG_SON, TAY_NINH

DOCUMENT = write_document(world(), "document")


def opener(agency: str = TAY_NINH, *keys: str) -> Opener:
    """Return an opener of an agency, with the keys of others if they are named."""
    return Opener(agency, [world().parties[key].decrypter for key in keys or (agency,)])


def test_a_document_opens_again_and_again() -> None:
    """With and without a remembered batch key the package is the same."""
    verified = verify(seal(DOCUMENT)[0], recipient=TAY_NINH)
    used = opener()

    assert [DOCUMENT.package] * 2 == [used.open(verified), used.open(verified)]


def test_a_statement_without_a_package_opens_to_nothing() -> None:
    """Receipts, and statuses without a note, have nothing to open."""
    for letter in (write_receipt(world(), "receipt"), write_status(world(), "status", code=5, note=None)):
        assert None is opener(HANOI).open(verify(seal(letter)[0], recipient=HANOI))


def test_a_note_opens() -> None:
    """The free text of a status is its package's summary."""
    letter = write_status(world(), "status-with-note", code=2, note="Văn bản gửi nhầm nơi nhận")

    package = opener(HANOI).open(verify(seal(letter)[0], recipient=HANOI))

    assert package is not None
    assert "Văn bản gửi nhầm nơi nhận" == package.manifest.summary


def test_a_remembered_batch_key_is_bound_to_its_sender() -> None:
    """Another agency that copies wraps and package of a document into its own statement does not get it opened."""
    used = opener()
    used.open(verify(seal(DOCUMENT)[0], recipient=TAY_NINH))
    head = make_head(world(), "thief", sender=LANG_SON)
    thief = write_document(world(), "thief", head=head)
    stolen = replace(
        thief,
        head=thief.head._replace(batch_key_digest=DOCUMENT.head.batch_key_digest),
        position=thief.position._replace(content_key_digest=DOCUMENT.position.content_key_digest),
        body=DOCUMENT.body,
        keys=DOCUMENT.keys,
        sealed=DOCUMENT.sealed,
    )

    with pytest.raises(VerificationError) as caught:
        used.open(verify(seal(stolen)[0], recipient=TAY_NINH))
    assert ("C2.01", "batch_key_unusable") == (caught.value.step, caught.value.code)


def test_without_the_key_nothing_opens() -> None:
    """A recipient that has lost its key is told so at C2.01."""
    with pytest.raises(VerificationError) as caught:
        opener(TAY_NINH, LANG_SON).open(verify(seal(DOCUMENT)[0], recipient=TAY_NINH))
    assert ("C2.01", "batch_key_unusable") == (caught.value.step, caught.value.code)


def test_files_outside_the_package_cannot_be_fetched_yet() -> None:
    """A large attachment fails C2.07 until this version can fetch it."""
    package = make_package("document")
    file = package.manifest.files[0]._replace(place=Outside(0, bytes(32), bytes(32)))

    with pytest.raises(VerificationError, match="cannot fetch"):
        _contents(package._replace(manifest=package.manifest._replace(files=(file,))))


def test_errors_carry_no_plaintext() -> None:
    """What is stored with a quarantined record names files by number."""
    package = make_package("document")
    file = package.manifest.files[0]._replace(name="secret.txt", digest=sha256(b"").digest())

    with pytest.raises(VerificationError) as caught:
        _contents(package._replace(manifest=package.manifest._replace(files=(file,))))
    assert "file 1" in caught.value.text
    assert "secret" not in caught.value.text
