"""Documents and notes as they are encrypted for the outbox (steps P1 and P2, design D9).

What is small lies in the package. What is large was encrypted before, part by part (``producers.staging``), and the
package has only what opens it: so a package never is large, whatever a document carries.
"""

from __future__ import annotations

import os
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from docbus.documents.file import File, FileStream
from docbus.documents.media_types import OCTETS
from docbus.documents.texts import show
from docbus.envelope.package import (
    KEY_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    Inside,
    Manifest,
    ManifestFile,
    Outside,
    Package,
    content_context,
    encode_manifest,
    encode_package,
    encrypt,
    join_package,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import (
    Attachment,
    DocumentBody,
    Reference,
    SealedPackage,
    encode_document_body,
)
from docbus.errors import DocumentError, DocumentTooLargeError
from docbus.limits import (
    MAX_ATTACHMENTS,
    MAX_PACKAGE_BYTES,
    MAX_PARTS,
    MAX_STATEMENT_BYTES,
    MAX_STATEMENT_HEAD_BYTES,
    MAX_TEXT_BYTES,
)
from docbus.wire.encoding import put_text
from docbus.wire.pae import length_prefixed
from docbus.wire.parts import count_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docbus.documents.document import Document


class LargeContent(NamedTuple):
    """A file's content that was encrypted in parts.

    Attributes:
        size: Bytes of plaintext.
        digest: SHA-256 of the plaintext, 32 bytes.
        key: Opens every part, 32 bytes.
        attachment: What the statement says of it.
    """

    size: int
    digest: bytes
    key: bytes
    attachment: Attachment


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


class FileDigest(Protocol):
    """Size in bytes and SHA-256 of a file's plaintext."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def digest(self) -> bytes:
        """32 bytes."""
        ...


NOTHING_LARGE: Mapping[int, LargeContent] = MappingProxyType({})


def encrypt_document(
    document: Document,
    *,
    environment: str,
    sender: str,
    now_ms: int,
    large: Mapping[int, LargeContent] = NOTHING_LARGE,
) -> EncryptedDocument:
    """Encrypt a document once for all its recipients and encode its body.

    Args:
        document: Validated, recipients as canonical ids, every file that is not large in memory.
        environment: The exchange's name.
        sender: Canonical id of the sending agency.
        now_ms: Used as time of creation if the document has none.
        large: Content that was encrypted in parts, by the file's place in the document; attachments are numbered in
            the order of this mapping.

    Raises:
        DocumentTooLargeError: The ciphertext, or what the statement says in clear, is over what travels in an envelope.
    """
    pool = os.urandom(SALT_BYTES + KEY_BYTES + NONCE_BYTES)
    salt = pool[:SALT_BYTES]
    content_key = pool[SALT_BYTES : SALT_BYTES + KEY_BYTES]
    manifest = encode_manifest(_manifest_of(document, large))
    small = [_content_of(file) for number, file in enumerate(document.files) if number not in large]
    plaintext = join_package(salt, manifest, small)
    if len(plaintext) > MAX_PACKAGE_BYTES:
        raise _too_large(document.document_id, len(plaintext))
    attachments = tuple(content.attachment for content in large.values())
    if large:
        _check_attachments(document.document_id, attachments)
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
        attachments=attachments,
        recipients_digest=recipients_digest(document.recipients),
        in_reply_to=None if reply is None else Reference(reply.sender, reply.document_id, reply.revision),
        concerns=tuple(Reference(r.sender, r.document_id, r.revision) for r in document.concerns),
        nonce=pool[SALT_BYTES + KEY_BYTES :],
    )
    encoded = encode_document_body(body)
    if len(encoded) > MAX_STATEMENT_BYTES - MAX_STATEMENT_HEAD_BYTES:
        raise DocumentTooLargeError(
            f"document {document.document_id} refers to {len(body.concerns):,} documents and has {len(attachments):,} "
            f"large files: {len(encoded):,} bytes, at most {MAX_STATEMENT_BYTES - MAX_STATEMENT_HEAD_BYTES:,} fit a "
            "statement",
            hint="Send several documents, each about some of them.",
            step="P1",
        )
    fingerprint = document_fingerprint(document, large) if large else _fingerprint(document, manifest)
    return EncryptedDocument(encoded, ciphertext, content_key, fingerprint)


def _content_of(file: File | FileStream) -> bytes:
    if isinstance(file, FileStream):
        raise DocumentError(f"the file {show(file.name)} was not read yet", step="P1")
    return file.content


def _check_attachments(document_id: str, attachments: tuple[Attachment, ...]) -> None:
    parts = sum(count_parts(attachment.size) for attachment in attachments)
    if parts > MAX_PARTS or len(attachments) > MAX_ATTACHMENTS:
        raise DocumentTooLargeError(
            f"document {document_id} has {len(attachments):,} large files in {parts:,} parts, at most "
            f"{MAX_ATTACHMENTS:,} in {MAX_PARTS:,} parts can be carried",
            hint="Send it as several documents.",
            step="P1",
        )


def _too_large(document_id: str, size: int) -> DocumentTooLargeError:
    return DocumentTooLargeError(
        f"what describes document {document_id}, and its small files, need {size:,} bytes; at most "
        f"{MAX_PACKAGE_BYTES:,} travel inside an envelope",
        hint="Shorten the properties, or name fewer recipients or files.",
        step="P1",
    )


def _manifest_of(document: Document, large: Mapping[int, LargeContent]) -> Manifest:
    attachments = {number: index for index, number in enumerate(large)}
    files: list[ManifestFile] = []
    inside = 0
    for number, file in enumerate(document.files):
        found = large.get(number)
        if found is not None:
            place = Outside(attachments[number], found.key)
            files.append(ManifestFile(file.name, _media_type(file), found.size, found.digest, place))
            continue
        content = _content_of(file)
        files.append(ManifestFile(file.name, _media_type(file), len(content), sha256(content).digest(), Inside(inside)))
        inside += 1
    return _manifest(document, tuple(files))


def _media_type(file: File | FileStream) -> str:
    return file.media_type or OCTETS


def _manifest(document: Document, files: tuple[ManifestFile, ...]) -> Manifest:
    return Manifest(
        document.title,
        document.number,
        document.type,
        document.summary,
        tuple(sorted(document.recipients, key=str.encode)),
        document.properties,
        files,
    )


def document_fingerprint(document: Document, large: Mapping[int, FileDigest] = NOTHING_LARGE) -> bytes:
    """Return a digest over everything the user gave, so that the same id with other content is noticed; 32 bytes.

    Where a content travels is docbus's choice and no part of it.

    Args:
        document: Every file that is not in ``large`` in memory.
        large: Size and digest of the others, by the file's place in the document.
    """
    files = []
    for number, file in enumerate(document.files):
        found = large.get(number)
        if found is None:
            content = _content_of(file)
            size, digest = len(content), sha256(content).digest()
        else:
            size, digest = found.size, found.digest
        files.append(ManifestFile(file.name, _media_type(file), size, digest, Inside(number)))
    return _fingerprint(document, encode_manifest(_manifest(document, tuple(files))))


def _fingerprint(document: Document, manifest: bytes) -> bytes:
    """The manifest has title, recipients and every file's digest; the rest of what the user gave stands in the body."""
    rest = f"{document.kind} {int(document.urgency)} {document.created} {document.not_after}".encode()
    if document.on_behalf_of is not None:
        rest += b" " + document.on_behalf_of.encode()
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
