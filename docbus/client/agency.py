"""An agency at work: publish, receive, report, track."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from typing_extensions import override

from docbus.client.changing import ChangingMethods
from docbus.client.connect import agency_id, open_transport
from docbus.client.content import ContentMethods
from docbus.client.directory_memory import DirectoryMemory, begin_directory
from docbus.client.files import read_file
from docbus.client.folder_keys import FolderKeys
from docbus.client.logs import use_standard_logging
from docbus.client.material_memory import MaterialMemory
from docbus.client.redrive import RedriveMethods
from docbus.client.running import beside
from docbus.client.status import AgencyStatus, agency_status
from docbus.clock import Clock, SystemClock
from docbus.consumers.overview import has_received
from docbus.documents.document import Document, DocumentReference
from docbus.documents.given import MAYBE_TEXT, NUMBER, TEXT, Wanted, check_given, texts_of
from docbus.errors import ConfigurationError, DocumentError
from docbus.producers import journey as journeys
from docbus.producers.drain import Drain
from docbus.producers.publisher import Accepted, Publisher, PublisherLimits
from docbus.producers.reporting import report_status
from docbus.registry.follow import DirectoryFollower
from docbus.settings import Settings, load_settings
from docbus.storage.content import ContentFolder
from docbus.storage.database import Database
from docbus.wire.ids import uuid7_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from types import TracebackType

    from docbus.documents.file import File, FileStream
    from docbus.documents.statuses import StatusCode
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.journey import Journey
    from docbus.producers.reading import Progress
    from docbus.transport.port import Transport

DEFAULT_WAIT_SECONDS = 60.0
"""Seconds that :meth:`Agency.wait` waits unless it is told otherwise."""

_PUBLISHED = {
    "id": MAYBE_TEXT,
    "title": MAYBE_TEXT,
    "concerns": Wanted((DocumentReference,), "a list of DocumentReference", listed=True),
    "properties": Wanted((tuple, list), "a list of pairs (name, value)", listed=True),
}
_DOCUMENTS = Wanted((Document,), "a list of Document", listed=True)
_SECONDS = Wanted((int, float), "a number of seconds")
_REPORTED = {
    "sender": TEXT,
    "document_id": TEXT,
    "status": Wanted((int,), "a StatusCode or its number, such as 3"),
    "note": MAYBE_TEXT,
    "revision": NUMBER,
}


class Agency(RedriveMethods, ContentMethods, ChangingMethods):
    """An agency's folder, opened. Use it as an async context manager, from one event loop.

    Entering connects, loads the directory and checks that the signing key is the one granted to this agency.
    """

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self.settings = settings
        self.id = agency_id(settings)
        self._clock = clock
        self._stack = AsyncExitStack()

    @classmethod
    def open(cls, folder: Path | str = ".", *, clock: Clock | None = None) -> Agency:
        """Read the settings of a folder; nothing is connected yet.

        Raises:
            ConfigurationError: The settings are missing or wrong, or the folder is not an agency's.
        """
        use_standard_logging()
        return cls(load_settings(Path(folder)), clock=clock or SystemClock())

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KeyFileError: A key is missing, unreadable, or not the granted one; a token is asked later.
            IdentityError: The directory does not know the agency or its certificate.
            TransportError: The bus cannot be reached, and this folder has never reached it.
            StorageError: The outbox cannot be opened.
        """
        async with AsyncExitStack() as stack:
            self._keys = FolderKeys(self.settings, self._clock)
            self.transport: Transport = open_transport(self.settings)
            stack.push_async_callback(self.transport.aclose)
            self.database = Database.open(self.settings.state, self._clock)
            stack.callback(self.database.close)
            self._material = MaterialMemory(self.database, self._clock)
            await self._material.load()
            self.content = ContentFolder(self.settings.path(self.settings.content.folder))
            memory = DirectoryMemory(self.database)
            self._follower = DirectoryFollower(
                self.transport, self.settings.exchange.genesis_bytes, on_entry=memory.take, clock=self._clock
            )
            await begin_directory(self.transport, self._follower, memory)
            sealer = self._keys.choose(self._follower.snapshot)
            self._keys.check(sealer, self._follower.snapshot)
            self._follower.on_change(memory.note)
            stack.push_async_callback(memory.aclose)
            self._drain: Drain = Drain(
                database=self.database,
                transport=self.transport,
                sealer=sealer,
                batch_statements=lambda: self._keys.batch_statements,
                sender=self.id,
                snapshot=lambda: self.snapshot,
                clock=self._clock,
                content=self.content,
                stamped=self.settings.timestamps is not None,
                keys=self._keys,
            )
            self._publisher = Publisher(
                database=self.database,
                environment=self.settings.exchange.environment,
                agency=self.id,
                snapshot=lambda: self.snapshot,
                clock=self._clock,
                limits=PublisherLimits(
                    outbox_bytes=self.settings.outbox.max_bytes,
                    # More would never fit, however long it waited.
                    document_bytes=min(self.settings.content.max_bytes, self.settings.outbox.max_bytes),
                ),
                content=self.content,
                wake=self._drain.wake,
            )
            stack.callback(self._publisher.close)
            runs = self._follower.run, self._keys.watch, self._material.follow
            await stack.enter_async_context(beside(*runs))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what runs and disconnect; what is accepted stays in the outbox."""
        await self._stack.aclose()

    @property
    @override
    def snapshot(self) -> TrustSnapshot:
        """The directory as it is known now."""
        return self._follower.snapshot

    async def publish(
        self,
        *files: str | Path | File | FileStream,
        to: Sequence[str],
        title: str | None = None,
        id: str | None = None,  # noqa: A002 - the word that a reader of the call expects
        revision: int = 1,
        number: str | None = None,
        type: str | None = None,  # noqa: A002 - likewise
        summary: str | None = None,
        urgency: int = 0,
        kind: Literal["document", "recall", "update", "replacement"] = "document",
        in_reply_to: DocumentReference | None = None,
        concerns: Sequence[DocumentReference] = (),
        not_after: int | None = None,
        properties: Sequence[tuple[str, str]] = (),
        on_behalf_of: str | None = None,
        progress: Progress | None = None,
    ) -> Accepted:
        """Accept a document for sending; returns once it is on disk in the outbox.

        Args:
            files: Paths, :class:`~docbus.documents.file.File` for content in memory, or
                :class:`~docbus.documents.file.FileStream` for anything that can be read, of any size.
            to: Recipients, by code, canonical id or alias.
            title: What it is about; the first file's name if left out.
            id: The sender's own id; a new UUIDv7 if left out. The same id with the same content is the same document.
            revision: From 1.
            number: Number and notation, such as ``7816/VPCP-TTĐT``.
            type: Document type, such as ``Công văn``.
            summary: Free text.
            urgency: 0 normal to 4.
            kind: What the document does to those it concerns.
            in_reply_to: The document it answers.
            concerns: What a recall, update or replacement is about.
            not_after: Milliseconds since 1970-01-01T00:00:00Z; recipients refuse what the brokers have stored later.
            properties: Further fields.
            on_behalf_of: Agency for which it is sent, by code, id or alias, if the directory has a delegation.
            progress: Told, from another thread, how many bytes are read, and of how many if that is known.

        Raises:
            DocumentError: A file cannot be read, or a field is not allowed.
            IdentityError: A recipient is not a code, not in the directory, or closed.
            StorageError: The outbox is full or cannot be written.
        """
        recipients = texts_of("to", to)
        check_given(_PUBLISHED, {"id": id, "title": title, "concerns": concerns, "properties": properties})
        read = await asyncio.to_thread(lambda: tuple(read_file(file) for file in files))
        document = Document(
            document_id=id if id is not None else uuid7_text(self._clock.now_ms()),
            revision=revision,
            kind=kind,
            urgency=urgency,  # type: ignore[arg-type] # Document makes an Urgency of it, or says why not
            title=title or (read[0].name if read else kind),
            number=number,
            type=type,
            summary=summary,
            files=read,
            recipients=recipients,
            in_reply_to=in_reply_to,
            concerns=tuple(concerns),
            not_after=not_after,
            properties=tuple(properties),
            on_behalf_of=on_behalf_of,
        )
        return (await self.publish_documents([document], progress=progress))[0]

    async def publish_documents(
        self, documents: Sequence[Document], *, progress: Progress | None = None
    ) -> list[Accepted]:
        """Accept several documents in one transaction, all or none; recipients may be codes or aliases.

        Raises:
            DocumentError: As :meth:`publish`.
        """
        check_given({"documents": _DOCUMENTS}, {"documents": documents})
        publisher = getattr(self, "_publisher", None)
        if publisher is None or publisher.closed:
            raise ConfigurationError(
                "the agency is not open", hint="Write `async with Agency.open(folder) as agency:`."
            )
        accepted: list[Accepted] = await publisher.publish_many(documents, progress)
        return accepted

    async def wait(
        self,
        document_id: str,
        *,
        until: Literal["sent", "received"],
        timeout: float = DEFAULT_WAIT_SECONDS,  # noqa: ASYNC109 - the caller's own limit, which ends in a named error
        revision: int | None = None,
    ) -> Journey:
        """Wait until every recipient's copy is sent, or answered. Somebody must be serving meanwhile.

        Raises:
            WaitTimeoutError: It took longer; the document is safe in the outbox.
            DocumentError: The outbox has no such document.
        """
        check_given({"timeout": _SECONDS}, {"timeout": timeout})
        if until not in ("sent", "received"):
            raise DocumentError(f"until: {until!r} is neither 'sent' nor 'received'", step="P1")
        return await journeys.wait(
            self.database,
            document_id,
            sender=self.id,
            until=until,
            timeout=timeout,
            clock=self._clock,
            revision=revision,
        )

    async def track(self, document_id: str, revision: int | None = None) -> Journey:
        """Return how far a published document has come at each recipient.

        Raises:
            DocumentError: The outbox has no such document.
        """
        return await self.database.read(
            lambda connection: journeys.journey(connection, document_id, sender=self.id, revision=revision)
        )

    async def report(
        self, sender: str, document_id: str, status: StatusCode | int, note: str | None = None, *, revision: int = 1
    ) -> None:
        """Report a business status of a received document to its sender; on disk when this returns.

        Args:
            sender: Code or id of the document's sender.
            document_id: Its id.
            status: 02 to 06, 15 or 16; 13 is the sender's own, for a document it sent.
            note: Free text, encrypted for the addressee.
            revision: Of the document.

        Raises:
            DocumentError: Not a status that this agency can report, or the document never came here.
            IdentityError: The sender is not in the directory.
        """
        given = {"sender": sender, "document_id": document_id, "status": status, "note": note, "revision": revision}
        check_given(_REPORTED, given)
        document_sender = self.snapshot.resolve(sender)
        await report_status(
            self.database,
            environment=self.settings.exchange.environment,
            agency=self.id,
            document_sender=document_sender,
            document_id=document_id,
            revision=revision,
            code=status,
            note=note,
            now_ms=self._clock.now_ms(),
            check=partial(self._check_received, document_sender, document_id, revision),
        )
        self._drain.wake()

    def _check_received(self, sender: str, document_id: str, revision: int, connection: sqlite3.Connection) -> None:
        """Refuse to report on what never came; of a shared inbox another folder may have it."""
        if sender == self.id or self.settings.inbox.shared or (sender, document_id, revision) in self._in_hand:
            return
        if not has_received(connection, sender, document_id, revision):
            raise DocumentError(
                f"this agency has not received document {document_id} revision {revision} from {sender}",
                hint="Check id and sender; metadata.json beside each filed document has both.",
                step="P1",
            )

    async def status(self) -> AgencyStatus:
        """Return what waits, what is missing, and what is in quarantine."""
        return await agency_status(self, self._clock, self._drain.clock_ahead_ms, self._drain.signer_trouble)
