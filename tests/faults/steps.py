"""What journeys through many crashes have in common: what was promised before, and waiting for one side."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from docbus.consumers import fetching, locating, parking
from docbus.producers import uploading
from docbus.storage.content import CONTENT_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from docbus.client.agency import Agency
    from tests.support.trial import Exchange

ATTEMPT_MS = 20
"""Milliseconds after which what was postponed is tried again."""


def hurry() -> None:
    """Let this process upload and read part by part, and try soon again."""
    uploading.SLICE_PARTS = 1
    locating.WINDOW_PARTS = 1
    fetching.NOTE_BYTES = 1
    parking.FIRST_ATTEMPT_MS = ATTEMPT_MS


def promised(exchange: Exchange) -> set[str]:
    """Return what is done for certain: the ids of documents that were accepted, and names of steps."""
    noted = exchange.folder / "promised.txt"
    return set(noted.read_text("ascii").split()) if noted.exists() else set()


def note(exchange: Exchange, name: str) -> None:
    """Note that something is done, as far as the caller was told."""
    with (exchange.folder / "promised.txt").open("a") as noted:
        noted.write(f"{name}\n")


async def nothing_to_send(agency: Agency) -> bool:
    """Tell whether all is sent and read; the other side need not have answered."""
    status = await agency.status()
    return status.outbox.accepted == status.outbox.receipts_waiting == 0 and not any((status.lag or {}).values())


@asynccontextmanager
async def at_work(exchange: Exchange, code: str) -> AsyncIterator[Agency]:
    """Open an agency that sends and receives as long as the block runs."""
    async with exchange.agency(code) as agency, agency.serving():
        yield agency


def content_left(exchange: Exchange, code: str) -> tuple[int, int]:
    """Return how many files an agency's content folder holds of what it sends, and of what it fetches."""
    outgoing, incoming = [
        [path for path in (exchange.folder / code / CONTENT_NAME / way).rglob("*") if path.is_file()]
        for way in ("outgoing", "incoming")
    ]
    return len([path for path in outgoing if path.name != "lock"]), len(incoming)
