"""Documents with large content as their sender makes them, and a sink that reads what it is given."""

from __future__ import annotations

import itertools
import os
import sqlite3
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.batch import Draft
from docbus.envelope.encrypted import LargeContent, encrypt_document
from docbus.envelope.envelope import Hint
from docbus.envelope.parts import AttachmentContext, Part, encode_part, part_leaf, seal_part
from docbus.envelope.statement import DOCUMENT_TYPE, SCHEMAS, Attachment, DocumentBody, encode_document_body
from docbus.limits import PART_BYTES
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.verification.parts import WantedContent
from docbus.wire.parts import content_size
from docbus.wire.tree import levels, path_of
from tests.support.audit_exchange import CITY, Exchange, Posted
from tests.support.directory import ENVIRONMENT, NOW_MS
from tests.support.inbox import ME, ObedientSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery, Outcome
    from tests.support.inbox import Inbox

_seeds = itertools.count(1)


def plaintext(parts: float) -> bytes:
    """Return content that is in no other file, of so many parts."""
    return Random(next(_seeds)).randbytes(int(parts * PART_BYTES))  # noqa: S311 - any bytes will do


@dataclass(frozen=True)
class SealedContent:
    """One large attachment as its sender has it."""

    plaintext: bytes
    large: LargeContent
    parts: tuple[Part, ...]

    @property
    def values(self) -> list[bytes]:
        """The records that carry the parts."""
        return [encode_part(part) for part in self.parts]


def seal_content(content: bytes, context: AttachmentContext, *, key: bytes | None = None) -> SealedContent:
    """Encrypt content part by part, and prove each part."""
    key = key or os.urandom(32)
    cut = [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]
    return signed_content(content, key, [seal_part(one, key, context.of_part(i)) for i, one in enumerate(cut)])


def signed_content(content: bytes, key: bytes, sealed: Sequence[bytes | bytearray]) -> SealedContent:
    """Sign any ciphertext as the parts of content."""
    tree = levels([part_leaf(one) for one in sealed])
    size, root = content_size(len(content)), tree[-1][0]
    parts = tuple(Part(root, size, i, path_of(tree, i), bytes(one)) for i, one in enumerate(sealed))
    large = LargeContent(len(content), sha256(content).digest(), key, Attachment(size, root))
    return SealedContent(content, large, parts)


def wanted_of(content: SealedContent, context: AttachmentContext) -> WantedContent:
    """Return what statement and manifest say of content."""
    large = content.large
    return WantedContent(context, large.attachment.size, large.attachment.digest, large.key, large.size, large.digest)


@dataclass(frozen=True, kw_only=True)
class LargeDocument:
    """A document with large content, before it is sealed for its stream.

    Attributes:
        contents: Its large attachments, in their order.
    """

    sender: str
    document_id: str
    lane: str
    body: bytes
    package: bytes
    content_key: bytes
    contents: tuple[SealedContent, ...]

    @property
    def values(self) -> list[bytes]:
        """The records of all parts, attachment by attachment."""
        return [value for content in self.contents for value in content.values]

    def with_body(self, change: Callable[[DocumentBody], DocumentBody]) -> LargeDocument:
        """Return it with another body, for its sender to sign."""
        codec, name = SCHEMAS[DOCUMENT_TYPE]
        body, _ = codec.decode_part(codec.readers[name], self.body, 0)
        return replace(self, body=encode_document_body(change(body)))

    def hints(self, offsets: Sequence[int]) -> list[Hint]:
        """Return honest hints for parts that lie at these offsets, all in the order of :attr:`values`."""
        topic, at = topics.content(self.sender), iter(offsets)
        return [
            Hint(number, topic, 0, tuple(itertools.islice(at, len(content.parts))))
            for number, content in enumerate(self.contents)
        ]

    def seal(self, exchange: Exchange, hints: Sequence[Hint] = ()) -> Posted:
        """Give it the next position in its stream."""
        size = len(self.package)
        draft = Draft(DOCUMENT_TYPE, ME, self.lane, self.body, size, self.content_key, hints)
        return exchange.seal(self.sender, [(draft, self.package)])[0]


def context_of(document_id: str, attachment: int = 0, *, sender: str = CITY, revision: int = 1) -> AttachmentContext:
    """Return what an attachment's parts are bound to."""
    return AttachmentContext(ENVIRONMENT, sender, document_id, revision, attachment)


