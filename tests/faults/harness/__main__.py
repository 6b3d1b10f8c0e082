"""The harness: ``python -m tests.faults.harness --documents 20000 --faults 100 --seed 1``, see the README beside it."""

from __future__ import annotations

import argparse
import asyncio
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
from tests.faults.harness import check
from tests.faults.harness.schedule import brokers_last, faults_of, inflict
from tests.faults.harness.world import RECIPIENTS, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.harness.schedule import Fault

TICK_SECONDS = 0.1
SAMPLE_SECONDS = 5.0
REPORT_SECONDS = 20.0
BROKER_REST_SECONDS = 6.0
"""Seconds between two faults of brokers, in which replicas catch up."""


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
        self._waiting = list(brokers_last(faults))
        self._active: list[tuple[float, str, Callable[[], None]]] = []
        self._broker_from = 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    async def run(self) -> bool:
        """Inflict everything, heal, and wait until everything is delivered; tell whether it is."""
        async with started_transport(load_settings(self.world.folder / "auditor")) as transport:
            sampled = reported = 0.0
            deadline: float | None = None
            while True:
                await asyncio.sleep(TICK_SECONDS)
                for process in self.world.processes:
                    process.look()
                self._heal_due()
                self._inflict_due()
                if self.seconds - sampled >= SAMPLE_SECONDS:
                    sampled = self.seconds
                    try:
                        async with asyncio.timeout(SAMPLE_SECONDS):
                            await self.sampler.look(transport)
                    except (DocbusError, TimeoutError, sqlite3.Error):
                        pass
                filed, wanted = self._filed(), self._wanted()
                if self.seconds - reported >= REPORT_SECONDS:
                    reported = self.seconds
                    say(f"{self.seconds:6.0f} s  {sum(self.done.values()):5} faults  {filed:9,} of {wanted:,} filed")
                if not self._waiting and not self._active:
                    if deadline is None:
                        self.world.heal()
                        deadline = self.seconds + self._drain_seconds
                    if filed >= wanted and not self._unanswered():
                        return True
                    if self.seconds > deadline:
                        return False

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

    def _filed(self) -> int:
        total = 0
        for code in RECIPIENTS:
            try:
                total += check.rows(self.world.folder / f"{code}.dms.db", "SELECT count(*) FROM document")[0][0] or 0
            except sqlite3.Error:
                continue
        return total

    def _wanted(self) -> int:
        """Return how many copies all documents make."""
        documents = self.world.documents // len(self.world.publishers) * len(self.world.publishers)
        return documents + (documents + 19) // 20 * (len(RECIPIENTS) - 1)

    def _unanswered(self) -> bool:
        return bool(check.check_outboxes(self.world))


def report(run: Run, accepted: check.Accepted, found: dict[str, list[str]], arguments: argparse.Namespace) -> bool:
    """Print what was done and what holds; tell whether everything does."""
    say("")
    for kind, count in sorted(run.done.items()):
        say(f"  {count:5}  {kind}")
    restarts = sum(process.starts - 1 for process in run.world.processes)
    unasked = sum(process.unasked for process in run.world.processes)
    say(f"{sum(run.done.values())} faults, {accepted.documents:,} documents accepted, in {run.seconds:.0f} s;")
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
    parser.add_argument("--drain", type=float, default=300.0, help="seconds for everything to arrive once healed")
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
        accepted = check.Accepted(world)
        found = {
            "everything arrived in time": [] if delivered else ["something is still under way"],
            "1 accepted is filed once, byte for byte, in order": check.check_filed(world, accepted),
            "2, 3 filed was verified, receipted is filed": asyncio.run(check.check_wire(world)),
            "4 committed only what is decided": run.sampler.wrong,
            "5 nothing reported that was not": check.check_findings(world),
            "6 outboxes are empty": check.check_outboxes(world),
        }
    holds = report(run, accepted, found, arguments)
    if holds and "KEEP" not in os.environ:
        shutil.rmtree(folder)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
