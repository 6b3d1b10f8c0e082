"""What a registrar must see at a glance: how far the directory is, and whether it is time-stamped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.client.connect import started_transport
from docbus.client.directory_state import DirectoryState, directory_state
from docbus.client.folder_directory import fetch_for_folder
from docbus.errors import IdentityError, TransportError, WaitTimeoutError
from docbus.registry.heartbeat_stamps import read_gap

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.errors import DocbusError
    from docbus.identity.time_stamps.gap import Gap
    from docbus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarStatus:
    """A registrar's state; times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        registrar: Its name.
        environment: Name of the exchange.
        at: When this was read.
        directory: None if it cannot be read.
        stamping: Whether the settings wish time stamps.
        gap: Since when no authority has stamped, and why.
        trouble: Why the directory cannot be read.
    """

    registrar: str
    environment: str
    at: int
    directory: DirectoryState | None
    stamping: bool
    gap: Gap | None
    trouble: DocbusError | None


async def registrar_status(settings: Settings, clock: Clock) -> RegistrarStatus:
    """Read the state of a registrar from its folder; needs no keys, and gets by without the bus, saying so."""
    now_ms = clock.now_ms()
    directory: DirectoryState | None = None
    trouble: DocbusError | None = None
    try:
        async with started_transport(settings) as transport:
            snapshot = await fetch_for_folder(transport, settings)
        directory = directory_state(snapshot, None, now_ms)
    except (TransportError, IdentityError, WaitTimeoutError) as error:
        trouble = error
    return RegistrarStatus(
        registrar="" if settings.registrar is None else settings.registrar.name,
        environment=settings.exchange.environment,
        at=now_ms,
        directory=directory,
        stamping=settings.timestamps is not None,
        gap=read_gap(settings.folder),
        trouble=trouble,
    )
