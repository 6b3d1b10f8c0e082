from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers.ledger import Ledger, StreamEntry, _Reader
from docbus.consumers.settling import Settlement
from docbus.consumers.streams import Stream
from docbus.storage.database import Database
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.inbox import ME, Inbox
from tests.support.outbox import NOW_MS, FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database."""
    made = Database.open(tmp_path / "state.db", FakeClock())
    yield made
    made.close()


def entry(number: int, sender: str = CITY, *, used_at: int = NOW_MS) -> StreamEntry:
    stream = Stream(1, number.to_bytes(32, "big"))
    return StreamEntry(number, (sender, number.to_bytes(16, "big")), "documents", stream, used_at=used_at, is_open=True)


def store(database: Database, *entries: StreamEntry) -> None:
    settlement = Settlement(agency=ME, environment="test", now_ms=NOW_MS)
    settlement.entries = {(one.sender, one.epoch): one for one in entries}
    database.write_now(settlement.write)


async def test_stream_is_read_back_as_it_was_stored(database: Database) -> None:
    """A ledger that begins anew has the heads, and numbers new streams behind the known ones."""
    store(database, entry(1), entry(7, COMMUNE))
    ledger = Ledger(database)

    context = await ledger.load([((COMMUNE, (7).to_bytes(16, "big")), 2)], [], NOW_MS)

    (read,) = context.streams.values()
    assert (7, COMMUNE, 1, (7).to_bytes(32, "big")) == (
        read.number,
        read.sender,
        read.stream.sequence,
        read.stream.digest,
    )
    assert 8 == ledger.new_number()


async def test_what_is_loaded_is_a_copy(database: Database) -> None:
    """A batch that comes to nothing leaves no trace in the ledger."""
    store(database, entry(1))
    ledger = Ledger(database)
    ledger.keep([entry(1)])
    key = CITY, (1).to_bytes(16, "big")

    first = await ledger.load([(key, 2)], [], NOW_MS)
    first.streams[key].stream.feed(2, (1).to_bytes(32, "big"), b"d" * 32)
    second = await ledger.load([(key, 2)], [], NOW_MS)

    assert (2, 1) == (first.streams[key].stream.sequence, second.streams[key].stream.sequence)


async def test_more_lookups_than_one_statement_takes(database: Database) -> None:
    """Any number of streams is found."""
    store(database, *(entry(number) for number in range(1, 1002)))
    places = [((CITY, number.to_bytes(16, "big")), 1) for number in range(1, 1002)]

    context = await Ledger(database).load(places, [], NOW_MS)

    assert {number for _, number in [(key, one.number) for key, one in context.streams.items()]} == set(range(1, 1002))


async def test_cache_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams that were used longest ago are read again when they are needed."""
    monkeypatch.setattr("docbus.consumers.ledger.MAX_CACHED_STREAMS", 2)
    ledger = Ledger(database)

    ledger.keep([entry(1), entry(2), entry(3)])

    assert [2, 3] == [one.number for one in ledger._entries.values()]


@pytest.mark.parametrize("document_id", ["a\0b", "a'b", "é", "%", "\U0001f4c4" * 50])
async def test_any_document_id_is_found_exactly(document_id: str, inbox: Inbox) -> None:
    """Ids are the sender's own; none of them is another one's in the ledger."""
    ledger_key = (CITY, document_id, 1)
    inbox.rows("SELECT 1")
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        database.write_now(
            lambda connection: connection.executemany(
                "INSERT INTO incoming_document (sender, document_id, revision, body_digest, stream, sequence)"
                " VALUES (?, ?, ?, ?, 1, ?)",
                [(*ledger_key, b"right", 1), (CITY, document_id[:1] + "!", 1, b"wrong", 2)],
            )
        )
        database.write_now(
            lambda connection: connection.execute(
                "INSERT INTO incoming (stream, sequence, decided_at, digest) VALUES (1, 1, 0, x'00'), (1, 2, 0, x'00')"
            )
        )

        context = await Ledger(database).load([], [ledger_key, (CITY, document_id + "x", 1)], NOW_MS)
    finally:
        database.close()

    assert {ledger_key: (b"right", None, None)} == {key: tuple(known) for key, known in context.documents.items()}


def test_long_lists_are_looked_up_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement looks up so many keys, and none is left out."""
    monkeypatch.setattr("docbus.consumers.ledger._LOOKUP", 2)
    asked: list[list[int]] = []

    def execute(_text: str, values: list[int]) -> list[tuple[int]]:
        asked.append(values)
        return [(value,) for value in values]

    reading: Any = SimpleNamespace(_connection=SimpleNamespace(execute=execute))
    found = list(_Reader._lookup(reading, "VALUES ()", [(number,) for number in range(5)]))

    assert [[0, 1], [2, 3], [4]] == asked
    assert [(number,) for number in range(5)] == found
