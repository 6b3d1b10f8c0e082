"""What an agency has seen of the directory, so that nobody who runs brokers can make it forget.

A log that is cut back, or written anew from some entry on, would bring a revoked key back to life at the next start.
The highest position that was ever followed, and its hash, are kept in the agency's own database, and with them the log
itself: an agency starts, and accepts documents, while the brokers are away (ADR 0016).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from docbus.errors import BrokerUnavailableError, DirectoryError

if TYPE_CHECKING:
    import sqlite3

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.registry.follow import DirectoryFollower
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

_log = structlog.get_logger(__name__)

_POSITION, _HASH = "directory_position", "directory_hash"
SeenEntry = tuple[int, bytes]
"""Position and hash of a directory entry."""


class DirectoryMemory:
    """Keeps the newest directory entry that was seen. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: list[tuple[bytes, int]] = []
        self._kept = 0
        self._writing: set[asyncio.Task[None]] = set()

    async def seen(self) -> SeenEntry | None:
        """Return position and hash of the newest entry that was seen, to be asked *before* the directory is read.

        Afterwards another process of this folder may have seen a newer one, and nobody has cut anything back.
        """
        return await self._database.read(read_seen_entry)

    async def kept(self) -> list[tuple[bytes, int]]:
        """Return the records that are kept, from the genesis on, each with its offset."""
        return await self._database.read(
            lambda c: c.execute("SELECT record, at_offset FROM directory ORDER BY position").fetchall()
        )

    def take(self, value: bytes, offset: int) -> None:
        """Take a record that was applied, from the genesis on; it is kept with the next snapshot."""
        self._read.append((value, offset))

    def go_on_after(self, count: int) -> None:
        """Say that so many records are kept already, from the genesis on; what was taken of them is."""
        self._kept = count
        self._read.clear()

    async def check(self, snapshot: TrustSnapshot, seen: SeenEntry | None) -> None:
        """Return if the directory goes on from what was seen before, and remember it.

        Args:
            snapshot: Read after ``seen`` was asked for.
            seen: What :meth:`seen` returned.

        Raises:
            DirectoryError: It ends earlier, or has another entry where one was seen.
        """
        compare(snapshot, seen)
        rows = self._rows()
        await self._database.write(lambda connection: _write(connection, snapshot, rows))

    def note(self, snapshot: TrustSnapshot) -> None:
        """Remember a newer snapshot; called on the loop, written behind."""
        rows = self._rows()
        task = asyncio.ensure_future(self._database.write(lambda connection: _write(connection, snapshot, rows)))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _rows(self) -> list[tuple[int, int, bytes]]:
        """Return what was taken and is not handed to the database yet."""
        rows = [(position, offset, value) for position, (value, offset) in enumerate(self._read, self._kept)]
        self._kept += len(rows)
        self._read.clear()
        return rows

    async def aclose(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._writing, return_exceptions=True)


def compare(snapshot: TrustSnapshot, seen: SeenEntry | None) -> None:
    """Return if a directory goes on from what was seen before it was read.

    Raises:
        DirectoryError: It ends earlier, or has another entry where one was seen.
    """
    if seen is None:
        return
    position, entry_hash = seen
    if snapshot.position < position:
        raise DirectoryError(
            f"the directory ends at entry {snapshot.position}, and this agency has seen entry {position}",
            hint="Somebody has cut it back: ask the registrar, and whoever runs the brokers, before going on.",
        )
    if snapshot.hash_at(position) != entry_hash:
        raise DirectoryError(
            f"entry {position} of the directory is not the one that this agency has seen",
            hint="Somebody shows another directory: ask the registrar, and whoever runs the brokers.",
        )


def read_seen_entry(connection: sqlite3.Connection) -> SeenEntry | None:
    """Return position and hash of the newest entry that this folder has followed, None if it never has."""
    found = dict(connection.execute("SELECT name, value FROM outbox WHERE name IN (?, ?)", (_POSITION, _HASH)))
    return (int(found[_POSITION]), found[_HASH]) if len(found) == 2 else None  # noqa: PLR2004 - both or none


def _write(connection: sqlite3.Connection, snapshot: TrustSnapshot, rows: list[tuple[int, int, bytes]]) -> None:
    connection.executemany(
        "INSERT INTO directory (position, at_offset, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows
    )
    known = read_seen_entry(connection)
    if known is None or snapshot.position > known[0]:
        connection.executemany(
            "INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)",
            [(_POSITION, snapshot.position), (_HASH, snapshot.head)],
        )


async def begin_directory(transport: Transport, follower: DirectoryFollower, memory: DirectoryMemory) -> None:
    """Start the transport and load the directory; while the bus is away, begin with what is kept of it.

    Args:
        transport: Not started.
        follower: Tells ``memory`` what it reads.
        memory: Of this folder.

    Raises:
        BrokerUnavailableError: The bus cannot be reached, and nothing is kept.
        DirectoryError: The log, or what is kept of it, breaks a rule, or contradicts what was seen before.
        TransportError: The log cannot be read.
        WaitTimeoutError: It could not be read to its end.
    """
    seen = await memory.seen()
    try:
        await transport.start()
        snapshot = await follower.load()
    except BrokerUnavailableError as error:
        kept = await memory.kept()
        if not kept:
            raise
        memory.go_on_after(len(kept))
        snapshot = await follower.resume(kept)
        _log.warning(
            "bus_unreachable", error=error.text, hint=error.hint, directory=snapshot.position, made_at=snapshot.made_at
        )
    await memory.check(snapshot, seen)
