"""The ledger in memory: stream heads that are in use, and what one batch needs to know of the rest (design D5).

What is kept here is what the database holds, never more: a batch works on copies, and they replace these only after its
transaction is durable. So an error, a stop or a held batch leaves nothing to undo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from docbus.consumers.streams import Hole, Stream
from docbus.consumers.wanted import read_contents
from docbus.storage.content import CONTENT_NAME, ContentFolder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from docbus.consumers.inspection import StreamKey
    from docbus.consumers.wanted import BodyKey, Content
    from docbus.storage.database import Database

MAX_CACHED_STREAMS = 16_384
"""Streams kept in memory, some 1 KB each: 5,000 senders with their three lanes."""
EPOCH_IDLE_MS = 60 * 60 * 1000
"""Milliseconds without a statement after which an epoch may be closed to make room for another of the same sender."""
_LOOKUP = 300
"""Rows looked up by one statement; longer lists take several."""

DocumentKey = tuple[str, str, int]
"""(Sender, document id, revision)."""


class KnownDocument(NamedTuple):
    """A document that was decided before; ``reason`` is None if it was filed."""

    body_digest: bytes
    reason: str | None
    reference: str | None


class StreamEntry:
    """A stream and its row."""

    __slots__ = ("epoch", "lane", "number", "open", "sender", "stream", "used_at")

    def __init__(self, number: int, key: StreamKey, lane: str, stream: Stream, *, used_at: int, is_open: bool) -> None:
        self.number = number
        self.sender, self.epoch = key
        self.lane = lane
        self.stream = stream
        self.used_at = used_at
        self.open = is_open

    def copy(self) -> StreamEntry:
        """Return an entry that can be changed without changing this one."""
        key = self.sender, self.epoch
        return StreamEntry(self.number, key, self.lane, self.stream.copy(), used_at=self.used_at, is_open=self.open)


class Room(NamedTuple):
    """A sender's open epochs: how many, and which may be closed, the longest idle first."""

    open: int
    closable: tuple[tuple[StreamKey, int], ...]


class Context(NamedTuple):
    """What a batch needs besides the heads: outcomes of earlier positions, earlier documents, room for epochs."""

    streams: dict[StreamKey, StreamEntry]
    reasons: dict[tuple[StreamKey, int], str | None]
    documents: dict[DocumentKey, KnownDocument]
    rooms: dict[str, Room]
    contents: dict[BodyKey, Content]


class Ledger:
    """Reads the ledger for batches. One event loop, and the only writer of its tables."""

    def __init__(self, database: Database, content: ContentFolder | None = None) -> None:
        self._database = database
        self._content = content or ContentFolder(database.path.parent / CONTENT_NAME)
        self._entries: dict[StreamKey, StreamEntry] = {}
        self._next_number = 0

    def new_number(self) -> int:
        """Return a number for a new stream; one that is not stored is simply left out."""
        self._next_number += 1
        return self._next_number

    async def load(
        self,
        places: Sequence[tuple[StreamKey, int]],
        documents: Iterable[DocumentKey],
        now_ms: int,
        bodies: Sequence[BodyKey] = (),
    ) -> Context:
        """Return what a batch needs to know, as copies.

        Args:
            places: Stream and position of each of its statements.
            documents: Those it brings.
            now_ms: Tells which epochs are idle.
            bodies: Those of the documents that have large content.
        """
        keys = dict.fromkeys(key for key, _ in places)
        cached = {key: entry.copy() for key in keys if (entry := self._entries.get(key)) is not None}
        wanted = tuple(dict.fromkeys(documents))

        def operation(connection: sqlite3.Connection) -> tuple[Context, int]:
            contents = read_contents(connection, bodies, self._content.incoming) if bodies else {}
            return _Reader(connection, cached, now_ms).read(keys, places, wanted, contents)

        context, highest = await self._database.read(operation)
        self._next_number = max(self._next_number, highest)
        return context

    async def documents(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, KnownDocument]:
        """Return what was decided about documents, those that are not here left out."""
        return await self._database.read(lambda connection: _Reader(connection, {}, 0).read_documents(keys))

    def keep(self, entries: Iterable[StreamEntry]) -> None:
        """Replace what is kept, now that it is stored."""
        for entry in entries:
            key = entry.sender, entry.epoch
            self._entries.pop(key, None)
            entry.stream.forget()
            self._entries[key] = entry
        while len(self._entries) > MAX_CACHED_STREAMS:
            del self._entries[next(iter(self._entries))]

    def drop(self, key: StreamKey) -> None:
        """Forget one stream, whose row was changed in the database alone."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything; the database has it."""
        self._entries.clear()


