"""Retention of the embedded transport beyond the contract: when it looks, how much it deletes, what it never does."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.transport import sqlite_log, sqlite_retention
from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.sqlite_retention import RETENTION_EVERY_MS, RETENTION_ROWS, expire
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEPT_MS = 60 * 60 * 1000
"""For how long the topic ``t`` keeps records."""


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of ``bus``."""
    return FakeClock()


@pytest.fixture
async def bus(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteTransport]:
    """Yield a started transport with the topic ``t``, which keeps records for an hour, and ``trigger``."""
    transport = SqliteTransport(tmp_path / "bus.db", clock)
    await transport.start()
    await transport.create([spec("t", {"retention.ms": str(KEPT_MS)}, partitions=2), spec("trigger", {})])
    yield transport
    await transport.aclose()


def spec(name: str, configuration: dict[str, str], *, partitions: int = 1) -> TopicSpec:
    """Return a topic with a configuration."""
    return TopicSpec(name=name, partitions=partitions, configuration=configuration)


def records(count: int = 1, topic: str = "t", partition: int = 0) -> list[NewRecord]:
    """Return so many records."""
    return [NewRecord(topic=topic, key=None, value=b"v", partition=partition) for _ in range(count)]


async def trigger(bus: SqliteTransport) -> None:
    """Append where it does not count, since retention looks when somebody appends."""
    await bus.append(records(topic="trigger"))


async def statements_of_append(bus: SqliteTransport) -> list[str]:
    """Return the statements of an append of one record, by their first word."""
    seen: list[str] = []
    await bus.run(lambda connection: connection.set_trace_callback(seen.append))
    await trigger(bus)
    await bus.run(lambda connection: connection.set_trace_callback(None))
    return [text.split(maxsplit=1)[0] for text in seen]


@pytest.mark.parametrize(("age_ms", "first"), [(KEPT_MS, 0), (KEPT_MS + 1, 3)])
async def test_record_older_than_its_topic_keeps_is_deleted(
    bus: SqliteTransport, clock: FakeClock, age_ms: int, first: int
) -> None:
    """A record as old as retention.ms stays; a millisecond later it goes, and what is younger stays."""
    stored_ms = clock.ms
    await bus.append(records(3))
    clock.ms += 1
    await bus.append(records(2))

    clock.ms = stored_ms + age_ms
    await trigger(bus)

    assert {0: (first, 5), 1: (0, 0)} == await bus.bounds("t")
    assert list(range(first, 5)) == [r.offset for r in await bus.read("t", 0, 0, max_records=9, max_bytes=99, wait=0)]


async def test_partitions_expire_by_themselves(bus: SqliteTransport, clock: FakeClock) -> None:
    """In each partition as much goes as has expired there, and other topics keep theirs."""
    for ages in ((2, 1), (1, 3)):
        await bus.append([*records(ages[0]), *records(ages[1], partition=1)])
        clock.ms += KEPT_MS
    await bus.append(records(2))

    assert {0: (2, 5), 1: (1, 4)} == await bus.bounds("t")
    clock.ms += KEPT_MS + 1
    await trigger(bus)
    assert {0: (5, 5), 1: (4, 4)} == await bus.bounds("t")
    assert {0: (0, 1)} == await bus.bounds("trigger")


@pytest.mark.parametrize("configured", [{}, {"retention.ms": "-1"}, {"retention.ms": "soon"}, {"retention.ms": ""}])
async def test_topic_without_a_limit_keeps_for_ever(
    bus: SqliteTransport, clock: FakeClock, configured: dict[str, str]
) -> None:
    """Without a number of milliseconds nothing goes, however old it is."""
    await bus.create([spec("kept", configured)])
    await bus.append(records(2, "kept"))

    clock.advance(10_000 * 24 * 60 * 60)
    await trigger(bus)

    assert {0: (0, 2)} == await bus.bounds("kept")


async def test_changed_configuration_counts(bus: SqliteTransport, clock: FakeClock) -> None:
    """A topic that was told to keep longer does."""
    await bus.append(records())
    await bus.configure([spec("t", {"retention.ms": str(KEPT_MS * 3)}, partitions=2)])

    clock.ms += KEPT_MS * 3
    await trigger(bus)
    assert {0: (0, 1), 1: (0, 0)} == await bus.bounds("t")

    clock.ms += RETENTION_EVERY_MS
    await trigger(bus)
    assert {0: (1, 1), 1: (0, 0)} == await bus.bounds("t")


async def test_record_that_is_kept_keeps_those_behind_it(bus: SqliteTransport, clock: FakeClock) -> None:
    """Offsets get no hole: behind a record that has not expired none goes, whatever times the file holds."""
    await bus.append(records(5))
    later = clock.ms + KEPT_MS * 2
    await bus.write(lambda c: c.execute('UPDATE records SET stored_ms = ? WHERE "offset" = 2', (later,)))

    clock.ms += KEPT_MS + 1
    await trigger(bus)

    left = await bus.read("t", 0, 0, max_records=9, max_bytes=99, wait=0)
    assert [2, 3, 4] == [record.offset for record in left]


@pytest.mark.parametrize(("after_ms", "first"), [(RETENTION_EVERY_MS - 1, 0), (RETENTION_EVERY_MS, 1), (-KEPT_MS, 1)])
async def test_next_check_is_due_after_a_while(
    bus: SqliteTransport, clock: FakeClock, after_ms: int, first: int
) -> None:
    """Retention looks again when its interval has passed, or when the clock was set back, and not before."""
    await bus.append(records())
    await bus.write(lambda c: c.execute("UPDATE records SET stored_ms = 0"))

    clock.ms += after_ms
    await trigger(bus)

    assert (first, 1) == (await bus.bounds("t"))[0]


