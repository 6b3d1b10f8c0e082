"""Outboxes for tests: doubles of sealer, directory and transport, and short ways to fill and to look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.envelope.batch import Sealed, StreamHead
from docbus.envelope.encrypted import LargeContent
from docbus.envelope.parts import decode_part, part_leaf
from docbus.envelope.statement import FIRST_PREVIOUS, RECEIPT_TYPE, Attachment, ReceiptBody, Refusal
from docbus.errors import TopicMissingError
from docbus.producers.drain import Drain
from docbus.producers.epochs import ensure_epochs
from docbus.producers.outbox import AcceptedDocument, WaitingStatement, accept, add_statements
from docbus.producers.sealing import Sealing
from docbus.producers.staging import StagedAttachment
from docbus.producers.uploading import Uploader
from docbus.storage.content import CONTENT_NAME, ContentFolder
from docbus.transport.port import Record
from docbus.transport.topics import content, inbox
from docbus.wire.parts import SEALED_PART_BYTES, sealed_size
from docbus.wire.tree import root_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from docbus.envelope.batch import Draft
    from docbus.envelope.envelope import Hint
    from docbus.envelope.parts import Part
    from docbus.identity.grants import DelegationGrant
    from docbus.producers.unsent import SealedCopy
    from docbus.storage.database import Database
    from docbus.transport.port import NewRecord

NOW_MS = 1_795_424_400_000
"""2026-11-23T09:00:00Z."""
PATIENCE = 20.0
"""Seconds after which a test that waits has failed."""
SENDER = "vn:H26"
ANNA, BINH, CHI = "vn:H37", "vn:H37.02", "vn:H37.02.02"


@dataclass(kw_only=True)
class FakeClock:
    """A clock that only a test moves."""

    ms: int = NOW_MS
    seconds: float = 1000.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.ms += round(seconds * 1000)


@dataclass(kw_only=True)
class FakeAgency:
    """As much of a directory's agency as producers look at."""

    closed_at: int | None = None
    successor: str | None = None
    suspended_at: int | None = None
    encrypters: tuple[tuple[object, int, int | None], ...] = ((None, 1, None),)


@dataclass
class FakeSnapshot:
    """A directory of agencies that are all open unless a test closes one."""

    agencies: dict[str, FakeAgency] = field(
        default_factory=lambda: {name: FakeAgency() for name in (SENDER, ANNA, BINH, CHI)}
    )
    made_at: int = 0
    delegations: dict[tuple[str, str], DelegationGrant] = field(default_factory=dict)

    def delegation(self, agency_id: str, delegate: str) -> DelegationGrant | None:
        return self.delegations.get((agency_id, delegate))

    def agency(self, agency_id: str) -> FakeAgency | None:
        return self.agencies.get(agency_id)


class FakeSealer:
    """Seals with readable bytes: the value of an envelope is ``recipient|lane|epoch|sequence|body``."""

    def __init__(self) -> None:
        self.certificate = bytes(32)
        self.sender = SENDER
        self.batches: list[int] = []
        self.hints: dict[tuple[bytes, str], list[Sequence[Hint]]] = {}
        """By body and recipient, what each envelope hints at."""
        self.before: Callable[[], None] = lambda: None

    def seal(
        self,
        drafts: Sequence[Draft],
        *,
        epochs: Mapping[str, bytes],
        heads: dict[tuple[str, str], StreamHead],
        snapshot: object,
        now_ms: int,
    ) -> list[Sealed]:
        self.before()
        self.batches.append(len(drafts))
        sealed = []
        for draft in drafts:
            self.hints.setdefault((draft.body, draft.recipient), []).append(draft.hints)
            stream = draft.recipient, draft.lane
            head = heads.get(stream, StreamHead(0, FIRST_PREVIOUS))
            sequence = head.sequence + 1
            front = f"{draft.recipient}|{draft.lane}|{epochs[draft.lane].hex()}|{sequence}|".encode() + draft.body
            digest = sha256(head.previous + front).digest()
            heads[stream] = StreamHead(sequence, digest)
            sealed.append(
                Sealed(
                    *stream,
                    epochs[draft.lane],
                    sequence,
                    digest,
                    digest[:16],
                    front,
                    b"|" + now_ms.to_bytes(8, "big"),
                    len(self.batches).to_bytes(32, "big"),
                )
            )
        return sealed


