"""The package: manifest and contents, encrypted once for all recipients (step P2, design D9)."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from docbus.documents.names import checked_name
from docbus.documents.texts import check_text
from docbus.envelope.statement import DocumentBody, Reference, SealedPackage, encode_document_body
from docbus.errors import DocumentError, DocumentTooLargeError, MalformedError
from docbus.limits import (
    MAX_FILES,
    MAX_NAME_BYTES,
    MAX_PACKAGE_BYTES,
    MAX_PROPERTIES,
    MAX_RECIPIENTS,
    MAX_STATEMENT_BYTES,
    MAX_STATEMENT_HEAD_BYTES,
    MAX_TEXT_BYTES,
)
from docbus.wire.avro import Schema, definition_of
from docbus.wire.encoding import put_array, put_bytes, put_long, put_optional_text, put_text
from docbus.wire.pae import RECIPIENTS_TYPE, commitment, length_prefixed, pae

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docbus.documents.document import Document

CONTENT_CONTEXT = b"docbus/v1/content"
NOTE_CONTEXT = b"docbus/v1/note"
SALT_BYTES = 32
KEY_BYTES = 32
NONCE_BYTES = 16
_INSIDE = put_long(0)


class Inside(NamedTuple):
    """The content lies in the package, at this index."""

    content: int


class Outside(NamedTuple):
    """The content is a large attachment of the statement, under its own key."""

    attachment: int
    key: bytes
    commitment: bytes


class ManifestFile(NamedTuple):
    """One file: size in bytes and SHA-256 of its plaintext, and where it lies."""

    name: str
    media_type: str
    size: int
    digest: bytes
    place: Inside | Outside


class Manifest(NamedTuple):
    """What the document is called and consists of; recipients are canonical ids sorted by their bytes."""

    title: str
    number: str | None
    type: str | None
    summary: str | None
    recipients: tuple[str, ...]
    properties: tuple[tuple[str, str], ...]
    files: tuple[ManifestFile, ...]


class Package(NamedTuple):
    """A decrypted package."""

    salt: bytes
    manifest: Manifest
    contents: tuple[bytes, ...]


class EncryptedDocument(NamedTuple):
    """A document ready for the outbox: encoded body, ciphertext, content key, fingerprint of what the user gave."""

    body: bytes
    package: bytes
    content_key: bytes
    fingerprint: bytes


class EncryptedNote(NamedTuple):
    """A status's free text, encrypted: what its body says of it, ciphertext, content key."""

    package: SealedPackage
    ciphertext: bytes
    content_key: bytes


def _make_file(
    name: str, media_type: str, size: int, digest: bytes, place: tuple[str, Inside | Outside]
) -> ManifestFile:
    return ManifestFile(name, media_type, size, digest, place[1])


_CODEC = Schema(
    definition_of("package"),
    {
        "Package": Package,
        "Manifest": Manifest,
        "File": _make_file,
        "Inside": Inside,
        "Outside": Outside,
        "Property": lambda name, value: (name, value),
    },
)


def recipients_digest(recipients: Iterable[str]) -> bytes:
    """Return SHA-256 over the PAE of the sorted, length-prefixed recipients, 32 bytes."""
    return sha256(pae(RECIPIENTS_TYPE, length_prefixed(*sorted(r.encode() for r in recipients)))).digest()


def content_context(environment: str, sender: str, document_id: str, revision: int) -> bytes:
    """Return the context that a document's package is encrypted in."""
    return length_prefixed(
        CONTENT_CONTEXT, environment.encode(), sender.encode(), document_id.encode(), revision.to_bytes(4, "big")
    )


def note_context(environment: str, sender: str, reference: Reference, code: int) -> bytes:
    """Return the context that the free text of a status is encrypted in."""
    return length_prefixed(
        NOTE_CONTEXT,
        environment.encode(),
        sender.encode(),
        reference.sender.encode(),
        reference.document_id.encode(),
        reference.revision.to_bytes(4, "big"),
        code.to_bytes(2, "big"),
    )


def encode_package(package: Package) -> bytes:
    """Return the plaintext of a package whose files all lie inside."""
    return _join_package(package.salt, encode_manifest(package.manifest), package.contents)


