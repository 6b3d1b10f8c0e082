"""docbus end to end on Kafka: publish, and receive, each in one process as a user runs it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from docbus.client.agency import Agency
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.consumers.sinks.null import NullSink
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.settings import KafkaServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SENDER, RECIPIENT = "H26", "H53"
AGENCIES = ((SENDER, "sender"), (RECIPIENT, "recipient"))
CALL = 512
"""Documents in one call of ``publish_documents``."""
WAIT_SECONDS = 300.0


async def found(bootstrap: str, folder: Path, agencies: Iterable[tuple[str, str]] = AGENCIES) -> None:
    """Found an exchange, of two agencies unless more are given, as code and name."""
    bus = KafkaServerSettings(bootstrap=bootstrap, replication_factor=1)
    await found_exchange(folder, agencies, environment="bench", bus=bus, clock=SystemClock())


async def measure(bootstrap: str, folder: Path, size: int, count: int, number: int) -> tuple[float, float]:
    """Return the seconds to publish ``count`` documents, accepted durably to acknowledged, and to receive them.

    Receiving is verified, decrypted, handed to a sink that does nothing, receipted and committed.
    """
    del bootstrap  # The folders' settings name it.
    content = os.urandom(size)
    async with Agency.open(folder / SENDER) as sender:
        documents = [
            Document(
                document_id=f"{size}-{number}-{index:08}",
                title="Báo cáo",
                number=f"{index}/BC",
                type="Báo cáo",
                files=(File(name="báo cáo.pdf", media_type="application/pdf", content=content),),
                recipients=("vn:" + RECIPIENT,),
            )
            for index in range(count)
        ]
        begun = time.perf_counter()
        async with sender.serving(receive=False):
            for start in range(0, count, CALL):
                await sender.publish_documents(documents[start : start + CALL])
            await sender.wait(documents[-1].document_id, until="sent", timeout=WAIT_SECONDS)
            sent = time.perf_counter() - begun
    del documents
    async with Agency.open(folder / RECIPIENT) as recipient:
        sink = NullSink()
        stop = asyncio.Event()
        begun = time.perf_counter()
        receiving = asyncio.create_task(recipient.receive_into(sink, stop))
        while sink.delivered < count:
            await asyncio.sleep(0.01)
            if receiving.done():
                await receiving
        stop.set()
        # The last batch's receipts and commit are part of receiving.
        await receiving
        received = time.perf_counter() - begun
        async with recipient.serving(receive=False):
            pass
    async with Agency.open(folder / SENDER) as sender, sender.serving():
        await sender.wait(f"{size}-{number}-{count - 1:08}", until="received", timeout=WAIT_SECONDS)
    return sent, received
