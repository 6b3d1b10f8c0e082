"""Reading the directory topic."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError, TopicMissingError, TransportError, WaitTimeoutError
from docbus.identity import entries
from docbus.identity.replay import DirectoryReplay
from docbus.registry import reader as module
from docbus.registry.follow import fetch_directory
from docbus.registry.reader import DirectoryReader, Kept
from docbus.transport.port import Record
from docbus.transport.topics import DIRECTORY
from tests.support.bus import append_entries, found_bus
from tests.support.directory import DirectoryBuilder, grant_of, make_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.transport.sqlite import SqliteTransport


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Return an embedded bus with an empty directory topic."""
    async with found_bus(tmp_path / "bus.db") as found:
        yield found


async def test_reader_comes_to_the_end(transport: SqliteTransport) -> None:
    """Everything that is there at the start is applied, and told on."""
    builder = DirectoryBuilder()
    for number in range(40):
        builder.grant(f"vn:H{number + 10}")
    await append_entries(transport, builder.records)
    told: list[bytes] = []
    reader = DirectoryReader(transport, builder.genesis, on_entry=lambda value, _offset, _checked: told.append(value))

    await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()
    assert builder.records == told


async def test_reader_goes_on_where_it_was(transport: SqliteTransport) -> None:
    """A second call applies only what has come since."""
    builder = DirectoryBuilder()
    await append_entries(transport, builder.records)
    reader = DirectoryReader(transport, builder.genesis)
    await reader.catch_up(30)
    builder.grant("vn:H26")
    await append_entries(transport, builder.records[1:])

    await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()


async def test_broken_entry_stops_the_reader_behind_the_last_good_one(transport: SqliteTransport) -> None:
    """What came before a broken entry is applied, what comes after is not."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    broken = builder.value(grant_of(make_keys("vn:H27")), previous=bytes(32))
    good = builder.value(grant_of(make_keys("vn:H28")))
    await append_entries(transport, [*builder.records, broken, good])
    reader = DirectoryReader(transport, builder.genesis)

    for _ in range(2):
        with pytest.raises(DirectoryError, match="entry 2 breaks the rule previous"):
            await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()


async def test_superseded_entries_are_passed_over(transport: SqliteTransport) -> None:
    """What lost a race, or came twice, is without effect; the log goes on behind it."""
    builder = DirectoryBuilder()
    lost = builder.value(grant_of(make_keys("vn:H27")))
    builder.grant("vn:H26")
    genesis, first = builder.records
    builder.grant("vn:H28")
    told: list[bytes] = []
    await append_entries(transport, [genesis, genesis, first, lost, first, builder.records[2]])
    reader = DirectoryReader(transport, builder.genesis, on_entry=lambda value, _offset, _checked: told.append(value))

    await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()
    assert None is reader.replay.snapshot().agency("vn:H27")
    assert builder.records == told


async def test_missing_topic_is_named(tmp_path: Path) -> None:
    """Without its topic there is no directory."""
    async with found_bus(tmp_path / "bus.db", directory=False) as transport:
        with pytest.raises(TopicMissingError, match=DIRECTORY) as caught:
            await DirectoryReader(transport, bytes(32)).catch_up(30)
    # Nobody can provision an exchange that has no directory.
    assert "Check the address of the bus" in (caught.value.hint or "")


async def test_fetch_returns_what_a_bundle_needs(transport: SqliteTransport) -> None:
    """The whole log comes with its record values, without what was superseded."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    await append_entries(transport, [*builder.records, builder.records[1]])

    snapshot, values = await fetch_directory(transport, builder.genesis)

    assert builder.snapshot() == snapshot
    assert builder.records == values


async def test_empty_directory_is_an_error(transport: SqliteTransport) -> None:
    """A topic without records is no directory yet."""
    with pytest.raises(DirectoryError, match="the directory is empty: it has no entry 0") as caught:
        await fetch_directory(transport, bytes(32))
    assert "Check the address of the bus" in (caught.value.hint or "")


class _Log:
    """A transport whose topic is what the test says it is."""

    def __init__(self, bounds: dict[int, tuple[int, int]], values: list[bytes | None]) -> None:
        self._bounds = bounds
        self._values = values
        self.withholds = False

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        assert topic == DIRECTORY
        return self._bounds

    async def read(self, topic: str, partition: int, offset: int, **_limits: object) -> list[Record]:
        if self.withholds and offset >= len(self._values):
            await asyncio.Event().wait()
        return [
            Record(topic=topic, partition=partition, offset=at, timestamp_ms=0, key=None, value=value, headers=())
            for at, value in enumerate(self._values)
            if at >= offset
        ]


def _reader(log: _Log, genesis: bytes) -> DirectoryReader:
    return DirectoryReader(log, genesis)  # type: ignore[arg-type] # the two methods it needs


async def test_deleted_beginning_is_refused() -> None:
    """A directory whose first entries are gone is refused as such, not as a forged genesis."""
    with pytest.raises(DirectoryError, match="before offset 5 have been deleted"):
        await _reader(_Log({0: (5, 9)}, []), bytes(32)).catch_up(30)


@pytest.mark.parametrize("bounds", [{0: (0, 1), 1: (0, 1)}, {}, {1: (0, 1)}])
async def test_other_partitions_are_refused(bounds: dict[int, tuple[int, int]]) -> None:
    """An order over several partitions does not exist."""
    with pytest.raises(DirectoryError, match="partitions, expected 1"):
        await _reader(_Log(bounds, []), bytes(32)).catch_up(30)


