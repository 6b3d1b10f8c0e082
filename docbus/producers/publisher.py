"""Accepting documents: checked, encrypted, stored, and only then promised (steps P1 and P2).

Content is encrypted before it is stored: the outbox never holds plaintext.
"""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.file import File
from docbus.envelope.encrypted import NOTHING_LARGE, EncryptedDocument, document_fingerprint, encrypt_document
from docbus.errors import (
    DiskFullError,
    DocumentError,
    DocumentTooLargeError,
    OutboxFullError,
    StorageError,
)
from docbus.limits import KIB, MIB
from docbus.producers.addressing import address
from docbus.producers.changes import note_asked
from docbus.producers.content import content_bytes
from docbus.producers.outbox import AcceptedDocument, accept, check_in_time, is_accepted
from docbus.producers.staging import Stager, needs_staging
from docbus.storage.content import CONTENT_NAME, ContentFolder
from docbus.storage.database import used_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.documents.document import Document
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.reading import Progress
    from docbus.producers.staging import StagedAttachment, StagedDocument
    from docbus.storage.database import Database

CHUNK_DOCUMENTS = 64
"""Documents handed to a worker at once: one at a time the handing over costs as much as the encryption."""
CHUNK_BYTES = 1 * MIB
"""Bytes of content after which a chunk ends, so that large documents share the workers too."""
WORKERS = 2
"""Threads that encrypt; encryption and hashing release the interpreter lock, the encoding around them does not."""
MAX_DOCUMENTS = 10_000
"""Documents in one call: they are all in memory until they are stored in one transaction."""
MAX_CALL_BYTES = 256 * MIB
"""Bytes of content in one call, for the same reason."""
MAX_COPIES = 500_000
"""Copies that one call may make; a transaction of seconds would keep receipts waiting."""
STOP_SECONDS = 10.0
"""Seconds that a cancelled call waits for a block to be read and encrypted, or for a transaction to be stored."""


class Accepted(NamedTuple):
    """A document that the outbox has on disk; a duplicate was there before, with the same content."""

    document_id: str
    revision: int
    duplicate: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublisherLimits:
    """What one outbox may hold.

    Args:
        outbox_bytes: Bytes that ``state.db``, and large content beside it, may use before nothing more is accepted.
        document_bytes: Bytes of plaintext that one document's files may have.
    """

    outbox_bytes: int = 64 * KIB * MIB
    """64 GiB."""
    document_bytes: int = 4 * KIB * MIB
    """4 GiB."""


