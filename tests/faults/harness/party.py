"""One process of an agency: ``python -m tests.faults.harness.party publish|consume FOLDER ARGUMENTS``.

It works through the client library as any program does, and knows nothing of the faults but the clock it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from pathlib import Path

import structlog

from docbus.client.agency import Agency
from docbus.client.running import relax_allocator, relax_collector
from docbus.errors import DiskFullError, DocbusError, OutboxFullError
from tests.faults.harness.documents import document
from tests.faults.harness.sink import DmsSink

CALL_DOCUMENTS = 200
CLOCK_NAME = "clock"
FULL_SECONDS = 1.0


class JumpingClock:
    """The machine's clock, and as many milliseconds as a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now_ms(self) -> int:
        """See :class:`docbus.clock.Clock`."""
        try:
            offset = int(self._file.read_text("ascii"))
        except (OSError, ValueError):
            offset = 0
        return time.time_ns() // 1_000_000 + offset

    def monotonic(self) -> float:
        """See :class:`docbus.clock.Clock`."""
        return time.monotonic()


async def publish(agency: Agency, stop: asyncio.Event, folder: Path, arguments: dict[str, object]) -> None:
    """Publish call by call at a rate; what was accepted is noted, and a call that was not is made again."""
    seed, name, rate = int(str(arguments["seed"])), str(arguments["name"]), float(str(arguments["rate"]))
    first, last = (int(str(arguments[at])) for at in ("first", "last"))
    recipients = tuple(str(one) for one in arguments["recipients"])  # type: ignore[attr-defined]
    # Beside the folder, whose disk may be full.
    noted = folder.with_name(f"{folder.name}.accepted")
    number = int(noted.read_text("ascii")) if noted.exists() else first
    while number < last and not stop.is_set():
        began = time.monotonic()
        numbers = range(number, min(number + CALL_DOCUMENTS, last))
        call = await asyncio.to_thread(lambda n=numbers: [document(seed, name, one, recipients) for one in n])
        try:
            await agency.publish_documents(call)
        except (OutboxFullError, DiskFullError) as error:
            print(error.text, file=sys.stderr, flush=True)  # noqa: T201 - the log that shows that a fault took effect
            await asyncio.sleep(FULL_SECONDS)
            continue
        number = numbers[-1] + 1
        noted.with_name(f"{noted.name}.new").write_text(str(number), "ascii")
        noted.with_name(f"{noted.name}.new").rename(noted)
        left = len(numbers) / rate - (time.monotonic() - began)
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await stop.wait()


async def work(role: str, folder: Path, arguments: dict[str, object]) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    relax_allocator()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Agency.open(folder, clock=JumpingClock(folder.with_name(f"{folder.name}.{CLOCK_NAME}"))) as agency:
        relax_collector()
        async with agency.serving(receive=False):
            if role == "publish":
                await publish(agency, stop, folder, arguments)
                await stop.wait()
            else:
                await agency.receive_into(DmsSink(int(str(arguments["dms"]))), stop)


def main() -> None:
    """Work; an error that ends it ends it with 1, as a supervisor would see."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.basicConfig(level=logging.ERROR)
    try:
        asyncio.run(work(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])))
    except DocbusError as error:
        sys.exit(f"{error.code}: {error.text}")


if __name__ == "__main__":
    main()
