"""Accepting documents: checked, encrypted, stored, and only then promised (steps P1 and P2).

Content is encrypted before it is stored: the outbox never holds plaintext.
"""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.package import encrypt_document
from docbus.errors import AgencyClosedError, DocumentError, DocumentTooLargeError, OutboxFullError, UnknownAgencyError
from docbus.limits import KIB, MIB
from docbus.producers.outbox import AcceptedDocument, accept
from docbus.storage.database import used_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from docbus.clock import Clock
    from docbus.documents.document import Document, DocumentReference
    from docbus.identity.snapshot import TrustSnapshot
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


class Accepted(NamedTuple):
    """A document that the outbox has on disk; a duplicate was there before, with the same content."""

    document_id: str
    revision: int
    duplicate: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublisherLimits:
    """What one outbox may hold.

    Args:
        outbox_bytes: Bytes that ``state.db`` may use before nothing more is accepted.
    """

    outbox_bytes: int = 64 * KIB * MIB
    """64 GiB."""


class Publisher:
    """Accepts documents for one sending agency. Use it from one event loop; close it at the end.

    Args:
        database: The outbox.
        environment: The exchange's name.
        agency: Canonical id of the sending agency.
        snapshot: Gives the newest trust snapshot; recipients are looked up in it.
        clock: Time of acceptance.
        limits: What the outbox may hold.
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
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._environment = environment
        self._agency = agency
        self._snapshot = snapshot
        self._clock = clock
        self._limits = limits or PublisherLimits()
        self._wake = wake
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="docbus-encrypt")

    def close(self) -> None:
        """Let the workers go."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    async def publish(self, document: Document) -> Accepted:
        """Accept one document; see :meth:`publish_many`."""
        return (await self.publish_many([document]))[0]

    async def publish_many(self, documents: Sequence[Document]) -> list[Accepted]:
        """Accept documents, all of them or none; return once they are on disk.

        The same id and revision with the same content and recipients is the same document: it is accepted again and
        not sent again. An agency may send to itself.

        Args:
            documents: At most ``MAX_DOCUMENTS``, their recipients as codes, ids or aliases.

        Raises:
            DocumentError: A document is not valid, or the call is too large.
            DocumentTooLargeError: A package would not travel inside an envelope.
            DocumentConflictError: An id was accepted before with other content or other recipients.
            AgencyCodeError: A recipient is not a code.
            UnknownAgencyError: A recipient is not in the directory.
            AgencyClosedError: A recipient is closed.
            OutboxFullError: The outbox holds as much as it may.
            DiskFullError: No space is left.
            StorageError: The database cannot be written.
        """
        if not documents:
            return []
        _check_size(documents)
        snapshot = self._snapshot()
        addressed = self._address(documents, snapshot)
        now_ms = self._clock.now_ms()
        loop = asyncio.get_running_loop()
        chunks = await asyncio.gather(
            *[loop.run_in_executor(self._workers, self._encrypt, chunk, now_ms) for chunk in _chunks(addressed)]
        )
        encrypted = [document for chunk in chunks for document in chunk]
        duplicates = await self._database.write(_Accepting(encrypted, now_ms, self._limits.outbox_bytes).store)
        self._wake()
        return [
            Accepted(document.document_id, document.revision, duplicate)
            for document, duplicate in zip(encrypted, duplicates, strict=True)
        ]

    def _address(self, documents: Sequence[Document], snapshot: TrustSnapshot) -> list[Document]:
        """Put canonical ids in place of what people call the recipients."""
        known: dict[str, str] = {}
        for name in {recipient for document in documents for recipient in document.recipients}:
            known[name] = _recipient(name, snapshot)
        addressed = []
        for document in documents:
            recipients = tuple(known[name] for name in document.recipients)
            if recipients != document.recipients:
                document = dataclasses.replace(document, recipients=recipients)  # noqa: PLW2901 - same document, names resolved
            if document.in_reply_to is not None or document.concerns:
                document = _refer(document, snapshot)  # noqa: PLW2901 - likewise
            addressed.append(document)
        return addressed

    def _encrypt(self, documents: Sequence[Document], now_ms: int) -> list[AcceptedDocument]:
        return [self._encrypt_one(document, now_ms) for document in documents]

    def _encrypt_one(self, document: Document, now_ms: int) -> AcceptedDocument:
        encrypted = encrypt_document(document, environment=self._environment, sender=self._agency, now_ms=now_ms)
        return AcceptedDocument(
            document.document_id,
            document.revision,
            document.kind,
            int(document.urgency),
            "urgent" if document.urgency else "documents",
            document.recipients,
            encrypted.fingerprint,
            encrypted.body,
            encrypted.package,
            encrypted.content_key,
        )


class _Accepting(NamedTuple):
    """The transaction that makes the documents durable."""

    documents: Sequence[AcceptedDocument]
    now_ms: int
    outbox_bytes: int

    def store(self, connection: sqlite3.Connection) -> list[bool]:
        """Store them; nothing if that would go over the limit."""
        duplicates = accept(connection, self.documents, at_ms=self.now_ms)
        used = used_bytes(connection)
        if used > self.outbox_bytes and not all(duplicates):
            raise OutboxFullError(
                f"the outbox would hold {used:,} bytes, its limit is {self.outbox_bytes:,}",
                hint="See `docbus status` for what waits and why; nothing accepted before is lost. Or raise the limit.",
                step="P1",
            )
        return duplicates


def _refer(document: Document, snapshot: TrustSnapshot) -> Document:
    """Put canonical ids in place of what people call the senders of documents referred to."""

    def resolved(reference: DocumentReference) -> DocumentReference:
        return dataclasses.replace(reference, sender=snapshot.resolve(reference.sender))

    reply = document.in_reply_to
    return dataclasses.replace(
        document,
        in_reply_to=None if reply is None else resolved(reply),
        concerns=tuple(resolved(reference) for reference in document.concerns),
    )


def _check_size(documents: Sequence[Document]) -> None:
    if len(documents) > MAX_DOCUMENTS:
        raise DocumentError(
            f"{len(documents):,} documents in one call, at most {MAX_DOCUMENTS:,}", hint="Split the list.", step="P1"
        )
    if sum(len(document.recipients) for document in documents) > MAX_COPIES:
        raise DocumentError(f"more than {MAX_COPIES:,} copies in one call", hint="Split the list.", step="P1")
    if sum(len(file.content) for document in documents for file in document.files) > MAX_CALL_BYTES:
        raise DocumentTooLargeError(
            f"the documents of one call have more than {MAX_CALL_BYTES:,} bytes together",
            hint="Split the list.",
            step="P1",
        )


def _recipient(name: str, snapshot: TrustSnapshot) -> str:
    found = snapshot.resolve(name)
    agency = snapshot.agency(found)
    if agency is None:
        raise UnknownAgencyError(f"recipient {found} is not in the directory", step="P1")
    if agency.closed_at is not None:
        raise AgencyClosedError(
            f"recipient {name} is closed since directory entry {agency.closed_at}",
            hint=f"Its successor is {agency.successor}." if agency.successor else "It has no successor.",
            step="P1",
        )
    return found


def _chunks(documents: Sequence[Document]) -> list[list[Document]]:
    chunks: list[list[Document]] = []
    size = CHUNK_BYTES
    for document in documents:
        if size >= CHUNK_BYTES or len(chunks[-1]) >= CHUNK_DOCUMENTS:
            chunks.append([])
            size = 0
        chunks[-1].append(document)
        size += sum(len(file.content) for file in document.files)
    return chunks
