"""An agency that receives from an embedded bus: real envelopes, a sink that obeys the test, and short ways to look."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docbus.consumers.sinks.port import AlreadyThere, Created
from docbus.consumers.subscriber import Subscriber
from docbus.envelope.statement import RECEIPT_TYPE, SCHEMAS, ReceiptBody
from docbus.errors import SinkUnavailableError
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.transport.sqlite import SqliteTransport
from docbus.wire.tree import root_of
from tests.support.audit_exchange import AGENCIES, PROVINCE, Exchange, Posted
from tests.support.outbox import PATIENCE, FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery, Outcome
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record

ME = PROVINCE


class ObedientSink:
    """Files in memory by name, idempotently, and answers otherwise where a test wants it.

    Attributes:
        calls: The documents of each call.
        answers: Document id to an outcome that is given instead, or to an error that is raised.
        script: Errors to be raised by the next calls.
    """

    def __init__(self, max_batch: int = 4096) -> None:
        self.max_batch = max_batch
        self.filed: dict[str, Delivery] = {}
        self.order: list[str] = []
        self.calls: list[list[str]] = []
        self.answers: dict[str, Outcome] = {}
        self.script: list[Exception | None] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.closed = False

    async def start(self) -> None:
        pass

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        self.calls.append([delivery.document_id for delivery in batch])
        self.before()
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        outcomes = [self._file(delivery) for delivery in batch]
        self.after()
        return outcomes

    def _file(self, delivery: Delivery) -> Outcome:
        answer = self.answers.get(delivery.document_id)
        if answer is not None:
            return answer
        if delivery.name in self.filed:
            return AlreadyThere(delivery.name)
        self.filed[delivery.name] = delivery
        self.order.append(delivery.document_id)
        return Created(delivery.name)

    async def aclose(self) -> None:
        self.closed = True


@dataclass(kw_only=True)
class Inbox:
    """One agency's folder, bus and sink; each :meth:`receive` is a process that ends when nothing more comes."""

    folder: Path
    bus: SqliteTransport
    exchange: Exchange = field(default_factory=Exchange)
    sink: Any = field(default_factory=ObedientSink)
    clock: FakeClock = field(default_factory=FakeClock)
    snapshot: TrustSnapshot | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def found(self, *, partitions: int = 1) -> None:
        """Create the topics; so many partitions has the agency's own inbox."""
        await self.bus.create([topics.spec_of(topics.inbox(ME), partitions=partitions)])
        names = [name for agency in AGENCIES for name in (topics.inbox(agency), topics.content(agency))]
        names += [topics.quarantine(ME), topics.dead_letter(ME), topics.ledger(ME)]
        await self.bus.create([topics.spec_of(name) for name in names])

    async def post(self, *posted: Posted) -> None:
        """Append envelopes to the inbox."""
        await self.bus.append([one.record for one in posted])

    async def post_value(self, value: bytes, key: bytes | None = None, **changed: Any) -> None:
        """Append any bytes to the inbox."""
        await self.bus.append([NewRecord(topic=topics.inbox(ME), key=key, value=value, **changed)])

    def subscriber(self, database: Database, **changed: Any) -> Subscriber:
        """Return a subscriber whose pauses take next to no time."""
        values: dict[str, Any] = {
            "agency": ME,
            "database": database,
            "transport": self.bus,
            "snapshot": lambda: self.snapshot or self.exchange.snapshot,
            "decrypters": [self.exchange.keys[ME].encryption_key.decrypter()],
            "sink": self.sink,
            "clock": self.clock,
            "factor": lambda: 0.002,
        }
        return Subscriber(**(values | changed))

    async def receive(self, **changed: Any) -> None:
        """Receive until nothing more comes."""
        database = Database.open(self.folder / "state.db", self.clock)
        try:
            await self.subscriber(database, **changed).run(self.stop, idle_seconds=0.0)
        finally:
            database.close()

    async def serve(self, **changed: Any) -> None:
        """Receive until ``stop`` is set."""
        database = Database.open(self.folder / "state.db", self.clock)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.subscriber(database, **changed).run(self.stop)
        finally:
            database.close()

    def lose_ledger(self) -> None:
        """Remove the agency's database."""
        for path in self.folder.glob("state.db*"):
            path.unlink()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds in the agency's database."""
        database = Database.open(self.folder / "state.db", self.clock)
        try:
            return database.read_now(lambda connection: connection.execute(query, values).fetchall())
        finally:
            database.close()

    def receipts(self) -> list[tuple[str, ReceiptBody]]:
        """Return (addressee, receipt) of all that wait in the outbox, in order."""
        found = self.rows(
            "SELECT c.recipient, o.body FROM outgoing o JOIN copy c USING (outgoing) WHERE o.form = 'receipt'"
            " ORDER BY o.outgoing"
        )
        return [(recipient, _receipt(body)) for recipient, body in found]

    def meaning(self) -> dict[tuple[str, bytes, int], str | None]:
        """Return what all receipts together say: (addressee, epoch, position) to the reason of a refusal, or None."""
        said: dict[tuple[str, bytes, int], str | None] = {}
        for addressee, receipt in self.receipts():
            refused = {refusal.sequence: refusal.reason for refusal in receipt.refused}
            for sequence in range(receipt.first, receipt.last + 1):
                said[addressee, receipt.epoch, sequence] = refused.get(sequence)
        return said

    def ranges(self) -> list[tuple[str, int, int]]:
        """Return (addressee, first, last) of each receipt, in order."""
        return [(addressee, receipt.first, receipt.last) for addressee, receipt in self.receipts()]

    def findings(self) -> list[str]:
        """Return the codes of all findings, in order."""
        return [code for (code,) in self.rows("SELECT code FROM finding ORDER BY finding")]

    def state(self, name: str) -> Any:
        """Return one of the ledger's single values."""
        return json.loads(self.rows("SELECT value FROM ledger_state WHERE name = ?", name)[0][0])

    def holes(self) -> list[tuple[int, int, int]]:
        """Return (first, last, missed) of every hole."""
        return self.rows("SELECT first, last, missed FROM incoming_hole ORDER BY stream, first")

    def parked(self) -> int:
        """Return how many records wait."""
        return int(self.rows("SELECT count(*) FROM parked")[0][0])

    def next_offset(self) -> int:
        """Return how far the ledger says the inbox is decided."""
        return int(self.rows("SELECT next_offset FROM inbox_partition")[0][0])

    async def committed(self) -> int | None:
        """Return how far the broker says so."""
        return (await self.bus.committed(topics.inbox(ME), topics.inbox(ME)))[0]

    async def quarantined(self) -> list[Record]:
        """Return the records in quarantine."""
        return await self._all(topics.quarantine(ME))

    async def dead_letters(self) -> list[Record]:
        """Return the dead letters."""
        return await self._all(topics.dead_letter(ME))

    async def _all(self, topic: str) -> list[Record]:
        return await self.bus.read(topic, 0, 0, max_records=10_000, max_bytes=1 << 30, wait=0.0)

    async def reasons(self) -> list[str]:
        """Return the reasons of all records in quarantine, in order."""
        return [dict(record.headers)["docbus_reason"].decode() for record in await self.quarantined()]


@asynccontextmanager
async def opened_inbox(folder: Path, *, partitions: int = 1) -> AsyncIterator[Inbox]:
    """Open a bus in a folder, with an agency and its topics."""
    clock = FakeClock()
    bus = SqliteTransport(folder / "bus.db", clock)
    await bus.start()
    home = folder / "agency"
    home.mkdir()
    made = Inbox(folder=home, bus=bus, clock=clock)
    await made.found(partitions=partitions)
    try:
        yield made
    finally:
        await bus.aclose()


def _receipt(body: bytes) -> ReceiptBody:
    codec, name = SCHEMAS[RECEIPT_TYPE]
    receipt, _ = codec.decode_part(codec.readers[name], body, 0)
    assert isinstance(receipt, ReceiptBody)
    return receipt


def expected_root(posted: Sequence[Posted]) -> bytes:
    """Return the root over the digests of consecutive statements."""
    return root_of([one.sealed.digest for one in posted])


def unavailable(text: str = "the DMS is down") -> SinkUnavailableError:
    """Return what a sink raises when it cannot be reached."""
    return SinkUnavailableError(text, step="C3")
