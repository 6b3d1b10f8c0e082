"""The directory as it is now, for a command that needs it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import open_transport
from docbus.client.directory_memory import DirectoryMemory, fetch_after_kept

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.storage.database import Database


async def directory_now(settings: Settings, database: Database) -> TrustSnapshot:
    """Return the directory, read on from what the folder has kept of it.

    Raises:
        TransportError: The bus cannot be reached.
        DirectoryError: The directory is not the one that is pinned, or contradicts itself.
        WaitTimeoutError: It cannot be read within the time for it.
    """
    transport = open_transport(settings)
    try:
        await transport.start()
        return await fetch_after_kept(transport, settings.exchange.genesis_bytes, DirectoryMemory(database))
    finally:
        await transport.aclose()
