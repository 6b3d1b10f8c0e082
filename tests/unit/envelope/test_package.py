"""The package: what is encrypted, its limits, contexts and digests."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.encrypted import document_fingerprint, encrypt_document
from docbus.envelope.package import (
    Outside,
    Package,
    content_context,
    decode_package,
    decrypt,
    encode_package,
    encrypt,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import Reference
from docbus.errors import MalformedError
from docbus.limits import MAX_FILES, MAX_NAME_BYTES, MAX_PROPERTIES, MAX_RECIPIENTS, MAX_TEXT_BYTES
from docbus.wire.pae import RECIPIENTS_TYPE, commitment, length_prefixed, pae
from tests.support.letters import world
from tests.vectors.building.letters import make_package, write_document
from tests.vectors.building.world import HANOI, TAY_NINH

PACKAGE = make_package("document")
FILE = PACKAGE.manifest.files[0]


def test_no_two_encryptions_share_anything_secret() -> None:
    """The same document again has another key, salt and nonce, and the same fingerprint."""
    file = File(name="a.txt", media_type="text/plain", content=b"content")
    document = Document(document_id="d-1", title="Thông báo", files=(file,), recipients=(TAY_NINH,))
    first, second = (encrypt_document(document, environment="e", sender=HANOI, now_ms=1) for _ in range(2))

    assert first.content_key != second.content_key
    assert first.body != second.body
    assert first.package != second.package
    assert first.fingerprint == second.fingerprint == document_fingerprint(document)


def _manifest(**changes: Any) -> Package:
    return PACKAGE._replace(manifest=PACKAGE.manifest._replace(**changes))


LIMITS: list[tuple[Package, Package]] = [
    (_manifest(recipients=("vn:H26",) * MAX_RECIPIENTS), _manifest(recipients=("vn:H26",) * (MAX_RECIPIENTS + 1))),
    (_manifest(files=(FILE,) * MAX_FILES), _manifest(files=(FILE,) * (MAX_FILES + 1))),
    (_manifest(properties=(("a", "b"),) * MAX_PROPERTIES), _manifest(properties=(("a", "b"),) * (MAX_PROPERTIES + 1))),
    (
        _manifest(properties=(("a" * MAX_NAME_BYTES, "b" * MAX_TEXT_BYTES),)),
        _manifest(properties=(("a" * (MAX_NAME_BYTES + 1), "b"),)),
    ),
    (_manifest(properties=(("a", "b"),)), _manifest(properties=(("a", "b" * (MAX_TEXT_BYTES + 1)),))),
    *(
        (_manifest(**{field: "x" * MAX_TEXT_BYTES}), _manifest(**{field: "x" * (MAX_TEXT_BYTES - 1) + "đ"}))
        for field in ("title", "number", "type", "summary")
    ),
    (
        _manifest(files=(FILE._replace(name="x" * MAX_NAME_BYTES),)),
        _manifest(files=(FILE._replace(name="x" * (MAX_NAME_BYTES + 1)),)),
    ),
    (
        _manifest(files=(FILE._replace(media_type="x" * MAX_NAME_BYTES),)),
        _manifest(files=(FILE._replace(media_type="x" * (MAX_NAME_BYTES + 1)),)),
    ),
]


@pytest.mark.parametrize(("inside", "outside"), LIMITS)
def test_limits_of_a_package(inside: Package, outside: Package) -> None:
    """What lies on a limit is read, what lies one beyond it is not."""
    assert inside == decode_package(encode_package(inside))
    with pytest.raises(MalformedError):
        decode_package(encode_package(outside))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "..\\a", "/etc/passwd", "a\0b", "a\nb", "C:a", "con.txt", "a\u202eb", "secret ", "o\u0302"],
)
def test_a_name_that_nobody_should_file_under_is_malformed(name: str) -> None:
    """Names that lead elsewhere or deceive are refused when a package is read, whoever signed it; none is repeated."""
    with pytest.raises(MalformedError) as caught:
        decode_package(encode_package(_manifest(files=(FILE._replace(name=name),))))

    assert len(name) < len("..a") or name not in caught.value.text


def test_a_place_outside_comes_back() -> None:
    """The key of an attachment stands in the manifest, behind its index, and nowhere else."""
    place = Outside(3, b"k" * 32)
    package = _manifest(files=(FILE, FILE._replace(place=place)))

    encoded = encode_package(package)

    assert package == decode_package(encoded)
    assert b"\x02\x06" + b"k" * 32 in encoded
    assert 1 == encoded.count(b"k" * 32)


def test_a_package_opens_only_with_key_and_context() -> None:
    """Another key, another context, a changed, shorter or longer ciphertext: all are refused alike."""
    letter = write_document(world(), "document")
    key, context = b"k" * 32, content_context("e", HANOI, "d-1", 1)
    plaintext = encode_package(PACKAGE)
    sealed, package = encrypt(plaintext, PACKAGE.salt, key, context)

    assert plaintext == decrypt(package, key, context)
    assert (len(package), sha256(package).digest(), commitment(PACKAGE.salt, plaintext)) == sealed
    for ciphertext, used, bound in (
        (package, bytes(32), context),
        (package, key, content_context("e", HANOI, "d-1", 2)),
        (package, key, content_context("f", HANOI, "d-1", 1)),
        (package, key, content_context("e", TAY_NINH, "d-1", 1)),
        (package, key, content_context("e", HANOI, "d-2", 1)),
        (package[:-1], key, context),
        (package + b"\0", key, context),
        (package[:-1] + bytes((package[-1] ^ 1,)), key, context),
        (bytes((package[0] ^ 1,)) + package[1:], key, context),
        (b"", key, context),
        (letter.sealed or b"", key, context),
    ):
        with pytest.raises(MalformedError, match="does not open the package"):
            decrypt(ciphertext, used, bound)


def test_recipients_digest_is_over_the_sorted_list() -> None:
    """It is the PAE of length-prefixed ids in the order of their bytes."""
    expected = sha256(pae(RECIPIENTS_TYPE, length_prefixed(b"vn:H26", b"vn:H53"))).digest()

    assert expected == recipients_digest(("vn:H53", "vn:H26"))
    assert expected != recipients_digest(("vn:H26",))
    assert expected != recipients_digest(("vn:H26", "vn:H53", "vn:H53"))


def test_contexts_tell_documents_from_notes() -> None:
    """No document's context is that of a status's note."""
    assert content_context("e", "s", "d", 1) != note_context("e", "s", Reference("s", "d", 1), 1)
    assert note_context("e", "s", Reference("s", "d", 1), 1) != note_context("e", "s", Reference("s", "d", 1), 2)
