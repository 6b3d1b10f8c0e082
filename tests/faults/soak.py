"""The soak: ``python -m tests.faults.soak --hours 8``. A publisher and a recipient run steadily, without faults.

What is looked for is what only shows after hours: memory that grows, a recipient that falls behind, an outbox that is
never emptied. Every sample is a line here and in a table, ``samples.csv`` in the folder of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from docbus.client.connect import started_transport
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.errors import DocbusError
from docbus.limits import MIB
from docbus.settings import KafkaServerSettings, load_settings
from docbus.transport import topics
from tests.faults.harness.agencies import id_of
from tests.faults.harness.check import rows
from tests.faults.harness.world import Process
from tests.support.kafka import free_ports, running_kafka

if TYPE_CHECKING:
    from docbus.transport.port import Transport

Points = list[tuple[float, float]]
"""Seconds and bytes."""

SENDER, RECIPIENT = "H26", "H37"
SAMPLE_SECONDS = 60.0
MIN_SAMPLES = 24
"""A short run takes its samples more often."""
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 60.0
"""After the last document is accepted, until everything is filed, committed and receipted."""
WARM_UP_SECONDS = 900.0
"""Until memory counts, or the first quarter of the run: SQLite's page caches, 8 MiB of each connection, fill first,
and the verifier's 65,536 tree nodes, 26 MiB, which takes a quarter of an hour at 75 documents a second."""
GROWTH_BYTES_PER_HOUR = 4 * MIB
"""What a process may grow by, by least squares, once it is warm: 96 MiB a day."""
NOISE_BYTES = 16 * MIB
"""What it may grow by besides, however short the run: half of what the allocator keeps (``running.KEPT_BYTES``)."""
LATE_RATIO = 1.15
"""Largest memory of the last quarter to that of the second: allocations of large content come and go."""


class Sample(NamedTuple):
    """One row of the table; sizes in bytes."""

    seconds: float
    accepted: int
    filed: int
    lag: int
    unreceived: int
    publisher_rss: int
    consumer_rss: int
    publisher_state: int
    consumer_state: int


class Soak:
    """One run: two processes of docbus, a system for documents, and who looks at them."""

    def __init__(self, folder: Path, bootstrap: str, *, rate: float, documents: int, seed: int) -> None:
        self.folder = folder
        bus = KafkaServerSettings(bootstrap=bootstrap, replication_factor=1)
        agencies = [(SENDER, "Hà Nội"), (RECIPIENT, "Lạng Sơn")]
        asyncio.run(found_exchange(folder, agencies, environment="soak", bus=bus, clock=SystemClock()))
        for code, _ in agencies:
            settings = folder / code / "docbus.toml"
            # Whoever only sends reads its receipts beside sending, as in an agency of several instances.
            settings.write_text(settings.read_text("utf-8") + "\n[inbox]\nshared = true\n", "utf-8")
        (port,) = free_ports(1)
        self.store = folder / "dms.db"
        given = {
            "seed": seed, "name": "P", "rate": rate, "first": 0, "last": documents, "recipients": (RECIPIENT,),
        }  # fmt: skip
        party = "tests.faults.harness.party"
        dms = ["tests.faults.harness.dms", str(port), str(self.store), str(folder / "mood")]
        self.system = Process("DMS", dms, folder / "dms.log")
        command = [party, "consume", str(folder / RECIPIENT), json.dumps({"dms": port})]
        self.consumer = Process("consumer", command, folder / "consumer.log", folder / RECIPIENT)
        command = [party, "publish", str(folder / SENDER), json.dumps(given)]
        self.publisher = Process("publisher", command, folder / "publisher.log", folder / SENDER)
        self.documents = documents
        self.samples: list[Sample] = []
        self._began = time.monotonic()

    @property
    def processes(self) -> list[Process]:
        """All of them, in the order in which they start."""
        return [self.system, self.consumer, self.publisher]

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    async def run(self, every: float, limit: float) -> bool:
        """Sample until everything is delivered; tell whether it is in time."""
        deadline: float | None = None
        with (self.folder / "samples.csv").open("w", newline="", encoding="ascii") as file:
            table = csv.writer(file)
            table.writerow(Sample._fields)
            async with started_transport(load_settings(self.folder / "auditor")) as transport:
                while True:
                    await asyncio.sleep(LOOK_SECONDS)
                    due = self.seconds >= every * (len(self.samples) + 1)
                    if not due and deadline is None and self.accepted() < self.documents:
                        if self.seconds > limit:
                            return False
                        continue
                    sample = await self._sample(transport)
                    if due:
                        self.samples.append(sample)
                        table.writerow(sample._replace(seconds=round(sample.seconds, 1)))
                        file.flush()
                        say(_line(sample))
                    if sample.accepted < self.documents:
                        continue
                    if deadline is None:
                        deadline = self.seconds + SETTLE_SECONDS
                    if sample.filed == self.documents and not sample.lag and not sample.unreceived:
                        say(_line(sample))
                        return True
                    if self.seconds > deadline:
                        return False

    def accepted(self) -> int:
        """Return how many documents were accepted."""
        noted = self.folder / f"{SENDER}.accepted"
        return int(noted.read_text("ascii")) if noted.exists() else 0

    async def _sample(self, transport: Transport) -> Sample:
        topic = topics.inbox(id_of(RECIPIENT))
        try:
            committed, bounds = await transport.committed(topic, topic), await transport.bounds(topic)
            lag = sum(end - max(committed.get(partition) or 0, first) for partition, (first, end) in bounds.items())
        except DocbusError:
            lag = -1
        sender, recipient = self.folder / SENDER, self.folder / RECIPIENT
        return Sample(
            self.seconds,
            self.accepted(),
            _count(self.store, "SELECT count(*) FROM document"),
            lag,
            _count(sender / "state.db", "SELECT count(*) FROM copy WHERE state NOT IN (3, 6)"),
            _rss(self.publisher),
            _rss(self.consumer),
            _size(sender),
            _size(recipient),
        )


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a command