async def test_first_append_checks(bus: SqliteTransport, clock: FakeClock) -> None:
    """A process that appends once and ends has looked, too."""
    await bus.append(records())
    clock.ms += KEPT_MS + 1
    once = SqliteTransport(bus.path, clock)
    await once.start()

    await trigger(once)

    assert {0: (1, 1), 1: (0, 0)} == await once.bounds("t")
    await once.aclose()


async def test_no_transaction_without_anything_to_delete(bus: SqliteTransport, clock: FakeClock) -> None:
    """Between checks an append is what it was before; a check that finds nothing is one look."""
    await bus.append(records())
    between = await statements_of_append(bus)
    clock.ms += RETENTION_EVERY_MS
    checking = await statements_of_append(bus)

    assert ["BEGIN", "SELECT", "INSERT", "UPDATE", "COMMIT"] == between
    assert [*between, "SELECT"] == checking


async def test_pass_is_bounded_and_the_next_append_goes_on(bus: SqliteTransport, clock: FakeClock) -> None:
    """One append deletes no more than a pass may, oldest first over all partitions; the next appends do the rest."""
    await bus.append(records(RETENTION_ROWS, partition=1))
    clock.ms += 1
    await bus.append(records(RETENTION_ROWS + 10))
    end = RETENTION_ROWS + 10
    clock.ms += KEPT_MS + 1

    seen = []
    for _ in range(4):
        await trigger(bus)
        seen.append([first for first, _ in (await bus.bounds("t")).values()])

    assert [[0, RETENTION_ROWS], [RETENTION_ROWS, RETENTION_ROWS], [end, RETENTION_ROWS], [end, RETENTION_ROWS]] == seen
    assert ["BEGIN", "SELECT", "INSERT", "UPDATE", "COMMIT"] == await statements_of_append(bus)


async def test_bound_may_fall_within_a_partition(bus: SqliteTransport, clock: FakeClock) -> None:
    """A pass that ends within a partition leaves the rest of it, and the partitions behind it, as they are."""
    await bus.append(records(3))
    clock.ms += 1
    await bus.append(records(3, partition=1))
    now_ms = clock.ms + KEPT_MS + 1

    deleted = [await bus.run(lambda connection: expire(connection, now_ms, 2)) for _ in range(2)]

    assert [2, 2] == deleted
    assert {0: (3, 3), 1: (1, 3)} == await bus.bounds("t")


async def test_append_does_not_fail_with_retention(
    bus: SqliteTransport, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is answered as stored, also if expired records cannot be deleted; the next check does it."""
    await bus.append(records())
    clock.ms += KEPT_MS + 1

    def broken(*_: object) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite_retention, "expire", broken)
    with capture_logs() as logs:
        assert [1] == await bus.append(records())
    monkeypatch.undo()
    await bus.append(records())
    assert {0: (0, 3), 1: (0, 0)} == await bus.bounds("t")
    assert [("bus.retention_failed", "disk I/O error")] == [(entry["event"], entry["error"]) for entry in logs]

    clock.ms += RETENTION_EVERY_MS
    await trigger(bus)
    assert {0: (1, 3), 1: (0, 0)} == await bus.bounds("t")


async def test_offsets_are_not_given_again(bus: SqliteTransport, clock: FakeClock) -> None:
    """When all is gone and the file is opened anew, the end stays where it was, and positions with it."""
    await bus.append(records(4))
    async with bus.subscribe("t", "g", start="committed") as subscription:
        await subscription.commit({0: 2})
    clock.ms += KEPT_MS + 1
    await trigger(bus)
    await bus.aclose()
    await bus.start()

    assert {0: (4, 4), 1: (0, 0)} == await bus.bounds("t")
    assert {0: 2, 1: None} == await bus.committed("g", "t")
    async with bus.subscribe("t", "g", start="committed") as subscription:
        assert {0: 0, 1: 0} == await subscription.lag()
        assert [4] == await bus.append(records())
        assert [4] == [r.offset for r in await subscription.fetch(max_records=9, max_bytes=99, wait=0)]


async def test_room_is_used_again(bus: SqliteTransport, clock: FakeClock) -> None:
    """The file stops growing once as much expires as is stored."""
    pages = []
    for _ in range(4):
        await bus.append([NewRecord(topic="t", key=None, value=bytes(500_000), partition=0) for _ in range(4)])
        clock.ms += KEPT_MS + 1
        await trigger(bus)
        pages.append(await bus.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0]))

    assert pages[0] == pages[-1]


async def test_time_of_what_expires_meanwhile(
    bus: SqliteTransport, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that another process deletes while a time is looked up take no error with them."""
    await bus.append(records(5))
    stretches = await bus.run(lambda connection: sqlite_log._stretches(connection, "t"))
    stored_ms = clock.ms
    clock.ms += KEPT_MS + 1
    await trigger(bus)
    monkeypatch.setattr(sqlite_log, "_stretches", lambda *_: stretches)

    for at in (0, stored_ms, clock.ms):
        offset = (await bus.offset_at("t", at))[0]
        assert [] == await bus.read("t", 0, offset, max_records=9, max_bytes=99, wait=0)