def _join_package(salt: bytes, manifest: bytes, contents: Sequence[bytes]) -> bytes:
    return b"".join((salt, manifest, put_array([put_bytes(content) for content in contents])))


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the encoding of a manifest whose files all lie inside."""
    files = [
        b"".join(
            (
                put_text(file.name),
                put_text(file.media_type),
                put_long(file.size),
                file.digest,
                _INSIDE,
                put_long(file.place.content if isinstance(file.place, Inside) else _outside()),
            )
        )
        for file in manifest.files
    ]
    return b"".join(
        (
            put_text(manifest.title),
            put_optional_text(manifest.number),
            put_optional_text(manifest.type),
            put_optional_text(manifest.summary),
            put_array([put_text(recipient) for recipient in manifest.recipients]),
            put_array([put_text(name) + put_text(value) for name, value in manifest.properties]),
            put_array(files),
        )
    )


def _outside() -> int:
    raise DocumentError("large attachments cannot be sent yet", step="P1")


def decode_package(plaintext: bytes) -> Package:
    """Return the package in a plaintext.

    Raises:
        MalformedError: Not the encoding of a package within all limits.
    """
    package: Package = _CODEC.decode(plaintext)
    manifest = package.manifest
    if (
        len(manifest.recipients) > MAX_RECIPIENTS
        or len(manifest.files) > MAX_FILES
        or len(manifest.properties) > MAX_PROPERTIES
    ):
        raise MalformedError("the manifest has more recipients, files or properties than are allowed")
    for text in (manifest.title, manifest.number, manifest.type):
        if text:
            _check_text(text, lines=False)
    if manifest.summary:
        _check_text(manifest.summary, lines=True)
    for name, value in manifest.properties:
        if len(name.encode()) > MAX_NAME_BYTES or not name.isprintable():
            raise MalformedError("the name of a property is too long or has control characters")
        _check_text(value, lines=True)
    for file in manifest.files:
        if len(file.media_type.encode()) > MAX_NAME_BYTES:
            raise MalformedError(f"a media type is longer than {MAX_NAME_BYTES} bytes")
        _check_name(file.name)
    return package


def _check_text(text: str, *, lines: bool) -> None:
    """Refuse what no honest sender accepts either: whoever shows it must not be led astray."""
    try:
        check_text("text", text, limit=MAX_TEXT_BYTES, lines=lines, empty=True)
    except DocumentError:
        # The text itself is plaintext, which no error carries.
        raise MalformedError(f"a text is longer than {MAX_TEXT_BYTES} bytes or has control characters") from None


def _check_name(name: str) -> None:
    """Refuse a file's name that no honest sender accepts: whoever files it must not be led out of its folder."""
    try:
        same = checked_name(name) == name
    except DocumentError:
        # The name itself is plaintext, which no error carries.
        raise MalformedError("a file's name is not one to file under") from None
    if not same:
        raise MalformedError("a file's name is not in NFC")


def encrypt(plaintext: bytes, salt: bytes, content_key: bytes, context: bytes) -> tuple[SealedPackage, bytes]:
    """Encrypt a package's plaintext; return what the statement says of it, and the ciphertext.

    Source: Cobblestone-256 of C2SP chunked-encryption; the context is bound to key and chunks.
    """
    encryptor = Cobblestone256Encryptor(content_key, context)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return SealedPackage(len(ciphertext), sha256(ciphertext).digest(), commitment(salt, plaintext)), ciphertext


def decrypt(ciphertext: bytes, content_key: bytes, context: bytes) -> bytes:
    """Return the plaintext of a package.

    Raises:
        MalformedError: Another key, another context, or changed ciphertext; which of them is not told.
    """
    try:
        decryptor = Cobblestone256Decryptor(content_key, context)
        return decryptor.update(ciphertext) + decryptor.finalize()
    except (InvalidTag, ValueError):
        raise MalformedError("the content key does not open the package") from None