class _Reader:
    """One batch's questions to the database, in one consistent state of it."""

    def __init__(self, connection: sqlite3.Connection, cached: dict[StreamKey, StreamEntry], now_ms: int) -> None:
        self._connection = connection
        self._streams = dict(cached)
        self._now_ms = now_ms

    def read(
        self,
        keys: Iterable[StreamKey],
        places: Sequence[tuple[StreamKey, int]],
        documents: Sequence[DocumentKey],
        contents: dict[BodyKey, Content],
    ) -> tuple[Context, int]:
        """Return what the batch needs to know, and the highest number of a stream if new ones may come."""
        missing = [key for key in keys if key not in self._streams]
        highest = 0
        if missing:
            highest = self._connection.execute("SELECT coalesce(max(stream), 0) FROM incoming_stream").fetchone()[0]
            self._read_streams(missing)
        opening = [key for key in keys if (entry := self._streams.get(key)) is None or not entry.open]
        rooms = {sender: self._room(sender) for sender in {key[0] for key in opening}}
        reasons = self._read_positions(places)
        return Context(self._streams, reasons, self.read_documents(documents), rooms, contents), highest

    def _read_streams(self, keys: Sequence[StreamKey]) -> None:
        rows = list(self._lookup(_STREAMS, keys))
        holes: dict[int, list[Hole]] = {}
        for number, first, last, missed in self._lookup(_HOLES, [(row[0],) for row in rows]):
            holes.setdefault(number, []).append(Hole(first, last, bool(missed)))
        for number, sender, epoch, lane, sequence, digest, starts, used_at, closed_at in rows:
            stream = Stream(sequence, digest, tuple(holes.get(number, ())), starts=bool(starts))
            self._streams[sender, epoch] = StreamEntry(
                number, (sender, epoch), lane, stream, used_at=used_at, is_open=closed_at is None
            )

    def _read_positions(self, places: Sequence[tuple[StreamKey, int]]) -> dict[tuple[StreamKey, int], str | None]:
        """Put the positions that streams want into their memory; return the outcomes of those."""
        keys: dict[int, StreamKey] = {}
        wanted: dict[tuple[int, int], None] = {}
        for key, sequence in places:
            entry = self._streams.get(key)
            if entry is not None and 0 < sequence <= entry.stream.sequence:
                keys[entry.number] = key
                for position in entry.stream.wanted(sequence):
                    wanted[entry.number, position] = None
        reasons: dict[tuple[StreamKey, int], str | None] = {}
        for number, sequence, digest, previous, reason in self._lookup(_POSITIONS, list(wanted)):
            key = keys[number]
            self._streams[key].stream.remember(sequence, digest, previous)
            reasons[key, sequence] = reason
        return reasons

    def read_documents(self, documents: Sequence[DocumentKey]) -> dict[DocumentKey, KnownDocument]:
        """Return the outcomes of documents that have one."""
        return {(row[0], row[1], row[2]): KnownDocument(*row[3:]) for row in self._lookup(_DOCUMENTS, documents)}

    def _room(self, sender: str) -> Room:
        count = self._connection.execute(
            "SELECT count(*) FROM incoming_stream WHERE sender = ? AND closed_at IS NULL", (sender,)
        ).fetchone()[0]
        idle = self._connection.execute(_CLOSABLE, (sender, self._now_ms - EPOCH_IDLE_MS))
        return Room(count, tuple(((sender, epoch), number) for number, epoch in idle))

    def _lookup(self, statement: str, keys: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Look many keys up with few statements; keys are bound, so any text or bytes are exact."""
        for start in range(0, len(keys), _LOOKUP):
            part = keys[start : start + _LOOKUP]
            row = "(" + ",".join("?" * len(part[0])) + ")"
            # A full part has always the same text, which the connection keeps prepared.
            text = statement.replace("VALUES ()", "VALUES " + ",".join([row] * len(part)))
            yield from self._connection.execute(text, [value for key in part for value in key])


# In each, VALUES () is filled with placeholders.
_STREAMS = """
WITH wanted (sender, epoch) AS (VALUES ())
SELECT s.stream, s.sender, s.epoch, s.lane, s.sequence, s.digest, s.starts, s.used_at, s.closed_at
FROM wanted AS w CROSS JOIN incoming_stream AS s ON s.sender = w.sender AND s.epoch = w.epoch
"""
_HOLES = """
WITH wanted (stream) AS (VALUES ())
SELECT h.stream, h.first, h.last, h.missed
FROM wanted AS w CROSS JOIN incoming_hole AS h ON h.stream = w.stream ORDER BY h.stream, h.first
"""
_POSITIONS = """
WITH wanted (stream, sequence) AS (VALUES ())
SELECT i.stream, i.sequence, i.digest, i.previous, i.reason
FROM wanted AS w CROSS JOIN incoming AS i ON i.stream = w.stream AND i.sequence = w.sequence
"""
_DOCUMENTS = """
WITH wanted (sender, document_id, revision) AS (VALUES ())
SELECT d.sender, d.document_id, d.revision, d.body_digest, i.reason, d.reference
FROM wanted AS w CROSS JOIN incoming_document AS d
ON d.sender = w.sender AND d.document_id = w.document_id AND d.revision = w.revision
JOIN incoming AS i ON i.stream = d.stream AND i.sequence = d.sequence
"""
# Receipts are stored with the outcomes, so that nothing missed and nothing parked means fully receipted.
_CLOSABLE = """
SELECT stream, epoch FROM incoming_stream AS s WHERE sender = ? AND closed_at IS NULL AND used_at <= ?
AND NOT EXISTS (SELECT 1 FROM incoming_hole AS h WHERE h.stream = s.stream AND h.missed)
AND NOT EXISTS (SELECT 1 FROM parked AS p WHERE p.sender = s.sender AND p.epoch = s.epoch)
ORDER BY used_at, stream
"""
