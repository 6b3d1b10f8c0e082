"""What an agency has seen of the directory, so that nobody who runs brokers can make it forget.

A log that is cut back, or written anew from some entry on, would bring a revoked key back to life at the next start.
The highest position that was ever followed, and its hash, are kept in the agency's own database.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.errors import DirectoryError

if TYPE_CHECKING:
    import sqlite3

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database

_POSITION, _HASH = "directory_position", "directory_hash"
SeenEntry = tuple[int, bytes]
"""Position and hash of a directory entry."""


class DirectoryMemory:
    """Keeps the newest directory entry that was seen. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing: set[asyncio.Task[None]] = set()

    async def seen(self) -> SeenEntry | None:
        """Return position and hash of the newest entry that was seen, to be asked *before* the directory is read.

        Afterwards another process of this folder may have seen a newer one, and nobody has cut anything back.
        """
        return await self._database.read(_read)

    async def check(self, snapshot: TrustSnapshot, seen: SeenEntry | None) -> None:
        """Return if the directory goes on from what was seen before, and remember it.

        Args:
            snapshot: Read after ``seen`` was asked for.
            seen: What :meth:`seen` returned.

        Raises:
            DirectoryError: It ends earlier, or has another entry where one was seen.
        """
        if seen is not None:
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
        await self._database.write(lambda connection: _write(connection, snapshot))

    def note(self, snapshot: TrustSnapshot) -> None:
        """Remember a newer snapshot; called on the loop, written behind."""
        task = asyncio.ensure_future(self._database.write(lambda connection: _write(connection, snapshot)))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def aclose(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._writing, return_exceptions=True)


def _read(connection: sqlite3.Connection) -> SeenEntry | None:
    found = dict(connection.execute("SELECT name, value FROM outbox WHERE name IN (?, ?)", (_POSITION, _HASH)))
    return (int(found[_POSITION]), found[_HASH]) if len(found) == 2 else None  # noqa: PLR2004 - both or none


def _write(connection: sqlite3.Connection, snapshot: TrustSnapshot) -> None:
    known = _read(connection)
    if known is None or snapshot.position > known[0]:
        connection.executemany(
            "INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)",
            [(_POSITION, snapshot.position), (_HASH, snapshot.head)],
        )
