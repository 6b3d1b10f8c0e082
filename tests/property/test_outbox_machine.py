"""The outbox as a state machine: whatever happens in whatever order, nothing accepted is lost and no stream breaks."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from docbus.errors import AppendUnknownError, BrokerUnavailableError
from docbus.producers.epochs import ensure_epochs
from docbus.producers.pruning import prune
from docbus.producers.receipts import match
from docbus.producers.sending import Sender
from docbus.storage.database import Database
from docbus.transport.topics import inbox
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    SENDER,
    FakeClock,
    FakeTransport,
    document,
    receipt,
    rows,
    sealing,
    take_in,
)

RECIPIENTS = st.lists(st.sampled_from((ANNA, BINH, CHI)), min_size=1, max_size=3, unique=True)
LATER_SECONDS = 3600.0


class Outbox(RuleBasedStateMachine):
    """Accepts, seals, sends, fails, dies, is receipted and pruned."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.clock = FakeClock()
        self.transport = FakeTransport()
        self.promised: set[tuple[str, str]] = set()
        self.final: dict[tuple[str, str], int] = {}
        self.batches: list[list[Any]] = []
        self.open()

    def open(self) -> None:
        self.database = Database.open(self.path)
        self.database.write_now(lambda c: ensure_epochs(c, self.path, at_ms=self.clock.ms))
        double: Any = self.transport
        self.sender = Sender(
            database=self.database, transport=double, sender=SENDER, clock=self.clock, factor=lambda: 1.0
        )
        asyncio.run(self.sender.load())

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.finish()
            self.database.close()
            self.folder.cleanup()

    @rule(recipients=RECIPIENTS, count=st.integers(1, 4), urgent=st.booleans())
    def accept(self, recipients: list[str], count: int, *, urgent: bool) -> None:
        """Accept documents, and one of them twice."""
        lane = "urgent" if urgent else "documents"
        first = len({name for name, _ in self.promised})
        documents = [document(f"{first + number:04}", *recipients, lane=lane) for number in range(count)]

        duplicates = take_in(self.database, *documents, documents[0])

        self.promised |= {(each.document_id, recipient) for each in documents for recipient in recipients}
        assert duplicates == [False] * count + [True]

    @rule()
    def seal(self) -> None:
        """Seal the next batch and hold it in memory."""
        self.batches.append(sealing(self.database).seal_next().copies)

    @precondition(lambda self: self.batches)
    @rule(trouble=st.sampled_from(("none", "none", "lost", "stored", "away", "missing")), missing=RECIPIENTS)
    def send(self, trouble: str, missing: list[str]) -> None:
        """Send the oldest batch in memory, with or without trouble."""
        self.cause(trouble, missing)
        asyncio.run(self.sender.send(self.batches.pop(0)))

    @rule(trouble=st.sampled_from(("none", "none", "lost", "stored", "away", "missing")), missing=RECIPIENTS)
    def recover(self, trouble: str, missing: list[str]) -> None:
        """Send what is stored, some time later."""
        self.clock.advance(LATER_SECONDS)
        self.cause(trouble, missing)
        asyncio.run(self.sender.recover())

    def cause(self, trouble: str, missing: list[str]) -> None:
        self.transport.missing = set(missing) if trouble == "missing" else set()
        self.transport.script = {
            "lost": [AppendUnknownError("unclear")],
            "stored": [("stored", AppendUnknownError("unclear"))],
            "away": [BrokerUnavailableError("away")],
        }.get(trouble, [])

    @precondition(lambda self: self.batches)
    @rule()
    def forget(self) -> None:
        """Lose a stored batch from memory, as when the disk answered too late."""
        self.batches.pop(0)
        asyncio.run(self.sender.load())

    @rule()
    def die(self) -> None:
        """End the process: what was in memory is gone."""
        self.database.close()
        self.batches.clear()
        self.open()

    @rule(recipient=st.sampled_from((ANNA, BINH, CHI)), data=st.data())
    def receive(self, recipient: str, data: st.DataObject) -> None:
        """Take in a receipt for some stretch of what was sent to a recipient in the newest epoch."""
        found = rows(
            self.database,
            "SELECT s.sent FROM stream s JOIN epoch e USING (epoch) WHERE s.recipient = ? AND e.lane = 0"
            " AND e.closed_at IS NULL",
            recipient,
        )
        if not found or not found[0][0]:
            return
        first = data.draw(st.integers(1, found[0][0]))
        last = data.draw(st.integers(first, found[0][0]))
        refused = data.draw(st.lists(st.integers(first, last), unique=True, max_size=2).map(sorted))
        wrong = data.draw(st.sampled_from((False, False, False, True)))
        body = receipt(self.database, recipient, first, last, [(sequence, "rejected") for sequence in refused])
        body = body._replace(root=bytes(32)) if wrong else body
        self.database.write_now(lambda c: match(c, receipt=body, issuer=recipient, at_ms=self.clock.ms))

    @rule()
    def cut(self) -> None:
        """Drop the bytes of everything that is settled."""
        self.database.write_now(lambda c: prune(c, settled_before_ms=self.clock.ms + 1))

    @invariant()
    def streams_on_the_wire_have_neither_holes_nor_forks(self) -> None:
        """In each inbox each stream begins at 1, goes up by 1, and repeats only the same bytes."""
        if not hasattr(self, "transport"):
            return
        values: dict[tuple[bytes, bytes, int], bytes] = {}
        heads: dict[tuple[bytes, bytes], int] = defaultdict(int)
        for record in self.transport.records:
            recipient, _, epoch, sequence, _ = record.value.split(b"|")[:5]
            number = int(sequence)
            assert record.topic == inbox(recipient.decode())
            assert values.setdefault((recipient, epoch, number), record.value) == record.value
            assert number <= heads[recipient, epoch] + 1
            heads[recipient, epoch] = max(number, heads[recipient, epoch])

    @invariant()
    def received_stays_received(self) -> None:
        """Nothing that was receipted as filed ever becomes anything else."""
        if not hasattr(self, "database"):
            return
        received = {row[0:2] for row in rows(self.database, "SELECT outgoing, ordinal FROM copy WHERE state = 3")}
        assert getattr(self, "received", set()) <= received
        self.received = received

    def finish(self) -> None:
        """Let all trouble end, and see that every promise is kept."""
        self.cause("none", [])
        for copies in self.batches:
            asyncio.run(self.sender.send(copies))
        step = sealing(self.database)
        while (batch := step.seal_next()).copies:
            asyncio.run(self.sender.send(batch.copies))
        while self.sender.wait() is not None:
            self.clock.advance(LATER_SECONDS)
            asyncio.run(self.sender.recover())
        self.streams_on_the_wire_have_neither_holes_nor_forks()
        arrived = {
            (value.split(b"|")[4][:4].decode(), recipient)
            for recipient in (ANNA, BINH, CHI)
            for value in self.transport.values(recipient)
        }
        unsent = rows(self.database, "SELECT count(*) FROM copy WHERE state IN (0, 1)")
        assert arrived == self.promised
        assert unsent == [(0,)]


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
