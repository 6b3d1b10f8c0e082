"""The directory as whoever has this folder sees it, and what the folder keeps of it (ADR 0025).

An agency keeps it beside its outbox, a registrar in a file of its own, so that a command verifies what is new alone.
Whoever trusts nobody, an auditor, keeps nothing and verifies all of it each time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from docbus.client.directory_memory import DirectoryMemory, fetch_after_kept
from docbus.errors import StorageError
from docbus.registry.follow import fetch_snapshot
from docbus.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.transport.port import Transport

FILE_NAME = "directory.db"
"""In the registrar's folder; whoever removes it has all of the directory verified once more."""

_log = structlog.get_logger(__name__)


def _file_of(settings: Settings) -> Path | None:
    if settings.agency is not None:
        return settings.state
    return None if settings.registrar is None else settings.folder / FILE_NAME


@asynccontextmanager
async def folder_memory(settings: Settings) -> AsyncIterator[DirectoryMemory | None]:
    """Yield what an agency's or a registrar's folder keeps of the directory; made if it is not there.

    None where nobody keeps anything, and, with a line in the log, where it cannot be opened: then everything is read
    from the bus and verified.
    """
    path = _file_of(settings)
    try:
        database = None if path is None else Database.open(path)
    except StorageError as error:
        _log.warning("directory_not_kept", error=error.text, hint=error.hint)
        database = None
    if database is None:
        yield None
        return
    memory = DirectoryMemory(database)
    try:
        yield memory
    finally:
        await memory.aclose()
        database.close()


async def fetch_for_folder(
    transport: Transport, settings: Settings, *, position: int | None = None, time_ms: int | None = None
) -> TrustSnapshot:
    """Return the directory at its end, at an entry, or at a time by the registrar's clock; nothing is kept of it.

    Args:
        transport: Started.
        settings: Of the folder.
        position: Of an entry.
        time_ms: Milliseconds since 1970 UTC.

    Raises:
        DirectoryError: The log is empty, breaks a rule, or does not have that entry or anything of that time.
        WaitTimeoutError: The end was not reached in time.
        TransportError: The topic is missing or cannot be read.
    """
    genesis, path = settings.exchange.genesis_bytes, _file_of(settings)
    if path is not None and path.exists():
        async with folder_memory(settings) as memory:
            if memory is not None:
                return await fetch_after_kept(transport, genesis, memory, position=position, time_ms=time_ms)
    return await fetch_snapshot(transport, genesis, position=position, time_ms=time_ms)
