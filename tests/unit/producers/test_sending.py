from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from docbus.errors import AppendUnknownError, BrokerUnavailableError, DiskFullError, RecordRefusedError, TransportError
from docbus.producers.pauses import FIRST_PAUSE, LONGEST_PAUSE
from docbus.producers.records import RecordMaker
from docbus.producers.sending import MAX_ERROR_CHARACTERS, MAX_UNKNOWN_IN_SPLIT, Sender
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    SENDER,
    FakeAgency,
    FakeClock,
    FakeSnapshot,
    FakeTransport,
    begin,
    document,
    rows,
    seal_all,
    sealing,
    states,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def sender(database: Database, transport: FakeTransport, clock: FakeClock) -> Sender:
    return make(database, transport, clock)


def make(database: Database, transport: FakeTransport, clock: FakeClock) -> Sender:
    double: Any = transport
    return Sender(database=database, transport=double, sender=SENDER, clock=clock, factor=lambda: 1.0)


def sealed(database: Database, *names: str, to: tuple[str, ...] = (ANNA,)) -> list[Any]:
    take_in(database, *[document(name, *to) for name in names])
    return seal_all(database)


async def test_batch_is_one_append_and_one_mark(database: Database, transport: FakeTransport, sender: Sender) -> None:
    """What is acknowledged is marked; nothing is left behind."""
    copies = sealed(database, "a", "b", to=(ANNA, BINH))

    count = await sender.send(copies)

    assert count == 4
    assert len(transport.calls) == 1
    assert transport.values() == [copy.value for copy in copies]
    assert {state for _, _, state in states(database)} == {2}
    assert sender.wait() is None


async def test_record_has_key_and_hints(database: Database, transport: FakeTransport, sender: Sender) -> None:
    """Topic, key and headers say what ordinary tools filter by."""
    copies = sealed(database, "a")
    await sender.send(copies)
    identifier = copies[0].envelope_id.hex()

    record = transport.records[0]

    assert record.topic == "docbus.inbox.vn.H37"
    assert record.key == b"vn:H26"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": "-".join(identifier[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))).encode(),
        "ce_source": b"urn:docbus:agency:vn:H26",
        "ce_type": b"docbus.document.v1",
        "ce_time": b"2026-11-23T09:00:00.000Z",
        "content-type": b"application/vnd.docbus.envelope.v1",
    }


@pytest.mark.parametrize("stored", [False, True])
async def test_unknown_outcome_sends_the_same_bytes_again(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock, *, stored: bool
) -> None:
    """After an unclear answer exactly the stored bytes go out again, in order, after a pause."""
    copies = sealed(database, "a", "b")
    error = AppendUnknownError("no answer in time")
    transport.script = [("stored", error) if stored else error]

    first = await sender.send(copies)
    too_early = await sender.recover()
    clock.advance(FIRST_PAUSE)
    second = await sender.recover()

    assert (first, too_early, second) == (0, 0, 2)
    assert [record.value for record in transport.calls[0]] == [record.value for record in transport.calls[1]]
    assert transport.sequences(ANNA) == ([1, 2, 1, 2] if stored else [1, 2])
    assert {state for _, _, state in states(database)} == {2}