class FakeTransport:
    """Keeps records in memory and fails as it is told.

    Attributes:
        missing: Recipients without an inbox.
        script: Errors for the next calls, None for one that works; a tuple ("stored", error) stores and then fails.
    """

    stamp = None

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.calls: list[list[NewRecord]] = []
        self.missing: set[str] = set()
        self.refusing: dict[str, Exception] = {}
        self.script: list[Any] = []

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        self.calls.append(list(records))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        topics = {record.topic for record in records}
        for recipient in self.missing:
            if inbox(recipient) in topics:
                raise TopicMissingError(f"topic {inbox(recipient)} does not exist", hint="docbus provision")
        for recipient, error in self.refusing.items():
            if inbox(recipient) in topics:
                raise error
        self.records += records
        if isinstance(step, tuple):
            raise step[1]
        return list(range(len(records)))

    def values(self, recipient: str | None = None) -> list[bytes]:
        """Return the values that are stored, in order; of one recipient's inbox or of all."""
        return [record.value for record in self.records if recipient is None or record.topic == inbox(recipient)]

    def sequences(self, recipient: str, lane: str = "documents") -> list[int]:
        """Return the sequences in a recipient's inbox, as written by :class:`FakeSealer`."""
        parts = [value.split(b"|") for value in self.values(recipient)]
        return [int(part[3]) for part in parts if part[1] == lane.encode()]


@dataclass(frozen=True)
class Stored:
    """A step of a script: so many records of the call are stored, and then it fails."""

    records: int
    error: Exception


UNKNOWN_PLACES = "stored, and nobody says where"
"""A step of a script."""


class ContentTransport(FakeTransport):
    """Has a content topic besides, which can be read.

    Attributes:
        content: Records of the content topic.
        content_script: What the next appends to it do: None works, an error stores nothing, or :class:`Stored`, or
            :data:`UNKNOWN_PLACES`.
        before: Called and awaited before parts are stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.content: list[NewRecord] = []
        self.content_script: list[Exception | Stored | str | None] = []
        self.before: Callable[[], Awaitable[object]] | None = None

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        if {record.topic for record in records} != {content(SENDER)}:
            return await super().append(records)
        self.calls.append(list(records))
        if self.before is not None:
            await self.before()
        step = self.content_script.pop(0) if self.content_script else None
        if isinstance(step, Exception):
            raise step
        first = len(self.content)
        self.content += records[: step.records] if isinstance(step, Stored) else records
        if isinstance(step, Stored):
            raise step.error
        return [-1 if step == UNKNOWN_PLACES else first + number for number in range(len(records))]

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        assert topic == content(SENDER)
        return {0: (0, len(self.content))}

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int, wait: float
    ) -> list[Record]:
        assert (topic, partition) == (content(SENDER), 0)
        assert max_bytes > 0
        assert wait > 0
        found = self.content[offset : offset + max_records]
        return [
            Record(topic, 0, number, NOW_MS, record.key, record.value, record.headers)
            for number, record in enumerate(found, offset)
        ]

    def parts(self) -> list[Part]:
        """Return the parts in the content topic."""
        return [decode_part(record.value) for record in self.content]


async def until(found: Callable[[], object]) -> None:
    """Wait, for a bounded time, until a condition holds; threads and tasks under test do the work meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not found():  # noqa: ASYNC110 - what is waited for is no event, and the test must not change it into one
            await asyncio.sleep(0.002)


def document(name: str, *recipients: str, content: bytes = b"ciphertext", **changed: Any) -> AcceptedDocument:
    """Return an encrypted document; the same name and content has the same fingerprint."""
    to = recipients or (ANNA,)
    accepted = AcceptedDocument(
        document_id=name,
        revision=1,
        kind="document",
        urgency=0,
        lane="documents",
        recipients=to,
        fingerprint=sha256(content + "\0".join(to).encode()).digest(),
        body=name.encode(),
        package=content,
        content_key=bytes(32),
    )
    return accepted._replace(**changed)


def content_folder(database: Database) -> ContentFolder:
    """Return the folder of large content beside a database."""
    return ContentFolder(database.path.parent / CONTENT_NAME)


