"""An installation that has all it needs, and brokers that refuse what a test says."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from docbus.client.agency import Agency
from docbus.client.connect import open_registrar
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings
from docbus.transport.sqlite import SqliteTransport

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from docbus.client.doctor.diagnosis import Diagnosis
    from docbus.transport.port import Difference, Record, TopicSpec

HANOI, TAYNINH = "H26", "000.00.00.H53"
AGENCIES = ((HANOI, "Hà Nội"), (TAYNINH, "Tây Ninh"))
ENVIRONMENT = "test"


async def found_installation(folder: Path) -> None:
    """Found an exchange whose registrar beats, and let the first agency have worked in its folder."""
    bus = EmbeddedSettings(file=folder / "bus.db")
    clock = SystemClock()
    await found_exchange(folder, AGENCIES, environment=ENVIRONMENT, bus=bus, clock=clock)
    async with open_registrar(folder / "registrar", clock=clock, beating=True) as registrar:
        await registrar.heartbeat()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Agency.open(folder / HANOI))


def put_on_kafka(folder: Path, *, user: str = "h26") -> None:
    """Let a folder's settings name Kafka in place of the embedded bus."""
    path = folder / "docbus.toml"
    kafka = (
        '[kafka]\nbootstrap = "broker1:9092"\n'
        f'tls = true\nsasl_mechanism = "PLAIN"\nsasl_username = "{user}"\nsasl_password = "secret"\n'
    )
    tables = path.read_text("utf-8").split("\n\n")
    path.write_text("\n\n".join(kafka if t.startswith("[embedded]") else t for t in tables) + "\n", "utf-8")


def by_name(found: Sequence[Diagnosis]) -> dict[str, Diagnosis]:
    """Return what was found by the names of the checks, each of which there is once."""
    named = {one.check: one for one in found}
    assert len(named) == len(found)
    return named


class Brokers(SqliteTransport):
    """A bus that raises where it is told to.

    Args:
        path: Its file.
        start: Raised by starting.
        topics: Raised when a topic is looked at.
        compare: Raised when configurations are asked for.
        group: Raised when a group is asked about.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: Exception | None = None,
        topics: Mapping[str, Exception] | None = None,
        compare: Exception | None = None,
        group: Exception | None = None,
    ) -> None:
        super().__init__(path)
        self._start = start
        self._refused = dict(topics or {})
        self._compare = compare
        self._group = group
        self.waits: dict[str, float] = {}

    async def start(self) -> None:
        if self._start is not None:
            raise self._start
        await super().start()

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        if topic in self._refused:
            raise self._refused[topic]
        return await super().bounds(topic)

    async def read(self, topic: str, partition: int, offset: int, *, wait: float, **bounds: Any) -> list[Record]:
        self.waits[topic] = wait
        return await super().read(topic, partition, offset, wait=0.0, **bounds)

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        if self._group is not None:
            raise self._group
        return await super().committed(group, topic)

    async def compare(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        if self._compare is not None:
            raise self._compare
        return await super().compare(specs)


def refusing(error: type[Exception], topics: Collection[str]) -> dict[str, Exception]:
    """Return an error for each topic."""
    return {topic: error(f"reading {topic}: no") for topic in topics}
