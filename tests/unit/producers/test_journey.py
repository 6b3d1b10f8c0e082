from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docbus.clock import SystemClock
from docbus.envelope.statement import Reference
from docbus.errors import DocumentError, WaitTimeoutError
from docbus.producers.epochs import begin_epoch, requeue
from docbus.producers.journey import _COUNTS, MAX_REFUSED, Journey, counts, journey, wait
from docbus.producers.outbox import fail_copies
from docbus.producers.receipts import match
from docbus.producers.statuses import record_status
from docbus.producers.unsent import mark_failures, mark_sent
from docbus.storage.database import Database
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    SENDER,
    FakeClock,
    add_receipt,
    begin,
    document,
    receipt,
    seal_all,
    take_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def track(database: Database, name: str = "a", revision: int | None = None) -> Journey:
    return database.read_now(lambda c: journey(c, name, sender=SENDER, revision=revision))


def settle(database: Database, recipient: str, last: int, refused: Any = ()) -> None:
    body = receipt(database, recipient, 1, last, refused)
    assert database.write_now(lambda c: match(c, receipt=body, issuer=recipient, at_ms=NOW_MS + 30)) == []


def test_journey_follows_each_recipient(database: Database) -> None:
    """Every recipient has its own state and times, in the order in which the document names them."""
    take_in(database, document("a", ANNA, BINH, CHI))
    accepted = [leg.state for leg in track(database).legs]
    copies = seal_all(database)
    sealed = [leg.state for leg in track(database).legs]
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS + 20))
    settle(database, ANNA, 1)
    settle(database, BINH, 1, [(1, "sink_rejected")])

    found = track(database)

    assert accepted == sealed == ["accepted"] * 3
    assert [(leg.recipient, leg.state) for leg in found.legs] == [(ANNA, "received"), (BINH, "refused"), (CHI, "sent")]
    assert [(leg.sent_at, leg.settled_at, leg.reason) for leg in found.legs] == [
        (NOW_MS + 20, NOW_MS + 30, None),
        (NOW_MS + 20, NOW_MS + 30, "sink_rejected"),
        (NOW_MS + 20, None, None),
    ]
    assert (found.document_id, found.revision, found.accepted_at) == ("a", 1, NOW_MS)


def test_journey_shows_why_something_is_not_sent(database: Database) -> None:
    """The stream's last error stands with every copy that it holds up, and only with those."""
    take_in(database, document("a"), document("b"))
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies[:1], at_ms=NOW_MS))
    database.write_now(lambda c: mark_failures(c, {copies[0].stream: "no such topic"}, at_ms=NOW_MS + 7))

    assert track(database, "a").legs[0].error is None
    blocked = track(database, "b").legs[0]
    assert (blocked.failures, blocked.failed_at, blocked.error) == (1, NOW_MS + 7, "no such topic")


def test_journey_shows_failures_and_statuses(database: Database) -> None:
    """A copy that failed says why; what a recipient reported stands with its leg."""
    take_in(database, document("a", ANNA, BINH))
    database.write_now(lambda c: fail_copies(c, [(1, 0, "agency_closed")], at_ms=NOW_MS))
    database.write_now(
        lambda c: record_status(
            c,
            reference=Reference(SENDER, "a", 1),
            recipient=BINH,
            issuer=BINH,
            code=3,
            at=NOW_MS,
            recorded_at=NOW_MS,
            statement=b"s",
        )
    )

    legs = track(database).legs

    assert [(leg.state, leg.reason) for leg in legs] == [("failed", "agency_closed"), ("accepted", None)]
    assert [[status.code for status in leg.statuses] for leg in legs] == [[], [3]]


def test_copy_that_went_out_again_is_one_leg(database: Database) -> None:
    """Several attempts are one way to the recipient, told by the one that came furthest."""
    take_in(database, document("a"))
    copies = seal_all(database)
    old = receipt(database, ANNA, 1, 1)
    database.write_now(lambda c: begin_epoch(c, "documents", "contradicted", at_ms=NOW_MS))
    database.write_now(lambda c: requeue(c, copies[0].stream, at_ms=NOW_MS))
    waiting = track(database).legs
    seal_all(database)
    database.write_now(lambda c: match(c, receipt=old, issuer=ANNA, at_ms=NOW_MS))

    legs = track(database).legs

    assert [(leg.state, leg.attempts) for leg in waiting] == [("accepted", 1)]
    assert [(leg.state, leg.attempts) for leg in legs] == [("received", 2)]


def test_newest_revision_is_shown_unless_one_is_named(database: Database) -> None:
    """A document's revisions have journeys of their own."""
    take_in(database, document("a"), document("a", BINH, revision=2))

    assert track(database).legs[0].recipient == BINH
    assert track(database, revision=1).legs[0].recipient == ANNA


def test_unknown_document_is_an_error(database: Database) -> None:
    """The error names the document and says where to look."""
    with pytest.raises(DocumentError, match="no document nothing") as caught:
        track(database, "nothing")

    assert caught.value.hint is not None


