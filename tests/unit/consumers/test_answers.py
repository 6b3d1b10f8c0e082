"""Reading an inbox that other instances of the agency receive from, for the answers to this one's outbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.consumers.answers import AnswerReader
from docbus.consumers.values import read_value, write_value
from docbus.storage.database import Database
from tests.support.audit_exchange import CITY
from tests.support.inbox import ME
from tests.support.outbox import PATIENCE
from tests.support.trial import until

if TYPE_CHECKING:
    from tests.support.inbox import Inbox


async def test_records_that_are_no_envelopes_are_passed_over(inbox: Inbox) -> None:
    """Noise and an empty value in the inbox do not end the reading of answers; what lies behind them is read."""
    await inbox.post_value(b"no envelope at all")
    await inbox.post_value(b"")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    await database.write(lambda connection: write_value(connection, "answers", {0: 0}))
    reader = AnswerReader(
        agency=ME,
        database=database,
        transport=inbox.bus,
        snapshot=lambda: inbox.exchange.snapshot,
        decrypters=[inbox.exchange.keys[ME].encryption_key.decrypter()],
        clock=inbox.clock,
        factor=lambda: 0.002,
    )
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