async def test_outage_pauses_everything_and_grows(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """Without brokers the pauses double up to the longest; the error is visible; all flows when they are back."""
    copies = sealed(database, "a")
    transport.script = [BrokerUnavailableError("no broker answers")] * 12
    pauses = []
    with capture_logs() as logs:
        await sender.send(copies)
        for _ in range(11):
            pauses.append(sender.wait())
            clock.advance(pauses[-1] or 0)
            await sender.recover()
        outage = sender.outage
        error = rows(database, "SELECT failures, error FROM stream")
        clock.advance(LONGEST_PAUSE)
        await sender.recover()

    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert isinstance(outage, BrokerUnavailableError)
    assert error == [(12, "no broker answers")]
    assert sender.outage is None
    assert transport.sequences(ANNA) == [1]
    assert [entry["failures"] for entry in logs if entry["event"] == "transport.pause"] == [1, 2, 4, 8]
    assert [entry["event"] for entry in logs][-1] in {"transport.resume", "stream.resume"}


async def test_missing_topic_stops_its_own_stream_only(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """One recipient without an inbox costs the others nothing, and gets everything in order once it is there."""
    transport.missing = {BINH}
    first = sealed(database, "a", "b", to=(ANNA, BINH, CHI))
    sent_first = await sender.send(first)
    second = sealed(database, "c", to=(ANNA, BINH, CHI))
    sent_second = await sender.send(second)
    error = rows(database, "SELECT recipient, failures, error FROM stream WHERE failures > 0")
    transport.missing = set()
    clock.advance(FIRST_PAUSE)
    await sender.recover()

    assert (sent_first, sent_second) == (4, 2)
    assert error == [(BINH, 1, "topic docbus.inbox.vn.H37.02 does not exist")]
    assert transport.sequences(ANNA) == [1, 2, 3]
    assert transport.sequences(BINH) == [1, 2, 3]
    assert transport.sequences(CHI) == [1, 2, 3]


async def test_refused_record_stops_its_own_stream_only(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """A record that the broker will not take holds up its stream, visibly, and no other."""
    transport.refusing = {ANNA: RecordRefusedError("not authorised to write")}
    copies = sealed(database, "a", to=(ANNA, BINH))

    count = await sender.send(copies)

    assert count == 1
    assert transport.sequences(BINH) == [1]
    assert sender.blocked == 1
    assert sender.outage is None


async def test_stream_that_fails_alone_is_tried_once(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """A batch to one recipient whose topic is missing is not split further than it is."""
    transport.missing = {ANNA}
    copies = sealed(database, "a", "b")

    await sender.send(copies)

    assert len(transport.calls) == 2


async def test_pauses_of_a_stream_grow_and_are_logged_seldom(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """Trying goes on for ever, without flooding the log."""
    transport.missing = {ANNA}
    copies = sealed(database, "a")
    with capture_logs() as logs:
        await sender.send(copies)
        for _ in range(20):
            clock.advance(sender.wait() or 0)
            await sender.recover()

    assert [entry["failures"] for entry in logs if entry["event"] == "stream.pause"] == [1, 2, 4, 8, 16]
    assert sender.wait() == LONGEST_PAUSE


async def test_partition_without_leader_costs_its_own_recipient_only(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """When outcomes stay unknown, each stream is tried alone, and the healthy ones get through."""
    transport.refusing = {BINH: AppendUnknownError("no leader")}
    copies = sealed(database, "a", to=(ANNA, BINH, CHI))

    first = await sender.send(copies)
    clock.advance(FIRST_PAUSE)
    second = await sender.recover()

    assert (first, second) == (0, 2)
    assert transport.sequences(ANNA) == [1]
    assert transport.sequences(CHI) == [1]
    assert sender.outage is None
    assert sender.blocked == 1


async def test_round_of_unknown_outcomes_is_bounded(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """When one stream after another runs into its time limit, the rest of the round waits."""
    to = tuple(f"vn:H{number}" for number in range(10, 20))
    transport.refusing = {name: AppendUnknownError("no leader") for name in to}
    take_in(database, document("a", *to))
    begin(database)
    copies = sealing(database, snapshot=FakeSnapshot({name: FakeAgency() for name in to})).seal_next().copies

    await sender.send(copies)
    clock.advance(FIRST_PAUSE)
    await sender.recover()

    assert len(transport.calls) == 2 + MAX_UNKNOWN_IN_SPLIT
    assert sender.outage is not None


async def test_brokers_that_vanish_during_a_split_end_it(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """What was acknowledged apart is kept; the rest waits for the brokers."""
    copies = sealed(database, "a", to=(ANNA, BINH, CHI))
    transport.script = [RecordRefusedError("one of them"), None, BrokerUnavailableError("gone")]

    count = await sender.send(copies)

    assert count == 1
    assert len(transport.calls) == 3
    assert states(database) == [("a", ANNA, 2), ("a", BINH, 1), ("a", CHI, 1)]
    assert sender.outage is not None


async def test_full_disk_of_the_embedded_bus_is_an_outage(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """The embedded transport's own disk may be full."""
    transport.script = [DiskFullError("no space")]

    await sender.send(sealed(database, "a"))

    assert isinstance(sender.outage, DiskFullError)


async def test_any_transport_error_is_waited_out(database: Database, transport: FakeTransport, sender: Sender) -> None:
    """Errors of no particular kind pause everything too."""
    transport.script = [TransportError("strange")]

    await sender.send(sealed(database, "a"))

    assert sender.outage is not None
    assert sender.wait() == FIRST_PAUSE


async def test_later_batch_never_overtakes(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """A batch that was sealed meanwhile waits behind what could not be sent."""
    transport.script = [AppendUnknownError("no answer")]
    await sender.send(sealed(database, "a"))
    later = sealed(database, "b")
    skipped = await sender.send(later)
    clock.advance(FIRST_PAUSE)
    await sender.recover()
    again = await sender.send(later)

    assert (skipped, again) == (0, 0)
    assert transport.sequences(ANNA) == [1, 2]


async def test_after_catching_up_new_batches_flow_directly(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """A stream that was behind is sent from memory again once nothing is left of its arrears."""
    transport.script = [AppendUnknownError("no answer")]
    await sender.send(sealed(database, "a"))
    clock.advance(FIRST_PAUSE)
    await sender.recover()
    await sender.recover()

    count = await sender.send(sealed(database, "b"))

    assert count == 1
    assert transport.sequences(ANNA) == [1, 2]


async def test_gap_in_memory_is_filled_from_the_database(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """A batch that memory has lost is read again; numbers never jump on the wire."""
    first = sealed(database, "a")
    await sender.send(first)
    sealed(database, "b")
    third = sealed(database, "c")

    held = await sender.send(third)
    await sender.recover()

    assert held == 0
    assert transport.sequences(ANNA) == [1, 2, 3]


async def test_new_sender_continues_where_the_old_one_died(
    database: Database, transport: FakeTransport, sender: Sender, clock: FakeClock
) -> None:
    """After a crash between sealing and sending, the stored bytes go out before anything new."""
    copies = sealed(database, "a", "b", to=(ANNA, BINH))
    successor = make(database, transport, clock)
    await successor.load()

    count = await successor.recover()

    assert count == 4
    assert sorted(transport.values()) == sorted(copy.value for copy in copies)
    assert transport.sequences(ANNA) == [1, 2]


async def test_crash_between_sending_and_marking_repeats_the_same_bytes(
    database: Database, transport: FakeTransport, clock: FakeClock
) -> None:
    """What was acknowledged but not marked goes out a second time, byte for byte."""
    copies = sealed(database, "a")
    await transport.append(RecordMaker(SENDER).records(copies))
    successor = make(database, transport, clock)
    await successor.load()

    await successor.recover()

    assert transport.values() == [copies[0].value] * 2


async def test_marks_that_fail_are_made_before_anything_else_is_sent(
    database: Database, transport: FakeTransport, sender: Sender
) -> None:
    """A full disk between sending and marking neither repeats nor loses anything."""
    copies = sealed(database, "a")
    write = database.write
    failures = [DiskFullError("no space")] * 2

    async def full(operation: Any) -> Any:
        if failures:
            raise failures.pop()
        return await write(operation)

    database.write = full  # type: ignore[method-assign]
    with pytest.raises(DiskFullError):
        await sender.send(copies)
    with pytest.raises(DiskFullError):
        await sender.recover()
    wait = sender.wait()
    await sender.recover()
    later = sealed(database, "b")
    await sender.send(later)
    await sender.recover()

    assert wait == 0.0
    assert transport.sequences(ANNA) == [1, 2]
    assert {state for _, _, state in states(database)} == {2}


async def test_long_arrears_of_one_stream_leave_room_for_others(
    database: Database, transport: FakeTransport, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that are behind take turns."""
    monkeypatch.setattr("docbus.producers.sending.MAX_BATCH_STATEMENTS", 10)
    take_in(database, *[document(f"{number:02}", ANNA) for number in range(30)], document("z", BINH))
    seal_all(database)
    successor = make(database, transport, clock)
    await successor.load()

    await successor.recover()
    await successor.recover()

    assert transport.sequences(BINH) == [1]
    assert transport.sequences(ANNA)[:10] == list(range(1, 11))


async def test_error_that_is_kept_is_bounded(
    database: Database, transport: FakeTransport, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an endless text of a broker so much is kept with the stream."""
    transport.refusing = {ANNA: AppendUnknownError("x" * 100_000)}

    await sender.send(sealed(database, "a"))
    await sender.recover()

    kept = [text for (text,) in rows(database, "SELECT error FROM stream") if text]
    assert [MAX_ERROR_CHARACTERS] == [len(text) for text in kept]
