"""The embedded transport beyond the contract: its file, its locks, other processes, a full disk."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docbus.errors import (
    BrokerUnavailableError,
    DiskFullError,
    GroupBusyError,
    RecordRefusedError,
    TopicMissingError,
    TransportError,
)
from docbus.transport.port import NewRecord, TopicSpec
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.sqlite_file import FORMAT
from docbus.transport.sqlite_log import pack_headers, unpack_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE = 10.0
"""Seconds after which a test gives up on something that must happen."""
TOPIC = TopicSpec(name="t", partitions=1, configuration={"max.message.bytes": "100000"})

APPENDER = """
import asyncio, pathlib, sys
from docbus.transport.port import NewRecord
from docbus.transport.sqlite import SqliteTransport

async def main():
    transport = SqliteTransport(pathlib.Path(sys.argv[1]))
    await transport.start()
    for turn in range(int(sys.argv[2])):
        await transport.append([NewRecord(topic="t", key=None, value=b"%d/%d" % (turn, n)) for n in range(10)])
    await transport.aclose()

asyncio.run(main())
"""
HOLDER = """
import asyncio, os, pathlib, sys
from docbus.transport.sqlite import SqliteTransport

async def main():
    transport = SqliteTransport(pathlib.Path(sys.argv[1]))
    await transport.start()
    async with transport.subscribe("t", "g", start="committed"):
        print(os.getpid(), flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


class SteppingClock:
    """A clock that shows what it is told."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the bus lies."""
    return tmp_path / "bus.db"


@pytest.fixture
def clock() -> SteppingClock:
    """Return the clock of ``bus``."""
    return SteppingClock()


@pytest.fixture
async def bus(path: Path, clock: SteppingClock) -> AsyncIterator[SqliteTransport]:
    """Yield a started transport with the topic ``t``."""
    transport = SqliteTransport(path, clock)
    await transport.start()
    await transport.create([TOPIC])
    yield transport
    await transport.aclose()


def records(count: int) -> list[NewRecord]:
    """Return records for ``t`` with their numbers as values."""
    return [NewRecord(topic="t", key=None, value=str(number).encode()) for number in range(count)]


async def test_append_is_all_or_nothing(bus: SqliteTransport) -> None:
    """A refused record undoes what stood before it in the same call."""
    with pytest.raises(RecordRefusedError, match="100000"):
        await bus.append([*records(3), NewRecord(topic="t", key=None, value=b"v" * 100_000)])
    assert {0: (0, 0)} == await bus.bounds("t")
    assert [0] == await bus.append(records(1))


async def test_limit_is_exact(bus: SqliteTransport) -> None:
    """A record whose batch has exactly max.message.bytes is taken, one byte more is not."""
    # 61 bytes of batch header, 3 of record length, 3 of fixed fields, 1 without key, 3 of value length, 1 of headers.
    room = 100_000 - 61 - 3 - 3 - 1 - 3 - 1
    await bus.append([NewRecord(topic="t", key=None, value=b"v" * room)])
    with pytest.raises(RecordRefusedError):
        await bus.append([NewRecord(topic="t", key=None, value=b"v" * (room + 1))])


async def test_time_is_the_brokers_and_does_not_go_back(bus: SqliteTransport, clock: SteppingClock) -> None:
    """Records carry the time of storing, and a clock that is set back does not show within a partition."""
    for now in (1_000, 5_000, 3_000, 6_000):
        clock.ms = now
        await bus.append(records(1))
    stored = await bus.read("t", 0, 0, max_records=9, max_bytes=999, wait=0)
    assert [1_000, 5_000, 5_000, 6_000] == [record.timestamp_ms for record in stored]
    assert [0, 1, 1, 3, 4] == [(await bus.offset_at("t", at))[0] for at in (0, 1_001, 5_000, 5_001, 6_001)]


async def test_survives_a_restart(bus: SqliteTransport, path: Path) -> None:
    """Records, topics and positions are there when the file is opened again."""
    await bus.append(records(3))
    async with bus.subscribe("t", "g", start="committed") as subscription:
        await subscription.commit({0: 2})
    await bus.aclose()
    again = SqliteTransport(path)
    await again.start()
    assert ({0: (0, 3)}, {0: 2}) == (await again.bounds("t"), await again.committed("g", "t"))
    await again.aclose()


async def test_durability_settings(bus: SqliteTransport) -> None:
    """Every commit is synced to disk: write-ahead log with synchronous=FULL."""
    assert ("wal", 2) == await bus.run(
        lambda connection: (
            connection.execute("PRAGMA journal_mode").fetchone()[0],
            connection.execute("PRAGMA synchronous").fetchone()[0],
        )
    )


async def test_one_statement_per_batch(bus: SqliteTransport) -> None:
    """The number of statements of an append does not grow with the number of its records."""

    async def statements(count: int) -> int:
        seen: list[str] = []
        await bus.run(lambda connection: connection.set_trace_callback(seen.append))
        await bus.append(records(count))
        await bus.run(lambda connection: connection.set_trace_callback(None))
        # Each row of executemany is traced under the same text.
        return len(set(seen) - {text for text in seen if text.lstrip().startswith("INSERT INTO records")})

    # The first append of a transport also looks for what has expired.
    await bus.append(records(1))
    assert await statements(1) == await statements(500)


async def test_other_process_wakes_a_waiting_read(bus: SqliteTransport, path: Path) -> None:
    """A read that waits sees what another process appends, and no order is lost with two writers."""
    waiting = asyncio.create_task(bus.read("t", 0, 0, max_records=1000, max_bytes=99999, wait=PATIENCE))
    await asyncio.wait([waiting], timeout=0.05)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", APPENDER, str(path), "5")
    assert b"0/0" == (await waiting)[0].value
    for _ in range(5):
        await bus.append([NewRecord(topic="t", key=b"own", value=b"%d" % n) for n in range(10)])
    assert 0 == await asyncio.wait_for(other.wait(), PATIENCE)
    stored = await bus.read("t", 0, 0, max_records=1000, max_bytes=99999, wait=0)
    assert list(range(100)) == [record.offset for record in stored]
    theirs = [record.value for record in stored if record.key is None]
    assert [f"{turn}/{n}".encode() for turn in range(5) for n in range(10)] == theirs


async def test_group_held_by_another_process(bus: SqliteTransport, path: Path) -> None:
    """A group that another process reads is refused with that process's id, and free when it is killed."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        pid = int(await asyncio.wait_for(holder.stdout.readline(), PATIENCE))
        with pytest.raises(GroupBusyError, match=f"process {pid} ") as caught:
            await bus.subscribe("t", "g", start="committed").__aenter__()
        assert caught.value.hint is not None
        async with bus.subscribe("t", "another", start="committed"):
            pass
    finally:
        holder.kill()
        await holder.communicate()
    async with bus.subscribe("t", "g", start="committed") as subscription:
        assert frozenset({0}) == subscription.assigned


async def test_full_disk(bus: SqliteTransport) -> None:
    """A full disk is an error that says where; what was stored stays, and appending works once there is room."""
    await bus.append(records(2))
    pages = await bus.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await bus.run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages + 1}").fetchone())
    large = [NewRecord(topic="t", key=None, value=b"v" * 50_000)]
    with pytest.raises(DiskFullError, match=r"bus\.db"):
        await bus.append(large)
    assert {0: (0, 2)} == await bus.bounds("t")
    await bus.run(lambda connection: connection.execute("PRAGMA max_page_count=100000").fetchone())
    assert [2] == await bus.append(large)


@pytest.mark.parametrize(
    "garbage", [b"this is no database, but long enough to be looked at" * 20, b"SQLite format 3\x00"]
)
def test_file_that_is_no_database(path: Path, garbage: bytes) -> None:
    """A file that is no database is named, left as it is, and the hint says what to do."""
    path.write_bytes(garbage)
    with pytest.raises(BrokerUnavailableError, match=re.escape(str(path))) as caught:
        asyncio.run(SqliteTransport(path).start())
    assert caught.value.hint is not None
    assert garbage == path.read_bytes()


async def test_database_of_something_else(path: Path) -> None:
    """Another program's database is refused, and gets no tables."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE outbox (id INTEGER)")
        other.commit()
    with pytest.raises(BrokerUnavailableError, match="something else"):
        await SqliteTransport(path).start()
    with closing(sqlite3.connect(path)) as other:
        assert [("outbox",)] == other.execute("SELECT name FROM sqlite_schema").fetchall()


async def test_format_of_a_later_version(bus: SqliteTransport, path: Path) -> None:
    """A bus of another format is refused by its number."""
    await bus.run(lambda connection: connection.execute(f"PRAGMA user_version={FORMAT + 1}"))
    with pytest.raises(BrokerUnavailableError, match=f"format {FORMAT + 1}"):
        await SqliteTransport(path).start()


async def test_missing_folder(tmp_path: Path) -> None:
    """A folder that does not exist is an error with a hint, and the transport can be started later."""
    transport = SqliteTransport(tmp_path / "gone" / "bus.db")
    with pytest.raises(BrokerUnavailableError, match="gone") as caught:
        await transport.start()
    assert "folder" in (caught.value.hint or "")
    (tmp_path / "gone").mkdir()
    await transport.start()
    assert {"t": None} == await transport.describe(["t"])
    await transport.aclose()


async def test_cancelled_append_wakes_readers(bus: SqliteTransport, path: Path) -> None:
    """What a cancelled append has stored all the same reaches a reader that waits."""
    waiting = asyncio.create_task(bus.read("t", 0, 0, max_records=9, max_bytes=999, wait=PATIENCE))
    await asyncio.wait([waiting], timeout=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        appending = asyncio.create_task(bus.append(records(2)))
        # By now the file's thread waits for the other writer.
        await asyncio.wait([appending], timeout=0.1)
        appending.cancel()
        await asyncio.wait([appending])
        other.execute("ROLLBACK")
    start = time.monotonic()
    assert [b"0", b"1"] == [record.value for record in await waiting]
    assert time.monotonic() - start < 1.0


async def test_closing_ends_a_wait(bus: SqliteTransport) -> None:
    """A read that waits when the transport is closed ends at once, with an error."""
    waiting = asyncio.create_task(bus.read("t", 0, 0, max_records=9, max_bytes=999, wait=PATIENCE))
    await asyncio.wait([waiting], timeout=0.05)
    await bus.aclose()
    with pytest.raises(TransportError, match="not open"):
        await asyncio.wait_for(waiting, 1.0)


async def test_position_of_a_topic_made_anew(bus: SqliteTransport) -> None:
    """A position beyond the end begins at the first record, as on a broker, rather than never."""
    await bus.append(records(2))
    async with bus.subscribe("t", "g", start={0: 7}) as subscription:
        assert [0, 1] == [r.offset for r in await subscription.fetch(max_records=9, max_bytes=99, wait=0)]
        with pytest.raises(TopicMissingError):
            await subscription.commit({3: 1})


async def test_partitions_take_turns(bus: SqliteTransport) -> None:
    """A partition with much to read does not keep the others from being read."""
    await bus.create([TopicSpec(name="two", partitions=2, configuration={})])
    await bus.append(
        [NewRecord(topic="two", key=None, value=b"v", partition=number) for number in (0, 1) for _ in range(9)]
    )
    async with bus.subscribe("two", "g", start="committed") as subscription:
        turns = [await subscription.fetch(max_records=3, max_bytes=99, wait=0) for _ in range(4)]
    assert [{0}, {1}, {0}, {1}] == [{record.partition for record in turn} for turn in turns]


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=5))
def test_headers_come_back(headers: list[tuple[str, bytes]]) -> None:
    """Headers are unpacked as they were packed, in order, with repetitions and empty ones."""
    assert tuple(headers) == unpack_headers(pack_headers(headers))
