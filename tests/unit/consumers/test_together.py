"""Lanes of one inbox, several instances of one agency, and records that kill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from docbus.consumers import attempts
from docbus.consumers.attempts import CONDEMNED_AT
from docbus.consumers.intake import Intake
from docbus.consumers.sinks.port import Retry
from docbus.transport import topics
from docbus.transport.port import TopicSpec
from docbus.transport.sqlite import SqliteTransport
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.inbox import ME, Inbox, ObedientSink, opened_inbox
from tests.support.outbox import PATIENCE
from tests.support.trial import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery, Outcome


@pytest.fixture
async def lanes(tmp_path: Path) -> AsyncIterator[Inbox]:
    """Yield an agency whose inbox has an express partition."""
    async with opened_inbox(tmp_path, partitions=2) as made:
        yield made


class SlowSink(ObedientSink):
    """From its second call on, lets an express record arrive before it goes on."""

    def __init__(self, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(max_batch=4)
        self.arrived = asyncio.Event()
        self.urgent: list[Any] = []
        self._inbox = inbox
        inspect = Intake.inspect

        async def inspect_and_tell(intake: Intake, records: Any, hand: str) -> Any:
            found = await inspect(intake, records, hand)
            if records and hand.endswith("True"):
                asyncio.get_running_loop().call_soon(self.arrived.set)
            return found

        monkeypatch.setattr(Intake, "inspect", inspect_and_tell)

    @override
    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        if self.urgent and len(self.calls) == 1:
            await self._inbox.bus.append([one.record._replace(express=True) for one in self.urgent])
        if self.urgent and len(self.calls) == 2:
            async with asyncio.timeout(PATIENCE):
                await self.arrived.wait()
        return await super().deliver(batch)


async def test_urgent_document_overtakes_others(lanes: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An urgent document that arrives while a slow DMS takes a hundred others is filed after the portion in hand."""
    lanes.sink = SlowSink(lanes, monkeypatch)
    others = lanes.exchange.documents(CITY, ME, 100)
    lanes.sink.urgent = lanes.exchange.documents(COMMUNE, ME, 1)
    await lanes.post(*others)

    await lanes.receive()

    order = lanes.sink.order
    (urgent,) = (name for name in order if not name.startswith("H26"))
    assert order.index(urgent) < 20
    assert 101 == len(order) == len(set(order))
    order.remove(urgent)
    assert sorted(order) == order
    assert {0: 100, 1: 1} == await lanes.bus.committed(topics.inbox(ME), topics.inbox(ME))
    assert 101 == len(lanes.meaning())
    assert [] == lanes.findings()


