"""Taking large content in: read once, encrypted part by part, written to disk (steps P1 and P2).

Memory holds a few parts, whatever the size. A file that turns out to be small is kept in memory and travels in the
package, so a stream of unknown length needs no decision before it is read. Runs in worker threads and blocks there;
hashing and encryption release the interpreter lock.
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from docbus.documents.file import File, FileStream, empty_file
from docbus.documents.media_types import OCTETS, media_type_of
from docbus.envelope.encrypted import LargeContent
from docbus.envelope.package import KEY_BYTES
from docbus.envelope.parts import AttachmentContext, part_leaf, seal_part
from docbus.envelope.statement import Attachment
from docbus.limits import MAX_PACKAGE_BYTES, MIB, PART_BYTES
from docbus.producers.reading import Reading
from docbus.storage.content import storing, sync_path
from docbus.wire.parts import CHUNK_BYTES, TAG_BYTES, content_size
from docbus.wire.tree import root_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docbus.documents.document import Document
    from docbus.producers.reading import Progress
    from docbus.storage.content import ContentFolder


SYNC_BYTES = 64 * MIB
"""Bytes after which the disk is made to write: what is left for the end, when the caller waits for it, stays small."""
_ENTRY_BYTES = 80
"""Bytes of a file's entry in the manifest beside its texts: size, digest, place, the key of content that travels
outside, and lengths; 77 at most."""
_PACKAGE_OVERHEAD_BYTES = 128 + (MAX_PACKAGE_BYTES // CHUNK_BYTES + 1) * TAG_BYTES
"""Bytes that encryption and the package's own fields add to manifest and contents, with room."""


class StagedAttachment(NamedTuple):
    """Large content that lies encrypted on disk, synced."""

    large: LargeContent
    file: str
    leaves: bytes


class StagedDocument(NamedTuple):
    """A document with every file in memory or on disk.

    Attributes:
        document: Small files are in memory; large ones are still streams, and named in ``attachments``.
        attachments: By the file's place in the document, in the order of the statement's attachments.
    """

    document: Document
    attachments: dict[int, StagedAttachment]

    @property
    def large(self) -> dict[int, LargeContent]:
        """What the package and the statement say of the attachments."""
        return {number: staged.large for number, staged in self.attachments.items()}


class Digested(NamedTuple):
    """Size and SHA-256 of a file that was read and not kept."""

    size: int
    digest: bytes


def needs_staging(document: Document) -> bool:
    """Tell whether a document has content to be read, or more than travels in an envelope."""
    total = 0
    for file in document.files:
        if isinstance(file, FileStream):
            return True
        total += len(file.content) + len(file.name.encode()) + len(file.media_type) + _ENTRY_BYTES
    return total > MAX_PACKAGE_BYTES // 2 and total > _room(document)


def _room(document: Document) -> int:
    """Return the bytes that files, with their entries, may take in the package."""
    texts = [document.title, document.number, document.type, document.summary, *document.recipients]
    texts += [text for pair in document.properties for text in pair]
    described = sum(len(text.encode()) + 4 for text in texts if text)
    return MAX_PACKAGE_BYTES - _PACKAGE_OVERHEAD_BYTES - described


class Stager:
    """Stages the documents of one call; used by one thread at a time.

    Args:
        environment: The exchange's name.
        sender: Canonical id of the sending agency.
        content: Where content is kept.
        max_bytes: The most plaintext that one document's files may have together.
        progress: Told how far reading has come.
    """

    def __init__(
        self, *, environment: str, sender: str, content: ContentFolder, max_bytes: int, progress: Progress | None = None
    ) -> None:
        self._environment = environment
        self._sender = sender
        self._content = content
        self._max_bytes = max_bytes
        self._progress = progress
        self._stopped = False

    def stop(self) -> None:
        """End what is being read, in whatever thread, at its next block; nothing is staged afterwards."""
        self._stopped = True

    def digests(self, document: Document) -> tuple[Document, dict[int, Digested]]:
        """Read every stream of a document that was accepted before, keeping nothing but what tells it from another.

        Returns:
            The document with all media types, and size and digest of each stream by its place in the document.

        Raises:
            DocumentError: A file is empty or cannot be read.
        """
        found: dict[int, Digested] = {}
        files = list(document.files)
        reading = Reading(document, self._max_bytes, self._progress, lambda: self._stopped)
        for number, file in enumerate(document.files):
            if not isinstance(file, FileStream):
                continue
            digest = sha256()
            with reading.opened(file) as following:
                block = following()
                if not block:
                    raise empty_file(file.name)
                files[number] = _typed(file, block)
                while block:
                    digest.update(block)
                    block = following()
            found[number] = Digested(following.size, digest.digest())
        return dataclasses.replace(document, files=tuple(files)), found

    def read_small(self, document: Document) -> Document:
        """Read streams that are known to be small into memory, if all of a document's are.

        So an ordinary letter needs neither a folder nor room on the disk of large content.

        Raises:
            DocumentError: A file is empty, cannot be read, or has another size than it was announced with.
        """
        if _announced(document) > MAX_PACKAGE_BYTES:
            return document
        files = list(document.files)
        reading = Reading(document, self._max_bytes, self._progress, lambda: self._stopped)
        for number, file in enumerate(document.files):
            if isinstance(file, FileStream):
                with reading.opened(file) as following:
                    files[number] = _in_memory(file, following())
        return dataclasses.replace(document, files=tuple(files))

    def stage(self, document: Document, folder: Path, number: int) -> StagedDocument:
        """Read all streams of a document, and put on disk what does not fit the package.

        Args:
            document: Recipients as canonical ids.
            folder: Of :meth:`ContentFolder.staging`.
            number: Of the document in this folder.

        Raises:
            DocumentError: A file is empty or cannot be read.
            DocumentTooLargeError: The files are larger than is allowed.
            DiskFullError: There is no room for them.
        """
        known = sum(len(file.content) if isinstance(file, File) else file.size or 0 for file in document.files)
        reading = Reading(document, self._max_bytes, self._progress, lambda: self._stopped)
        reading.check(known)
        if known > MAX_PACKAGE_BYTES:
            self._content.check_room(content_size(known))
        with ThreadPoolExecutor(2, thread_name_prefix="docbus-stage") as helpers, storing(self._content.path):
            staging = _Staging(document, folder / str(number), self._context(document), reading, helpers)
            for place, file in enumerate(document.files):
                staging.take(place, file)
            staging.move_out(_room(document))
            sync_path(folder)
            sync_path(folder.parent)
        attachments = {
            place: StagedAttachment(written.large, self._content.name_of(written.path), written.leaves)
            for place, written in staging.written.items()
        }
        return StagedDocument(dataclasses.replace(document, files=tuple(staging.files)), attachments)

    def _context(self, document: Document) -> Callable[[int], AttachmentContext]:
        return lambda attachment: AttachmentContext(
            self._environment, self._sender, document.document_id, document.revision, attachment
        )


