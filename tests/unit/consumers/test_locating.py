"""Where parts are looked for, and how much is read in vain."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from docbus.consumers import locating
from docbus.consumers.locating import WINDOW_PARTS, Locator
from docbus.consumers.wanted import Wanted, runs_of
from docbus.envelope.envelope import Hint
from docbus.envelope.parts import AttachmentContext
from docbus.errors import TopicMissingError
from docbus.transport import topics
from docbus.transport.port import Record
from docbus.verification.parts import WantedContent
from docbus.wire.parts import SEALED_PART_BYTES
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.directory import ENVIRONMENT, NOW_MS

TOPIC = topics.content(CITY)
DAY_MS = 24 * 60 * 60 * 1000


@dataclass(kw_only=True)
class Log:
    """A content topic of which only offsets matter; record ``n`` was stored at second ``n``.

    Attributes:
        parts: Offsets at which parts lie.
        first: The first offset that is left.
        end: Behind the last.
        reads: (offset, max_records) of every read.
        asked_at: The time for which an offset was asked.
        running: Reads that are under way.
    """

    parts: set[int]
    first: int = 0
    end: int
    reads: list[tuple[int, int]] = field(default_factory=list)
    asked_at: list[int] = field(default_factory=list)
    start: int = 0
    running: int = 0

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        assert topic == TOPIC
        return {0: (self.first, self.end)}

    async def offset_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        assert topic == TOPIC
        self.asked_at.append(timestamp_ms)
        return {0: self.start}

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int, wait: float
    ) -> list[Record]:
        assert (TOPIC, 0) == (topic, partition)
        assert self.first <= offset < self.end
        self.reads.append((offset, max_records))
        self.running += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        found = range(offset, min(self.end, offset + max_records))
        return [Record(topic, partition, at, NOW_MS, None, b"", ()) for at in found]


def wanted(parts: int, *runs: int, stored_at: int = NOW_MS) -> Wanted:
    """Return what is wanted, with runs as hints gave them."""
    context = AttachmentContext(ENVIRONMENT, CITY, "d", 1, 0)
    size = SEALED_PART_BYTES * parts
    content = WantedContent(context, size, bytes(32), bytes(32), 1, bytes(32))
    return Wanted(1, bytes(16), content, runs, NOW_MS, stored_at, 0, None)


async def look(log: Log, parts: int, *runs: int, resume_at: int | None = None) -> list[int]:
    """Look for parts as a fetch does; return all offsets that were looked at, in their order."""
    found: set[int] = set()
    seen: list[int] = []
    transport: Any = log
    locator = Locator(transport, wanted(parts, *runs), lambda: parts - len(found), resume_at)
    async with contextlib.aclosing(locator.records()) as windows:
        async for records in windows:
            offsets = {record.offset for record in records}
            seen += sorted(offsets)
            locator.useful = bool(offsets & log.parts)
            found |= offsets & log.parts
    assert 0 == log.running
    return seen


async def test_honest_hints_cost_nothing_but_the_parts() -> None:
    """With a hint for each run exactly the parts are read, and the time of the statement is not asked for."""
    log = Log(parts={*range(10, 30), *range(50, 60)}, end=100)

    seen = await look(log, 30, 10, 50)

    assert {*range(10, 30), *range(50, 60)} <= set(seen)
    assert len(seen) <= 30 + 2 * WINDOW_PARTS
    assert [] == log.asked_at


async def test_a_run_may_have_other_records_in_between() -> None:
    """Reading goes on through a run until a whole window brings nothing, also before its last part."""
    log = Log(parts={10, 12, 14, 21, 29}, end=100)

    seen = await look(log, 5, 10)

    assert log.parts <= set(seen)
    assert (10, 10) == (seen[0], min(seen))
    assert len(seen) <= 20 + WINDOW_PARTS
    assert [] == log.asked_at


async def test_wrong_hint_costs_two_windows_at_most() -> None:
    """Where nothing is wanted a hint is followed for a few records only."""
    log = Log(parts={990}, end=1000, start=990)

    seen = await look(log, 1, 100)

    assert [*range(100, 109), 990] == seen[:10]


async def test_what_one_run_has_read_is_not_read_for_the_next() -> None:
    """Hints for every offset of a run cost no more than one for its beginning."""
    log = Log(parts=set(range(10, 30)), end=100)

    assert list(range(10, 30)) == await look(log, 20, *range(10, 30))


async def test_search_begins_a_day_before_the_statement() -> None:
    """Without hints the topic is read from a day before the statement was made, to its end."""
    log = Log(parts={40, 41}, end=50, start=33)

    seen = await look(log, 2)

    assert [NOW_MS - DAY_MS] == log.asked_at
    assert 33 == seen[0]
    assert {40, 41} <= set(seen)


async def test_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that brings nothing looks at so many records and no more."""
    monkeypatch.setattr(locating, "SEARCH_RECORDS", 64)
    log = Log(parts=set(), end=10_000)

    assert 64 == len(await look(log, 3))


