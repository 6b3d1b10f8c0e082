"""Time stamping as a folder's settings wish it: by whom, believed by which anchor, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import ConfigurationError
from docbus.identity.time_stamps.anchors import MAX_ANCHOR_BYTES, Anchors
from docbus.producers.batch_stamps import BatchStamps
from docbus.producers.stamping import AskedAuthority, keep_stamping
from docbus.registry.heartbeat_stamps import HeartbeatStamps
from docbus.transport.time_stamps import TSAClient

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from docbus.client.running import Run
    from docbus.clock import Clock
    from docbus.identity.time_stamps.gap import Waiting
    from docbus.settings import Settings, TimeStampAuthoritySettings, TimeStampSettings
    from docbus.storage.database import Database

MINUTE_MS = 60_000


def interval_ms(wished: TimeStampSettings) -> int:
    """Return milliseconds between two time stamps."""
    return wished.interval_minutes * MINUTE_MS


def registrar_stamps(settings: Settings) -> HeartbeatStamps | None:
    """Return what a registrar's heartbeats are to carry, or None where its folder wishes no time stamps."""
    wished = settings.timestamps
    return None if wished is None else HeartbeatStamps(settings.folder, interval_ms(wished))


def batch_stamps(settings: Settings, database: Database, agency: str) -> BatchStamps | None:
    """Return what waits in an agency's outbox, or None where its folder wishes no time stamps."""
    wished = settings.timestamps
    if wished is None:
        return None
    return BatchStamps(database, environment=settings.exchange.environment, agency=agency, every_ms=interval_ms(wished))


def read_anchors(path: Path) -> Anchors:
    """Return the authorities that a file names.

    Raises:
        ConfigurationError: It cannot be read, or has no root in it.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_ANCHOR_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the anchor file {path} cannot be read: {error.strerror}",
            hint="Put the root certificate of the time-stamping authority there, in PEM.",
        ) from error
    return Anchors.load(pem, str(path))


def asked_authority(settings: Settings, wished: TimeStampAuthoritySettings) -> AskedAuthority:
    """Return how one of the authorities in a folder's settings is asked.

    Raises:
        ConfigurationError: Its anchor file cannot be used.
    """
    anchors = read_anchors(settings.path(wished.anchor))
    return AskedAuthority(wished.url, TSAClient(wished.url).ask, anchors, wished.policy)


def stamping(settings: Settings, waiting: Waiting, clock: Clock) -> Run:
    """Return what has stamped whatever waits, for a folder that wishes so.

    Raises:
        ConfigurationError: The folder wishes no time stamps, or its anchor file cannot be used.
    """
    wished = settings.timestamps
    if wished is None:
        raise ConfigurationError("the folder has no table [timestamps]")
    authorities = [asked_authority(settings, one) for one in (wished, *wished.fallback)]

    async def run(stop: asyncio.Event) -> None:
        await keep_stamping(waiting, authorities, stop, clock=clock)

    return run
