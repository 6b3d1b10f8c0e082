"""The package: what is encrypted, its limits, contexts and digests."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from docbus.documents.document import Document, DocumentReference
from docbus.documents.file import File
from docbus.envelope.package import (
    Inside,
    Manifest,
    ManifestFile,
    Outside,
    Package,
    content_context,
    decode_package,
    decrypt,
    document_fingerprint,
    encode_package,
    encrypt_document,
    encrypt_note,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import DOCUMENT_TYPE, SCHEMAS, DocumentBody, Reference
from docbus.errors import DocumentError, DocumentTooLargeError, MalformedError
from docbus.limits import (
    MAX_CONCERNS,
    MAX_FILES,
    MAX_NAME_BYTES,
    MAX_PACKAGE_BYTES,
    MAX_PROPERTIES,
    MAX_RECIPIENTS,
    MAX_STATEMENT_BYTES,
    MAX_STATEMENT_HEAD_BYTES,
    MAX_TEXT_BYTES,
)
from docbus.wire.pae import RECIPIENTS_TYPE, commitment, length_prefixed, pae
from tests.support.letters import world
from tests.vectors.building.letters import make_package, write_document
from tests.vectors.building.world import HANOI, LANG_SON, TAY_NINH

NOW = 1_800_000_000_000
PACKAGE = make_package("document")
FILE = PACKAGE.manifest.files[0]


def file(name: str, media_type: str, content: bytes) -> File:
    """Return a file."""
    return File(name=name, media_type=media_type, content=content)


def about(sender: str, document_id: str, revision: int) -> DocumentReference:
    """Return a reference."""
    return DocumentReference(sender=sender, document_id=document_id, revision=revision)


def document(**changes: Any) -> Document:
    """Return a document, and what ``changes`` say."""
    fields: dict[str, Any] = {
        "document_id": "d-1",
        "title": "Thông báo",
        "files": (file("a.txt", "text/plain", b"content"),),
        "recipients": (TAY_NINH, LANG_SON),
    }
    return Document(**fields | changes)


def sealed(made: Document) -> tuple[DocumentBody, Package]:
    """Return body and package of an encrypted document, after checking what the body says of the package."""
    encrypted = encrypt_document(made, environment="e", sender=HANOI, now_ms=NOW)
    codec = SCHEMAS[DOCUMENT_TYPE].codec
    body, at = codec.decode_part(codec.readers["Document"], encrypted.body, 0)
    plaintext = decrypt(
        encrypted.package, encrypted.content_key, content_context("e", HANOI, made.document_id, made.revision)
    )
    package = decode_package(plaintext)

    assert len(encrypted.body) == at
    assert len(encrypted.package) == body.package.size
    assert sha256(encrypted.package).digest() == body.package.digest
    assert commitment(package.salt, plaintext) == body.package.commitment
    return body, package


def test_a_document_is_encrypted_whole() -> None:
    """Everything the user gave is in body or manifest, recipients sorted by their bytes, contents in order."""
    files = (file("a.txt", "text/plain", b"content"), file("b.txt", "text/plain", b"-"))
    made = document(
        files=files,
        number="1/TB",
        type="Công văn",
        summary="V/v",
        kind="update",
        revision=3,
        urgency=2,
        in_reply_to=about(TAY_NINH, "x", 2),
        concerns=(about(HANOI, "y", 1),),
        created=NOW - 5,
        not_after=NOW + 5,
        properties=(("k", "v"),),
    )

    body, package = sealed(made)

    assert ("d-1", 3, "update", 2, NOW - 5, NOW + 5) == body[:6]
    assert (Reference(TAY_NINH, "x", 2), (Reference(HANOI, "y", 1),)) == (body.in_reply_to, body.concerns)
    assert recipients_digest((LANG_SON, TAY_NINH)) == body.recipients_digest
    assert (b"content", b"-") == package.contents
    assert (
        Manifest(
            title="Thông báo",
            number="1/TB",
            type="Công văn",
            summary="V/v",
            recipients=(LANG_SON, TAY_NINH),
            properties=(("k", "v"),),
            files=tuple(
                ManifestFile(f.name, f.media_type, len(f.content), sha256(f.content).digest(), Inside(index))
                for index, f in enumerate(files)
            ),
        )
        == package.manifest
    )


def test_created_is_now_unless_given() -> None:
    """A document without a time of creation gets the time of acceptance, and no end."""
    body, _ = sealed(document())

    assert (NOW, None) == (body.created, body.not_after)


def test_no_two_encryptions_share_anything_secret() -> None:
    """The same document again has another key, salt and nonce, and the same fingerprint."""
    first, second = (encrypt_document(document(), environment="e", sender=HANOI, now_ms=NOW) for _ in range(2))

    assert first.content_key != second.content_key
    assert first.body != second.body
    assert first.package != second.package
    assert first.fingerprint == second.fingerprint == document_fingerprint(document())


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other"},
        {"number": "1"},
        {"type": "Công văn"},
        {"summary": "x"},
        {"kind": "recall", "concerns": (about(HANOI, "y", 1),)},
        {"urgency": 1},
        {"created": 1},
        {"not_after": 1},
        {"recipients": (TAY_NINH,)},
        {"properties": (("k", "v"),)},
        {"in_reply_to": about(HANOI, "y", 1)},
        {"files": (file("b.txt", "text/plain", b"content"),)},
        {"files": (file("a.txt", "text/csv", b"content"),)},
        {"files": (file("a.txt", "text/plain", b"Content"),)},
    ],
)
def test_the_fingerprint_covers_what_the_user_gave(changes: dict[str, Any]) -> None:
    """The same id with anything else changed is another content."""
    assert document_fingerprint(document()) != document_fingerprint(document(**changes))


def test_the_order_of_recipients_is_no_content() -> None:
    """Recipients are a set."""
    assert document_fingerprint(document()) == document_fingerprint(document(recipients=(LANG_SON, TAY_NINH)))


def test_the_largest_package_travels_and_one_byte_more_does_not() -> None:
    """The limit is that of the ciphertext."""
    body, _ = sealed(document(files=(file("a.txt", "text/plain", bytes(MAX_PACKAGE_BYTES - 1000)),)))
    room = MAX_PACKAGE_BYTES - body.package.size
    largest = bytes(MAX_PACKAGE_BYTES - 1000 + room)
    body, _ = sealed(document(files=(file("a.txt", "text/plain", largest),)))

    assert MAX_PACKAGE_BYTES == body.package.size
    with pytest.raises(DocumentTooLargeError):
        sealed(document(files=(file("a.txt", "text/plain", largest + b"\0"),)))
    with pytest.raises(DocumentTooLargeError):
        sealed(document(files=(file("a.txt", "text/plain", bytes(MAX_PACKAGE_BYTES + 1)),)))


def test_what_no_statement_can_hold_is_refused_at_the_door() -> None:
    """A recall of very many documents with long ids is refused by its sender, not by every recipient."""
    many = tuple(about(HANOI, f"{number:0200}", 1) for number in range(MAX_CONCERNS))
    few = MAX_CONCERNS // 4

    body, _ = sealed(document(kind="recall", concerns=many[:few]))

    assert few == len(body.concerns)
    assert MAX_STATEMENT_BYTES > MAX_STATEMENT_HEAD_BYTES
    with pytest.raises(DocumentTooLargeError, match="1,024 documents"):
        sealed(document(kind="recall", concerns=many))


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


def test_contents_outside_the_package_cannot_be_written_yet() -> None:
    """Large attachments are refused by the encoder, and read by the decoder."""
    place = Outside(0, bytes(32), bytes(32))
    with pytest.raises(DocumentError, match="large attachments"):
        encode_package(_manifest(files=(FILE._replace(place=place),)))


def test_a_package_opens_only_with_key_and_context() -> None:
    """Another key, another context, a changed, shorter or longer ciphertext: all are refused alike."""
    letter = write_document(world(), "document")
    encrypted = encrypt_document(document(), environment="e", sender=HANOI, now_ms=NOW)
    context = content_context("e", HANOI, "d-1", 1)
    package, key = encrypted.package, encrypted.content_key

    assert decrypt(package, key, context)
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


def test_a_note_is_a_package_without_files() -> None:
    """The free text of a status is its summary, bound to the document it is about and the code."""
    reference = Reference(HANOI, "d-1", 1)
    note = encrypt_note("Văn bản gửi nhầm", reference, environment="e", sender=TAY_NINH, code=2)
    context = note_context("e", TAY_NINH, reference, 2)

    opened = decode_package(decrypt(note.ciphertext, note.content_key, context))

    assert ("Văn bản gửi nhầm", (), ()) == (opened.manifest.summary, opened.manifest.files, opened.contents)
    assert (len(note.ciphertext), sha256(note.ciphertext).digest()) == note.package[:2]
    with pytest.raises(MalformedError):
        decrypt(note.ciphertext, note.content_key, note_context("e", TAY_NINH, reference, 3))


def test_a_note_is_bounded() -> None:
    """A note of the limit is encrypted, one byte more is refused at the door."""
    reference = Reference(HANOI, "d-1", 1)

    assert encrypt_note("x" * MAX_TEXT_BYTES, reference, environment="e", sender=TAY_NINH, code=2).ciphertext
    with pytest.raises(DocumentError, match="note"):
        encrypt_note("x" * (MAX_TEXT_BYTES + 1), reference, environment="e", sender=TAY_NINH, code=2)


def test_nothing_secret_comes_from_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Salt, content key and nonce are different parts of one draw from the system's generator."""
    drawn = bytes(range(80))
    monkeypatch.setattr("docbus.envelope.package.os.urandom", lambda size: drawn[:size])

    body, package = sealed(replace(document()))

    assert (drawn[:32], drawn[64:80]) == (package.salt, body.nonce)
