"""Partitions that this folder reads, and what waits in others."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from docbus.consumers import wanted
from docbus.consumers.held import read_held, write_held
from docbus.consumers.overview import overview
from docbus.storage.database import Database
from tests.support.audit_exchange import CITY
from tests.support.content import ReadingSink, large_document, plaintext, send, upload
from tests.support.inbox import ME

if TYPE_CHECKING:
    import pytest

    from tests.support.inbox import Inbox


async def test_receiving_notes_what_is_held(inbox: Inbox) -> None:
    """What the group has given to this folder is in its ledger; before, all partitions count."""
    with closing(Database.open(inbox.folder / "state.db")) as database:
        assert None is database.read_now(read_held)

    await inbox.receive()

    with closing(Database.open(inbox.folder / "state.db")) as database:
        assert frozenset({0}) == database.read_now(read_held)


async def test_what_waits_in_a_partition_of_others_does_not_wait_here(inbox: Inbox) -> None:
    """It stays in the ledger and is not shown, and its large content makes room; it has its turn when it comes back."""
    document = large_document(inbox.exchange, plaintext(1.5))
    await upload(inbox, document.values[:-1])
    await inbox.post(document.seal(inbox.exchange), *inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive()
    database = Database.open(inbox.folder / "state.db")
    held = database.read_now(overview)
    assert (2, 2, 1) == (held.parked, held.waiting[0].records, held.content.documents)

    dropped = database.write_now(lambda c: write_held(c, []))
    moved = database.read_now(overview)

    assert (1, 0, (), 0) == (len(dropped), moved.parked, moved.waiting, moved.content.documents)
    assert 2 == inbox.parked()
    database.close()
    await upload(inbox, document.values[-1:])
    for _ in range(2):
        inbox.clock.advance(60)
        await inbox.receive()
    assert ["H26-00001", "H26-00002"] == inbox.sink.order
    assert [] == inbox.findings()


async def test_content_of_the_first_is_fetched_before_that_of_those_behind(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a partition comes back, what stands behind is wanted first, and takes no room from what it waits for."""
    monkeypatch.setattr(wanted, "AHEAD_BYTES", 1)
    inbox.sink = ReadingSink()
    first = large_document(inbox.exchange, plaintext(1.5))
    await inbox.post(first.seal(inbox.exchange))
    await inbox.receive()
    with closing(Database.open(inbox.folder / "state.db")) as database:
        database.write_now(lambda c: write_held(c, []))
        database.write_now(lambda c: c.execute("UPDATE parked SET due_at = due_at + 600000"))
    others = [large_document(inbox.exchange, plaintext(1.5)) for _ in range(3)]
    for one in others:
        await send(inbox, one)
    with closing(Database.open(inbox.folder / "state.db")) as database:
        database.write_now(lambda c: write_held(c, [0]))
        database.write_now(lambda c: c.execute("UPDATE parked SET due_at = due_at + 600000"))
    await inbox.receive()

    await upload(inbox, first.values)
    for _ in range(6):
        inbox.clock.advance(300)
        await inbox.receive()

    assert ["H26-00001", "H26-00002", "H26-00003", "H26-00004"] == inbox.sink.order
    assert 0 == inbox.parked()
