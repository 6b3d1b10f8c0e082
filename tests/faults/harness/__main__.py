"""The harness: ``python -m tests.faults.harness --documents 20000 --faults 100 --seed 1``, see the README beside it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.client.connect import started_transport
from docbus.errors import DocbusError
from docbus.settings import load_settings
from tests.faults.harness import check, disks, proxy
from tests.faults.harness.agencies import RECIPIENTS
from tests.faults.harness.schedule import faults_of, inflict, prolonged
from tests.faults.harness.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docbus.transport.port import Transport
    from tests.faults.harness.schedule import Fault

TICK_SECONDS = 0.1
FILED_SECONDS = 1.0
"""Between two looks at how much is filed; each reads only what has come since the one before."""
SAMPLE_SECONDS = 5.0
REPORT_SECONDS = 20.0
BROKER_REST_SECONDS = 6.0
"""Seconds between two faults of brokers, in which replicas catch up."""


_ARRIVED = """
SELECT count(*) FILTER (WHERE document_id LIKE 'P%'), coalesce(max(arrival), {0}) FROM document WHERE arrival > {0}
"""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a command


class Run:
    """One run of the harness."""

    def __init__(self, world: World, faults: list[Fault], *, drain_seconds: float) -> None:
        self.world = world
        self.sampler = check.Sampler(world)
        self.done: Counter[str] = Counter()
        self._drain_seconds = drain_seconds
        self._waiting = list(prolonged(faults))
        self._active: list[tuple[float, str, Callable[[], None]]] = []
        self._broker_from = 0.0
        self._began = time.monotonic()
        self._filed = dict.fromkeys(RECIPIENTS, (0, 0))
        self.delivered_after = 0.0
        """Seconds until the last copy was filed."""

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    async def run(self) -> bool:
        """Inflict everything, heal, and wait until everything is delivered; tell whether it is."""
        async with started_transport(load_settings(self.world.folder / "auditor")) as transport:
            attacking = asyncio.create_task(self.world.attacker.run(transport))
            try:
                return await self._run(transport, attacking)
            finally:
                attacking.cancel()
                await asyncio.wait({attacking})

    async def _run(self, transport: Transport, attacking: asyncio.Task[None]) -> bool:
        wanted = self._wanted()
        sampled = reported = looked = progress = 0.0
        filed, healed = 0, False
        while not attacking.done():
            await asyncio.sleep(TICK_SECONDS)
            self._tick()
            if self.seconds - sampled >= SAMPLE_SECONDS:
                sampled = self.seconds
                await self._sample(transport)
            if self.seconds - looked < FILED_SECONDS:
                continue
            looked, before = self.seconds, filed
            filed = self._count()
            if filed > before:
                progress = self.delivered_after = self.seconds
            if self.seconds - reported >= REPORT_SECONDS:
                reported = self.seconds
                say(f"{self.seconds:6.0f} s  {sum(self.done.values()):5} faults  {filed:9,} of {wanted:,} filed")
            if self._waiting or self._active or not self.world.attacker.idle:
                continue
            if not healed:
                self.world.heal()
                healed, progress = True, self.seconds
            if filed >= wanted and await self._settled(transport):
                return True
            if self.seconds - progress > self._drain_seconds:
                return False
        attacking.result()
        return False

    def _tick(self) -> None:
        for process in self.world.processes:
            process.look()
        self._heal_due()
        self._inflict_due()

    async def _sample(self, transport: Transport) -> None:
        try:
            async with asyncio.timeout(SAMPLE_SECONDS):
                await self.sampler.look(transport)
        except (DocbusError, TimeoutError, sqlite3.Error):
            pass

    def _heal_due(self) -> None:
        for one in [one for one in self._active if one[0] <= self.seconds]:
            one[2]()
            self._active.remove(one)
            if one[1].endswith("broker"):
                self._broker_from = self.seconds + BROKER_REST_SECONDS

    def _inflict_due(self) -> None:
        for fault in [one for one in self._waiting if one.at <= self.seconds]:
            broker = fault.kind.endswith("broker")
            if broker and (self.seconds < self._broker_from or any(k.endswith("broker") for _, k, _ in self._active)):
                continue
            self._waiting.remove(fault)
            taken_away = inflict(self.world, fault)
            self.done[fault.kind] += 1
            if taken_away is not None:
                self._active.append((self.seconds + fault.lasts, fault.kind, taken_away))

    def _count(self) -> int:
        """Return how many copies are filed; rows are never removed, so only new ones are counted."""
        for code, (filed, arrival) in self._filed.items():
            query = _ARRIVED.format(arrival)
            with contextlib.suppress(sqlite3.Error):
                ((more, last),) = check.rows(self.world.folder / f"{code}.dms.db", query)
                self._filed[code] = filed + more, last
        return sum(filed for filed, _ in self._filed.values())

    def _wanted(self) -> int:
        """Return how many copies all documents make."""
        documents = self.world.documents // len(self.world.publishers) * len(self.world.publishers)
        return documents + (documents + 19) // 20 * (len(RECIPIENTS) - 1)

    async def _settled(self, transport: Transport) -> bool:
        """Tell whether everything is receipted, and everything in the inboxes decided."""
        try:
            async with asyncio.timeout(SAMPLE_SECONDS):
                return (
                    await check.check_lag(transport)
                    and check.check_answers(self.world)
                    and not check.check_outboxes(self.world)
                )
        except (DocbusError, TimeoutError, sqlite3.Error):
            return False


def effects_of(world: World, wire: check.Wire) -> Iterator[tuple[int, str]]:
    """Yield what is known to have come of faults: how often, and what."""
    counts = world.cluster.proxies.counts
    between = [port for pair in world.cluster.between for port in pair]
    for who, ports in (("clients", world.cluster.outside), ("brokers", between)):
        for mode, what in ((proxy.CUT, "reset or refused"), (proxy.STALL, "held up"), (proxy.DELAY, "passed late")):
            yield sum(counts.get(port, {}).get(mode, 0) for port in ports), f"connections of {who} {what}"
    for what, count in sorted(world.effects.items()):
        yield count, what
    inboxes = wire.inboxes.values()
    yield sum(len(inbox.aside) for inbox in inboxes), "records in the inboxes that belong into quarantine"
    yield sum(inbox.duplicates.total() for inbox in inboxes), "records that came before"
    yield sum(len(inbox.findings) - len(inbox.holes) for inbox in inboxes), "forks"
    yield sum(len(inbox.holes) for inbox in inboxes), "holes"


def report(
    run: Run, accepted: check.Accepted, wire: check.Wire, found: dict[str, list[str]], arguments: argparse.Namespace
) -> bool:
    """Print what was done and what holds; tell whether everything does."""
    say("")
    for kind, count in sorted(run.done.items()):
        say(f"  {count:5}  {kind}")
    say("of which came")
    for number, what in effects_of(run.world, wire):
        say(f"  {number:5}  {what}")
    if run.world.without_disks:
        say(f"  no disk was filled, as none can be mounted: {run.world.without_disks}")
    restarts = sum(process.starts - 1 for process in run.world.processes)
    unasked = sum(process.unasked for process in run.world.processes)
    rate = accepted.documents / max(run.delivered_after, 1.0)
    say(
        f"{sum(run.done.values())} faults, {accepted.documents:,} documents accepted, the last filed after"
        f" {run.delivered_after:.0f} s, {rate:.0f} a second;"
    )
    say(
        f"{restarts} processes started again, of which {unasked} had ended by themselves; {run.sampler.samples} samples"
    )
    for what, wrong in found.items():
        say(f"  {'✗' if wrong else '✓'} {what}" + (f": {len(wrong):,} violations" if wrong else ""))
        for one in wrong[: check.SHOWN]:
            say(f"      {one}")
    holds = not any(found.values())
    say("every invariant holds" if holds else "VIOLATED")
    say(
        f"repeat: python -m tests.faults.harness --documents {arguments.documents} --faults {arguments.faults}"
        f" --seed {arguments.seed} --spacing {arguments.spacing} --rate {arguments.rate}"
    )
    return holds


def main(argv: list[str] | None = None) -> int:
    """Run the harness."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--spacing", type=float, default=2.0, help="seconds between two faults, on the average")
    parser.add_argument("--rate", type=float, default=400.0, help="documents published a second, at most")
    parser.add_argument(
        "--drain",
        type=float,
        default=300.0,
        help="seconds without progress, once healed, until it has failed",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/faults"))
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="run-")).absolute()
    say(f"seed {arguments.seed}, in {folder}")
    world = World(folder, seed=arguments.seed, documents=arguments.documents, rate=arguments.rate)
    with world.cluster:
        world.found()
        world.start()
        faults = faults_of(arguments.seed, arguments.faults, arguments.spacing)
        run = Run(world, faults, drain_seconds=arguments.drain)
        try:
            delivered = asyncio.run(run.run())
        finally:
            world.heal()
            world.end()
        say(f"{run.seconds:6.0f} s  checking")
        accepted, wire = check.Accepted(world), check.Wire(world)
        read, aside = asyncio.run(wire.check())
        found = {
            "everything arrived in time": [] if delivered else ["something is still under way"],
            "1 accepted is filed once, byte for byte, in order": check.check_filed(world, wire.expected(accepted)),
            "2, 3 filed was verified, receipted is filed": read,
            "4 committed only what is decided": run.sampler.wrong,
            "5 reported is what there was, and all of it": aside + check.check_findings(world, wire),
            "6 outboxes are empty": check.check_outboxes(world),
        }
    holds = report(run, accepted, wire, found, arguments)
    world.unmount(keep=not holds or "KEEP" in os.environ)
    if holds and "KEEP" not in os.environ:
        shutil.rmtree(folder)
    return 0 if holds else 1


if __name__ == "__main__":
    with contextlib.suppress(disks.NoDisksError):
        disks.enter_namespace()
    sys.exit(main())
