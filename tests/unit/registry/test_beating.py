"""The registrar's heart."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.errors import BrokerUnavailableError, DirectoryError, TopicMissingError
from docbus.registry.beating import HEARTBEAT_MS, LOOK_SECONDS, RETRY_SECONDS, keep_beating
from docbus.registry.follow import fetch_directory
from docbus.registry.publish import Registrar
from tests.support.bus import found_bus
from tests.support.directory import ENVIRONMENT, make_keys, make_registrar_signer
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from docbus.transport.sqlite import SqliteTransport

BOUND = 20.0
"""Seconds within which anything here happens, if it happens at all."""


class Heart:
    """A registrar that beats until told so many waits; waiting lets time pass at once.

    Attributes:
        waits: How long it wanted to wait, in seconds.
        failures: Errors that connecting ends in, the first first.
        between: Called at each wait.
    """

    def __init__(self, transport: SqliteTransport, registrar: Registrar, clock: FakeClock) -> None:
        self._transport = transport
        self.registrar = registrar
        self._clock = clock
        self.waits: list[float] = []
        self.failures: list[Exception] = []
        self.between: Callable[[], object] = lambda: None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Registrar]:
        """Connect, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        yield self.registrar

    async def beat(self, waits: int) -> list[str]:
        """Beat until it has waited so often, and return what it logged."""
        stop, end = asyncio.Event(), len(self.waits) + waits

        async def wait(_stop: asyncio.Event, seconds: float) -> None:
            self.waits.append(seconds)
            self._clock.advance(seconds)
            found = self.between()
            if asyncio.iscoroutine(found):
                await found
            if len(self.waits) == end:
                stop.set()

        with capture_logs() as lines:
            async with asyncio.timeout(BOUND):
                await keep_beating(self.opened, stop, clock=self._clock, wait=wait)
        return [line["event"] for line in lines if line["event"].startswith("heartbeat")]

    async def position(self) -> int:
        """Return the position of the last entry."""
        snapshot, _ = await fetch_directory(self._transport, self.registrar.genesis)
        return snapshot.position


@pytest.fixture
async def heart(tmp_path: Path) -> AsyncIterator[Heart]:
    """Return the heart of a new directory's registrar."""
    clock = FakeClock()
    async with found_bus(tmp_path / "bus.db", directory=False) as transport:
        registrar = await Registrar.init(
            transport, [make_registrar_signer()], environment=ENVIRONMENT, registrar="Registrar", clock=clock
        )
        yield Heart(transport, registrar, clock)


EACH = round(HEARTBEAT_MS / 1000 / LOOK_SECONDS)
"""Waits between two heartbeats."""


async def test_first_heartbeat_comes_at_once_and_the_others_every_few_minutes(heart: Heart) -> None:
    """The directory is beating as soon as the heart does, and each later beat five minutes after the last."""
    assert ["heartbeat"] == await heart.beat(1)
    assert [] == await heart.beat(EACH - 1)
    assert ["heartbeat"] * 3 == await heart.beat(2 * EACH + 1)
    assert 4 == await heart.position()
    assert LOOK_SECONDS == max(heart.waits)


async def test_every_entry_counts_as_a_heartbeat(heart: Heart) -> None:
    """Where something else is published, no heartbeat is signed before that is five minutes old."""
    await heart.beat(EACH - 1)
    await heart.registrar.grant(make_keys("vn:H26").join_request(heart.registrar.genesis))

    assert [] == await heart.beat(EACH - 1)
    assert ["heartbeat"] == await heart.beat(2)


async def test_brokers_that_are_away_are_waited_for(heart: Heart) -> None:
    """It tries again for ever, says once that it cannot beat, and once that it does again."""
    heart.failures = [BrokerUnavailableError("away")] * 3

    assert ["heartbeat_failed", "heartbeat", "heartbeat_again"] == await heart.beat(4)
    assert [RETRY_SECONDS] * 3 == heart.waits[:3]


async def test_what_does_not_heal_ends_it(heart: Heart) -> None:
    """A topic that is not there needs a person, and no heart that beats on in vain."""
    heart.failures = [TopicMissingError("no topic")]

    with pytest.raises(TopicMissingError):
        await heart.beat(1)


async def test_race_that_is_lost_is_no_failure(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that came first is the sign of life, and the heart goes on."""
    beat = heart.registrar.heartbeat

    async def lost(_token: object = None) -> None:
        await beat()
        raise DirectoryError("another registrar published directory entry 1 first; this one is without effect")

    monkeypatch.setattr(heart.registrar, "heartbeat", lost)

    assert [] == await heart.beat(2)
    assert 1 == await heart.position()


async def test_brokers_that_lie_end_it(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that was acknowledged and is not shown is nothing to go on after."""

    async def vanished(_token: object = None) -> None:
        raise DirectoryError("directory entry 1 was acknowledged by the brokers, but they do not show it")

    monkeypatch.setattr(heart.registrar, "heartbeat", vanished)

    with pytest.raises(DirectoryError, match="do not show it"):
        await heart.beat(1)
