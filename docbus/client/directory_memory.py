"""What an agency has seen of the directory, so that nobody who runs brokers can make it forget.

A log that is cut back, or written anew from some entry on, would bring a revoked key back to life at the next start.
The highest position that was ever followed, and its hash, are kept in the agency's own database, and with them the log
itself: an agency starts, and accepts documents, while the brokers are away (ADR 0016).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from docbus import __version__
from docbus.errors import BrokerUnavailableError, DirectoryError, MalformedError
from docbus.registry.follow import LOAD_SECONDS, fetch_snapshot
from docbus.registry.reader import DirectoryReader, Kept

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.registry.follow import DirectoryFollower
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

_log = structlog.get_logger(__name__)

_POSITION, _HASH, _VERSION = "directory_position", "directory_hash", "directory_version"
BATCH_RECORDS = 256
"""Records of the directory that are read or written in one go: some 500 KB."""
SeenEntry = tuple[int, bytes]
"""Position and hash of a directory entry."""


class DirectoryMemory:
    """Keeps the log of the directory, and the newest entry that was seen. Belongs to one event loop."""

    def __init__(self, database: Database, version: str = __version__) -> None:
        self._database = database
        self._version = version
        self._read: list[Kept] = []
        self._kept = 0
        self._anew = False
        self._writing: set[asyncio.Task[None]] = set()

    async def seen(self) -> SeenEntry | None:
        """Return position and hash of the newest entry that was seen, to be asked *before* the directory is read.

        Afterwards another process of this folder may have seen a newer one, and nobody has cut anything back.
        """
        return await self._database.read(read_seen_entry)

    async def is_verified(self) -> bool:
        """Tell whether what is kept was verified by this version of docbus, whose rules are the same therefore."""
        return await self._database.read(_version_of) == self._version

    async def kept(self, position: int = 0) -> AsyncIterator[Kept]:
        """Yield the records that are kept, from a position on, a bounded number in memory at a time."""
        while rows := await self._database.read(partial(_read_kept, position)):
            for row in rows:
                yield Kept(*row)
            position += len(rows)

    def take(self, value: bytes, offset: int, checked: bytes) -> None:
        """Take a record that was applied, from the genesis on; it is kept with the next snapshot, or before."""
        self._read.append(Kept(value, offset, checked))
        if len(self._read) >= BATCH_RECORDS:
            self._write_behind(self._operation())

    def go_on_after(self, count: int) -> None:
        """Say that so many records are kept already, from the genesis on; what was taken of them is."""
        self._kept, self._anew = count, False
        self._read.clear()

    def begin_anew(self) -> None:
        """Say that what is kept cannot be used: the first record that is taken comes in the place of all of it."""
        self._kept, self._anew = 0, True
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
        await self._database.write(self._operation(snapshot))

    def note(self, snapshot: TrustSnapshot) -> None:
        """Remember a newer snapshot; called on the loop, written behind."""
        self._write_behind(self._operation(snapshot))

    def _write_behind(self, operation: Callable[[sqlite3.Connection], None]) -> None:
        task = asyncio.ensure_future(self._database.write(operation))
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The next process reads from the bus what is not kept.
            _log.warning("directory_not_kept", error=str(error))

    def _operation(self, snapshot: TrustSnapshot | None = None) -> Callable[[sqlite3.Connection], None]:
        """Return what writes what was taken and is not handed to the database yet."""
        rows = [(position, one.offset, one.value, one.checked) for position, one in enumerate(self._read, self._kept)]
        anew = self._anew and bool(rows)
        self._kept += len(rows)
        self._anew = self._anew and not rows
        self._read.clear()
        return lambda connection: _write(connection, rows, self._version, snapshot, anew=anew)

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


def _version_of(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT value FROM outbox WHERE name = ?", (_VERSION,)).fetchone()
    return None if found is None else str(found[0])


def _read_kept(position: int, connection: sqlite3.Connection) -> list[tuple[bytes, int, bytes]]:
    return connection.execute(
        "SELECT record, at_offset, checked FROM directory WHERE position >= ? ORDER BY position LIMIT ?",
        (position, BATCH_RECORDS),
    ).fetchall()


def _write(
    connection: sqlite3.Connection,
    rows: list[tuple[int, int, bytes, bytes]],
    version: str,
    snapshot: TrustSnapshot | None = None,
    *,
    anew: bool = False,
) -> None:
    if anew or (rows and _version_of(connection) != version):
        # Another version has checked what is kept, or it is damaged; this process has read all of it anew.
        connection.execute("DELETE FROM directory WHERE position >= ?", (rows[0][0],))
        connection.execute("INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)", (_VERSION, version))
    connection.executemany(
        "INSERT INTO directory (position, at_offset, record, checked) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
    )
    known = read_seen_entry(connection)
    if snapshot is not None and (known is None or snapshot.position > known[0]):
        connection.executemany(
            "INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)",
            [(_POSITION, snapshot.position), (_HASH, snapshot.head)],
        )


async def begin_directory(transport: Transport, follower: DirectoryFollower, memory: DirectoryMemory) -> None:
    """Start the transport and load the directory, from what is kept of it and then from the bus.

    While the bus is away, what is kept has to be enough.

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
    await _begin_with_kept(follower, memory, seen)
    try:
        await transport.start()
        await follower.load()
    except BrokerUnavailableError as error:
        if not follower.applied or not await memory.is_verified():
            # Verified like what comes from the bus: another version of docbus has kept it.
            kept = follower.applied + await follower.resume(memory.kept(follower.applied), verify=True)
            if not kept:
                raise
            memory.go_on_after(kept)
        snapshot = follower.snapshot
        _log.warning(
            "bus_unreachable", error=error.text, hint=error.hint, directory=snapshot.position, made_at=snapshot.made_at
        )
    await memory.check(follower.snapshot, seen)


