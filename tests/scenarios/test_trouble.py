"""The recipient's disk is full, its folder is away, the outbox is full: nothing is lost, and it goes on by itself."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from docbus.client.running import beside
from docbus.consumers.sinks import folder as folder_sink
from docbus.consumers.sinks.folder import FolderSink
from docbus.errors import ConfigurationError, OutboxFullError, SinkUnavailableError
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, letter, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from docbus.client.agency import Agency
    from docbus.consumers.sinks.port import Delivery, Outcome
    from tests.support.trial import Exchange

DOCUMENTS = tuple(f"letter-{number}" for number in range(5))
MOUNT_SECONDS = 10.0


async def sink_error(agency: Agency) -> str | None:
    """Return what the sink said last, as ``docbus status`` shows it."""
    sink = (await agency.status()).inbox.sink
    return None if sink is None else sink.error


async def publish(agency: Agency, content: str = "nội dung") -> None:
    for document in DOCUMENTS:
        await agency.publish(letter(content), to=[TAY_NINH], id=document)


async def states(agency: Agency) -> list[str]:
    return [
        leg.state
        for document in DOCUMENTS
        for leg in (await agency.wait(document, until="received", timeout=PATIENCE)).legs
    ]


async def test_full_disk_is_waited_out(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full nothing is receipted and the status says why; with space again, everything is filed."""
    write = folder_sink._write

    def fail(delivery: Delivery, made: Path) -> list[Path]:
        made.mkdir()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        monkeypatch.setattr(folder_sink, "_write", fail)
        async with hanoi.serving(), tay_ninh.serving():
            await publish(hanoi)
            await until(lambda: _is_set(sink_error(tay_ninh)))
            said = await sink_error(tay_ninh)
            receipted = (await hanoi.status()).outbox.received
            monkeypatch.setattr(folder_sink, "_write", write)
            reached = await states(hanoi)
            await until(lambda: _is_none(sink_error(tay_ninh)))

    assert "no space left" in (said or "")
    assert 0 == receipted
    assert ["received"] * len(DOCUMENTS) == reached
    assert list(DOCUMENTS) == exchange.ids_filed(TAY_NINH)
    assert [] == [path.name for path in (exchange.folder / TAY_NINH / "documents").glob(".docbus-work-*")]


async def _is_set(found: Any) -> bool:
    return await found is not None


async def _is_none(found: Any) -> bool:
    return await found is None


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of so many bytes for the block; skips the test where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "docbus-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOUNT_SECONDS, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=MOUNT_SECONDS, check=True)  # noqa: S607 - wherever it is


async def test_file_system_that_is_really_full_is_waited_out(exchange: Exchange) -> None:
    """A tmpfs of 256 KiB, filled by a stranger: nothing is filed in part, and all is once the stranger is gone."""
    documents = exchange.folder / TAY_NINH / "documents"
    with mounted(documents, "256k"):
        filler = documents / "filler"
        filler.write_bytes(bytes(200 * 1024))
        async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
            await publish(hanoi, "x" * 12_000)
            await until(lambda: _is_set(sink_error(tay_ninh)))
            said = await sink_error(tay_ninh)
            filler.unlink()
            reached = await states(hanoi)
        filed = exchange.ids_filed(TAY_NINH)

    assert "no space left" in (said or "")
    assert ["received"] * len(DOCUMENTS) == reached
    assert list(DOCUMENTS) == filed


async def test_folder_that_went_away_is_waited_for(exchange: Exchange) -> None:
    """The folder of the DMS is not mounted for a while: documents wait, and are filed when it is back."""
    documents = exchange.folder / TAY_NINH / "documents"
    away = documents.with_name("away")
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="before")
        await hanoi.wait("before", until="received", timeout=PATIENCE)
        documents.rename(away)
        await publish(hanoi)
        await until(lambda: _is_set(sink_error(tay_ninh)))
        said = await sink_error(tay_ninh)
        away.rename(documents)
        reached = await states(hanoi)

    assert str(documents) in (said or "")
    assert ["received"] * len(DOCUMENTS) == reached
    assert ["before", *DOCUMENTS] == exchange.ids_filed(TAY_NINH)


async def test_missing_folder_is_refused_at_the_start(exchange: Exchange) -> None:
    """Where the folder was never made, receiving does not begin, and the error names it."""
    documents = exchange.folder / TAY_NINH / "documents"
    documents.rmdir()

    async with exchange.agency(TAY_NINH) as tay_ninh:
        with pytest.raises(ConfigurationError, match=f"documents cannot be filed in {documents}"):
            async with tay_ninh.serving():
                await until(lambda: False)


class Moody:
    """A DMS that is away for the first calls, and then files what it gets."""

    max_batch = 2

    def __init__(self, sink: FolderSink, failures: int) -> None:
        self._sink = sink
        self.failures = failures
        self.start, self.aclose = sink.start, sink.aclose

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        if self.failures:
            self.failures -= 1
            raise SinkUnavailableError("the DMS is down for maintenance", step="C3")
        return await self._sink.deliver(batch)


async def test_stop_while_the_dms_is_away_loses_nothing(exchange: Exchange) -> None:
    """A process that ends while its DMS is away has committed nothing; the next one files everything."""
    folder = exchange.folder / TAY_NINH / "documents"
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        await publish(hanoi)
        async with beside(lambda stop: tay_ninh.receive_into(Moody(FolderSink(folder), 10_000), stop)):
            await until(lambda: _is_set(sink_error(tay_ninh)))
        left = exchange.ids_filed(TAY_NINH)
        async with tay_ninh.serving():
            reached = await states(hanoi)

    assert [] == left
    assert ["received"] * len(DOCUMENTS) == reached
    assert list(DOCUMENTS) == exchange.ids_filed(TAY_NINH)


async def test_full_outbox_refuses_and_keeps_what_it_has(exchange: Exchange) -> None:
    """Beyond the outbox's limit nothing is accepted, and what was accepted before still arrives."""
    settings = exchange.folder / HANOI / "docbus.toml"
    settings.write_text(settings.read_text("utf-8") + "\n[outbox]\nmax_bytes = 1048576\n", "utf-8")
    accepted = []
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        with pytest.raises(OutboxFullError, match="its limit is 1,048,576"):  # noqa: PT012 - how many fit is SQLite's
            for number in range(20):
                content = os.urandom(100_000).hex()
                accepted.append((await hanoi.publish(letter(content), to=[TAY_NINH], id=f"{number:02}")).document_id)
        async with hanoi.serving(), tay_ninh.serving():
            for document in accepted:
                await hanoi.wait(document, until="received", timeout=PATIENCE)

    assert accepted
    assert accepted == exchange.ids_filed(TAY_NINH)