def _line(sample: Sample) -> str:
    return (
        f"{sample.seconds:8.0f} s  {sample.accepted:10,} accepted  {sample.filed:10,} filed  lag {sample.lag:6,}"
        f"  not received {sample.unreceived:6,}"
        f"  memory {sample.publisher_rss / MIB:6.1f} {sample.consumer_rss / MIB:6.1f} MiB"
        f"  state {sample.publisher_state / MIB:8.1f} {sample.consumer_state / MIB:8.1f} MiB"
    )


def _count(database: Path, query: str) -> int:
    try:
        return int(rows(database, query)[0][0])
    except sqlite3.Error:
        return -1


def _rss(process: Process) -> int:
    if process.pid is None:
        return 0
    pages = int(Path(f"/proc/{process.pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("state.db*"))


def slope(points: Points) -> float:
    """Return the slope of the line of least squares; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    x0, y0 = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    below = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / below if below else 0.0


def warm(points: Points) -> Points:
    """Return the points after the warm-up."""
    begin = max(WARM_UP_SECONDS, points[-1][0] / 4)
    return [point for point in points if point[0] >= begin]


def grows(steady: Points) -> str:
    """Tell in what way memory grows, or nothing.

    Args:
        steady: Seconds and bytes after the warm-up, the three last quarters of the run.
    """
    seconds = steady[-1][0] - steady[0][0]
    growth = slope(steady) * seconds
    if growth > NOISE_BYTES + GROWTH_BYTES_PER_HOUR * seconds / 3600:
        return f"grows by {growth / MIB:.1f} MiB in {seconds / 3600:.2f} h"
    third = len(steady) // 3
    second, last = (max(size for _, size in part) for part in (steady[:third], steady[-third:]))
    if last > second * LATE_RATIO and last - second > NOISE_BYTES:
        return f"has {last / MIB:.1f} MiB in the last quarter, {second / MIB:.1f} in the second"
    return ""


def verdict(soak: Soak, *, delivered: bool) -> list[str]:
    """Return everything that is wrong."""
    wrong = [] if delivered else [f"not everything is delivered {SETTLE_SECONDS:.0f} s after the last document"]
    wrong += [f"the {one.name} ended, see {one.log}" for one in soak.processes if one.starts > 1 or one.pid is None]
    for name in ("publisher", "consumer"):
        steady = warm([(one.seconds, float(getattr(one, f"{name}_rss"))) for one in soak.samples])
        if len(steady) < MIN_SAMPLES // 2:
            say(f"memory of the {name} is not judged: {len(steady)} samples after {WARM_UP_SECONDS:.0f} s of warm-up")
            continue
        say(f"memory of the {name}: {slope(steady) * 3600 / MIB:+.1f} MiB an hour after the warm-up")
        if why := grows(steady):
            wrong.append(f"memory of the {name} {why}")
    return wrong


def main(argv: list[str] | None = None) -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=75.0, help="documents a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="run-")).absolute()
    seconds = arguments.hours * 3600
    documents = max(1, int(seconds * arguments.rate))
    say(f"{documents:,} documents in {arguments.hours:g} h, in {folder}")
    with running_kafka(folder / "kafka") as bootstrap:
        soak = Soak(folder, bootstrap, rate=arguments.rate, documents=documents, seed=arguments.seed)
        for process in soak.processes:
            process.start()
        try:
            delivered = asyncio.run(soak.run(min(SAMPLE_SECONDS, seconds / MIN_SAMPLES), 2 * seconds + SETTLE_SECONDS))
            wrong = verdict(soak, delivered=delivered)
        finally:
            for process in reversed(soak.processes):
                process.end()
    for one in wrong:
        say(f"  ✗ {one}")
    say("VIOLATED" if wrong else "steady: nothing grows that is judged, nothing left behind, nothing missing")
    if not wrong:
        shutil.copy2(folder / "samples.csv", arguments.folder / "samples.csv")
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
