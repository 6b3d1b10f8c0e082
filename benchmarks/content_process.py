"""One process of the measurements of large content: an agency that sends or receives, or raw aiokafka.

A process of its own has a peak of memory of its own, an allocator that nobody else has tuned, and can be killed. It is
told what to do line by line and answers each line with one, both JSON; see ``content``. An agency is measured as
``docbus run`` runs it: collector and allocator relaxed once it is open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import raw
from docbus.client.agency import Agency
from docbus.client.files import read_file
from docbus.client.running import relax_allocator, relax_collector
from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.null import NullSink
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.limits import KIB
from docbus.transport import topics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from docbus.consumers.sinks.port import Delivery, Outcome, Sink
    from docbus.transport.port import NewRecord, Record

    Answer = dict[str, float]
    Command = dict[str, Any]

WAIT_SECONDS = 120.0
"""Seconds that one command may take: ten times what a gigabyte does on two cores."""
SELF = Path("/proc/self")


class Growth:
    """How much this process's resident memory has grown at its peak since the object was made."""

    def __init__(self) -> None:
        if SELF.exists():
            self._before = _status("VmRSS")
            # Forgets the peak so far, such as that of loading the modules; source: proc(5).
            (SELF / "clear_refs").write_text("5")
        else:
            self._before = _most()

    def peak(self) -> int:
        """Return it in bytes."""
        return (_status("VmHWM") if SELF.exists() else _most()) - self._before


