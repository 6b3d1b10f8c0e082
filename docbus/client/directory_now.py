"""The directory as it is now, for a command that needs it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import open_transport
from docbus.client.directory_memory import DirectoryMemory, compare, fetch_after_kept

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.storage.database import Database


async def directory_now(settings: Settings, database: Database) -> TrustSnapshot:
    """Return the directory, read on from what the folder has kept of it.

    Raises:
        TransportError: The bus cannot be reached.
        DirectoryError: The directory is not the one that is pinned, contradicts itself, or is not the one that this
            folder has seen: what is decided by it could not be undone when the true one is back.
        WaitTimeoutError: It cannot be read within the time for it.
    """
    transport, memory = open_transport(settings), DirectoryMemory(database)
    seen = await memory.seen()
    try:
        await transport.start()
        snapshot = await fetch_after_kept(transport, settings.exchange.genesis_bytes, memory)
        compare(snapshot, seen)
        return snapshot
    finally:
        await transport.aclose()
