"""Large content against raw aiokafka: speed, memory, fan-out, and what is sent again after a kill.

Every side runs in a process of its own (``content_process``), raw aiokafka too. Raw and docbus take turns, and ratios
are taken within a pass. A pass moves a document of 1 GiB to two recipients: one files it as ``docbus run`` does, one
into a sink that does nothing; at its most, 12 GiB of disk are in use.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import shutil
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import raw
from docbus.envelope.parts import decode_part
from docbus.limits import KIB, MIB, PART_BYTES
from docbus.transport import topics
from docbus.wire.parts import SEALED_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SENDER, FILED, UNFILED = "L00", "L01", "L02"
FAN_OUT = 38
"""Recipients of a document that goes to many: the departments and districts of a province."""
RECIPIENTS = tuple(f"L{number:02}" for number in range(1, FAN_OUT + 1))
AGENCIES = tuple((code, f"agency {code}") for code in (SENDER, *RECIPIENTS))
AIMS = {
    "content_publish_ratio": ">= 0.5",
    "content_receive_ratio": ">= 0.5",
    "content_publish_extra_mib": "<= 64",
    "content_receive_extra_mib": "<= 64",
    "content_fanout_time_ratio": "<= 2",
    "content_fanout_bytes_ratio": "<= 1.2",
    "content_resume_upload_ratio": "<= 0.15",
    "content_resume_download_ratio": "<= 0.15",
}
"""What is aimed at."""

PASSES = 3
LARGE_MIB = 1024
WARM_MIB = 256
"""Of the transfers that nobody measures."""
SMALL_BYTES = 1 * KIB
RECORD_BYTES = SEALED_PART_BYTES + 428
"""Bytes of a raw record: a part with its frame, its proof, key and headers."""
BATCHES = (512 * KIB, 1100 * KIB)
"""Bytes of raw aiokafka's batches; the faster one counts."""
FAN_OUT_DOCUMENTS = 20
FAN_OUT_BYTES = 1_000_000
RESUME_MIB = 128
KILL_AT = 0.9
"""Share of the parts at which a process is killed."""
ANSWER_SECONDS = 150.0
"""Seconds for one command, longer than the process itself gives it."""
STOP_SECONDS = 20.0
_POPULATE_WRITE = 23
"""Of madvise: makes and clears all pages at once; Linux 5.14, Python has no name for it yet."""

Figures = dict[str, float]


class Process:
    """A process that does what it is told; see ``content_process``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self, **command: Any) -> None:
        """Send a command."""
        assert self._process.stdin is not None  # noqa: S101 - asked for with PIPE
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self) -> Figures:
        """Return the next line."""
        assert self._process.stdout is not None  # noqa: S101 - asked for with PIPE
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a measured process ended with exit code {await self._process.wait()}")
        answer: Figures = json.loads(line)
        return answer

    async def ask(self, **command: Any) -> Figures:
        """Send a command and return the answer."""
        await self.tell(**command)
        return await self.hear()

    async def kill_at(self, parts: int) -> Figures:
        """Kill it once it says that it handles so many parts; return the last that it said."""
        while (said := await self.hear())["parts"] < parts:
            pass
        self._process.kill()
        assert self._process.stdout is not None  # noqa: S101 - asked for with PIPE
        # It went on until the signal came.
        for line in (await self._process.stdout.read()).splitlines(keepends=True):
            if line.endswith(b"\n"):
                said = json.loads(line)
        await self._process.wait()
        return said

    async def stop(self) -> None:
        """Let it end by itself; a process that does not is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def process(role: str, place: Path | str, sink: str = "") -> AsyncIterator[Process]:
    """Run a process for the length of the block."""
    started = Process(
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("content_process.py")),
            role,
            str(place),
            sink,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    )
    try:
        await started.hear()
        yield started
    finally:
        await started.stop()