def large(database: Database, name: str, *recipients: str, parts: int = 3, **changed: Any) -> AcceptedDocument:
    """Return a document with one attachment of so many parts, staged; the last part is short."""
    sealed = [
        (sha256(f"{name} {number}".encode()).digest() * 16_403)[:SEALED_PART_BYTES] for number in range(parts - 1)
    ]
    sealed.append(sha256(name.encode()).digest() * (sealed_size(88) // 32))
    leaves = [part_leaf(part) for part in sealed]
    folder = content_folder(database)
    with folder.staging() as staging:
        file = staging / "0-0"
        file.write_bytes(b"".join(sealed))
    attachment = Attachment(sum(map(len, sealed)), root_of(leaves))
    staged = StagedAttachment(LargeContent(1, bytes(32), bytes(32), attachment), folder.name_of(file), b"".join(leaves))
    return document(name, *recipients, attachments=(staged,), **changed)


def staged_files(database: Database) -> set[str]:
    """Return the files of large content that lie on disk, without locks."""
    folder = content_folder(database)
    found = {folder.name_of(path) for path in folder.path.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith("lock")}


def make_uploader(database: Database, transport: ContentTransport, **changed: Any) -> Uploader:
    """Return an uploader with doubles; its pauses are without jitter."""
    values: dict[str, Any] = {
        "database": database,
        "transport": transport,
        "content": content_folder(database),
        "sender": SENDER,
        "clock": FakeClock(),
        "factor": lambda: 1.0,
    }
    return Uploader(**(values | changed))


def take_in(database: Database, *documents: AcceptedDocument, at_ms: int = NOW_MS) -> list[bool]:
    """Accept documents."""
    return database.write_now(lambda connection: accept(connection, documents, at_ms=at_ms))


def add_receipt(database: Database, recipient: str = ANNA, body: bytes = b"receipt") -> None:
    """Let a receipt wait."""
    statement = WaitingStatement(RECEIPT_TYPE, recipient, "receipts", body)
    database.write_now(lambda connection: add_statements(connection, [statement], at_ms=NOW_MS))


def begin(database: Database) -> list[str]:
    """Make the epochs, as a drain does when it starts."""
    return database.write_now(lambda connection: ensure_epochs(connection, database.path, at_ms=NOW_MS))


def sealing(database: Database, sealer: FakeSealer | None = None, snapshot: FakeSnapshot | None = None) -> Sealing:
    """Return step P3 with doubles."""
    directory = snapshot or FakeSnapshot()
    fake: Any = sealer or FakeSealer()
    return Sealing(database=database, sealer=fake, snapshot=lambda: directory, clock=FakeClock())  # type: ignore[arg-type, return-value]


def seal_all(database: Database, sealer: FakeSealer | None = None) -> list[SealedCopy]:
    """Seal everything that waits."""
    begin(database)
    copies: list[SealedCopy] = []
    step = sealing(database, sealer)
    while (batch := step.seal_next()).copies or batch.failed:
        copies += batch.copies
    return copies


def make_drain(database: Database, transport: FakeTransport, sealer: FakeSealer | None = None, **changed: Any) -> Drain:
    """Return a drain with doubles; its pauses are without jitter."""
    directory = FakeSnapshot()
    values: dict[str, Any] = {
        "database": database,
        "transport": transport,
        "sealer": sealer or FakeSealer(),
        "sender": SENDER,
        "snapshot": lambda: directory,
        "clock": FakeClock(),
        "factor": lambda: 1.0,
    }
    return Drain(**(values | changed))


def rows(database: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    return database.read_now(lambda connection: connection.execute(query, values).fetchall())


def states(database: Database) -> list[tuple[str | None, str, int]]:
    """Return (document id, recipient, state) of every copy."""
    return rows(
        database,
        "SELECT o.document_id, c.recipient, c.state FROM copy c JOIN outgoing o USING (outgoing)"
        " ORDER BY c.outgoing, c.ordinal",
    )


def digests(connection: sqlite3.Connection, recipient: str, first: int, last: int, lane: int = 0) -> list[bytes]:
    """Return the statement digests of a stretch of the newest stream to a recipient."""
    found = connection.execute(
        "SELECT c.digest FROM copy c JOIN stream s USING (stream) JOIN epoch e USING (epoch)"
        " WHERE s.recipient = ? AND e.lane = ? AND c.sequence BETWEEN ? AND ?"
        " AND e.epoch = (SELECT max(epoch) FROM epoch WHERE lane = e.lane) ORDER BY c.sequence",
        (recipient, lane, first, last),
    )
    return [digest for (digest,) in found]


def receipt(
    database: Database, recipient: str, first: int, last: int, refused: Iterable[tuple[int, str]] = (), **changed: Any
) -> ReceiptBody:
    """Return the receipt that the recipient would write for a stretch of the newest stream of documents."""
    epoch = rows(database, "SELECT identifier FROM epoch WHERE lane = 0 ORDER BY epoch DESC LIMIT 1")[0][0]
    leaves = database.read_now(lambda connection: digests(connection, recipient, first, last))
    body = ReceiptBody(epoch, first, last, root_of(leaves), tuple(Refusal(*pair) for pair in refused), bytes(16))
    return body._replace(**changed)
