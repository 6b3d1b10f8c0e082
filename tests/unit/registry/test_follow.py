"""Following the directory log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.errors import BrokerUnavailableError, DirectoryError
from docbus.identity import entries
from docbus.registry import follow
from docbus.registry.follow import DirectoryFollower
from docbus.transport.port import Record
from tests.support.bus import append_entries, found_bus
from tests.support.directory import DirectoryBuilder, grant_of, make_keys
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.sqlite import SqliteTransport

BOUND = 20.0
"""Seconds within which anything here happens, if it happens at all."""


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Return an embedded bus with an empty directory topic."""
    async with found_bus(tmp_path / "bus.db") as found:
        yield found


async def test_nothing_is_trusted_before_loading(transport: SqliteTransport) -> None:
    """A follower that was not loaded has no snapshot to give."""
    with pytest.raises(DirectoryError, match="has not been loaded"):
        _ = DirectoryFollower(transport, bytes(32)).snapshot


async def test_load_reads_to_the_end(transport: SqliteTransport) -> None:
    """After loading, the snapshot is that of the whole log."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    await append_entries(transport, builder.records)
    follower = DirectoryFollower(transport, builder.genesis)

    loaded = await follower.load()

    assert builder.snapshot() == loaded == follower.snapshot


async def test_other_genesis_is_not_loaded(transport: SqliteTransport) -> None:
    """A directory of another registrar is refused, and nothing of it is trusted."""
    await append_entries(transport, DirectoryBuilder().records)
    follower = DirectoryFollower(transport, DirectoryBuilder().genesis)

    with pytest.raises(DirectoryError, match="genesis_pinned"):
        await follower.load()
    with pytest.raises(DirectoryError, match="has not been loaded"):
        _ = follower.snapshot


async def test_broken_log_is_not_loaded(transport: SqliteTransport) -> None:
    """A log with a broken entry refuses to load, and shows what it still holds as good."""
    builder = DirectoryBuilder()
    await append_entries(transport, [*builder.records, builder.value(entries.Heartbeat(), position=9)])
    follower = DirectoryFollower(transport, builder.genesis)

    with pytest.raises(DirectoryError) as caught:
        await follower.load()

    assert caught.value is follower.failure
    assert builder.snapshot() == follower.snapshot


async def test_new_entries_are_followed(transport: SqliteTransport) -> None:
    """An entry published while a follower runs is in force at once, for listeners and for waiters."""
    builder = DirectoryBuilder()
    await append_entries(transport, builder.records)
    follower = DirectoryFollower(transport, builder.genesis)
    heard: list[TrustSnapshot] = []
    follower.on_change(heard.append)
    first = await follower.load()
    stop = asyncio.Event()
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as tasks:
        tasks.create_task(follower.run(stop))
        builder.grant("vn:H26")
        await append_entries(transport, builder.records[1:])
        waited = await follower.wait_beyond(first.position, BOUND)
        stop.set()

    assert waited
    assert builder.snapshot() == follower.snapshot
    assert [first, builder.snapshot()] == heard
    assert 0 == first.position


async def test_waiting_runs_out(transport: SqliteTransport) -> None:
    """Waiting for an entry that does not come ends with no."""
    builder = DirectoryBuilder()
    await append_entries(transport, builder.records)
    follower = DirectoryFollower(transport, builder.genesis)
    await follower.load()

    assert not await follower.wait_beyond(0, 0.01)
    assert await follower.wait_beyond(-1, 0.01)


READS = 5
"""After which a test knows that reading goes on."""


class _Shown:
    """A log of which a broker shows what it likes."""

    def __init__(self, values: list[bytes]) -> None:
        self.values = values
        self.reads = 0
        self.read_often = asyncio.Event()

    async def read(self, topic: str, partition: int, offset: int, **_limits: object) -> list[Record]:
        self.reads += 1
        if self.reads == READS:
            self.read_often.set()
        await asyncio.sleep(0)
        return [Record(topic, partition, at, 0, None, value, ()) for at, value in enumerate(self.values)][offset:]


async def test_broken_entry_is_not_followed_and_what_takes_its_place_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that does not follow stops the follower visibly, and only as long as what it follows is not shown."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H53")
    too_far = builder.value(grant_of(make_keys("vn:H27")))
    shown = _Shown([*builder.records[:2], too_far])
    follower = DirectoryFollower(shown, builder.genesis)  # type: ignore[arg-type] # the one method it needs
    stop, errors = asyncio.Event(), []
    with capture_logs() as lines:
        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
            group.create_task(follower.run(stop))
            await shown.read_often.wait()
            errors.append("" if follower.failure is None else follower.failure.text)
            before = follower.snapshot
            shown.values = builder.records
            assert await follower.wait_beyond(before.position, BOUND)
            stop.set()

    assert "directory entry 2 breaks the rule position" in errors[0]
    assert 1 == before.position
    assert builder.snapshot() == follower.snapshot
    assert None is follower.failure
    events = [line["event"] for line in lines if line["event"] != "directory_changed"]
    assert ["directory_broken", "directory_followed_again"] == events


class _Flaky:
    """Reads as told: fails so many times, then sets the event."""

    def __init__(self, failures: int, stop: asyncio.Event) -> None:
        self._failures = failures
        self._stop = stop
        self.troubles: list[object] = []
        self.follower: DirectoryFollower | None = None

    async def read(self, *_place: object, **_limits: object) -> list[Record]:
        assert self.follower is not None
        self.troubles.append(self.follower.trouble)
        if self._failures:
            self._failures -= 1
            raise BrokerUnavailableError("no broker answers")
        self._stop.set()
        return []


async def test_absent_brokers_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no broker answers, the follower says so and goes on trying; afterwards all is well again."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    stop = asyncio.Event()
    flaky = _Flaky(2, stop)
    follower = flaky.follower = DirectoryFollower(flaky, bytes(32))  # type: ignore[arg-type] # the one method it needs

    async with asyncio.timeout(BOUND):
        await follower.run(stop)

    assert [type(None), BrokerUnavailableError, BrokerUnavailableError] == [type(t) for t in flaky.troubles]
    assert None is follower.trouble
    assert None is follower.failure


async def test_stopping_does_not_wait_for_the_next_attempt() -> None:
    """A follower without brokers stops when told to, not when its pause is over."""
    stop = asyncio.Event()
    flaky = _Flaky(1, stop)
    follower = flaky.follower = DirectoryFollower(flaky, bytes(32))  # type: ignore[arg-type] # the one method it needs
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, stop.set)
    began = loop.time()

    await follower.run(stop)

    assert loop.time() - began < follow.RETRY_SECONDS / 2
    assert 1 == len(flaky.troubles)


class _Silent:
    """Nothing is ever published."""

    async def read(self, *_place: object, **_limits: object) -> list[Record]:
        return [await asyncio.get_running_loop().create_future()]


async def test_stopping_does_not_wait_for_the_next_entry() -> None:
    """A follower stops in the middle of a read, so that closing an agency takes no second."""
    stop = asyncio.Event()
    follower = DirectoryFollower(_Silent(), bytes(32))  # type: ignore[arg-type] # the one method it needs
    asyncio.get_running_loop().call_soon(stop.set)

    async with asyncio.timeout(BOUND):
        await follower.run(stop)

    assert None is follower.failure


async def test_directory_that_grows_old_is_noticed_while_nothing_comes(
    transport: SqliteTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that reads nothing says that the directory is old, and with the next entry that it is fresh again."""
    monkeypatch.setattr(follow, "FOLLOW_SECONDS", 0.01)
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    await append_entries(transport, builder.records)
    clock, stop = FakeClock(), asyncio.Event()
    follower = DirectoryFollower(transport, builder.genesis, clock=clock)
    await follower.load()
    events: list[str] = []

    async def said(event: str) -> None:
        while event not in events:
            events[:] = [line["event"] for line in lines]
            await asyncio.sleep(0.001)

    with capture_logs() as lines:
        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run(stop))
            clock.advance(entries.DEFAULT_FRESHNESS_ALARM_MS / 1000 + 1)
            await said("directory_old")
            await append_entries(transport, [builder.value(entries.Heartbeat(), made_at=clock.now_ms())])
            await said("directory_fresh")
            stop.set()

    assert ["directory_old", "directory_changed", "directory_fresh"] == events