class _Written(NamedTuple):
    large: LargeContent
    path: Path
    leaves: bytes


class _Staging:
    """One document's files on their way into memory or onto the disk."""

    def __init__(
        self,
        document: Document,
        prefix: Path,
        context: Callable[[int], AttachmentContext],
        reading: Reading,
        helpers: ThreadPoolExecutor,
    ) -> None:
        self.files: list[File | FileStream] = list(document.files)
        self.written: dict[int, _Written] = {}
        self._kept = 0
        """Bytes of streams that are kept in memory; a thousand small files must not add up."""
        self._prefix = prefix
        self._context = context
        self._reading = reading
        self._helpers = helpers

    def take(self, number: int, file: File | FileStream) -> None:
        """Read one file; what has more than fits an envelope is written at once."""
        if isinstance(file, File):
            self._reading.done(len(file.content))
            return
        with self._reading.opened(file) as following:
            block = following()
            if not block:
                raise empty_file(file.name)
            if len(block) <= MAX_PACKAGE_BYTES - self._kept:
                # Less than a part, so this is all there is.
                self._kept += len(block)
                self.files[number] = _in_memory(file, block)
                return
            self.files[number] = _typed(file, block)
            self._write(number, block, following)

    def move_out(self, room: int) -> None:
        """Write the largest files in memory too, until the others fit the package."""
        inside = {number: file for number, file in enumerate(self.files) if isinstance(file, File)}
        left = room - sum(len(file.name.encode()) + len(file.media_type or "") + _ENTRY_BYTES for file in self.files)
        total = sum(len(file.content) for file in inside.values())
        for number, file in sorted(inside.items(), key=lambda item: -len(item[1].content)):
            if total <= left:
                return
            total -= len(file.content)
            blocks = iter([file.content[at : at + PART_BYTES] for at in range(0, len(file.content), PART_BYTES)])
            self._write(number, next(blocks), lambda blocks=blocks: next(blocks, b""))  # type: ignore[misc] # bound at once

    def _write(self, number: int, block: bytes, following: Callable[[], bytes]) -> None:
        """Encrypt and write one file's blocks; the plaintext is hashed, and the disk synced, beside it."""
        attachment = len(self.written)
        context, key = self._context(attachment), os.urandom(KEY_BYTES)
        path = self._prefix.with_name(f"{self._prefix.name}-{attachment}")
        digest, leaves = sha256(), bytearray()
        size = sealed_size = unsynced = index = 0
        hashing: Future[None] | None = None
        syncing: Future[None] | None = None
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            try:
                while block:
                    if hashing is not None:
                        hashing.result()
                    hashing = self._helpers.submit(digest.update, block)
                    sealed = seal_part(block, key, context.of_part(index))
                    leaves += part_leaf(sealed)
                    _write_all(file, sealed)
                    size, sealed_size, index = size + len(block), sealed_size + len(sealed), index + 1
                    unsynced += len(sealed)
                    if unsynced >= SYNC_BYTES and (syncing is None or syncing.done()):
                        syncing, unsynced = self._helpers.submit(os.fdatasync, descriptor), 0
                    block = following()
            finally:
                for left in (hashing, syncing):
                    if left is not None:
                        left.result()
            os.fsync(descriptor)
        root = root_of([bytes(leaves[at : at + 32]) for at in range(0, len(leaves), 32)])
        large = LargeContent(size, digest.digest(), key, Attachment(sealed_size, root))
        self.written[number] = _Written(large, path, bytes(leaves))


def _announced(document: Document) -> int:
    """Return the bytes that a document's files have by what was said of them; too many if nothing was."""
    sizes = [file.size if isinstance(file, FileStream) else len(file.content) for file in document.files]
    return MAX_PACKAGE_BYTES + 1 if None in sizes else sum(size for size in sizes if size)


def _in_memory(file: FileStream, content: bytes) -> File:
    """Return a stream's content, all of which was read, as a file in memory."""
    return File(name=file.name, media_type=_typed(file, content).media_type or OCTETS, content=content)


def _typed(file: FileStream, begin: bytes) -> FileStream:
    """Return a stream with its media type, told from its first bytes where nobody gave one."""
    if file.media_type is not None:
        return file
    return dataclasses.replace(file, media_type=media_type_of(file.name, begin))


def _write_all(file: BinaryIO, content: bytearray) -> None:
    written = file.write(content)
    while written < len(content):
        written += file.write(memoryview(content)[written:])