class Publisher:
    """Accepts documents for one sending agency. Use it from one event loop; close it at the end.

    Args:
        database: The outbox.
        environment: The exchange's name.
        agency: Canonical id of the sending agency.
        snapshot: Gives the newest trust snapshot; recipients are looked up in it.
        clock: Time of acceptance.
        limits: What the outbox may hold.
        content: Where large content is kept; ``content`` beside the database if left out.
        wake: Called once documents are stored, on the loop; a drain's ``wake``.
    """

    def __init__(
        self,
        *,
        database: Database,
        environment: str,
        agency: str,
        snapshot: Callable[[], TrustSnapshot],
        clock: Clock,
        limits: PublisherLimits | None = None,
        content: ContentFolder | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._environment = environment
        self._agency = agency
        self._snapshot = snapshot
        self._clock = clock
        self._limits = limits or PublisherLimits()
        self._content = content or ContentFolder(database.path.parent / CONTENT_NAME)
        self._wake = wake
        self.closed = False
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="docbus-encrypt")

    def close(self) -> None:
        """Let the workers go."""
        self.closed = True
        self._workers.shutdown(wait=True, cancel_futures=True)

    async def publish(self, document: Document, progress: Progress | None = None) -> Accepted:
        """Accept one document; see :meth:`publish_many`."""
        return (await self.publish_many([document], progress))[0]

    async def publish_many(self, documents: Sequence[Document], progress: Progress | None = None) -> list[Accepted]:
        """Accept documents, all of them or none; return once they are on disk.

        The same id and revision with the same content and recipients is the same document: it is accepted again and
        not sent again. An agency may send to itself.

        Args:
            documents: At most ``MAX_DOCUMENTS``, their recipients as codes, ids or aliases.
            progress: Told from a worker thread how many bytes of large content are read, and of how many if that is
                known.

        Raises:
            DocumentError: A document is not valid or comes too late, a file cannot be read, or the call is too large.
            DocumentTooLargeError: A document is larger than the limit, or its description than an envelope.
            DocumentConflictError: An id was accepted before with other content or other recipients.
            AgencyCodeError: A recipient is not a code.
            UnknownAgencyError: A recipient is not in the directory.
            AgencyClosedError: A recipient is closed.
            DelegationError: A document is to be sent for another agency, and may not.
            OutboxFullError: The outbox holds as much as it may.
            DiskFullError: No space is left.
            StorageError: The database cannot be written.
        """
        if not documents:
            return []
        _check_size(documents)
        addressed = address(documents, self._snapshot(), sender=self._agency, clock=self._clock)
        if any(document.not_after is not None for document in addressed):
            await self._database.read(partial(check_in_time, addressed, self._clock.now_ms()))
        if any(map(needs_staging, addressed)):
            stager = self._stager(progress)
            addressed = [await self._in_worker(stager.read_small, document) for document in addressed]
            if any(map(needs_staging, addressed)):
                return await self._publish_large(addressed, stager)
        now_ms = self._clock.now_ms()
        loop = asyncio.get_running_loop()
        chunks = await asyncio.gather(
            *[loop.run_in_executor(self._workers, self._encrypt, chunk, now_ms) for chunk in _chunks(addressed)]
        )
        return await self._store([document for chunk in chunks for document in chunk], now_ms)

    def _stager(self, progress: Progress | None) -> Stager:
        return Stager(
            environment=self._environment,
            sender=self._agency,
            content=self._content,
            max_bytes=self._limits.document_bytes,
            progress=progress,
        )

    async def _in_worker(self, job: Callable[[Document], Document], document: Document) -> Document:
        return await asyncio.get_running_loop().run_in_executor(self._workers, job, document)

    async def _publish_large(self, documents: Sequence[Document], stager: Stager) -> list[Accepted]:
        """Accept documents of which some have content to be put on disk.

        A caller that is cancelled ends the reading; what is being stored already is stored, and its content stays.
        """
        accepting = asyncio.ensure_future(self._stage_and_store(documents, stager))
        try:
            return await asyncio.shield(accepting)
        except asyncio.CancelledError:
            stager.stop()
            # Heard by nobody any more, and so no error of this program.
            accepting.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait({accepting}, timeout=STOP_SECONDS)
            raise

    async def _stage_and_store(self, documents: Sequence[Document], stager: Stager) -> list[Accepted]:
        """Stage one document after the other, since the disk is one, and store them all or none."""
        now_ms = self._clock.now_ms()
        loop = asyncio.get_running_loop()
        ready: list[AcceptedDocument] = []
        accepted: list[Accepted] = []
        unclear: StorageError | None = None
        with self._content.staging() as folder:
            for number, document in enumerate(documents):
                if not await self._database.read(partial(is_accepted, document.document_id, document.revision)):
                    await self._check_outbox()
                    job = partial(self._stage, stager, document, folder, number, now_ms)
                else:
                    job = partial(self._compare, stager, document)
                ready.append(await loop.run_in_executor(self._workers, job))
            try:
                accepted = await self._store(ready, now_ms)
            except (OutboxFullError, DiskFullError):
                raise
            except StorageError as error:
                # It may be stored all the same, or later; if not, the next start of a drain removes the files.
                unclear = error
        if unclear is not None:
            raise unclear
        # Somebody else may have accepted the same document while this one was read.
        left = [one.file for document, told in zip(ready, accepted, strict=True) if told.duplicate
                for one in document.attachments]  # fmt: skip
        await loop.run_in_executor(self._workers, self._content.drop, left)
        return accepted

    def _stage(self, stager: Stager, document: Document, folder: Path, number: int, now_ms: int) -> AcceptedDocument:
        staged = stager.stage(document, folder, number)
        return self._encrypt_one(staged.document, now_ms, staged)

    @staticmethod
    def _compare(stager: Stager, document: Document) -> AcceptedDocument:
        """Return what tells a document that was accepted before from another one; it is not stored again."""
        document, digests = stager.digests(document)
        fingerprint = document_fingerprint(document, digests)
        return _accepted(document, fingerprint, EncryptedDocument(b"", b"", b"", fingerprint))

    async def _check_outbox(self) -> None:
        """Refuse before reading gigabytes, not after."""
        limit = self._limits.outbox_bytes
        if (used := await self._database.read(_used_bytes)) > limit:
            raise _full(used, limit)

    async def _store(self, documents: Sequence[AcceptedDocument], now_ms: int) -> list[Accepted]:
        duplicates = await self._database.write(
            _Accepting(documents, now_ms, self._limits.outbox_bytes, self._agency).store
        )
        self._wake()
        return [
            Accepted(document.document_id, document.revision, duplicate)
            for document, duplicate in zip(documents, duplicates, strict=True)
        ]

    def _encrypt(self, documents: Sequence[Document], now_ms: int) -> list[AcceptedDocument]:
        return [self._encrypt_one(document, now_ms) for document in documents]

    def _encrypt_one(self, document: Document, now_ms: int, staged: StagedDocument | None = None) -> AcceptedDocument:
        encrypted = encrypt_document(
            document,
            environment=self._environment,
            sender=self._agency,
            now_ms=now_ms,
            large=NOTHING_LARGE if staged is None else staged.large,
        )
        attachments = () if staged is None else tuple(staged.attachments.values())
        return _accepted(document, encrypted.fingerprint, encrypted, attachments)


