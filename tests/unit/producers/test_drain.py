from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from docbus.clock import SystemClock
from docbus.errors import AppendUnknownError, BrokerUnavailableError, DiskFullError, LockedError, StorageError
from docbus.producers import drain as module
from docbus.producers.pruning import KEEP_SETTLED_MS
from docbus.producers.unsent import mark_sent
from docbus.storage.database import Database
from tests.support.outbox import (
    ANNA,
    BINH,
    NOW_MS,
    PATIENCE,
    FakeSealer,
    FakeTransport,
    add_receipt,
    begin,
    document,
    make_drain,
    rows,
    seal_all,
    sealing,
    states,
    take_in,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


async def test_drain_sends_everything_in_order(database: Database, transport: FakeTransport) -> None:
    """Everything accepted is sealed, sent and marked; numbers have no holes."""
    take_in(database, *[document(f"{number:04}", ANNA, BINH) for number in range(700)])

    sent = await make_drain(database, transport).drain()

    assert sent == 1400
    assert transport.sequences(ANNA) == list(range(1, 701))
    assert transport.sequences(BINH) == list(range(1, 701))
    assert {state for _, _, state in states(database)} == {2}


async def test_empty_outbox_is_drained_at_once(database: Database, transport: FakeTransport) -> None:
    """Nothing to do is no error."""
    assert await make_drain(database, transport).drain() == 0


async def test_batch_is_whatever_queued_up(database: Database, transport: FakeTransport) -> None:
    """There is one signature per batch, and a batch is as large as what waits."""
    take_in(database, *[document(f"{number:04}") for number in range(513)])
    sealer = FakeSealer()

    await make_drain(database, transport, sealer).drain()

    assert sealer.batches == [512, 1]


async def test_sealing_overlaps_sending(database: Database, transport: FakeTransport) -> None:
    """While one batch is being sent the next is sealed."""
    take_in(database, *[document(f"{number:04}") for number in range(1024)])
    sealer = FakeSealer()
    sealed_meanwhile: list[list[int]] = []
    append = transport.append

    async def slow(records: Any) -> list[int]:
        if not transport.calls:
            await until(lambda: len(sealer.batches) == 2)
        sealed_meanwhile.append(list(sealer.batches))
        return await append(records)

    transport.append = slow  # type: ignore[method-assign]
    await make_drain(database, transport, sealer).drain()

    assert sealed_meanwhile[0] == [512, 512]
    assert transport.sequences(ANNA) == list(range(1, 1025))


async def test_run_sends_what_comes_until_stopped(database: Database, transport: FakeTransport) -> None:
    """A wake-up, or another process's commit, is noticed; a stop ends the loop."""
    stop = asyncio.Event()
    drain = make_drain(database, transport, clock=SystemClock())
    running = asyncio.create_task(drain.run(stop))
    await asyncio.to_thread(take_in, database, document("a"))
    drain.wake()
    await until(lambda: transport.sequences(ANNA) == [1])
    other = Database.open(database.path)
    await asyncio.to_thread(take_in, other, document("b"))
    other.close()
    await until(lambda: transport.sequences(ANNA) == [1, 2])
    stop.set()

    async with asyncio.timeout(PATIENCE):
        await running

    assert {state for _, _, state in states(database)} == {2}


async def test_stop_sends_what_was_accepted(
    database: Database, transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping drains: what the outbox holds at that moment still goes out."""
    stop = asyncio.Event()
    stop.set()
    take_in(database, *[document(f"{number:04}") for number in range(600)])

    await make_drain(database, transport).run(stop)

    assert transport.sequences(ANNA) == list(range(1, 601))


async def test_stop_of_an_idle_drain_looks_once_more(database: Database, transport: FakeTransport) -> None:
    """What another process accepted while the loop slept goes out too, though the stop comes before it was noticed."""
    stop = asyncio.Event()
    drain = make_drain(database, transport, clock=SystemClock())
    running = asyncio.create_task(drain.run(stop))
    take_in(database, document("a"))
    drain.wake()
    await until(lambda: transport.sequences(ANNA) == [1])
    # The loop is asleep after a round without work; both happen before it gets its turn.
    await until(lambda: drain.asleep)
    take_in(database, document("b"))
    stop.set()

    async with asyncio.timeout(PATIENCE):
        await running

    assert [1, 2] == transport.sequences(ANNA)


async def test_stop_is_bounded(database: Database, transport: FakeTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that hangs does not keep the process; what is left is told, and goes out with the next start."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)
    take_in(database, document("a"))
    stop = asyncio.Event()
    stop.set()

    async def hang(records: object) -> list[int]:
        await asyncio.Event().wait()
        return []

    append = transport.append
    transport.append = hang  # type: ignore[method-assign]
    with capture_logs() as logs:
        await make_drain(database, transport).run(stop)
    transport.append = append  # type: ignore[method-assign]
    sent = await make_drain(database, transport).drain()

    assert [entry["event"] for entry in logs] == ["outbox.leave"]
    assert sent == 1
    assert transport.sequences(ANNA) == [1]


async def test_second_drainer_learns_who_holds(database: Database, transport: FakeTransport) -> None:
    """Two drainers of one outbox cannot run at once."""
    stop = asyncio.Event()
    running = asyncio.create_task(make_drain(database, transport, clock=SystemClock()).run(stop))
    await until((database.path.parent / "outbox.lock").exists)

    with pytest.raises(LockedError, match="for sending by process"):
        await make_drain(database, transport).drain()

    stop.set()
    await running
    assert await make_drain(database, transport).drain() == 0


async def test_drain_tells_that_no_broker_answers(database: Database, transport: FakeTransport) -> None:
    """A drain that is not to wait ends with the error, and everything is as it was."""
    take_in(database, document("a"))
    transport.script = [BrokerUnavailableError("no broker answers at kafka:9092")]

    with pytest.raises(BrokerUnavailableError, match="kafka:9092"):
        await make_drain(database, transport).drain()

    assert await make_drain(database, transport).drain() == 1
    assert transport.sequences(ANNA) == [1]


async def test_drain_leaves_a_recipient_whose_topic_is_missing(database: Database, transport: FakeTransport) -> None:
    """One missing inbox neither fails nor delays the drain of the others."""
    transport.missing = {BINH}
    take_in(database, *[document(f"{number:04}", ANNA, BINH) for number in range(400)])

    sent = await make_drain(database, transport).drain()

    assert sent == 400
    assert transport.sequences(ANNA) == list(range(1, 401))
    assert rows(database, "SELECT sequence, sent, failures FROM stream WHERE recipient = ?", BINH) == [(400, 0, 1)]


async def test_nothing_is_sealed_while_nothing_can_be_sent(database: Database, transport: FakeTransport) -> None:
    """During an outage what waits is not signed under keys that may be old when it is over."""
    take_in(database, *[document(f"{number:04}") for number in range(2000)])
    transport.script = [BrokerUnavailableError("no broker answers")] * 100
    sealer = FakeSealer()

    with pytest.raises(BrokerUnavailableError):
        await make_drain(database, transport, sealer).drain()

    assert len(sealer.batches) <= 2


async def test_run_outlasts_an_outage(database: Database, transport: FakeTransport) -> None:
    """Brokers that are away are waited out, and everything flows in order."""
    transport.script = [BrokerUnavailableError("away"), AppendUnknownError("unclear"), BrokerUnavailableError("away")]
    take_in(database, *[document(f"{number:04}") for number in range(600)])
    stop = asyncio.Event()
    drain = make_drain(database, transport, clock=SystemClock(), factor=lambda: 0.01)
    running = asyncio.create_task(drain.run(stop))

    await until(lambda: len(transport.records) >= 600)
    stop.set()
    await running

    assert transport.sequences(ANNA) == list(range(1, 601))


async def test_run_outlasts_a_full_disk(database: Database, transport: FakeTransport) -> None:
    """An outbox that cannot be written is waited out, visibly."""
    take_in(database, *[document(f"{number:04}", body=bytes(2000)) for number in range(100)])
    begin(database)
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    stop = asyncio.Event()
    drain = make_drain(database, transport, clock=SystemClock(), factor=lambda: 0.01)
    with capture_logs() as logs:
        running = asyncio.create_task(drain.run(stop))
        await until(lambda: any(entry["event"] == "outbox.pause" for entry in logs))
        before = len(transport.records)
        database._writer.execute("PRAGMA max_page_count = 1000000")
        await until(lambda: len(transport.records) == 100)
        stop.set()
        await running

    assert before == 0
    assert "outbox.resume" in {entry["event"] for entry in logs}
    assert transport.sequences(ANNA) == list(range(1, 101))


async def test_batch_that_was_stored_too_late_is_sent(database: Database, transport: FakeTransport) -> None:
    """When storing a batch seems to have failed but has not, its statements go out first, and numbers have no hole."""
    take_in(database, *[document(f"{number:04}") for number in range(700)])
    write_now, failures = database.write_now, [StorageError("the disk did not answer")]

    def late(operation: Any) -> Any:
        result = write_now(operation)
        if failures and operation.__name__ == "store":
            raise failures.pop()
        return result

    stop = asyncio.Event()
    begin(database)
    database.write_now = late  # type: ignore[method-assign]
    running = asyncio.create_task(make_drain(database, transport, clock=SystemClock(), factor=lambda: 0.01).run(stop))
    await until(lambda: len(transport.records) == 700)
    stop.set()
    await running

    assert transport.sequences(ANNA) == list(range(1, 701))


async def test_drain_tells_that_the_disk_is_full(database: Database, transport: FakeTransport) -> None:
    """A drain that is not to wait ends with the error that names the folder."""
    take_in(database, *[document(f"{number:04}", body=bytes(2000)) for number in range(100)])
    begin(database)
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 1}")

    with pytest.raises(DiskFullError, match=str(database.path.parent)):
        await make_drain(database, transport).drain()


@pytest.mark.parametrize("step", ["accepted", "sealed", "sent", "marked"])
async def test_death_after_each_step_loses_nothing(tmp_path: Path, transport: FakeTransport, step: str) -> None:
    """Whatever step the process dies after, all is sent in order, and repeated bytes are the same bytes."""
    path = tmp_path / "state.db"
    first = Database.open(path)
    take_in(first, *[document(f"{number:04}", ANNA, BINH) for number in range(10)])
    copies = []
    if step != "accepted":
        copies = seal_all(first)
    if step == "sent":
        await transport.append(module.Sender(**_sender(first, transport))._maker.records(copies))
    if step == "marked":
        await make_drain(first, transport).drain()
    first.close()

    second = Database.open(path)
    take_in(second, document("later"))
    await make_drain(second, transport).drain()
    found = states(second)
    second.close()

    repeated = list(range(1, 11)) if step == "sent" else []
    assert transport.sequences(ANNA) == [*repeated, *range(1, 12)]
    assert transport.sequences(BINH) == [*repeated, *range(1, 11)]
    assert len(set(transport.values())) == 21
    assert {copy.value for copy in copies} <= set(transport.values())
    assert {state for _, _, state in found} == {2}


def _sender(database: Database, transport: FakeTransport) -> dict[str, Any]:
    return {"database": database, "transport": transport, "sender": "vn:H26", "clock": SystemClock()}


async def test_cancelled_run_lets_go_of_the_lock(database: Database, transport: FakeTransport) -> None:
    """A run that is cancelled in the middle of an append leaves an outbox that the next one drains."""
    take_in(database, document("a"))
    append, entered = transport.append, asyncio.Event()

    async def hang(records: object) -> list[int]:
        entered.set()
        await asyncio.Event().wait()
        return []

    transport.append = hang  # type: ignore[method-assign]
    running = asyncio.create_task(make_drain(database, transport, clock=SystemClock()).run(asyncio.Event()))
    await entered.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    transport.append = append  # type: ignore[method-assign]

    assert await make_drain(database, transport).drain() == 1
    assert transport.sequences(ANNA) == [1]


async def test_copied_outbox_is_reported(database: Database, transport: FakeTransport) -> None:
    """A start on a copied file says that it goes on in new epochs."""
    begin(database)
    database.write_now(lambda c: c.execute("UPDATE outbox SET value = 0 WHERE name = 'inode'").rowcount)

    with capture_logs() as logs:
        await make_drain(database, transport).drain()

    assert [(entry["event"], entry["lane"]) for entry in logs] == [
        ("epoch.begin", "documents"),
        ("epoch.begin", "urgent"),
        ("epoch.begin", "receipts"),
    ]


async def test_run_prunes_what_is_old(database: Database, transport: FakeTransport) -> None:
    """The envelope of what was settled long ago is dropped along the way."""
    add_receipt(database)
    begin(database)
    copies = sealing(database).seal_next().copies
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS - KEEP_SETTLED_MS - 1))
    stop = asyncio.Event()
    running = asyncio.create_task(make_drain(database, transport).run(stop))
    await until(lambda: rows(database, "SELECT count(*) FROM envelope") == [(0,)])
    stop.set()
    await running

    assert rows(database, "SELECT count(*) FROM outgoing") == [(0,)]
