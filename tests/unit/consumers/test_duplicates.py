"""Records whose statement had come before are counted, each once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from docbus.consumers.duplicates import Duplicates
from docbus.consumers.holding import StopReceiving
from docbus.consumers.inspection import Failed
from docbus.consumers.items import Item
from docbus.consumers.overview import overview
from docbus.consumers.parking import ParkedRecord
from docbus.consumers.sinks.port import Retry
from docbus.consumers.streams import Place
from docbus.errors import SinkUnavailableError
from docbus.storage.database import Database
from docbus.transport.port import Record
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.inbox import ME

if TYPE_CHECKING:
    from tests.support.inbox import Inbox


def counted(inbox: Inbox) -> list[tuple[str, int]]:
    """Return how many duplicates there were of each sender; the overview has them all together."""
    rows: list[tuple[str, int]] = inbox.rows("SELECT sender, count FROM duplicate ORDER BY sender")
    with closing(Database.open(inbox.folder / "state.db", inbox.clock)) as database:
        assert sum(count for _, count in rows) == database.read_now(overview).duplicates
    return rows


async def test_each_duplicate_is_counted_once(inbox: Inbox) -> None:
    """The same record again, in one fetch or in a later one, is a duplicate; what is new is none."""
    city, commune = inbox.exchange.documents(CITY, ME, 2), inbox.exchange.documents(COMMUNE, ME, 1)
    await inbox.post(*city, *commune, city[0])
    await inbox.receive()
    assert [(CITY, 1)] == counted(inbox)

    await inbox.post(city[1], city[1], *commune)
    await inbox.receive()
    await inbox.receive()

    assert sorted([(COMMUNE, 1), (CITY, 3)]) == counted(inbox)
    assert 3 == len(inbox.sink.order)
    assert [] == inbox.findings()


async def test_what_is_read_again_is_no_duplicate(inbox: Inbox) -> None:
    """Whoever lets the inbox be read again from its first record finds nothing that came twice, and counts on later."""
    (first, second) = inbox.exchange.documents(CITY, ME, 2)
    await inbox.post(first, first)
    await inbox.receive()

    await inbox.receive(start={0: 0})
    assert [(CITY, 1)] == counted(inbox)
    await inbox.post(second, second)
    await inbox.receive(start={0: 0})

    assert [(CITY, 2)] == counted(inbox)


async def test_crash_between_two_parts_of_a_batch_counts_nothing_twice(inbox: Inbox) -> None:
    """What was stored ahead of an undecided record is known when it is read again, as a duplicate or as none."""
    (known, new) = inbox.exchange.documents(COMMUNE, ME, 2)
    await inbox.post(known)
    await inbox.receive()
    inbox.sink.script = [SinkUnavailableError("down"), StopReceiving()]
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1), known, known)
    await inbox.receive()
    assert [(COMMUNE, 2)] == counted(inbox)
    assert [(0, 2), (0, 3)] == inbox.rows("SELECT partition, at_offset FROM decided_ahead")

    await inbox.post(new)
    await inbox.receive()

    assert [(COMMUNE, 2)] == counted(inbox)
    assert [] == inbox.rows("SELECT partition, at_offset FROM decided_ahead")
    assert 3 == len(inbox.sink.order)


async def test_duplicate_that_waits_is_counted_when_its_turn_comes(inbox: Inbox) -> None:
    """Behind a document that the DMS wants later, a duplicate of it waits as well, and counts once."""
    (document,) = inbox.exchange.documents(CITY, ME, 1)
    inbox.sink.answers = {"H26-00001": Retry("busy")}
    await inbox.post(document, document)
    await inbox.receive()
    assert ([], 2) == (counted(inbox), inbox.parked())

    inbox.sink.answers = {}
    inbox.clock.advance(600)
    await inbox.receive()
    await inbox.receive()

    assert ([(CITY, 1)], 0) == (counted(inbox), inbox.parked())


def item_at(offset: int, *, parked: bool = False, reread: bool = False) -> Item:
    """Return an item of a record at an offset, new or as it was parked."""
    record = Record("docbus.inbox.vn.H53", 0, offset, 0, None, b"", ())
    kept = ParkedRecord(1, record, None, 0, None, reread) if parked else None
    item = Item(record, Failed("x", "C1", "x", None), kept)
    item.key, item.place = (CITY, bytes(16)), Place.DUPLICATE
    return item


def test_record_that_is_read_again_and_has_to_wait_then_is_no_duplicate() -> None:
    """What was decided before it was parked is known when its turn comes; what came new to be parked is a duplicate."""
    duplicates = Duplicates()
    duplicates.load(({0: 5}, frozenset({(0, 7)})))
    items = [item_at(4), item_at(7), item_at(8)]
    duplicates.recognise(items)
    assert [True, True, False] == [item.reread for item in items]

    resumed = [item_at(one.record.offset, parked=True, reread=one.reread) for one in items]
    duplicates.recognise(resumed)

    assert {(CITY, 0): 1} == duplicates.look(resumed, {}).duplicates


async def test_parked_record_keeps_whether_it_was_only_read_again(inbox: Inbox) -> None:
    """The note survives the process that made it."""
    (document,) = inbox.exchange.documents(CITY, ME, 1)
    inbox.sink.answers = {"H26-00001": Retry("busy")}
    await inbox.post(document, document)
    await inbox.receive()
    with closing(Database.open(inbox.folder / "state.db", inbox.clock)) as database:
        database.write_now(lambda connection: connection.execute("UPDATE parked SET reread = 1 WHERE at_offset = 1"))
    inbox.sink.answers = {}
    inbox.clock.advance(600)

    await inbox.receive()
    await inbox.receive()

    assert ([], 0) == (counted(inbox), inbox.parked())
