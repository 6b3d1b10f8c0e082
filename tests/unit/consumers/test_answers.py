"""Reading an inbox that other instances of the agency receive from, for the answers to this one's outbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from docbus.consumers import answers
from docbus.consumers.answers import AnswerReader
from docbus.consumers.values import read_value, write_value
from docbus.storage.database import Database
from tests.support.audit_exchange import CITY
from tests.support.inbox import ME
from tests.support.outbox import PATIENCE
from tests.support.trial import until

if TYPE_CHECKING:
    from tests.support.inbox import Inbox


HOUR_MS = 60 * 60 * 1000


async def reader_of(inbox: Inbox, database: Database) -> AnswerReader:
    """Return a reader that begins with the first record."""
    await database.write(lambda connection: write_value(connection, "answers", {0: 0}))
    return AnswerReader(
        agency=ME,
        database=database,
        transport=inbox.bus,
        snapshot=lambda: inbox.exchange.snapshot,
        decrypters=[inbox.exchange.keys[ME].encryption_key.decrypter()],
        clock=inbox.clock,
        factor=lambda: 0.002,
    )


async def test_records_that_are_no_envelopes_are_passed_over(inbox: Inbox) -> None:
    """Noise and an empty value in the inbox do not end the reading of answers; what lies behind them is read."""
    await inbox.post_value(b"no envelope at all")
    await inbox.post_value(b"")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    reader = await reader_of(inbox, database)
    stop = asyncio.Event()
    reading = asyncio.create_task(reader.run(stop))

    async def is_over() -> bool:
        return reading.done() or {"0": 3} == await database.read(lambda connection: read_value(connection, "answers"))

    await until(is_over)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await reading

    assert {"0": 3} == await database.read(lambda connection: read_value(connection, "answers"))
    database.close()


@pytest.mark.parametrize("most", [1024, 1], ids=["room", "no room"])
async def test_answer_whose_time_has_not_come_keeps_no_other(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A status from a clock that is hours ahead waits; what lies behind is taken, however much a read has."""
    monkeypatch.setattr(answers, "READ_RECORDS", 2)
    monkeypatch.setattr(answers, "MAX_UNDECIDED", most)
    early = inbox.exchange.status(CITY, ME, "early", 3, now_ms=inbox.clock.ms + 6 * HOUR_MS)
    await inbox.post(early, *(inbox.exchange.status(CITY, ME, f"d{n}", 3) for n in range(7)))
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    reader = await reader_of(inbox, database)
    stop = asyncio.Event()
    reading = asyncio.create_task(reader.run(stop))

    def known() -> set[str]:
        return {row[0] for row in inbox.rows("SELECT document_id FROM status")}

    if most > 1:
        await until(lambda: len(known()) == 7)
        assert {"0": 0} == await database.read(lambda connection: read_value(connection, "answers"))
    inbox.clock.advance(6 * HOUR_MS / 1000)
    await until(lambda: len(known()) == 8)
    await until(lambda: {"0": 8} == database.read_now(lambda connection: read_value(connection, "answers")))
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await reading
    database.close()