def large_document(
    exchange: Exchange,
    *contents: bytes | SealedContent,
    sender: str = CITY,
    document_id: str | None = None,
    lane: str = "documents",
    small: bytes | None = None,
    **changed: Any,
) -> LargeDocument:
    """Make a document whose contents all travel outside of its package, however small they are.

    Args:
        exchange: Counts documents.
        contents: Plaintext, or what is signed in its place.
        sender: Canonical id.
        document_id: A new one if left out.
        lane: Of the stream.
        small: One more file, which travels inside.
        changed: Fields of the document.
    """
    exchange.count += 1
    name = document_id or f"{sender[-3:]}-{exchange.count:05}"
    sealed = [
        seal_content(one, context_of(name, number, sender=sender)) if isinstance(one, bytes) else one
        for number, one in enumerate(contents)
    ]
    files = [
        File(name=f"{number}.bin", media_type=f"application/x-{number}", content=one.plaintext)
        for number, one in enumerate(sealed)
    ]
    if small is not None:
        files.append(File(name="small.txt", media_type="text/plain", content=small))
    values: dict[str, Any] = {"title": "Quy hoạch", "recipients": (ME,)}
    document = Document(document_id=name, files=tuple(files), **(values | changed))
    large = {number: one.large for number, one in enumerate(sealed)}
    found = encrypt_document(document, environment=ENVIRONMENT, sender=sender, now_ms=NOW_MS, large=large)
    return LargeDocument(
        sender=sender,
        document_id=name,
        lane=lane,
        body=found.body,
        package=found.package,
        content_key=found.content_key,
        contents=tuple(sealed),
    )


async def upload(inbox: Inbox, values: Sequence[bytes], sender: str = CITY) -> list[int]:
    """Append to a sender's content topic; return the offsets."""
    topic = topics.content(sender)
    return await inbox.bus.append([NewRecord(topic=topic, key=None, value=value, partition=0) for value in values])


async def send(inbox: Inbox, document: LargeDocument, hints: Sequence[Hint] | None = None) -> Posted:
    """Upload all parts of a document, and post its envelope behind them, with honest hints unless others are given."""
    offsets = await upload(inbox, document.values, document.sender)
    posted = document.seal(inbox.exchange, document.hints(offsets) if hints is None else hints)
    await inbox.post(posted)
    return posted


def expire(bus_file: Path, sender: str, before: int) -> None:
    """Delete what lies before an offset of a sender's content topic, as retention does."""
    with sqlite3.connect(bus_file) as connection:
        connection.execute(
            'DELETE FROM records WHERE "offset" < ? AND partition_id IN'
            " (SELECT p.id FROM partitions p JOIN topics t ON p.topic = t.id WHERE t.name = ?)",
            (before, topics.content(sender)),
        )


class FiledFile(NamedTuple):
    """A file as a sink read it."""

    name: str
    media_type: str
    size: int
    digest: bytes
    content: bytes


@dataclass(kw_only=True)
class ReadingSink(ObedientSink):
    """Reads every file as a stream while it is delivered, as a DMS does.

    Attributes:
        files: What was filed, by document id.
    """

    max_batch: int = 4096
    files: dict[str, list[FiledFile]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Be an obedient sink."""
        super().__init__(self.max_batch)

    def _file(self, delivery: Delivery) -> Outcome:
        read = []
        for file in delivery.files:
            with file.open() as stream:
                content = b"".join(iter(lambda: stream.read(64 * 1024), b""))
            read.append(FiledFile(file.name, file.media_type, file.size, file.digest, content))
        outcome = super()._file(delivery)
        self.files.setdefault(delivery.document_id, read)
        return outcome

    def contents(self, document_id: str) -> list[bytes]:
        """Return the contents of a filed document, in its files' order."""
        return [file.content for file in self.files[document_id]]


def spooled(inbox: Inbox) -> list[str]:
    """Return the names of the files that lie in the spool."""
    folder = inbox.folder / "content" / "incoming"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def spooled_bytes(inbox: Inbox) -> int:
    """Return how many bytes of content lie in the spool."""
    folder = inbox.folder / "content" / "incoming"
    files: Iterator[Path] = folder.iterdir() if folder.is_dir() else iter(())
    return sum(path.stat().st_size for path in files if path.suffix != ".have")