async def measure(bootstrap: str, folder: Path, say: Callable[[str], None]) -> tuple[Figures, Figures]:
    """Measure everything about large content; the agencies of ``AGENCIES`` are founded in the folder.

    Returns:
        Figures and ratios.
    """
    source = _write_source(folder / "source", LARGE_MIB)
    batch = await _warm_up(bootstrap, folder, say)
    passes = []
    for number in range(PASSES):
        passes.append(await _pass(bootstrap, folder, source, number, batch))
        say(f"{LARGE_MIB} MiB, pass {number + 1}: " + ", ".join(f"{k} {v:,.0f}" for k, v in passes[-1].items()))
    source.unlink()

    def median(name: str, against: str | None = None) -> float:
        return statistics.median(one[name] / (one[against] if against else 1) for one in passes)

    figures = {
        f"content_{name}_mib_s": median(name)
        for name in ("raw_produce", "publish", "raw_consume", "receive", "receive_null")
    }
    figures["content_accept_mib_s"] = median("accept")
    ratios = {
        "content_publish_ratio": median("publish", "raw_produce"),
        "content_receive_ratio": median("receive", "raw_consume"),
        "content_receive_null_ratio": median("receive_null", "raw_consume"),
    }
    # A promise about memory is one about the worst case.
    for name in ("publish_extra_mib", "receive_extra_mib"):
        figures[f"content_{name}"] = max(one[name] for one in passes)
    ratios |= await _fan_out(folder)
    ratios |= await _resume(bootstrap, folder)
    return figures, ratios


# --- one document of a gigabyte -----------------------------------------------------------------------


async def _warm_up(bootstrap: str, folder: Path, say: Callable[[str], None]) -> int:
    """Let every part of the machine have done it once; return the bytes of raw aiokafka's faster batches."""
    count = WARM_MIB * MIB // PART_BYTES
    seconds: dict[int, float] = {}
    for batch in BATCHES * 2:
        topic = f"raw.content.warm.{len(seconds)}.{batch}"
        await _make_topic(bootstrap, topic)
        _warm_memory(2 * WARM_MIB)
        async with process("raw", bootstrap) as aiokafka:
            produced = await aiokafka.ask(do="produce", topic=topic, count=count, size=RECORD_BYTES, batch=batch)
            await aiokafka.ask(do="consume", topic=topic, count=count)
        await raw.drop_topic(bootstrap, topic)
        seconds[batch] = min(produced["seconds"], seconds.get(batch, produced["seconds"]))
    say(
        "raw batches: " + ", ".join(f"{size // KIB} KiB {WARM_MIB / took:,.0f} MiB/s" for size, took in seconds.items())
    )
    source = _write_source(folder / "warm", WARM_MIB)
    async with process("send", folder / SENDER) as sender:
        await sender.ask(do="publish", id="warm", file=str(source), to=[FILED, UNFILED])
    for code, sink in ((FILED, "folder"), (UNFILED, "null")):
        async with process("receive", folder / code, sink) as recipient:
            await recipient.ask(do="receive", count=1)
    source.unlink()
    _clean(folder)
    return min(seconds, key=seconds.__getitem__)


