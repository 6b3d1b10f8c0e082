"""Three real Apache Kafka nodes, each broker and controller, reached by clients through proxies that can fail."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.faults.harness.proxy import Proxies
from tests.support import jars
from tests.support.compose import shipped_settings
from tests.support.kafka import LOG4J, START_SECONDS, STARTED, format_storage, free_ports, new_cluster_id

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

NODES = 3
JVM = ("-Xms192m", "-Xmx448m", "-XX:+UseSerialGC")
LOOK_SECONDS = 0.2
REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "unclean.leader.election.enable": "false",
    "replica.lag.time.max.ms": "5000",
    # So that a broker that was killed has little to look through, and is back before the next one goes.
    "log.segment.bytes": str(128 * 1024 * 1024),
    "broker.session.timeout.ms": "6000",
    "inter.broker.listener.name": "INSIDE",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
}


_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""


def die_with_parent() -> None:
    """Ask, in a new process, to be killed when the harness ends, also when it is killed itself; Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    """One broker's process."""

    def __init__(self, number: int, home: Path, settings: dict[str, str]) -> None:
        self.number = number
        self._home = home
        self._file = home / "server.properties"
        self._file.write_text("".join(f"{key}={value}\n" for key, value in sorted(settings.items())), "utf-8")
        self._command = [jars.java(), *JVM, f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{jars.jars()}/*"]
        self.process: subprocess.Popen[bytes] | None = None

    def format(self, cluster: str) -> None:
        """Prepare the storage."""
        format_storage(self._command, self._file, cluster)

    def start(self) -> None:
        """Start the process; serving takes some seconds."""
        with (self._home / "kafka.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*self._command, "kafka.Kafka", str(self._file)],
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the harness has no other threads that hold locks
            )

    def wait(self) -> None:
        """Wait until it serves for the first time."""
        deadline = time.monotonic() + START_SECONDS
        while STARTED not in (self._home / "kafka.log").read_text("utf-8", errors="replace"):
            if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"broker {self.number} did not start, see {self._home / 'kafka.log'}")
            time.sleep(LOOK_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


class Cluster:
    """The nodes and their proxies."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(6 * NODES)
        brokers, inside, controllers, outside, between, quorum = (ports[at::6] for at in range(6))
        voters = ",".join(f"{n + 1}@127.0.0.1:{quorum[n]}" for n in range(NODES))
        told = [
            f"INSIDE://127.0.0.1:{between[n]},PLAINTEXT://127.0.0.1:{outside[n]},CONTROLLER://127.0.0.1:{quorum[n]}"
            for n in range(NODES)
        ]
        self.nodes: list[Node] = []
        for n in range(NODES):
            home = folder / f"broker-{n + 1}"
            home.mkdir(parents=True)
            listeners = f"INSIDE://127.0.0.1:{inside[n]},PLAINTEXT://127.0.0.1:{brokers[n]}"
            own = {
                "node.id": str(n + 1),
                "controller.quorum.voters": voters,
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controllers[n]}",
                # What clients and other nodes are told to connect to are the proxies.
                "advertised.listeners": told[n],
                "log.dirs": str(home / "data"),
            }
            self.nodes.append(Node(n + 1, home, shipped_settings() | REPLICATED | own))
        self.outside = outside
        """Ports of the proxies through which clients reach each node."""
        self.between = list(zip(between, quorum, strict=True))
        """Of those through which other nodes reach each node's broker and its controller."""
        self.proxies = Proxies(dict(zip([*outside, *between, *quorum], [*brokers, *inside, *controllers], strict=True)))
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in outside)

    def __enter__(self) -> Self:
        """Format and start everything."""
        cluster = new_cluster_id()
        for node in self.nodes:
            node.format(cluster)
        try:
            self.proxies.start()
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kill everything."""
        self.proxies.close()
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.kill()
