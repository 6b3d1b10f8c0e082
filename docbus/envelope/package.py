"""The package: manifest and small contents, encrypted once for all recipients (step P2, design D9)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from docbus.documents.names import checked_name
from docbus.documents.texts import check_text
from docbus.envelope.statement import Reference, SealedPackage
from docbus.errors import DocumentError, MalformedError
from docbus.limits import (
    MAX_FILES,
    MAX_NAME_BYTES,
    MAX_PROPERTIES,
    MAX_RECIPIENTS,
    MAX_TEXT_BYTES,
)
from docbus.wire.avro import Schema, definition_of
from docbus.wire.encoding import put_array, put_bytes, put_long, put_optional_text, put_text
from docbus.wire.pae import RECIPIENTS_TYPE, commitment, length_prefixed, pae

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONTENT_CONTEXT = b"docbus/v1/content"
NOTE_CONTEXT = b"docbus/v1/note"
SALT_BYTES = 32
KEY_BYTES = 32
NONCE_BYTES = 16
_INSIDE, _OUTSIDE = put_long(0), put_long(1)


class Inside(NamedTuple):
    """The content lies in the package, at this index."""

    content: int


class Outside(NamedTuple):
    """The content is a large attachment of the statement, every part of it under this key."""

    attachment: int
    key: bytes


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
    """Return the plaintext of a package."""
    return join_package(package.salt, encode_manifest(package.manifest), package.contents)


def join_package(salt: bytes, manifest: bytes, contents: Sequence[bytes]) -> bytes:
    """Return the plaintext of a package whose manifest is encoded already."""
    return b"".join((salt, manifest, put_array([put_bytes(content) for content in contents])))


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the encoding of a manifest."""
    files = [
        b"".join(
            (
                put_text(file.name),
                put_text(file.media_type),
                put_long(file.size),
                file.digest,
                _put_place(file.place),
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


def _put_place(place: Inside | Outside) -> bytes:
    if isinstance(place, Inside):
        return _INSIDE + put_long(place.content)
    return _OUTSIDE + put_long(place.attachment) + place.key


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