def _status(name: str) -> int:
    for line in (SELF / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * KIB
    raise KeyError(name)


def _most() -> int:
    """Return the peak where there is no ``/proc``; a process begins with that of the one that started it."""
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def say(**answer: float) -> None:
    """Write one line."""
    print(json.dumps(answer), flush=True)


async def obey(commands: dict[str, Callable[[Command], Awaitable[Answer]]]) -> None:
    """Do what the lines of standard input say, until it ends."""
    say(ready=1)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        async with asyncio.timeout(WAIT_SECONDS):
            say(**await commands[command["do"]](command))


class Sending:
    """An agency that publishes and drains its outbox. What its transport has appended is counted there."""

    def __init__(self, agency: Agency) -> None:
        self._agency = agency
        self._append = agency.transport.append
        agency.transport.append = self.append  # type: ignore[method-assign] # counts, and does the same
        self._bytes = self._parts = self._envelopes = 0
        self._telling = False
        self._acknowledged = asyncio.Event()

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append, and count values and keys, parts and envelopes."""
        parts = sum(topics.kind_of(record.topic) == topics.CONTENT for record in records)
        self._parts += parts
        if self._telling:
            # Before it is handed over: whoever kills this process then hits it in the middle of an append.
            say(parts=self._parts)
        offsets = await self._append(records)
        self._envelopes += sum(topics.kind_of(record.topic) == topics.INBOX for record in records)
        self._bytes += sum(len(record.value) + len(record.key or b"") for record in records)
        self._acknowledged.set()
        return offsets

    async def publish(self, command: Command) -> Answer:
        """Publish one document; ``file`` names its content, else it is ``size`` random bytes in memory.

        With ``tell``, each append is told before it is made.

        Returns:
            Seconds until it is accepted, and until all envelopes are acknowledged; bytes appended; bytes of growth.
        """
        recipients = tuple(command["to"])
        content = (
            read_file(command["file"])
            if "file" in command
            else File(name="báo cáo.pdf", media_type="application/pdf", content=os.urandom(command["size"]))
        )
        document = Document(
            document_id=command["id"], title="Báo cáo", type="Báo cáo", files=(content,), recipients=recipients
        )
        self._telling = command.get("tell", False)
        appended, envelopes = self._bytes, self._envelopes + len(recipients)
        growth = Growth()
        begun = time.perf_counter()
        await self._agency.publish_documents([document])
        accepted = time.perf_counter() - begun
        await self._reach(envelopes)
        seconds = time.perf_counter() - begun
        return {
            "seconds": seconds,
            "accepted": accepted,
            "bytes": self._bytes - appended,
            "growth": growth.peak(),
        }

    async def finish(self, command: Command) -> Answer:
        """Wait until so many ``envelopes`` are acknowledged since this process has begun."""
        await self._reach(command["envelopes"])
        return {"bytes": self._bytes}

    async def _reach(self, envelopes: int) -> None:
        while self._envelopes < envelopes:
            self._acknowledged.clear()
            await self._acknowledged.wait()


class _TimedSink:
    """A sink that says when it has what is waited for."""

    def __init__(self, sink: Sink, count: int) -> None:
        self._sink = sink
        self._left = count
        self.max_batch = sink.max_batch
        self.filed = asyncio.Event()
        self.filed_at = 0.0

    async def start(self) -> None:
        await self._sink.start()

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        outcomes = await self._sink.deliver(batch)
        self._left -= len(outcomes)
        if self._left <= 0:
            self.filed_at = time.perf_counter()
            self.filed.set()
        return outcomes

    async def aclose(self) -> None:
        await self._sink.aclose()


class Receiving:
    """An agency that receives, and sends its receipts. What its transport reads of content topics is counted there."""

    def __init__(self, agency: Agency, make_sink: Callable[[], Sink]) -> None:
        self._agency = agency
        self._make_sink = make_sink
        self._read = agency.transport.read
        agency.transport.read = self.read  # type: ignore[method-assign] # counts, and does the same
        self._bytes = self._parts = 0
        self._telling = False

    async def read(self, topic: str, partition: int, offset: int, **bounds: Any) -> list[Record]:
        """Read, and count the values that are parts."""
        records = await self._read(topic, partition, offset, **bounds)
        if topics.kind_of(topic) == topics.CONTENT:
            self._parts += len(records)
            self._bytes += sum(len(record.value or b"") for record in records)
            if self._telling:
                say(parts=self._parts, bytes=self._bytes)
        return records

    async def receive(self, command: Command) -> Answer:
        """Begin to receive, and stop once the sink has ``count`` documents; with ``tell``, each read is told.

        Returns:
            Seconds from the beginning until the sink has them, bytes of parts read, bytes of growth.
        """
        sink = _TimedSink(self._make_sink(), command["count"])
        stop = asyncio.Event()
        self._telling = command.get("tell", False)
        before = self._bytes
        growth = Growth()
        begun = time.perf_counter()
        receiving = asyncio.create_task(self._agency.receive_into(sink, stop))
        waiting = asyncio.create_task(sink.filed.wait())
        await asyncio.wait({receiving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        waiting.cancel()
        await receiving
        return {"seconds": sink.filed_at - begun, "bytes": self._bytes - before, "growth": growth.peak()}


class Raw:
    """aiokafka in a Python as it comes."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def produce(self, command: Command) -> Answer:
        """Send ``count`` records of ``size`` bytes to ``topic``, in batches of ``batch`` bytes."""
        return {
            "seconds": await raw.produce_large(
                self._bootstrap, command["topic"], command["count"], command["size"], command["batch"]
            )
        }

    async def consume(self, command: Command) -> Answer:
        """Read ``count`` records of ``topic``."""
        return {"seconds": await raw.consume(self._bootstrap, command["topic"], command["count"])}


async def work(role: str, place: str, sink: str = "") -> None:
    """Be one of the three."""
    if role == "raw":
        aiokafka = Raw(place)
        await obey({"produce": aiokafka.produce, "consume": aiokafka.consume})
        return
    relax_allocator()
    async with Agency.open(place) as agency:
        relax_collector()
        if role == "send":
            sending = Sending(agency)
            async with agency.serving(receive=False):
                await obey({"publish": sending.publish, "finish": sending.finish})
        else:
            folder = agency.settings.path(agency.settings.sink.folder)
            receiving = Receiving(agency, NullSink if sink == "null" else lambda: FolderSink(folder))
            async with agency.serving(receive=False):
                await obey({"receive": receiving.receive})


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(work(*sys.argv[1:]))