async def fetch_after_kept(
    transport: Transport,
    genesis: bytes,
    memory: DirectoryMemory,
    *,
    position: int | None = None,
    time_ms: int | None = None,
) -> TrustSnapshot:
    """Read what the bus has beyond what is kept, and return the snapshot at its end; nothing is written.

    Where that does not go on from what is kept, the whole log is read, so that the snapshot is what the bus shows.

    Args:
        transport: Started.
        genesis: The pinned hash of the genesis entry.
        memory: Of this folder.
        position: Of the entry at which the snapshot is taken instead.
        time_ms: Time by the registrar's clock at which it is taken instead.

    Raises:
        DirectoryError: The log is empty or breaks a rule, or does not have that entry or anything of that time.
        WaitTimeoutError: The end was not reached in time.
        TransportError: The topic is missing or cannot be read.
    """
    if await memory.is_verified():
        reader = DirectoryReader(transport, genesis)
        try:
            await reader.resume(memory.kept(), verify=False)
            await reader.confirm()
        except (DirectoryError, MalformedError) as error:
            _log.warning("directory_kept_unusable", error=error.text)
        else:
            await reader.catch_up(LOAD_SECONDS)
            return reader.replay.snapshot(position if time_ms is None else reader.replay.position_at(time_ms))
    return await fetch_snapshot(transport, genesis, position=position, time_ms=time_ms)


async def _begin_with_kept(follower: DirectoryFollower, memory: DirectoryMemory, seen: SeenEntry | None) -> None:
    """Apply what is kept, if this version has verified it and it is what was seen."""
    if not await memory.is_verified():
        return
    try:
        memory.go_on_after(await follower.resume(memory.kept(), verify=False))
        if seen is not None and follower.applied > seen[0]:
            compare(follower.snapshot, seen)
    except (DirectoryError, MalformedError) as error:
        # All of it comes from the bus once more, verified.
        _log.warning("directory_kept_unusable", error=error.text)
        follower.forget()
        memory.begin_anew()