def encrypt_document(document: Document, *, environment: str, sender: str, now_ms: int) -> EncryptedDocument:
    """Encrypt a document once for all its recipients and encode its body.

    Args:
        document: Validated, recipients as canonical ids.
        environment: The exchange's name.
        sender: Canonical id of the sending agency.
        now_ms: Used as time of creation if the document has none.

    Raises:
        DocumentTooLargeError: The ciphertext, or what the statement says in clear, is over what travels in an envelope.
    """
    pool = os.urandom(SALT_BYTES + KEY_BYTES + NONCE_BYTES)
    salt = pool[:SALT_BYTES]
    content_key = pool[SALT_BYTES : SALT_BYTES + KEY_BYTES]
    manifest = encode_manifest(_manifest_of(document))
    plaintext = _join_package(salt, manifest, [file.content for file in document.files])
    if len(plaintext) > MAX_PACKAGE_BYTES:
        raise _too_large(document.document_id, len(plaintext))
    context = content_context(environment, sender, document.document_id, document.revision)
    sealed, ciphertext = encrypt(plaintext, salt, content_key, context)
    if len(ciphertext) > MAX_PACKAGE_BYTES:
        raise _too_large(document.document_id, len(ciphertext))
    reply = document.in_reply_to
    body = DocumentBody(
        document_id=document.document_id,
        revision=document.revision,
        kind=document.kind,
        urgency=int(document.urgency),
        created=now_ms if document.created is None else document.created,
        not_after=document.not_after,
        package=sealed,
        attachments=(),
        recipients_digest=recipients_digest(document.recipients),
        in_reply_to=None if reply is None else Reference(reply.sender, reply.document_id, reply.revision),
        concerns=tuple(Reference(r.sender, r.document_id, r.revision) for r in document.concerns),
        nonce=pool[SALT_BYTES + KEY_BYTES :],
    )
    encoded = encode_document_body(body)
    if len(encoded) > MAX_STATEMENT_BYTES - MAX_STATEMENT_HEAD_BYTES:
        raise DocumentTooLargeError(
            f"document {document.document_id} refers to {len(body.concerns):,} documents in {len(encoded):,} bytes, "
            f"at most {MAX_STATEMENT_BYTES - MAX_STATEMENT_HEAD_BYTES:,} fit a statement",
            hint="Send several documents, each about some of them.",
            step="P1",
        )
    return EncryptedDocument(encoded, ciphertext, content_key, _fingerprint(document, manifest))


def _too_large(document_id: str, size: int) -> DocumentTooLargeError:
    return DocumentTooLargeError(
        f"document {document_id} needs {size:,} bytes, at most {MAX_PACKAGE_BYTES:,} travel inside an envelope",
        hint="Send fewer or smaller files; larger content cannot be sent yet.",
        step="P1",
    )


def _manifest_of(document: Document) -> Manifest:
    return Manifest(
        document.title,
        document.number,
        document.type,
        document.summary,
        tuple(sorted(document.recipients, key=str.encode)),
        document.properties,
        tuple(
            ManifestFile(file.name, file.media_type, len(file.content), sha256(file.content).digest(), Inside(index))
            for index, file in enumerate(document.files)
        ),
    )


def document_fingerprint(document: Document) -> bytes:
    """Return a digest over everything the user gave, so that the same id with other content is noticed; 32 bytes."""
    return _fingerprint(document, encode_manifest(_manifest_of(document)))


def _fingerprint(document: Document, manifest: bytes) -> bytes:
    """The manifest has title, recipients and every file's digest; the rest of what the user gave stands in the body."""
    rest = f"{document.kind} {int(document.urgency)} {document.created} {document.not_after}".encode()
    references = [
        b""
        if reference is None
        else put_text(reference.sender) + put_text(reference.document_id) + b"%d" % reference.revision
        for reference in (document.in_reply_to, *document.concerns)
    ]
    return sha256(length_prefixed(rest, manifest, *references)).digest()


def encrypt_note(note: str, reference: Reference, *, environment: str, sender: str, code: int) -> EncryptedNote:
    """Encrypt the free text of a status about the referenced document.

    Raises:
        DocumentError: The text is longer than allowed.
    """
    if len(note.encode()) > MAX_TEXT_BYTES:
        raise DocumentError(f"the note is longer than {MAX_TEXT_BYTES} bytes", step="P1")
    pool = os.urandom(SALT_BYTES + KEY_BYTES)
    salt, content_key = pool[:SALT_BYTES], pool[SALT_BYTES:]
    plaintext = encode_package(Package(salt, Manifest("", None, None, note, (), (), ()), ()))
    sealed, ciphertext = encrypt(plaintext, salt, content_key, note_context(environment, sender, reference, code))
    return EncryptedNote(sealed, ciphertext, content_key)
