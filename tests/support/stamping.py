"""An exchange that wishes time stamps, at work, with an hour that lasts no time at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus import Agency
from docbus.client import time_stamping
from docbus.client.connect import open_registrar
from docbus.client.running import beside
from docbus.client.time_stamping import registrar_stamps, stamping
from docbus.clock import SystemClock
from docbus.producers import stamping as loop
from docbus.registry import beating
from docbus.registry.beating import keep_beating
from docbus.registry.heartbeat_stamps import read_gap
from docbus.settings import load_settings
from tests.support.trial import until

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    import pytest

    from tests.support.time_stamps import Serving

SECONDS = 30
TAYNINH = "000.00.00.H53"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interval and all pauses be over at once."""
    monkeypatch.setattr(time_stamping, "interval_ms", lambda _wished: 0)
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(loop, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(loop, "LAST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(beating, "LOOK_SECONDS", 0.02)


def wish(exchange: Path, server: Serving, anchor: Path) -> None:
    """Let the registrar, and the agency in Hà Nội, wish time stamps."""
    for name in ("registrar", "hanoi"):
        with (exchange / name / "docbus.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[timestamps]\nurl = "{server.url}"\nanchor = "{anchor}"\n')


async def send(exchange: Path, stack: AsyncExitStack, document_id: str) -> Agency:
    """Send a letter, and return its sender, still at work."""
    hanoi, tayninh = [await stack.enter_async_context(Agency.open(exchange / name)) for name in ("hanoi", "tayninh")]
    for agency in (hanoi, tayninh):
        await stack.enter_async_context(agency.serving())
    await hanoi.publish(exchange / "letter.txt", to=[TAYNINH], id=document_id)
    await hanoi.wait(document_id, until="received", timeout=SECONDS)
    return hanoi


async def stamped(agency: Agency) -> None:
    """Wait until everything that an agency has signed is stamped."""

    async def is_stamped() -> bool:
        stamps = (await agency.status()).time_stamps
        return stamps is not None and not stamps.waiting and stamps.stamps > 0

    await until(is_stamped)


async def beat(exchange: Path, *, entries: int, gap: bool = False) -> None:
    """Run the registrar until the directory has so many entries more, and there is a gap or none."""
    settings = load_settings(exchange / "registrar")
    stamps, clock, stop = registrar_stamps(settings), SystemClock(), asyncio.Event()
    assert stamps is not None
    async with open_registrar(exchange / "registrar", clock=clock, beating=True) as registrar:
        before = (await registrar.load()).position

        async def is_further() -> bool:
            there = (await registrar.load()).position >= before + entries
            return there and gap == (read_gap(settings.folder) is not None)

        async with beside(stamping(settings, stamps, clock)):
            beating_on = asyncio.create_task(
                keep_beating(
                    lambda: open_registrar(exchange / "registrar", clock=clock, beating=True),
                    stop,
                    clock=clock,
                    stamps=stamps,
                )
            )
            try:
                await until(is_further)
            finally:
                stop.set()
                await beating_on
