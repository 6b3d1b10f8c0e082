"""Documents and notes as they are encrypted for the outbox, with and without large content."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from docbus.documents.document import Document, DocumentReference
from docbus.documents.file import File, FileStream
from docbus.envelope.encrypted import LargeContent, document_fingerprint, encrypt_document, encrypt_note
from docbus.envelope.package import (
    Inside,
    Manifest,
    ManifestFile,
    Outside,
    Package,
    content_context,
    decode_package,
    decrypt,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import DOCUMENT_TYPE, SCHEMAS, Attachment, DocumentBody, Reference
from docbus.errors import DocumentError, DocumentTooLargeError, MalformedError
from docbus.limits import (
    MAX_ATTACHMENTS,
    MAX_CONCERNS,
    MAX_PACKAGE_BYTES,
    MAX_PARTS,
    MAX_STATEMENT_BYTES,
    MAX_STATEMENT_HEAD_BYTES,
    MAX_TEXT_BYTES,
    MIB,
    PART_BYTES,
)
from docbus.wire.pae import commitment
from docbus.wire.parts import content_size
from tests.vectors.building.world import HANOI, LANG_SON, TAY_NINH

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_800_000_000_000


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


def large(plaintext: bytes = bytes(3 * MIB), key: bytes = bytes(32)) -> LargeContent:
    """Return content that was encrypted in parts; of the parts nothing is looked at here."""
    size = content_size(len(plaintext))
    return LargeContent(len(plaintext), sha256(plaintext).digest(), key, Attachment(size, sha256(key).digest()))


def stream(name: str, content: bytes) -> FileStream:
    """Return a file that is still to be read."""
    return FileStream(name=name, opener=lambda: BytesIO(content), media_type="text/plain")


def sealed(made: Document, apart: Mapping[int, LargeContent] | None = None) -> tuple[DocumentBody, Package]:
    """Return body and package of an encrypted document, after checking what the body says of the package."""
    encrypted = encrypt_document(made, environment="e", sender=HANOI, now_ms=NOW, large=apart or {})
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


def test_large_content_lies_outside() -> None:
    """The manifest has place and key of what is large, the statement its size and digest, the package none of it."""
    made = document(files=(stream("a.bin", b""), file("b.txt", "text/plain", b"small"), stream("c.bin", b"")))
    first, second = large(b"first", b"1" * 32), large(b"second", b"2" * 32)

    body, package = sealed(made, {0: first, 2: second})

    assert (first.attachment, second.attachment) == body.attachments
    assert (b"small",) == package.contents
    assert [Outside(0, b"1" * 32), Inside(0), Outside(1, b"2" * 32)] == [f.place for f in package.manifest.files]
    assert [(f.size, f.digest) for f in package.manifest.files] == [
        (5, sha256(b"first").digest()),
        (5, sha256(b"small").digest()),
        (6, sha256(b"second").digest()),
    ]


def test_attachments_are_numbered_in_the_order_they_are_given() -> None:
    """That order need not be the one of the files: contexts were made with it before the document was complete."""
    made = document(files=(stream("a.bin", b""), stream("b.bin", b"")))
    first, second = large(b"first", b"1" * 32), large(b"second", b"2" * 32)

    body, package = sealed(made, {1: second, 0: first})

    assert (second.attachment, first.attachment) == body.attachments
    assert [Outside(1, b"1" * 32), Outside(0, b"2" * 32)] == [f.place for f in package.manifest.files]


def test_a_stream_without_a_media_type_is_octets() -> None:
    """Where nobody told the type of large content, the manifest claims none."""
    made = document(files=(FileStream(name="a.bin", opener=BytesIO),))

    _, package = sealed(made, {0: large()})

    assert ["application/octet-stream"] == [f.media_type for f in package.manifest.files]


def test_what_was_not_read_is_not_sent() -> None:
    """A stream that is neither in memory nor encrypted in parts is an error, not an empty file."""
    made = document(files=(stream("a.txt", b"content"),))

    with pytest.raises(DocumentError, match="not read yet"):
        sealed(made)
    with pytest.raises(DocumentError, match="not read yet"):
        document_fingerprint(made)


def test_the_fingerprint_does_not_know_where_content_travels() -> None:
    """The same files have the same fingerprint inside and outside, so a limit may change between two attempts."""
    inside = document(files=(file("a.txt", "text/plain", b"content"), file("b.txt", "text/plain", b"-")))
    outside = document(files=(stream("a.txt", b"content"), file("b.txt", "text/plain", b"-")))
    encrypted = encrypt_document(outside, environment="e", sender=HANOI, now_ms=NOW, large={0: large(b"content")})

    assert document_fingerprint(inside) == document_fingerprint(outside, {0: large(b"content", b"k" * 32)})
    assert document_fingerprint(inside) == encrypted.fingerprint
    assert document_fingerprint(inside) != document_fingerprint(outside, {0: large(b"Content")})


def test_the_parts_of_all_attachments_are_bounded_together() -> None:
    """As many parts as a reader accepts are sent, in how many files ever, and one more is refused at the door."""
    files = (stream("a.bin", b""), stream("b.bin", b""))
    half = large()._replace(attachment=Attachment(content_size(PART_BYTES * MAX_PARTS // 2), bytes(32)))
    more = large()._replace(attachment=Attachment(content_size(PART_BYTES * MAX_PARTS // 2 + 1), bytes(32)))

    body, _ = sealed(document(files=files), {0: half, 1: half})

    assert 2 == len(body.attachments)
    with pytest.raises(DocumentTooLargeError, match="131,073 parts"):
        sealed(document(files=files), {0: half, 1: more})


def test_as_many_attachments_as_files_can_be_sent() -> None:
    """A document whose files are all large fits manifest and statement."""
    files = tuple(stream(f"{number}.bin", b"") for number in range(MAX_ATTACHMENTS))

    body, package = sealed(document(files=files), dict.fromkeys(range(MAX_ATTACHMENTS), large()))

    assert MAX_ATTACHMENTS == len(body.attachments) == len(package.manifest.files)


def test_attachments_and_references_share_the_statement() -> None:
    """What no statement can hold is refused by its sender, and the error names both."""
    files = tuple(stream(f"{number}.bin", b"") for number in range(MAX_ATTACHMENTS))
    many = tuple(about(HANOI, f"{number:0100}", 1) for number in range(MAX_CONCERNS // 4))

    with pytest.raises(DocumentTooLargeError, match="256 documents and has 1,024 large files"):
        sealed(document(files=files, kind="recall", concerns=many), dict.fromkeys(range(MAX_ATTACHMENTS), large()))


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
    monkeypatch.setattr("docbus.envelope.encrypted.os.urandom", lambda size: drawn[:size])

    body, package = sealed(document())

    assert (drawn[:32], drawn[64:80]) == (package.salt, body.nonce)