def test_counts_tell_how_the_outbox_stands(database: Database) -> None:
    """Every state is counted, with the oldest of what waits and of what is not answered."""
    take_in(database, document("a"), document("b"), document("c"), at_ms=NOW_MS)
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS + 5))
    settle(database, ANNA, 2, [(2, "sink_rejected")])
    take_in(database, document("d", BINH), at_ms=NOW_MS + 100)
    blocked = seal_all(database)
    database.write_now(lambda c: mark_failures(c, {blocked[0].stream: "no such topic"}, at_ms=NOW_MS))
    take_in(database, document("e", CHI), at_ms=NOW_MS + 200)
    add_receipt(database)

    found = database.read_now(counts)

    assert (found.accepted, found.sent, found.received, found.refused, found.failed) == (2, 1, 1, 1, 0)
    assert found.receipts_waiting == 1
    assert (found.oldest_accepted_at, found.oldest_sent_at) == (NOW_MS + 100, NOW_MS + 5)
    assert [(stream.recipient, stream.unsent, stream.error) for stream in found.blocked] == [(BINH, 1, "no such topic")]
    assert found.used_bytes > 0


def test_empty_outbox_counts_nothing(database: Database) -> None:
    """There is no oldest where there is none."""
    found = database.read_now(counts)

    assert (found.accepted, found.sent, found.oldest_accepted_at, found.oldest_sent_at) == (0, 0, None, None)
    assert found.blocked == ()


async def waiting_for(database: Database, until: Any, then: Callable[[Database], Any], timeout: float = 20) -> Journey:  # noqa: ASYNC109 - is handed on
    """Wait for a document while another process does something."""
    task = asyncio.create_task(wait(database, "a", sender=SENDER, until=until, timeout=timeout, clock=SystemClock()))
    await asyncio.sleep(0)
    other = Database.open(database.path)
    await asyncio.to_thread(then, other)
    other.close()
    return await task


async def test_wait_ends_when_everything_is_sent(database: Database) -> None:
    """Waiting notices what another process has written."""
    take_in(database, document("a", ANNA, BINH))
    copies = seal_all(database)

    found = await waiting_for(
        database, "sent", lambda other: other.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))
    )

    assert [leg.state for leg in found.legs] == ["sent", "sent"]


async def test_wait_ends_with_a_refusal_too(database: Database) -> None:
    """Refused is an answer; nothing more would come."""
    take_in(database, document("a", ANNA))
    seal_all(database)

    found = await waiting_for(database, "received", lambda other: settle(other, ANNA, 1, [(1, "sink_rejected")]))

    assert [(leg.state, leg.reason) for leg in found.legs] == [("refused", "sink_rejected")]


async def test_wait_is_bounded_and_says_how_far_it_came(database: Database) -> None:
    """A wait that runs out names how many recipients are missing, and why."""
    take_in(database, document("a", ANNA, BINH))
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies[:1], at_ms=NOW_MS))
    database.write_now(lambda c: mark_failures(c, {copies[1].stream: "no such topic"}, at_ms=NOW_MS))

    with pytest.raises(WaitTimeoutError, match="1 of 2 recipients after 0 s: no such topic"):
        await wait(database, "a", sender=SENDER, until="sent", timeout=0, clock=FakeClock())


async def test_wait_for_an_unknown_document_is_an_error(database: Database) -> None:
    """Nothing is waited for that cannot come."""
    with pytest.raises(DocumentError, match="no document a"):
        await wait(database, "a", sender=SENDER, until="sent", timeout=60, clock=FakeClock())


def test_copies_that_are_listed_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest copies without an answer are listed, so many; the counts have all."""
    monkeypatch.setattr("docbus.producers.journey.MAX_UNDELIVERED", 2)
    take_in(database, *(document(name, ANNA) for name in "abcd"))

    found = database.read_now(counts)

    assert (["a", "b"], 4) == ([one.document_id for one in found.undelivered], found.accepted)


def test_counting_takes_no_memory_for_what_it_counts(database: Database) -> None:
    """However many copies there are, they are counted in one pass, and neither sorted nor put into groups."""
    plan = database.read_now(lambda c: c.execute(f"EXPLAIN QUERY PLAN {_COUNTS}").fetchall())

    assert ["SCAN copy"] == [line for *_, line in plan]


def test_refused_copies_that_are_listed_are_bounded(database: Database) -> None:
    """The newest refusals are listed with recipient and reason, and all are counted."""
    take_in(database, *(document(f"d{n:03}") for n in range(MAX_REFUSED + 5)))
    begin(database)
    database.write_now(lambda c: fail_copies(c, [(1, 0, "agency_closed")], at_ms=NOW_MS - 5))
    database.write_now(
        lambda c: fail_copies(c, [(n, 0, "agency_closed") for n in range(2, MAX_REFUSED + 6)], at_ms=NOW_MS)
    )

    found = database.read_now(counts)

    assert (MAX_REFUSED + 5, MAX_REFUSED) == (found.failed, len(found.newest_refused))
    assert {(ANNA, "failed", "agency_closed", NOW_MS)} == {
        (one.recipient, one.state, one.reason, one.settled_at) for one in found.newest_refused
    }