def _accepted(
    document: Document,
    fingerprint: bytes,
    encrypted: EncryptedDocument,
    attachments: Sequence[StagedAttachment] = (),
) -> AcceptedDocument:
    return AcceptedDocument(
        document.document_id,
        document.revision,
        document.kind,
        int(document.urgency),
        "urgent" if document.urgency else "documents",
        document.recipients,
        fingerprint,
        encrypted.body,
        encrypted.package,
        encrypted.content_key,
        attachments,
        document.concerns,
        document.on_behalf_of,
    )


class _Accepting(NamedTuple):
    """The transaction that makes the documents durable."""

    documents: Sequence[AcceptedDocument]
    now_ms: int
    outbox_bytes: int
    sender: str

    def store(self, connection: sqlite3.Connection) -> list[bool]:
        """Store them; nothing if that would go over the limit."""
        duplicates = accept(connection, self.documents, at_ms=self.now_ms)
        used = _used_bytes(connection)
        if used > self.outbox_bytes and not all(duplicates):
            raise _full(used, self.outbox_bytes)
        for document, duplicate in zip(self.documents, duplicates, strict=True):
            if document.concerns and not duplicate:
                note_asked(connection, document, sender=self.sender, now_ms=self.now_ms)
        return duplicates


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the database and of large content that waits beside it."""
    return used_bytes(connection) + content_bytes(connection)


def _full(used: int, limit: int) -> OutboxFullError:
    return OutboxFullError(
        f"the outbox would hold {used:,} bytes, its limit is {limit:,}",
        hint="See `docbus status` for what waits and why; nothing accepted before is lost. Large content that everybody"
        " has is kept for a day more, `docbus forget` lets go of it. Or raise max_bytes in [outbox].",
        step="P1",
    )


def _check_size(documents: Sequence[Document]) -> None:
    if len(documents) > MAX_DOCUMENTS:
        raise DocumentError(
            f"{len(documents):,} documents in one call, at most {MAX_DOCUMENTS:,}", hint="Split the list.", step="P1"
        )
    if sum(len(document.recipients) for document in documents) > MAX_COPIES:
        raise DocumentError(f"more than {MAX_COPIES:,} copies in one call", hint="Split the list.", step="P1")
    if sum(map(_in_memory, documents)) > MAX_CALL_BYTES:
        raise DocumentTooLargeError(
            f"the documents of one call have more than {MAX_CALL_BYTES:,} bytes in memory together",
            hint="Split the list, or give files on disk as FileStream.",
            step="P1",
        )


def _in_memory(document: Document) -> int:
    return sum(len(file.content) for file in document.files if isinstance(file, File))


def _chunks(documents: Sequence[Document]) -> list[list[Document]]:
    chunks: list[list[Document]] = []
    size = CHUNK_BYTES
    for document in documents:
        if size >= CHUNK_BYTES or len(chunks[-1]) >= CHUNK_DOCUMENTS:
            chunks.append([])
            size = 0
        chunks[-1].append(document)
        size += _in_memory(document)
    return chunks
