"""Everything that a run consists of: cluster, agencies with their folders, systems and processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.settings import KafkaServerSettings
from tests.faults.harness.agencies import ENVIRONMENT, NAMES, RECIPIENTS, SENDER
from tests.faults.harness.attack import Attacker
from tests.faults.harness.cluster import Cluster, die_with_parent
from tests.faults.harness.disks import Disk, NoDisksError
from tests.support.kafka import free_ports
from tests.support.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

INSTANCES = 2
RESTART_SECONDS = 1.0
"""Until whoever supervises starts a process again."""


class Process:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, command: list[str], log: Path, folder: Path | None = None) -> None:
        self.name = name
        self.folder = folder
        self._command = [sys.executable, "-m", *command]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at = 0.0
        self.stopped = False
        self.starts = 0
        self.unasked = 0

    @property
    def pid(self) -> int | None:
        """Of the process that runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the harness has no other threads that hold locks
            )
        self.starts += 1
        self._ended_at = 0.0

    def look(self) -> None:
        """Start it again if it has ended, after a while."""
        if self.pid is not None:
            return
        now = time.monotonic()
        if not self._ended_at:
            self._ended_at = now
            if self._process is not None and self._process.returncode != -signal.SIGKILL:
                self.unasked += 1
        elif now - self._ended_at >= RESTART_SECONDS:
            self.start()

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
        self.stopped = number == signal.SIGSTOP or (self.stopped and number != signal.SIGCONT)

    def end(self) -> None:
        """Let it end in order, or kill it."""
        self.signal(signal.SIGCONT)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class World:
    """A run's folders and processes."""

    def __init__(self, folder: Path, *, seed: int, documents: int, rate: float) -> None:
        self.folder = folder
        self.seed = seed
        self.documents = documents
        self._rate = rate
        self.genesis = ""
        self.cluster = Cluster(folder / "kafka")
        self.bus = KafkaServerSettings(bootstrap=self.cluster.bootstrap, replication_factor=3)
        self.publishers: list[Process] = []
        self.consumers: list[Process] = []
        self.systems: list[Process] = []
        self.disks: dict[Path, Disk] = {}
        self.without_disks = ""
        """Why there are none, if so."""
        self.effects: Counter[str] = Counter()
        """What is known to have come of faults."""
        self.attacker = Attacker(self)

    @property
    def processes(self) -> list[Process]:
        """All that are started again when they end."""
        return [*self.systems, *self.consumers, *self.publishers]

    def found(self) -> None:
        """Found the exchange, once the cluster runs, and describe the processes."""
        agencies = list(NAMES.items())
        self.genesis = asyncio.run(
            found_exchange(self.folder, agencies, environment=ENVIRONMENT, bus=self.bus, clock=SystemClock())
        )
        logs = self.folder / "logs"
        logs.mkdir()
        each = self.documents // INSTANCES
        for n, folder in enumerate(self._instances(SENDER)):
            name = f"P{n}"
            arguments = {
                "seed": self.seed,
                "name": name,
                "rate": self._rate / INSTANCES,
                "first": n * each,
                "last": (n + 1) * each,
                "recipients": RECIPIENTS,
            }
            command = ["tests.faults.harness.party", "publish", str(folder), json.dumps(arguments)]
            self.publishers.append(Process(f"publisher {name}", command, logs / f"{name}.log", folder))
        for code, port in zip(RECIPIENTS, free_ports(len(RECIPIENTS)), strict=True):
            store, mood = self.folder / f"{code}.dms.db", self.folder / f"{code}.mood"
            command = ["tests.faults.harness.dms", str(port), str(store), str(mood)]
            self.systems.append(Process(f"DMS of {code}", command, logs / f"{code}.dms.log"))
            for n, folder in enumerate(self._instances(code)):
                command = ["tests.faults.harness.party", "consume", str(folder), json.dumps({"dms": port})]
                self.consumers.append(Process(f"consumer {code}.{n}", command, logs / f"{code}.{n}.log", folder))

    def _instances(self, code: str) -> list[Path]:
        """Return the folders of an agency's instances: the one that was founded, and copies of it."""
        founded = (self.folder / code).rename(self.folder / f"{code}.founded")
        settings = founded / "docbus.toml"
        settings.write_text(settings.read_text("utf-8") + "\n[inbox]\nshared = true\n", "utf-8")
        folders = [self.folder / f"{code}.{n}" for n in range(INSTANCES)]
        for folder in folders:
            folder.mkdir()
            disk = Disk(folder)
            try:
                disk.mount()
            except NoDisksError as error:
                self.without_disks = str(error)
            else:
                self.disks[folder] = disk
            shutil.copytree(founded, folder, dirs_exist_ok=True)
        return folders

    def start(self) -> None:
        """Start all processes."""
        for process in self.processes:
            process.start()

    def heal(self) -> None:
        """Take every fault away."""
        for disk in self.disks.values():
            disk.empty()
        for port in self.cluster.proxies.ports:
            self.cluster.proxies.set(port, "pass")
        for node in self.cluster.nodes:
            node.signal(signal.SIGCONT)
            if node.process is None or node.process.poll() is not None:
                node.start()
        for process in self.processes:
            process.signal(signal.SIGCONT)
        for code in RECIPIENTS:
            (self.folder / f"{code}.mood").write_text("ok", "ascii")
        for path in self.folder.glob("*.clock"):
            path.unlink()

    def end(self) -> None:
        """End all processes in order."""
        for process in [*self.publishers, *self.consumers, *self.systems]:
            process.end()

    def unmount(self, *, keep: bool) -> None:
        """Take the disks away; what is kept of them are their databases."""
        for disk in self.disks.values():
            disk.unmount(keep=keep)
