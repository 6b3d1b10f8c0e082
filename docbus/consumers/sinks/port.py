"""What docbus asks of a DMS, and how it may answer (step C3, design D11).

A sink files idempotently by name: ``Delivery.name`` is made from sender, document id and revision, so the same document
has the same name however often it comes. After any unclear answer of the DMS the sink reads back and compares.
"""

from __future__ import annotations

import re
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol

from docbus.consumers.sinks.naming import delivery_name
from docbus.envelope.package import Inside
from docbus.limits import MAX_REASON_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from docbus.envelope.package import Manifest, Package
    from docbus.envelope.statement import DocumentBody, Head, Position, Reference

_CODE = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_REASON_BYTES - 1}}}")


NOTHING_FETCHED: Mapping[int, Path] = MappingProxyType({})


class DeliveredFile(NamedTuple):
    """One file of a document, verified in full.

    Attributes:
        name: As its sender calls it.
        media_type: As its sender says.
        size: Bytes.
        digest: SHA-256 of the content, checked in C2.
        source: Where the content is until the document is decided: in memory, or, if it is large, in a file of docbus's
            own. A sink on the same file system may link or copy that file; it must not change it.
    """

    name: str
    media_type: str
    size: int
    digest: bytes
    source: bytes | Path

    def open(self) -> BinaryIO:
        """Return a new stream from the first byte on; to be closed."""
        return BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")

    def read(self) -> bytes:
        """Return the whole content; for files that are known to be small."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class Target(NamedTuple):
    """A document that a recall, an update or a replacement concerns, and what docbus knows of it here.

    It is what the ledger says when the sink is called. A ledger that was lost and is being rebuilt knows less, so a
    sink that finds the document itself has the last word.

    Attributes:
        sender: Canonical id, that of the change's own sender.
        document_id: Its id.
        revision: Its revision.
        state: ``filed`` before; ``refused``, so that it is not here and lies among the dead letters or in quarantine;
            ``in_batch``: it stands before the change in the same call; ``unknown``: it has not come, or waits.
        reference: Of one that is filed: its name in the DMS, as the sink gave it.
        reason: Of one that is refused: the code in its receipt.
    """

    sender: str
    document_id: str
    revision: int
    state: Literal["filed", "refused", "in_batch", "unknown"]
    reference: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """Its :attr:`Delivery.name`, also if it never came."""
        return delivery_name(self.sender, self.document_id, self.revision)


class Delivery(NamedTuple):
    """One verified and opened document on its way into the DMS.

    ``value`` is the exact envelope, to be kept beside the document: with it anyone can check later what was filed.
    ``stored_at`` is the time in milliseconds at which the broker stored it. ``fetched`` has the files of large
    attachments, by their index in the statement. ``targets`` has what is known of the documents that a recall, an
    update or a replacement concerns, in the order of ``concerns``.
    """

    head: Head
    position: Position
    body: DocumentBody
    digest: bytes
    value: bytes
    package: Package
    stored_at: int
    fetched: Mapping[int, Path] = NOTHING_FETCHED
    targets: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        """Stable and safe as a file's name, at most ``naming.MAX_NAME`` characters of ASCII."""
        return delivery_name(self.head.sender, self.body.document_id, self.body.revision)

    @property
    def sender(self) -> str:
        """Canonical id of the proven sender."""
        return self.head.sender

    @property
    def on_behalf_of(self) -> str | None:
        """Canonical id of the agency for which it was sent, by a delegation in the directory; None for itself."""
        return self.head.on_behalf_of

    @property
    def recipient(self) -> str:
        """Canonical id of this agency."""
        return self.head.recipient

    @property
    def document_id(self) -> str:
        """The sender's id of the document."""
        return self.body.document_id

    @property
    def revision(self) -> int:
        """From 1."""
        return self.body.revision

    @property
    def kind(self) -> str:
        """``document``, ``recall``, ``update`` or ``replacement``."""
        return self.body.kind

    @property
    def urgency(self) -> int:
        """0 normal to 4, as in the statement's schema."""
        return self.body.urgency

    @property
    def in_reply_to(self) -> Reference | None:
        """The document this one answers."""
        return self.body.in_reply_to

    @property
    def concerns(self) -> tuple[Reference, ...]:
        """What a recall, update or replacement is about."""
        return self.body.concerns

    @property
    def manifest(self) -> Manifest:
        """Title, number, all recipients and so on."""
        return self.package.manifest

    @property
    def files(self) -> tuple[DeliveredFile, ...]:
        """The files, in the sender's order."""
        contents, fetched = self.package.contents, self.fetched
        return tuple(
            DeliveredFile(
                file.name,
                file.media_type,
                file.size,
                file.digest,
                contents[file.place.content] if isinstance(file.place, Inside) else fetched[file.place.attachment],
            )
            for file in self.package.manifest.files
        )


class Answer(NamedTuple):
    """What the DMS makes of a recall, update or replacement; the sender gets it as status 15 or 16 with the note."""

    agreed: bool
    note: str = ""


class Created(NamedTuple):
    """The DMS has it now; ``reference`` is its name there. ``answer`` is for a change; None agrees to it."""

    reference: str
    answer: Answer | None = None


class AlreadyThere(NamedTuple):
    """The DMS had it, with the same content; ``answer`` as in :class:`Created`."""

    reference: str
    answer: Answer | None = None


class Conflict(NamedTuple):
    """The DMS has another content under this name; ``found`` says what, for the quarantine."""

    reference: str
    found: str


class Retry(NamedTuple):
    """Not now, for a reason that lies in this document; its stream waits, others go on."""

    reason: str


class Reject(NamedTuple):
    """Never. The sender learns the code in the receipt, and the text, if there is one, encrypted in a status 02."""

    code: str
    text: str = ""

    def usable_code(self) -> str:
        """Return the code, or ``rejected`` where it is not lower case, digits and underscores of at most 64 bytes."""
        return self.code if _CODE.fullmatch(self.code) else "rejected"


Outcome = Created | AlreadyThere | Conflict | Retry | Reject


class Sink(Protocol):
    """A DMS. One call at a time."""

    @property
    def max_batch(self) -> int:
        """Deliveries given at once; outcomes become durable, and receipts go out, after each such batch."""
        ...

    async def start(self) -> None:
        """Make ready; clean up what a crash has left.

        Raises:
            ConfigurationError: It can never work like this; names the setting or folder.
            SinkUnavailableError: It cannot be reached now.
        """
        ...

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """File a batch, in order.

        A recall, an update or a replacement (``kind``) is filed like any document, and takes effect on those that it
        ``concerns``, which are named by :func:`~docbus.consumers.sinks.naming.delivery_name` and may come later or
        never; ``targets`` says what the ledger knows of each. What is recalled keeps its name: delivered again, it is
        "already there", and does not come back to life.

        After :class:`Retry` for one document, later ones of the same stream (sender and epoch) in this batch should get
        :class:`Retry` too; whoever files them nevertheless has filed them before the earlier one.

        Returns:
            One outcome per delivery, in the order given.

        Raises:
            SinkUnavailableError: The DMS cannot be reached or cannot take anything; of the batch nothing is known. It
                is offered again, for ever.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything within a few seconds. A second call does nothing."""
        ...