@pytest.mark.parametrize("what", ["no value", "garbage", "stranger", "payload type"])
async def test_record_that_the_registrar_did_not_sign_is_passed_by(what: str) -> None:
    """It is told and counted, and the entry behind it is in force as if it were not there."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    grant = grant_of(make_keys("vn:H53"))
    record = entries.decode_record(builder.value(grant))
    foreign = {
        "no value": None,
        "garbage": b"not an entry",
        "stranger": builder.value(grant, signers=DirectoryBuilder().signers),
        "payload type": entries.encode_record(replace(record, payload_type="text/plain")),
    }[what]
    builder.grant("vn:H27")
    log = _Log({0: (0, 5)}, [*builder.records[:2], foreign, foreign, builder.records[2]])
    told: list[int] = []
    reader = DirectoryReader(log, builder.genesis, on_foreign=lambda offset, _: told.append(offset))  # type: ignore[arg-type] # the two methods it needs

    await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()
    assert (5, 2, [2, 3]) == (reader.offset, reader.foreign, told)


async def test_foreign_record_is_looked_at_again_when_the_next_entry_does_not_follow() -> None:
    """Brokers that show garbage in the place of an entry, and later the entry, are believed when they show it."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H53")
    log = _Log({0: (0, 3)}, [builder.records[0], b"garbage", builder.records[2]])
    reader = _reader(log, builder.genesis)
    for _ in range(2):
        with pytest.raises(DirectoryError, match="claims position 2"):
            await reader.catch_up(30)
        assert (0, 1, 1) == (reader.replay.position, reader.offset, reader.foreign)

    log._values[1] = builder.records[1]
    await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()


async def test_entry_that_the_registrar_signed_and_that_cannot_be_read_stops_the_reading() -> None:
    """What a later version of the registrar's software has signed is not passed by."""
    builder = DirectoryBuilder()
    later = entries.sign_entry(b"\xff" * 40, builder.signers)
    log = _Log({0: (0, 2)}, [builder.records[0], later])

    with pytest.raises(DirectoryError, match="entry_form"):
        await _reader(log, builder.genesis).catch_up(30)


async def test_first_record_of_somebody_else_is_refused() -> None:
    """Before the genesis nobody is known whose record could be passed by."""
    builder = DirectoryBuilder()
    log = _Log({0: (0, 2)}, [b"garbage", builder.records[0]])

    with pytest.raises(DirectoryError, match="record_form"):
        await _reader(log, builder.genesis).catch_up(30)


async def test_end_that_is_never_shown_runs_out_of_time() -> None:
    """Brokers that promise records and hold them back make a bounded wait end."""
    builder = DirectoryBuilder()
    log = _Log({0: (0, 2)}, [builder.records[0]])
    log.withholds = True
    reader = _reader(log, builder.genesis)

    with pytest.raises(WaitTimeoutError, match=r"was read to entry 0 in 0.05 s"):
        await reader.catch_up(0.05)


async def test_long_log_gives_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """While much is applied, other tasks get their turn."""
    builder = DirectoryBuilder()
    for number in range(4):
        builder.grant(f"vn:H{number + 10}")
    monkeypatch.setattr(module, "CHUNK_RECORDS", 2)
    reader = _reader(_Log({0: (0, 5)}, list(builder.records)), builder.genesis)
    seen: list[int] = []

    async def _look() -> None:
        while reader.replay.position < 4:
            seen.append(reader.replay.position)
            await asyncio.sleep(0)

    await asyncio.gather(reader.step(1), _look())

    assert [1, 3] == seen


def test_replay_refuses_transport_errors_as_its_own() -> None:
    """Errors of the log and errors of the transport are told apart by class."""
    with pytest.raises(DirectoryError) as caught:
        DirectoryReplay(bytes(32)).apply(b"")

    assert not isinstance(caught.value, TransportError)


async def _kept(builder: DirectoryBuilder, *, begin: int = 0) -> AsyncIterator[Kept]:
    replay = DirectoryReplay(builder.genesis)
    for offset, record in enumerate(builder.records):
        replay.apply(record)
        if offset >= begin:
            yield Kept(record, offset, replay.checked)


@pytest.mark.parametrize("verify", [True, False])
async def test_reader_resumes_from_what_was_kept(transport: SqliteTransport, *, verify: bool) -> None:
    """Only what follows what was kept is read, and it says the same whether that was verified once more or not."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    await append_entries(transport, builder.records)
    told: list[int] = []
    reader = DirectoryReader(transport, builder.genesis, on_entry=lambda _value, offset, _checked: told.append(offset))
    assert 2 == await reader.resume(_kept(builder), verify=verify)
    builder.grant("vn:H53")
    await append_entries(transport, builder.records[2:])
    await reader.catch_up(30)

    assert [2] == told
    assert builder.snapshot() == reader.replay.snapshot()
    assert list(builder.snapshot().agencies()) == list(reader.replay.snapshot().agencies())
    assert 0 == await reader.resume(_kept(builder, begin=3), verify=verify)


async def test_what_was_kept_is_verified_if_that_is_asked_for(transport: SqliteTransport) -> None:
    """A record that the registrar did not sign is refused when it is verified; nobody could have kept it otherwise."""
    builder = DirectoryBuilder()
    builder.records.append(builder.value(entries.Heartbeat(), signers=DirectoryBuilder().signers))

    async def kept() -> AsyncIterator[Kept]:
        for offset, record in enumerate(builder.records):
            yield Kept(record, offset, b"")

    with pytest.raises(DirectoryError, match="signatures"):
        await DirectoryReader(transport, builder.genesis).resume(kept(), verify=True)
    assert 2 == await DirectoryReader(transport, builder.genesis).resume(kept(), verify=False)