async def test_search_goes_on_where_the_one_before_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far away a part lies, some attempt comes to it; and what lies before is looked at after that."""
    monkeypatch.setattr(locating, "SEARCH_RECORDS", 64)
    log = Log(parts={150}, end=300)
    seen: list[int] = []
    attempts = 0
    while 150 not in seen:
        seen = await look(log, 1, resume_at=seen[-1] + 1 if seen else None)
        attempts += 1
    assert 3 == attempts

    log = Log(parts={3}, end=300)
    assert 3 in await look(log, 1, resume_at=280)


@pytest.mark.parametrize(("end", "expired"), [(100, True), (200, False)])
async def test_expired_is_said_only_after_everything_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, end: int, *, expired: bool
) -> None:
    """A hint that somebody has changed does not make content expired that is still there."""
    monkeypatch.setattr(locating, "SEARCH_RECORDS", 64)
    transport: Any = Log(parts=set(), first=60, end=end, start=60)
    locator = Locator(transport, wanted(1, 10), lambda: 1)
    async with contextlib.aclosing(locator.records()) as windows:
        async for _ in windows:
            pass

    assert expired == locator.expired


async def test_reads_that_bring_nothing_are_few() -> None:
    """Where a topic ends in marks of transactions, hundreds of hints to them cost two waits, and two for the search."""

    class Silent(Log):
        async def read(self, topic: str, partition: int, offset: int, **limits: Any) -> list[Record]:
            self.reads.append((offset, 0))
            return []

    log = Silent(parts=set(), end=1000, start=990)

    assert [] == await look(log, 1, *range(100, 900))
    assert len(log.reads) <= 4


async def test_hints_of_a_stranger_cost_no_more_than_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of wrong hints are followed as far as a search would go, and then there is still the search."""
    monkeypatch.setattr(locating, "SEARCH_RECORDS", 64)
    log = Log(parts={5}, end=10_000)

    seen = await look(log, 1, *range(100, 10_000, 10))

    assert 5 in seen
    assert len(seen) <= 2 * 64


async def test_a_run_of_parts_is_longer_than_any_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on what is read in vain: parts that follow one another are all read, however many."""
    monkeypatch.setattr(locating, "SEARCH_RECORDS", 64)
    log = Log(parts=set(range(100, 1100)), end=2000, start=1500)

    assert list(range(100, 1100)) == await look(log, 1000, 100)


async def test_search_reads_whole_windows() -> None:
    """Also for a single missing part a search reads several records at a time."""
    log = Log(parts={799}, end=800)

    await look(log, 1)

    assert len(log.reads) <= 800 // WINDOW_PARTS + 1


async def test_what_expired_is_not_asked_for() -> None:
    """Hints to what the topic no longer has, and to what it does not have yet, are not followed."""
    log = Log(parts={70, 71}, first=60, end=80, start=60)

    seen = await look(log, 2, 10, 80, 1 << 62)

    assert {70, 71} <= set(seen)
    assert all(60 <= offset < 80 for offset, _ in log.reads)


async def test_empty_topic_is_not_read() -> None:
    """In a topic without records there is nothing to wait for."""
    log = Log(parts=set(), first=7, end=7, start=7)

    assert [] == await look(log, 2, 5, 7)
    assert [] == log.reads


async def test_interrupted_fetch_reads_on_from_where_it_stopped() -> None:
    """An offset kept from an earlier attempt is tried before the hints."""
    log = Log(parts=set(range(10, 30)), end=100)

    seen = await look(log, 8, 10, resume_at=22)

    assert list(range(22, 30)) == seen


async def test_offset_that_makes_no_sense_costs_nothing() -> None:
    """An offset that a power cut has torn is passed over."""
    log = Log(parts=set(range(10, 30)), end=100)

    assert list(range(10, 30)) == await look(log, 20, 10, resume_at=(1 << 64) - 1)


async def test_caller_who_leaves_leaves_no_read_behind() -> None:
    """Reading ahead ends with the one for whom it is."""
    log = Log(parts=set(range(30)), end=100)
    transport: Any = log
    locator = Locator(transport, wanted(30, 0), lambda: 30)
    async with contextlib.aclosing(locator.records()) as windows:
        async for _ in windows:
            break

    assert 0 == log.running
    assert 1 == len(asyncio.all_tasks())


async def test_missing_topic_is_told() -> None:
    """A sender without a content topic is an error for the caller to judge."""

    class NoTopic(Log):
        async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
            raise TopicMissingError(f"there is no topic {topic}")

    with pytest.raises(TopicMissingError):
        await look(NoTopic(parts=set(), end=0), 1)


def test_hints_name_runs_in_the_senders_own_topic_alone() -> None:
    """Of all hints those for the sender's content topic and its only partition are left, each offset once, in order."""
    hints = [
        Hint(0, TOPIC, 0, (30, 10)),
        Hint(0, TOPIC, 0, (10, -1)),
        Hint(1, TOPIC, 0, (5,)),
        Hint(0, TOPIC, 1, (6,)),
        Hint(0, topics.content(COMMUNE), 0, (7,)),
        Hint(0, topics.inbox(CITY), 0, (8,)),
    ]

    assert {0: [10, 30], 1: [5]} == runs_of(hints, CITY)