async def _pass(bootstrap: str, folder: Path, source: Path, number: int, batch: int) -> Figures:
    """Return MiB of content per second, and MiB of memory, of one pass."""
    topic = f"raw.content.{number}"
    await _make_topic(bootstrap, topic)
    count = LARGE_MIB * MIB // PART_BYTES
    both = [FILED, UNFILED]
    seconds: Figures = {}
    async with AsyncExitStack() as stack:
        aiokafka = await stack.enter_async_context(process("raw", bootstrap))
        sender = await stack.enter_async_context(process("send", folder / SENDER))
        filing = await stack.enter_async_context(process("receive", folder / FILED, "folder"))
        unfiling = await stack.enter_async_context(process("receive", folder / UNFILED, "null"))
        # A small document first: what memory grows by is what a large one takes beyond it.
        await sender.ask(do="publish", id=f"small-{number}", size=SMALL_BYTES, to=both)
        await filing.ask(do="receive", count=1)
        await unfiling.ask(do="receive", count=1)

        _settle(LARGE_MIB * 5 // 4)
        produced = await aiokafka.ask(do="produce", topic=topic, count=count, size=RECORD_BYTES, batch=batch)
        _settle(LARGE_MIB * 5 // 2)
        published = await sender.ask(do="publish", id=f"large-{number}", file=str(source), to=both)
        _settle(0)
        consumed = await aiokafka.ask(do="consume", topic=topic, count=count)
        _settle(LARGE_MIB * 5 // 4)
        filed = await filing.ask(do="receive", count=1)
        _settle(LARGE_MIB * 5 // 4)
        unfiled = await unfiling.ask(do="receive", count=1)
        seconds = {
            "raw_produce": produced["seconds"],
            "publish": published["seconds"],
            "accept": published["accepted"],
            "raw_consume": consumed["seconds"],
            "receive": filed["seconds"],
            "receive_null": unfiled["seconds"],
        }
    await raw.drop_topic(bootstrap, topic)
    _clean(folder)
    return {name: LARGE_MIB / took for name, took in seconds.items()} | {
        "publish_extra_mib": published["growth"] / MIB,
        "receive_extra_mib": max(filed["growth"], unfiled["growth"]) / MIB,
    }


async def _make_topic(bootstrap: str, topic: str) -> None:
    """Create a topic like a content topic, with one replica."""
    await raw.make_topic(bootstrap, topic, topics.configuration_of(topics.CONTENT) | {"min.insync.replicas": "1"})


def _write_source(path: Path, size_mib: int) -> Path:
    """Write a file that does not compress."""
    with path.open("wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(MIB))
    return path


def _settle(size_mib: int) -> None:
    """Have everything written that is not, so that it does not count, and so much memory warm."""
    os.sync()
    _warm_memory(size_mib)


def _warm_memory(size_mib: int) -> None:
    """Have so much of the free memory backed by the host, where this machine is a virtual one.

    A host may take free memory back within seconds (free page reporting), and giving it again takes three times as long
    as writing to it: a gigabyte that goes through the page cache for the first time would measure the host.
    """
    try:
        free_mib = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    except (ValueError, OSError):
        return
    size = min(size_mib, free_mib // 2) * MIB // 2

    def touch(_: int) -> mmap.mmap:
        memory = mmap.mmap(-1, size)
        try:
            memory.madvise(_POPULATE_WRITE)
        except (OSError, ValueError):
            for at in range(0, size, mmap.PAGESIZE):
                memory[at] = 1
        return memory

    if size:
        # Two at once, and freed together.
        with ThreadPoolExecutor(2) as threads:
            for memory in list(threads.map(touch, range(2))):
                memory.close()


def _clean(folder: Path) -> None:
    """Remove what nobody needs any more: documents that are filed, ciphertext kept for sending it again."""
    for left in (*(folder / FILED / "documents").iterdir(), *(folder / SENDER / "content" / "outgoing").iterdir()):
        shutil.rmtree(left)


# --- one document to many -----------------------------------------------------------------------------


async def _fan_out(folder: Path) -> Figures:
    """Return what a document to many recipients takes: time by one to one recipient, bytes by its own."""
    one: list[Figures] = []
    many: list[Figures] = []
    async with process("send", folder / SENDER) as sender:
        # The first to everybody opens streams and learns topics.
        for number in range(-1, FAN_OUT_DOCUMENTS):
            for answers, recipients in ((many, RECIPIENTS), (one, RECIPIENTS[:1])):
                name = f"to-{len(recipients)}-{number}"
                answers.append(await sender.ask(do="publish", id=name, size=FAN_OUT_BYTES, to=recipients))

    def median(answers: list[Figures], name: str) -> float:
        return statistics.median(answer[name] for answer in answers[1:])

    return {
        "content_fanout_time_ratio": median(many, "seconds") / median(one, "seconds"),
        "content_fanout_bytes_ratio": median(many, "bytes") / FAN_OUT_BYTES,
    }


# --- after a kill -------------------------------------------------------------------------------------


async def _resume(bootstrap: str, folder: Path) -> Figures:
    """Return which share of a document goes over the wire again when a process is killed in the middle."""
    source = _write_source(folder / "resumed", RESUME_MIB)
    code = RECIPIENTS[-1]
    async with process("receive", folder / code, "folder") as recipient:
        # What it has got so far: all documents to many.
        await recipient.ask(do="receive", count=FAN_OUT_DOCUMENTS + 1)
    topic = topics.content(f"vn:{SENDER}")
    begin = await raw.end_of(bootstrap, topic)
    kill_at = int(KILL_AT * RESUME_MIB * MIB // PART_BYTES)
    async with process("send", folder / SENDER) as sender:
        await sender.tell(do="publish", id="resumed", file=str(source), to=[code], tell=True)
        await sender.kill_at(kill_at)
    async with process("send", folder / SENDER) as sender:
        await sender.ask(do="finish", envelopes=1)
    values = await raw.values_from(bootstrap, topic, begin)
    copy = sum({decode_part(value).index: len(value) for value in values}.values())
    sent = sum(map(len, values))
    del values
    async with process("receive", folder / code, "folder") as recipient:
        await recipient.tell(do="receive", count=1, tell=True)
        # What it has read may not be written yet, and so is lost.
        read = (await recipient.kill_at(kill_at))["bytes"]
    async with process("receive", folder / code, "folder") as recipient:
        read += (await recipient.ask(do="receive", count=1))["bytes"]
    return {"content_resume_upload_ratio": sent / copy - 1, "content_resume_download_ratio": read / copy - 1}