async def test_express_record_of_the_same_stream_waits_for_its_batch(
    lanes: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody puts into the express partition although its stream is being filed comes after it, in order."""
    lanes.sink = SlowSink(lanes, monkeypatch)
    posted = lanes.exchange.documents(CITY, ME, 21)
    lanes.sink.urgent = posted[20:]
    await lanes.post(*posted[:20])

    await lanes.receive()

    assert [f"H26-{n:05}" for n in range(1, 22)] == lanes.sink.order
    assert [] == lanes.findings()


async def deaths_of(inbox: Inbox) -> int:
    """Start again whenever the process has died, as a supervisor would; return how often it had to."""
    for deaths in range(20):
        try:
            await inbox.receive()
        except MemoryError:
            continue
        return deaths
    return 20


class KillingSink(ObedientSink):
    """Ends the process, as far as a test can, when it sees a certain document."""

    deadly = ""

    @override
    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        if any(delivery.document_id == self.deadly for delivery in batch):
            raise MemoryError(self.deadly)
        return await super().deliver(batch)


async def test_record_that_kills_every_process_ends_in_quarantine(inbox: Inbox) -> None:
    """After seven deaths the one record is in quarantine with its reason, and all others are filed, in order."""
    inbox.sink = KillingSink()
    inbox.sink.deadly = "H26-00150"
    await inbox.post(*inbox.exchange.documents(CITY, ME, 200), *inbox.exchange.documents(COMMUNE, ME, 3))

    assert CONDEMNED_AT + 1 == await deaths_of(inbox)
    assert ["crash_loop"] == await inbox.reasons()
    filed = [name for name in inbox.sink.order if name.startswith("H26")]
    assert [f"H26-{n:05}" for n in range(1, 201) if n != 150] == filed
    assert 202 == len(inbox.sink.order)
    assert [] == inbox.state("suspects")


async def test_verification_that_kills_every_process_ends_in_quarantine(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a record on which a check dies, before anything is known of it."""
    inspect = Intake.inspect
    posted = inbox.exchange.documents(CITY, ME, 100)

    async def die(intake: Intake, records: Any, hand: str) -> Any:
        with intake._attempts.working(hand, records):
            deadly = [one for one in records if one.value == posted[41].value]
            if deadly and intake._attempts.condemns(deadly[0]) is None:
                raise MemoryError
        return await inspect(intake, records, hand)

    monkeypatch.setattr(Intake, "inspect", die)
    await inbox.post(*posted)

    assert CONDEMNED_AT + 1 == await deaths_of(inbox)
    assert ["crash_loop"] == await inbox.reasons()
    assert 99 == len(inbox.sink.order)


async def test_dms_that_is_away_at_every_death_condemns_nobody(inbox: Inbox) -> None:
    """However often a process is ended while it waits for the DMS, what waits is filed in the end."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))
    for _ in range(CONDEMNED_AT + 2):
        note = attempts.Attempts(inbox.folder)
        assert [] == note.open()
        note.close()
        inbox.sink.answers = {"H26-00001": Retry("busy")}
        await inbox.receive()
        inbox.clock.ms += 10 * 60 * 1000
    inbox.sink.answers = {}
    await inbox.receive()

    assert ["H26-00001", "H26-00002", "H26-00003"] == sorted(inbox.sink.order)
    assert [] == await inbox.reasons()


async def test_other_instance_takes_over_from_the_stream(inbox: Inbox, tmp_path: Path) -> None:
    """On the embedded transport a second folder stands by, and goes on by its own ledger when the first has ended."""
    second = Inbox(folder=tmp_path / "second", bus=inbox.bus, exchange=inbox.exchange, sink=inbox.sink)
    second.folder.mkdir()
    first, standby = asyncio.Event(), asyncio.Event()
    posted = inbox.exchange.documents(CITY, ME, 20)
    await inbox.post(*posted[:10])
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        inbox.stop, second.stop = first, standby
        group.create_task(inbox.serve(shared=True))
        await until(lambda: len(inbox.sink.order) == 10)
        group.create_task(second.serve(shared=True))
        await inbox.post(*posted[10:15])
        await until(lambda: len(inbox.sink.order) == 15)
        first.set()
        await inbox.post(*posted[15:])
        await until(
            lambda: len(inbox.sink.order) == 20 and second.rows("SELECT next_offset FROM inbox_partition") == [(20,)]
        )
        await until(lambda: len(second.meaning()) == 20)
        standby.set()

    assert [f"H26-{n:05}" for n in range(1, 21)] == inbox.sink.order
    assert [] == inbox.findings() + second.findings()
    assert set(inbox.meaning()) <= set(second.meaning())
    assert {None} == set(second.meaning().values())


async def test_committed_offset_of_another_member_skips_nothing(lanes: Inbox) -> None:
    """Where the group stands when a partition is given is not looked at: brokers and other members say that."""
    await lanes.post(*lanes.exchange.documents(CITY, ME, 5))
    async with lanes.bus.subscribe(topics.inbox(ME), topics.inbox(ME), start="committed") as other:
        await other.commit({0: 5, 1: 0})

    await lanes.receive(shared=True)

    assert 5 == len(lanes.sink.order)


def test_spec_of_an_inbox_with_an_express_partition() -> None:
    """An inbox may have as many partitions as its grant says."""
    spec = topics.spec_of(topics.inbox(ME), partitions=3)
    assert isinstance(spec, TopicSpec)
    assert 3 == spec.partitions


async def test_brokers_that_do_not_show_the_last_record_say_nothing_of_the_topic(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the last record decided cannot be read in time, reading is tried again, and nothing is read anew."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))
    await inbox.receive()
    read, silent = SqliteTransport.read, [True]

    async def read_late(self: SqliteTransport, topic: str, *arguments: Any, **named: Any) -> Any:
        if topic == topics.inbox(ME) and silent:
            silent.pop()
            return []
        return await read(self, topic, *arguments, **named)

    monkeypatch.setattr(SqliteTransport, "read", read_late)
    offered = len(inbox.sink.calls)
    await inbox.receive()

    assert [] == silent
    assert offered == len(inbox.sink.calls)
    assert 3 == sum(last - first + 1 for _, first, last in inbox.ranges())


async def test_clock_that_was_set_back_costs_no_document(inbox: Inbox) -> None:
    """With a clock that is behind the directory by hours, what arrives is verified by the directory's time."""
    inbox.clock.ms = inbox.exchange.snapshot.made_at - 6 * 60 * 60 * 1000
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))

    await inbox.receive()

    assert [] == await inbox.reasons()


async def test_pause_that_a_wrong_clock_has_set_ends(inbox: Inbox) -> None:
    """What a clock that was ahead has put off for hours has its turn once the clock is right again."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    right = inbox.clock.ms
    inbox.clock.ms = right + 6 * 60 * 60 * 1000
    inbox.sink.answers = {"H26-00001": Retry("busy")}
    await inbox.receive()
    inbox.sink.answers, inbox.clock.ms = {}, right

    await inbox.receive()

    assert ["H26-00001"] == inbox.sink.order
