"""An embedded bus for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from docbus.transport.port import NewRecord
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.topics import DIRECTORY, spec_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


@asynccontextmanager
async def found_bus(path: Path, *, directory: bool = True) -> AsyncIterator[SqliteTransport]:
    """Start a transport on a new file, with an empty directory topic, and close it at the end."""
    transport = SqliteTransport(path)
    await transport.start()
    try:
        if directory:
            await transport.create([spec_of(DIRECTORY)])
        yield transport
    finally:
        await transport.aclose()


async def append_entries(transport: SqliteTransport, values: Sequence[bytes]) -> None:
    """Append record values to the directory topic."""
    await transport.append([NewRecord(topic=DIRECTORY, key=None, value=value) for value in values])
