"""A real Apache Kafka for tests and benchmarks: one node with the settings of ``compose.yaml``, on free ports.

The broker ends with the block that started it, by its own process id. Should this process be killed, a watchdog that
waits for the end of a pipe ends the broker.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import jars
from tests.support.compose import NODE_LOCAL, shipped_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LOG4J = jars.POM.with_name("log4j2.properties")
SMALL_JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Starts in 4 seconds and takes 340 MB; enough for tests."""
FAST_JVM = ("-Xms512m", "-Xmx1g", "-XX:+UseSerialGC")
"""With the optimising compiler: for benchmarks."""
STARTED = "Kafka Server started"
FORMAT_SECONDS = 60.0
"""Formatting the storage takes 1.3 seconds on two idle cores."""
START_SECONDS = 90.0
"""A start takes 4.4 seconds on two idle cores."""
STOP_SECONDS = 20.0
"""Until a broker that does not stop is killed."""
ATTEMPTS = 3
"""Starts: a port that was free when it was picked may be taken before the broker has it."""
LOOK_SECONDS = 0.1
"""Between two looks into the log of a starting broker."""


class KafkaFailedError(Exception):
    """The broker did not start; the text ends with its log."""


class _PortTakenError(Exception):
    pass


@contextmanager
def running_kafka(
    folder: Path,
    *,
    java_options: Sequence[str] = SMALL_JVM,
    secured: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda settings: settings,
) -> Iterator[str]:
    """Run a broker for the length of the block and yield its bootstrap address.

    Args:
        folder: In which a folder of its own holds data and log as long as it runs; made if missing.
        java_options: Heap and compiler, ``SMALL_JVM`` or ``FAST_JVM``.
        secured: Gets the settings, and returns them with TLS and an authorizer.

    Raises:
        KafkaMissingError: This machine has no Java or no Maven.
        KafkaFailedError: The broker did not start in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [jars.java(), *java_options, f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{jars.jars()}/*"]
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder, prefix="node-") as name:
            home = Path(name)
            bootstrap, settings = settings_of_node(home)
            settings = secured(settings)
            file = home / "server.properties"
            file.write_text("".join(f"{key}={value}\n" for key, value in sorted(settings.items())), "utf-8")
            format_storage(command, file, new_cluster_id())
            with _process([*command, "kafka.Kafka", str(file)], home / "kafka.log") as process:
                try:
                    _wait(process, home / "kafka.log")
                except _PortTakenError:
                    continue
                yield bootstrap
                return
    raise KafkaFailedError(f"no free ports for a broker in {ATTEMPTS} attempts")


def settings_of_node(home: Path) -> tuple[str, Mapping[str, str]]:
    """Return the bootstrap address and the settings: those shipped, but for ports and folders."""
    broker, controller = free_ports(2)
    local = {
        "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "log.dirs": str(home / "data"),
    }
    assert local.keys() == NODE_LOCAL, "compose.py says what a test broker may change"
    return f"127.0.0.1:{broker}", shipped_settings() | local


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def new_cluster_id() -> str:
    """Return an id as Kafka wants it."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def format_storage(command: Sequence[str], file: Path, cluster: str) -> None:
    """Prepare a node's storage.

    Raises:
        KafkaFailedError: It could not be prepared.
    """
    done = subprocess.run(
        # The form with "=": an id may begin with a hyphen.
        [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=FORMAT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise KafkaFailedError(f"the broker's storage could not be formatted:\n{done.stdout[-2000:]}")


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the broker, and the watchdog that ends it should this process be killed."""
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for the tests, which then stop the broker in order.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", 'cat >/dev/null; kill -KILL "$1"', "watchdog", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Before its pipe ends: the process id it was told may belong to another by then.
        watchdog.kill()
        watchdog.communicate()


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the broker serves."""
    text = ""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        text = log.read_text("utf-8", errors="replace")
        if STARTED in text:
            return
        if ended and "Address already in use" in text:
            raise _PortTakenError
        if ended:
            raise KafkaFailedError(f"the broker ended with exit code {process.returncode}:\n{text[-4000:]}")
        time.sleep(LOOK_SECONDS)
    raise KafkaFailedError(f"the broker did not start within {START_SECONDS:.0f} s:\n{text[-4000:]}")
