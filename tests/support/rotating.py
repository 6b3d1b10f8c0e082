"""An exchange in which an agency rotates its keys, and short ways to look at it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.client.connect import open_registrar, started_transport
from docbus.clock import SystemClock
from docbus.registry.follow import fetch_snapshot
from docbus.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.rotation import Rotation
    from docbus.identity.snapshot import TrustSnapshot

ENVIRONMENT, HANOI = "test", "H26"
DAY_MS = 24 * 60 * 60 * 1000


class At:
    """A clock that stands."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        """Return the time it was given."""
        return self.ms

    def monotonic(self) -> float:
        """Return the same as seconds."""
        return self.ms / 1000


def directory(exchange: Path) -> TrustSnapshot:
    """Return the directory of an exchange as it is now."""

    async def read() -> TrustSnapshot:
        settings = load_settings(exchange / "auditor")
        async with started_transport(settings) as transport:
            return await fetch_snapshot(transport, settings.exchange.genesis_bytes)

    return asyncio.run(read())


def publish(exchange: Path, rotation: Rotation, *, overlap_ms: int | None = 30 * DAY_MS) -> TrustSnapshot:
    """Publish a rotation as the registrar does, and return the directory behind it."""
    assert rotation.request is not None
    request = rotation.request.read_text("ascii")

    async def work() -> TrustSnapshot:
        async with open_registrar(exchange / "registrar", clock=SystemClock()) as registrar:
            return (await registrar.rotate(request, overlap_ms=overlap_ms)).snapshot

    return asyncio.run(work())


def revoke(exchange: Path, certificate: bytes) -> TrustSnapshot:
    """Revoke a certificate as the registrar does, and return the directory behind it."""

    async def work() -> TrustSnapshot:
        async with open_registrar(exchange / "registrar", clock=SystemClock()) as registrar:
            return (await registrar.revoke(certificate, reason="stolen")).snapshot

    return asyncio.run(work())
