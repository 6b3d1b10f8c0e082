"""C2: what is opened, and what is remembered. Each check's failures are in ``tests/vectors``."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from docbus.envelope.package import ManifestFile, Outside, Package, recipients_digest
from docbus.envelope.statement import Attachment
from docbus.errors import VerificationError
from docbus.limits import PART_BYTES
from docbus.verification.opening import Opener, _attachments, _contents
from docbus.wire.parts import content_size
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


def _outside(*places: tuple[int, int]) -> Package:
    """Return a package whose files lie outside, for each an attachment's index and the file's size."""
    files = tuple(
        ManifestFile(f"{number}.bin", "application/x", size, bytes(32), Outside(attachment, bytes(32)))
        for number, (attachment, size) in enumerate(places)
    )
    return make_package("document", files=files, contents=())


def _signed(*sizes: int) -> tuple[Attachment, ...]:
    return tuple(Attachment(content_size(size), bytes(32)) for size in sizes)


def test_files_outside_and_attachments_belong_together() -> None:
    """In any order of files, each attachment has one file, whose size follows from the attachment's."""
    _attachments(_outside(), ())
    _attachments(_outside((0, 300)), _signed(300))
    _attachments(_outside((1, 300), (0, PART_BYTES)), _signed(PART_BYTES, 300))


@pytest.mark.parametrize(
    ("package", "attachments", "text"),
    [
        (_outside((0, 300)), (), "file 1 has no attachment of its own"),
        (_outside((1, 300)), _signed(300), "file 1 has no attachment of its own"),
        (_outside((-1, 300)), _signed(300), "file 1 has no attachment of its own"),
        (_outside((0, 300), (0, 300)), _signed(300), "file 2 has no attachment of its own"),
        (_outside((0, 300), (0, 300)), _signed(300, 300), "file 2 has no attachment of its own"),
        (_outside((0, 301)), _signed(300), "file 1 has another size than its attachment"),
        (_outside((0, 300), (1, 301)), _signed(301, 300), "file 1 has another size than its attachment"),
        (_outside((0, 0)), (Attachment(0, bytes(32)),), "file 1 has another size than its attachment"),
        (_outside((0, -300)), _signed(300), "file 1 has another size than its attachment"),
        (_outside((0, 1 << 62)), _signed(300), "file 1 has another size than its attachment"),
        (_outside(), _signed(300), "there is an attachment that no file names"),
        (_outside((0, 300)), _signed(300, 300), "there is an attachment that no file names"),
    ],
)
def test_what_does_not_belong_together_fails(package: Package, attachments: tuple[Attachment, ...], text: str) -> None:
    """Each way in which manifest and statement can contradict each other fails C2.08, and says which file it is."""
    with pytest.raises(VerificationError, match=text) as caught:
        _attachments(package, attachments)

    assert ("C2.08", "attachment_mismatch") == (caught.value.step, caught.value.code)


def test_names_are_compared_wherever_files_lie() -> None:
    """A file outside that is called as one inside would overwrite it."""
    package = make_package("document")
    file = package.manifest.files[0]
    outside = file._replace(name=file.name.upper(), place=Outside(0, bytes(32)))

    with pytest.raises(VerificationError, match="file 2 is called as another one") as caught:
        _contents(package._replace(manifest=package.manifest._replace(files=(file, outside))))

    assert "C2.07" == caught.value.step


def test_what_a_file_outside_holds_is_not_asked_when_the_package_opens() -> None:
    """C2.07 is about contents in the package; a document whose files all lie outside has none."""
    _contents(_outside((0, 300), (1, 301)))


def test_a_note_has_no_file_outside() -> None:
    """A status names no attachments, so a file that its note would have outside fails C2.08."""
    letter = write_status(world(), "status-with-note", code=2, note="Văn bản gửi nhầm nơi nhận")
    package = opener(HANOI).open(verify(seal(letter)[0], recipient=HANOI))
    assert package is not None

    with pytest.raises(VerificationError, match="no attachment of its own"):
        _attachments(package._replace(manifest=_outside((0, 300)).manifest), ())


def test_errors_carry_no_plaintext() -> None:
    """What is stored with a quarantined record names files by number."""
    package = make_package("document")
    file = package.manifest.files[0]._replace(name="secret.txt", digest=sha256(b"").digest())

    with pytest.raises(VerificationError) as caught:
        _contents(package._replace(manifest=package.manifest._replace(files=(file,))))
    assert "file 1" in caught.value.text
    assert "secret" not in caught.value.text


def test_remembered_lists_of_recipients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One list too many, or a long one, makes all others forgotten; nothing is decided differently for that."""
    monkeypatch.setattr("docbus.verification.opening.MAX_RECIPIENT_LISTS", 2)
    monkeypatch.setattr("docbus.verification.opening.MAX_LIST_KEPT", 3)
    used = opener()

    def check(*others: str) -> int:
        recipients = tuple(sorted((TAY_NINH, *others)))
        body: Any = SimpleNamespace(recipients_digest=recipients_digest(recipients))
        used._check_recipients(recipients, body)
        return len(used._digests)

    assert [1, 2, 1, 2] == [check("vn:H01"), check("vn:H02"), check("vn:H03"), check("vn:H04")]
    assert 1 == check("vn:H05", "vn:H06", "vn:H07")
