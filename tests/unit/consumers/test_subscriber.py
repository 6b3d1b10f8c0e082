from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers import parking
from docbus.consumers.inspection import Inspector
from docbus.consumers.intake import Intake
from docbus.consumers.pace import FIRST_PORTION
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.handler import IteratorSink
from docbus.consumers.sinks.port import Conflict, Created, Reject, Retry
from docbus.documents.document import DocumentReference
from docbus.envelope.batch import Draft
from docbus.envelope.envelope import decode_envelope, encode_envelope
from docbus.errors import (
    BrokerUnavailableError,
    DiskFullError,
    GroupBusyError,
    LockedError,
    TopicMissingError,
)
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from tests.support.audit_exchange import CITY, COMMUNE, Exchange, Posted
from tests.support.directory import grant_of, make_keys
from tests.support.inbox import ME, Inbox, ObedientSink, expected_root, unavailable

if TYPE_CHECKING:
    from pathlib import Path


def tampered(posted: Posted) -> bytes:
    """Return the envelope with one bit of its package flipped."""
    envelope = decode_envelope(posted.value)
    assert envelope.package is not None
    return encode_envelope(envelope._replace(package=bytes([envelope.package[0] ^ 1]) + envelope.package[1:]))


async def test_documents_are_filed_receipted_and_committed(inbox: Inbox) -> None:
    """What came is filed in order, receipted as one range with the right root, and committed."""
    posted = inbox.exchange.documents(CITY, ME, 5)
    await inbox.post(*posted)

    await inbox.receive()

    assert [f"H26-{n:05}" for n in range(1, 6)] == inbox.sink.order
    assert [(CITY, 1, 5)] == inbox.ranges()
    assert expected_root(posted) == inbox.receipts()[0][1].root
    assert 5 == inbox.next_offset() == await inbox.committed()
    assert [] == inbox.findings()
    assert inbox.sink.closed


async def test_thousand_documents_from_several_senders(inbox: Inbox) -> None:
    """Interleaved streams are each filed in their order, once, and receipted for every position."""
    city = inbox.exchange.documents(CITY, ME, 350)
    commune = inbox.exchange.documents(COMMUNE, ME, 350)
    late = inbox.exchange.documents(CITY, ME, 300)
    await inbox.post(*[one for pair in zip(city, commune, strict=True) for one in pair], *late)

    await inbox.receive()

    by_city = [name for name in inbox.sink.order if name.startswith("H26")]
    assert 1000 == len(inbox.sink.order) == len(set(inbox.sink.order))
    assert sorted(by_city) == by_city
    positions = [(CITY, city[0].sealed.epoch, n) for n in range(1, 651)]
    positions += [(COMMUNE, commune[0].sealed.epoch, n) for n in range(1, 351)]
    assert dict.fromkeys(positions) == inbox.meaning()
    assert len(inbox.receipts()) <= 4


async def test_damaged_copy_changes_no_stream(inbox: Inbox) -> None:
    """A tampered envelope goes to quarantine with step and reason; the intact one that comes later is filed."""
    posted = inbox.exchange.documents(CITY, ME, 3)
    await inbox.post(posted[0])
    await inbox.post_value(tampered(posted[1]), CITY.encode())
    await inbox.post(posted[2], posted[1])

    await inbox.receive()

    assert ["package_mismatch"] == await inbox.reasons()
    assert ["H26-00001", "H26-00003", "H26-00002"] == inbox.sink.order
    assert ["stream_hole", "stream_hole_filled"] == inbox.findings()
    assert [] == inbox.holes()
    assert [(CITY, 1, 3)] == inbox.ranges()


async def test_quarantine_keeps_key_value_and_origin(inbox: Inbox) -> None:
    """A quarantined record is unchanged, says where it came from, and its own headers cannot pass for ours."""
    await inbox.post_value(b"random", b"\xff", headers=(("docbus_reason", b"fine"), ("a", b"b")))

    await inbox.receive()

    (record,) = await inbox.quarantined()
    headers = dict(record.headers)
    assert (b"\xff", b"random") == (record.key, record.value)
    assert b"envelope_malformed" == headers["docbus_reason"]
    assert b"C1.02" == headers["docbus_step"]
    assert (topics.inbox(ME).encode(), b"0", b"0") == tuple(
        headers[name] for name in ("docbus_topic", "docbus_partition", "docbus_offset")
    )
    assert (b"fine", b"b") == (headers["x_docbus_reason"], headers["x_a"])
    assert [("quarantine", "envelope_malformed", 1)] == inbox.rows("SELECT topic, reason, count FROM set_aside")
    assert 1 == inbox.next_offset()


async def test_unknown_sender_leaves_no_trace_but_a_count(inbox: Inbox) -> None:
    """Of somebody who is not in the directory nothing is remembered: no stream, no finding, nothing parked."""
    stranger = Exchange()
    await inbox.post(*stranger.documents(CITY, ME, 3))

    await inbox.receive()

    assert ["certificate_unknown"] * 3 == await inbox.reasons()
    counts = (
        "SELECT (SELECT count(*) FROM incoming_stream), (SELECT count(*) FROM finding), (SELECT count(*) FROM parked)"
    )
    assert [(0, 0, 0)] == inbox.rows(counts)
    assert [] == inbox.receipts()


async def test_broken_check_costs_its_record_alone(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception in a check quarantines that record, and the loop goes on."""
    posted = inbox.exchange.documents(CITY, ME, 2)
    await inbox.post_value(b"poison")
    await inbox.post(*posted)
    from docbus.verification.verifier import Verifier  # noqa: PLC0415 - to break it

    genuine = Verifier.verify

    def broken(self: Verifier, value: bytes | None, **given: Any) -> Any:
        if value == b"poison":
            raise ZeroDivisionError
        return genuine(self, value, **given)

    monkeypatch.setattr(Verifier, "verify", broken)

    await inbox.receive()

    assert ["internal_error"] == await inbox.reasons()
    assert 2 == len(inbox.sink.order)


async def test_tombstone_is_quarantined(inbox: Inbox) -> None:
    """A record without a value is refused and says so."""
    await inbox.post_value(b"", b"k")

    await inbox.receive()

    assert ["envelope_too_large"] == await inbox.reasons()


# --- streams ------------------------------------------------------------------------------------------


async def test_duplicate_makes_its_receipt_be_sent_again(inbox: Inbox) -> None:
    """The same statement again is not filed again, and its receipt goes out again with the same meaning."""
    posted = inbox.exchange.documents(CITY, ME, 3)
    await inbox.post(*posted)
    await inbox.receive()
    said = inbox.meaning()
    await inbox.post(*posted[1:])

    await inbox.receive()

    assert [["H26-00001", "H26-00002", "H26-00003"]] == inbox.sink.calls
    assert [(CITY, 1, 3), (CITY, 2, 3)] == inbox.ranges()
    assert expected_root(posted[1:]) == inbox.receipts()[1][1].root
    assert said == inbox.meaning()


async def test_duplicates_within_a_batch_are_filed_once(inbox: Inbox) -> None:
    """The same statement twice in one fetch reaches the sink once."""
    (posted,) = inbox.exchange.documents(CITY, ME, 1)
    await inbox.post(posted, posted, posted)

    await inbox.receive()

    assert [["H26-00001"]] == inbox.sink.calls
    assert [(CITY, 1, 1)] == inbox.ranges()


async def test_hole_is_reported_and_filled_late(inbox: Inbox) -> None:
    """A missing statement does not hold back what follows; ranges split at it; a late genuine one fills it."""
    posted = inbox.exchange.documents(CITY, ME, 5)
    await inbox.post(*posted[:2], *posted[3:])
    await inbox.receive()
    before = inbox.holes()
    await inbox.post(posted[2])

    await inbox.receive()

    assert [(3, 3, 1)] == before
    assert [] == inbox.holes()
    assert [(CITY, 1, 2), (CITY, 4, 5), (CITY, 3, 3)] == inbox.ranges()
    assert ["stream_hole", "stream_hole_filled"] == inbox.findings()
    assert "H26-00003" == inbox.sink.order[-1]


async def test_withheld_first_statement_is_a_hole(inbox: Inbox) -> None:
    """A ledger that has seen the inbox from offset 0 notices that the first statement never came."""
    posted = inbox.exchange.documents(CITY, ME, 3)
    await inbox.post(*posted[2:])

    await inbox.receive()

    assert [(1, 2, 1)] == inbox.holes()
    assert [(CITY, 3, 3)] == inbox.ranges()


async def test_fork_goes_to_quarantine_and_keeps_the_first(inbox: Inbox) -> None:
    """Two statements at one position: the first keeps it, the other is evidence and not receipted."""
    (first,) = inbox.exchange.documents(CITY, ME, 1)
    (second,) = inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), heads={})
    await inbox.post(first, second)

    await inbox.receive()

    assert ["H26-00001"] == inbox.sink.order
    assert ["stream_fork"] == await inbox.reasons()
    assert ["stream_fork"] == inbox.findings()
    assert expected_root([first]) == inbox.receipts()[0][1].root


async def test_broken_chain_goes_to_quarantine(inbox: Inbox) -> None:
    """A statement that names another predecessor than the one filed takes no position."""
    (first,) = inbox.exchange.documents(CITY, ME, 1)
    heads: dict[Any, Any] = {}
    drafts = [draft for _ in range(2) for draft in inbox.exchange.drafts(CITY, [ME])]
    other = inbox.exchange.seal(CITY, drafts, heads=heads)
    await inbox.post(first, other[1])

    await inbox.receive()

    assert ["stream_chain_broken"] == await inbox.reasons()
    assert [(CITY, 1, 1)] == inbox.ranges()


async def test_starting_from_an_offset_misses_nothing(inbox: Inbox) -> None:
    """With a chosen start, what was skipped is no hole, and a late copy of it is filed all the same."""
    posted = inbox.exchange.documents(CITY, ME, 6)
    await inbox.post(*posted[:2])
    await inbox.receive()
    await inbox.post(*posted[2:])

    await inbox.receive(start={0: 4})
    await inbox.post(posted[2])
    await inbox.receive()

    assert [] == inbox.findings()
    assert ["H26-00001", "H26-00002", "H26-00005", "H26-00006", "H26-00003"] == inbox.sink.order


async def test_sixty_fifth_epoch_goes_to_quarantine(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender has 64 open epochs; one more is refused until one of them is idle, which is closed then."""
    epochs = [n.to_bytes(16, "big") for n in range(66)]

    def post(number: int) -> list[Posted]:
        monkeypatch.setattr(Exchange, "epochs", lambda *_: dict.fromkeys(("documents", "receipts"), epochs[number]))
        return inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), heads={})

    for number in range(65):
        await inbox.post(*post(number))
    await inbox.receive()
    assert ["epochs_exceeded"] == await inbox.reasons()
    inbox.clock.advance(3600.0)
    await inbox.post(*post(65))

    await inbox.receive()

    assert ["epochs_exceeded"] == await inbox.reasons()
    assert 65 == len(inbox.sink.order)
    assert [(64,)] == inbox.rows("SELECT count(*) FROM incoming_stream WHERE closed_at IS NULL")
    assert [(epochs[0],)] == inbox.rows("SELECT epoch FROM incoming_stream WHERE closed_at IS NOT NULL")


async def test_closed_epoch_is_opened_again(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that follows in an epoch that was closed while idle finds its place, and another one is closed."""
    epochs = [n.to_bytes(16, "big") for n in range(65)]
    heads: list[dict[Any, Any]] = [{} for _ in epochs]

    async def post(number: int) -> None:
        monkeypatch.setattr(Exchange, "epochs", lambda *_: {"documents": epochs[number]})
        await inbox.post(
            *inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), heads=heads[number], now_ms=inbox.clock.ms)
        )

    def closed() -> list[bytes]:
        return [epoch for (epoch,) in inbox.rows("SELECT epoch FROM incoming_stream WHERE closed_at IS NOT NULL")]

    # All of them in one portion, after which there is one call.
    monkeypatch.setattr("docbus.consumers.pace.FIRST_PORTION", 64)
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    stop, filed = asyncio.Event(), asyncio.Event()
    for number in range(64):
        await post(number)
    receiving = asyncio.ensure_future(inbox.subscriber(database, wake_drain=filed.set).run(stop))
    try:
        await filed.wait()
        # One process, so that what it remembers of the streams is used as well.
        for number in (64, 0, 0):
            inbox.clock.advance(3600.0)
            filed.clear()
            await post(number)
            await filed.wait()
    finally:
        stop.set()
        await receiving
        database.close()

    assert 67 == len(inbox.sink.order)
    assert [] == await inbox.reasons() == inbox.findings()
    assert [epochs[1]] == closed()


# --- documents ----------------------------------------------------------------------------------------


async def test_same_document_in_a_new_epoch_gets_the_same_answer(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that its sender sends again in a new epoch is not filed twice, and is receipted there too."""
    drafts = inbox.exchange.drafts(CITY, [ME])
    await inbox.post(*inbox.exchange.seal(CITY, drafts))
    monkeypatch.setattr(Exchange, "epochs", lambda *_: {"documents": b"n" * 16})
    again = inbox.exchange.seal(CITY, drafts, heads={})
    await inbox.post(*again)
    await inbox.receive()
    monkeypatch.setattr(Exchange, "epochs", lambda *_: {"documents": b"m" * 16})
    await inbox.post(*inbox.exchange.seal(CITY, drafts, heads={}))

    await inbox.receive()

    assert [["H26-00001"]] == inbox.sink.calls
    assert [(CITY, 1, 1)] * 3 == inbox.ranges()
    assert {None} == set(inbox.meaning().values())


async def test_other_body_under_the_same_id_is_equivocation(inbox: Inbox) -> None:
    """Same id, other content: the second is evidence, refused in the receipt, and the first stays filed."""
    drafts = [inbox.exchange.drafts(CITY, [ME], document_id="one", content=content)[0] for content in (b"yes", b"no")]
    await inbox.post(*inbox.exchange.seal(CITY, drafts))

    await inbox.receive()

    assert ["one"] == inbox.sink.order
    assert ["equivocation"] == await inbox.reasons() == inbox.findings()
    assert [None, "equivocation"] == list(inbox.meaning().values())


async def test_equivocation_is_noticed_across_restarts(inbox: Inbox) -> None:
    """The ledger remembers what a document was."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1, document_id="one", content=b"yes"))
    await inbox.receive()
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1, document_id="one", content=b"no"))

    await inbox.receive()

    assert ["equivocation"] == await inbox.reasons()
    assert b"yes" == next(iter(inbox.sink.filed.values())).files[0].read()


async def test_late_document_is_a_dead_letter(inbox: Inbox) -> None:
    """A document stored after its own last time is genuine, not filed, and refused in the receipt."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1, not_after=inbox.clock.ms - 1))

    await inbox.receive()

    assert [] == inbox.sink.order
    assert ["not_after_passed"] == list(inbox.meaning().values())
    assert 1 == len(await inbox.dead_letters())


async def test_change_that_comes_too_late_is_answered(inbox: Inbox) -> None:
    """An update whose time has passed is refused, and its sender is told so about the document that it concerns."""
    concerned = (DocumentReference(sender=CITY, document_id="old"),)
    await inbox.post(
        *inbox.exchange.documents(CITY, ME, 1, kind="update", concerns=concerned, not_after=inbox.clock.ms - 1)
    )

    await inbox.receive()

    assert ["not_after_passed"] == list(inbox.meaning().values())
    assert [("old", 13, None), ("old", 16, "not_after_passed")] == inbox.rows(
        "SELECT document_id, code, note FROM status ORDER BY status"
    )


async def test_recall_of_another_agencys_document_is_refused(inbox: Inbox) -> None:
    """Nobody recalls what somebody else has sent."""
    foreign = DocumentReference(sender=COMMUNE, document_id="x")
    await inbox.post(inbox.exchange.recall(CITY, ME, foreign))

    await inbox.receive()

    assert ["concerns_foreign_document"] == list(inbox.meaning().values())
    assert [] == inbox.sink.order
    # Answering would tell a third agency of something that it has not asked.
    assert [] == inbox.rows("SELECT code FROM status")


# --- receipts and statuses ----------------------------------------------------------------------------


async def test_receipts_are_never_receipted(inbox: Inbox) -> None:
    """A receipt takes its position, is matched, and causes no receipt, also when it comes twice."""
    sent = inbox.exchange.documents(ME, CITY, 2)
    receipt = inbox.exchange.receipt(sent)
    await inbox.post(receipt, receipt)

    await inbox.receive()

    assert [] == inbox.receipts()
    assert [(1,)] == inbox.rows("SELECT sequence FROM incoming_stream")
    # The epoch is not one of this outbox, which the match reports.
    assert ["receipt_epoch_unknown"] == inbox.findings()


async def test_status_is_recorded_and_receipted(inbox: Inbox) -> None:
    """A status about this agency's document is recorded once and receipted."""
    status = inbox.exchange.status(CITY, ME, "mine", 3)
    await inbox.post(status, status)

    await inbox.receive()

    assert [("mine", CITY, CITY, 3)] == inbox.rows("SELECT document_id, recipient, issuer, code FROM status")
    assert [(CITY, 1, 1)] == inbox.ranges()


async def test_status_about_foreign_document_is_refused(inbox: Inbox) -> None:
    """A status from an agency about a document between others is evidence, and not recorded."""
    status = inbox.exchange.status(CITY, COMMUNE, "theirs", 3)
    envelope = inbox.exchange.seal(CITY, [(Draft(*_draft_of(status)), None)], heads={})
    await inbox.post(*envelope)

    await inbox.receive()

    assert [] == inbox.rows("SELECT * FROM status")
    assert ["status_foreign"] == list(inbox.meaning().values())


def _draft_of(status: Posted) -> tuple[Any, ...]:
    from docbus.envelope.statement import STATUS_TYPE, decode_statement, encode_status_body  # noqa: PLC0415

    body = decode_statement(STATUS_TYPE, decode_envelope(status.value).statement).body
    return STATUS_TYPE, ME, "documents", encode_status_body(body), 0, None  # type: ignore[arg-type]


# --- indeterminate ------------------------------------------------------------------------------------


async def test_only_the_stream_of_an_undecided_record_waits(inbox: Inbox) -> None:
    """A statement made under a directory entry that is not known yet parks its stream; another stream goes on."""
    behind = inbox.exchange.snapshot
    inbox.exchange.directory.append(grant_of(make_keys("vn:H10")))
    ahead = inbox.exchange.directory.snapshot()
    inbox.snapshot = behind
    early = inbox.exchange.documents(CITY, ME, 1)
    undecided = inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), snapshot=ahead)
    later = inbox.exchange.documents(CITY, ME, 2)
    other = inbox.exchange.documents(COMMUNE, ME, 1)
    await inbox.post(*early, *undecided, *later, *other)

    await inbox.receive()

    assert ["H26-00001", f"{COMMUNE[-3:]}-00005"] == inbox.sink.order
    assert 3 == inbox.parked()
    assert 5 == await inbox.committed()
    assert [(CITY, 1, 1), (COMMUNE, 1, 1)] == inbox.ranges()
    inbox.snapshot = ahead

    await inbox.receive()

    assert ["H26-00002", "H26-00003", "H26-00004"] == inbox.sink.order[2:]
    assert 0 == inbox.parked()
    assert {None} == set(inbox.meaning().values())
    assert [] == inbox.findings()


async def test_statement_from_the_future_waits_for_its_time(inbox: Inbox) -> None:
    """A sender whose clock runs ahead waits until the time has come, and its stream with it."""
    future = inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), now_ms=inbox.clock.ms + 3_600_000)
    await inbox.post(*future, *inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive()
    assert 2 == inbox.parked()
    inbox.clock.advance(3600.0)

    await inbox.receive()

    assert ["H26-00001", "H26-00002"] == inbox.sink.order
    assert 0 == inbox.parked()


async def test_undecided_for_too_long_goes_to_quarantine(inbox: Inbox) -> None:
    """After a day the record is quarantined with its reason, and what waited behind it goes on."""
    future = inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), now_ms=inbox.clock.ms + 90_000_000)
    await inbox.post(*future, *inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive()
    inbox.clock.advance(86_400.0)

    await inbox.receive()

    assert ["made_in_future"] == await inbox.reasons()
    assert ["H26-00002"] == inbox.sink.order
    assert 0 == inbox.parked()


async def test_parked_record_that_comes_again_waits_once_more_only_by_its_place(inbox: Inbox) -> None:
    """Reading the same offsets again parks nothing twice."""
    future = inbox.exchange.seal(CITY, inbox.exchange.drafts(CITY, [ME]), now_ms=inbox.clock.ms + 3_600_000)
    await inbox.post(*future)
    await inbox.receive()

    await inbox.receive(start={0: 0})

    assert 1 == inbox.parked()


async def test_too_much_parked_for_one_sender_goes_to_quarantine(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender cannot fill the disk with statements that wait."""
    monkeypatch.setattr("docbus.consumers.items.MAX_PARKED_RECORDS", 2)
    drafts = [draft for _ in range(3) for draft in inbox.exchange.drafts(CITY, [ME])]
    await inbox.post(*inbox.exchange.seal(CITY, drafts, now_ms=inbox.clock.ms + 3_600_000))

    await inbox.receive()

    assert 2 == inbox.parked()
    assert ["parked_too_many"] == await inbox.reasons()


# --- the sink -----------------------------------------------------------------------------------------


async def test_unavailable_sink_holds_and_other_outcomes_are_kept(inbox: Inbox) -> None:
    """While the sink is down, what does not need it is stored, the state says so, and then everything is filed."""
    seen: list[Any] = []

    def look() -> None:
        if len(inbox.sink.calls) > 1:
            seen.append((inbox.state("sink"), inbox.rows("SELECT count(*) FROM status")[0][0], inbox.next_offset()))

    inbox.sink.before = look
    inbox.sink.script = [unavailable(), unavailable(), unavailable()]
    status = inbox.exchange.status(COMMUNE, ME, "mine", 3)
    documents = inbox.exchange.documents(CITY, ME, 2)
    await inbox.post(status, *documents)

    await inbox.receive()

    assert [(False, attempts, "the DMS is down", 1, 1) for attempts in (1, 2, 3)] == [
        (state["available"], state["attempts"], state["error"], statuses, offset) for state, statuses, offset in seen
    ]
    assert inbox.state("sink")["available"]
    assert ["H26-00001", "H26-00002"] == inbox.sink.order
    assert {None} == set(inbox.meaning().values())
    assert 3 == await inbox.committed()


async def test_stop_ends_a_held_batch_and_it_comes_again(inbox: Inbox) -> None:
    """A stop while the sink is down leaves the documents undecided, and nothing of them is committed."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 2))
    inbox.sink.script = [unavailable()] * 3
    inbox.sink.before = lambda: inbox.stop.set() if len(inbox.sink.calls) == 2 else None

    await inbox.receive()

    assert [] == inbox.sink.order
    assert await inbox.committed() is None
    inbox.stop, inbox.sink.script, inbox.sink.before = asyncio.Event(), [], lambda: None
    await inbox.receive()
    assert ["H26-00001", "H26-00002"] == inbox.sink.order


async def test_offset_stays_below_what_is_undecided(inbox: Inbox) -> None:
    """What comes behind an undecided document is decided and stored, and yet the offset stays before the document."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    await inbox.post_value(b"random")
    inbox.sink.script = [unavailable(), unavailable()]
    inbox.sink.before = lambda: inbox.stop.set() if len(inbox.sink.calls) == 2 else None

    await inbox.receive()

    assert ["envelope_malformed"] == await inbox.reasons()
    assert [("envelope_malformed", 1)] == inbox.rows("SELECT reason, count FROM set_aside")
    assert [] == inbox.rows("SELECT next_offset FROM inbox_partition")


async def test_retry_parks_its_stream_alone(inbox: Inbox) -> None:
    """A document that the DMS cannot take now waits with its stream; a later outcome already given is kept."""
    inbox.sink.answers["H26-00002"] = Retry("locked by a clerk")
    posted = inbox.exchange.documents(CITY, ME, 3)
    await inbox.post(*posted, *inbox.exchange.documents(COMMUNE, ME, 1))
    await inbox.receive()
    assert [(CITY, 1, 1), (COMMUNE, 1, 1)] == inbox.ranges()
    assert 2 == inbox.parked()
    assert 4 == await inbox.committed()
    calls = len(inbox.sink.calls)
    inbox.sink.answers.clear()
    inbox.clock.advance(10.0)

    await inbox.receive()

    assert [["H26-00002"]] == inbox.sink.calls[calls:]
    assert {"H26-00001", "H26-00002", "H26-00003"} <= set(inbox.sink.order)
    assert {None} == set(inbox.meaning().values())
    assert [] == inbox.findings()


async def test_retry_goes_on_for_ever_with_growing_pauses(inbox: Inbox) -> None:
    """Attempts for one document come later and later, and are never given up."""
    inbox.sink.answers["H26-00001"] = Retry("busy")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    due = []
    for _ in range(12):
        await inbox.receive(factor=lambda: 1.0)
        due.append(inbox.rows("SELECT due_at FROM parked")[0][0] - inbox.clock.ms)
        inbox.clock.ms += due[-1]

    assert sorted(due) == due
    assert (1_000, 300_000) == (due[0], due[-1])


async def test_rejected_document_is_a_dead_letter_with_a_note_to_the_sender(inbox: Inbox) -> None:
    """A rejection is refused in the receipt, kept as a dead letter, and its text travels encrypted as status 02."""
    inbox.sink.answers["H26-00002"] = Reject("not_competent", "Không thuộc thẩm quyền")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))

    await inbox.receive()

    assert [(CITY, 1, 3)] == inbox.ranges()
    assert [None, "not_competent", None] == list(inbox.meaning().values())
    (letter,) = await inbox.dead_letters()
    assert b"not_competent" == dict(letter.headers)["docbus_reason"]
    assert b"rejected by the receiving system" == dict(letter.headers)["docbus_detail"]
    (row,) = inbox.rows(
        "SELECT c.recipient, c.lane, o.package FROM outgoing o JOIN copy c USING (outgoing) WHERE form = 'status'"
    )
    assert (CITY, 0) == row[:2]
    assert "thẩm quyền".encode() not in row[2]
    assert [("H26-00002", 2, "Không thuộc thẩm quyền")] == inbox.rows("SELECT document_id, code, note FROM status")


async def test_rejection_without_text_tells_its_code(inbox: Inbox) -> None:
    """A refusal without a text is told in a status 02 as well; a code that is none is replaced."""
    inbox.sink.answers["H26-00001"] = Reject("Not A Code!")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))

    await inbox.receive()

    assert ["rejected"] == list(inbox.meaning().values())
    assert [(2, "rejected")] == inbox.rows("SELECT code, note FROM status")


async def test_conflict_goes_to_quarantine(inbox: Inbox) -> None:
    """Another content under the document's name in the DMS is refused, kept as evidence, and found."""
    inbox.sink.answers["H26-00001"] = Conflict("ref", "other content")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))

    await inbox.receive()

    assert ["conflict"] == await inbox.reasons() == inbox.findings() == list(inbox.meaning().values())


async def test_sink_with_small_batches_is_stored_after_each(inbox: Inbox) -> None:
    """Outcomes become durable after each batch that the sink takes at once."""
    stored: list[int] = []
    inbox.sink = ObedientSink(max_batch=2)
    inbox.sink.before = lambda: stored.append(
        inbox.rows("SELECT count(*) FROM incoming")[0][0] if len(inbox.sink.calls) > 1 else 0
    )
    await inbox.post(*inbox.exchange.documents(CITY, ME, 5))

    await inbox.receive()

    assert [0, 2, 4] == stored
    assert [2, 2, 1] == [len(call) for call in inbox.sink.calls]
    assert 5 == await inbox.committed()


async def test_iterator_that_is_left_keeps_what_was_decided(inbox: Inbox) -> None:
    """Accepted documents are receipted, those left undecided come again, and nothing is handed out twice."""
    inbox.sink = sink = IteratorSink()
    await inbox.post(*inbox.exchange.documents(CITY, ME, 4))
    receiving = asyncio.ensure_future(inbox.receive())
    async with sink.deliveries() as deliveries:
        first = await anext(deliveries)
        await anext(deliveries)
        third = await anext(deliveries)
        await third.accept("DMS-3")
        await first.accept("DMS-1")
    await receiving
    assert [(CITY, 1, 1)] == inbox.ranges()
    inbox.sink = sink = IteratorSink()
    inbox.clock.advance(10.0)

    receiving = asyncio.ensure_future(inbox.receive())
    seen = []
    async with sink.deliveries() as deliveries:
        async for incoming in deliveries:
            seen.append(incoming.delivery.document_id)
            await incoming.accept()
    await receiving

    assert ["H26-00002", "H26-00004"] == seen
    assert {None} == set(inbox.meaning().values())
    assert 4 == len(inbox.meaning())
    assert ["DMS-1", "DMS-3"] == [
        reference for (reference,) in inbox.rows("SELECT reference FROM incoming_document") if "DMS" in reference
    ]


async def test_full_disk_under_the_ledger_is_waited_for(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space for the ledger nothing is committed; with it, everything goes on."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 2))
    genuine, left = Settlement.write, 3

    def full(self: Settlement, connection: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise DiskFullError("no space left")
        return genuine(self, connection)

    monkeypatch.setattr(Settlement, "write", full)

    await inbox.receive()

    assert 0 == left
    assert 1 == len(inbox.sink.calls)
    assert [(CITY, 1, 2)] == inbox.ranges()
    assert 2 == await inbox.committed()


async def test_what_a_sender_wrote_is_shown_escaped(inbox: Inbox) -> None:
    """A document id cannot send control sequences to the terminal of whoever looks at findings."""
    for content in (b"yes", b"no"):
        drafts = inbox.exchange.drafts(CITY, [ME], document_id="\u00e9-1", content=content)
        await inbox.post(*inbox.exchange.seal(CITY, drafts))

    await inbox.receive()

    ((detail,),) = inbox.rows("SELECT detail FROM finding")
    assert "\\xe9-1" in detail


# --- crashes and losses -------------------------------------------------------------------------------


class Crash(BaseException):
    """The process dies here."""


async def test_crash_between_sink_and_ledger(inbox: Inbox) -> None:
    """What the sink has and the ledger has not is delivered again, and the sink answers "already there"."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))

    def die() -> None:
        raise Crash

    inbox.sink.after = die
    with pytest.raises(Crash):
        await inbox.receive()
    assert [] == inbox.rows("SELECT * FROM incoming")
    inbox.sink.after = lambda: None

    await inbox.receive()

    assert 2 == len(inbox.sink.calls)
    assert ["H26-00001", "H26-00002", "H26-00003"] == inbox.sink.order
    assert [(CITY, 1, 3)] == inbox.ranges()


async def test_crash_between_ledger_and_commit(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger has is not delivered again, whatever the broker says is committed."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))

    async def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("docbus.transport.sqlite_groups.SqliteSubscription.commit", die)
        with pytest.raises(Crash):
            await inbox.receive()
    assert await inbox.committed() is None

    await inbox.receive()

    assert 1 == len(inbox.sink.calls)
    assert [(CITY, 1, 3)] == inbox.ranges()


async def test_crash_between_quarantine_and_ledger(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is in quarantine before anything says that it is decided; after a crash it lies there twice."""
    await inbox.post_value(b"random")

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("docbus.consumers.settling.Settlement.write", die)
        with pytest.raises(Crash):
            await inbox.receive()
    assert ["envelope_malformed"] == await inbox.reasons()

    await inbox.receive()

    assert ["envelope_malformed"] * 2 == await inbox.reasons()
    assert 1 == inbox.next_offset()


async def test_lost_ledger_is_rebuilt_through_the_sink(inbox: Inbox, tmp_path: Path) -> None:
    """Without its ledger an agency reads from the first record, files nothing twice, and says the same again."""
    target = tmp_path / "dms"
    target.mkdir()
    inbox.sink = FolderSink(target)
    posted = inbox.exchange.documents(CITY, ME, 4)
    await inbox.post(*posted[:1], *posted[2:], *inbox.exchange.documents(COMMUNE, ME, 2))
    await inbox.receive()
    said = inbox.meaning()
    before = {path: path.stat().st_ino for path in sorted(target.rglob("*"))}
    inbox.lose_ledger()
    inbox.sink = FolderSink(target)

    await inbox.receive()

    assert said == inbox.meaning()
    assert before == {path: path.stat().st_ino for path in sorted(target.rglob("*"))}
    assert [(2, 2, 1)] == inbox.holes()


async def test_committed_offset_is_never_trusted_as_outcome(inbox: Inbox) -> None:
    """A broker that says everything is committed does not make an agency skip what it has not filed."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))
    async with inbox.bus.subscribe(topics.inbox(ME), topics.inbox(ME), start="committed") as other:
        await other.commit({0: 3})

    await inbox.receive()

    assert 3 == len(inbox.sink.order)


async def test_committed_offset_ahead_of_the_ledger_skips_nothing(inbox: Inbox) -> None:
    """A broker that moves the group forward does not make an agency skip what its ledger does not have."""
    posted = inbox.exchange.documents(CITY, ME, 4)
    await inbox.post(*posted[:2])
    await inbox.receive()
    await inbox.post(*posted[2:])
    async with inbox.bus.subscribe(topics.inbox(ME), topics.inbox(ME), start="committed") as other:
        await other.commit({0: 4})

    await inbox.receive()

    assert 4 == len(inbox.sink.order)


async def test_committed_offset_set_back_only_repeats_receipts(inbox: Inbox) -> None:
    """An operator who sets the group back causes duplicates, which are receipted again and not filed again."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))
    await inbox.receive()
    async with inbox.bus.subscribe(topics.inbox(ME), topics.inbox(ME), start="committed") as other:
        await other.commit({0: 1})

    await inbox.receive()

    assert 1 == len(inbox.sink.calls)
    assert [(CITY, 1, 3), (CITY, 2, 3)] == inbox.ranges()
    assert 3 == inbox.next_offset()


async def test_topic_made_anew_is_read_from_its_first_record(inbox: Inbox, tmp_path: Path) -> None:
    """If another record lies where the ledger ended, offsets mean nothing any more."""
    posted = inbox.exchange.documents(CITY, ME, 5)
    await inbox.post(*posted[:2])
    await inbox.receive()
    await inbox.bus.aclose()
    inbox.bus = SqliteTransport(tmp_path / "other.db", inbox.clock)
    await inbox.bus.start()
    try:
        await inbox.found()
        await inbox.post(*posted[2:])

        await inbox.receive()

        assert ["H26-00003", "H26-00004", "H26-00005"] == inbox.sink.order[2:]
        assert [] == inbox.findings()
    finally:
        await inbox.bus.aclose()


# --- who else -----------------------------------------------------------------------------------------


async def test_second_process_on_one_folder_is_told_who_holds_it(inbox: Inbox) -> None:
    """One folder has one receiver; the second learns that."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    stop, started = asyncio.Event(), asyncio.Event()
    inbox.sink.before = started.set
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    first = asyncio.ensure_future(inbox.subscriber(database).run(stop))
    try:
        await started.wait()
        with pytest.raises(LockedError, match=r"inbox\.lock is held for receiving"):
            await inbox.subscriber(database, sink=ObedientSink()).run(asyncio.Event())
    finally:
        stop.set()
        await first
        database.close()


async def test_second_folder_of_one_agency_on_the_embedded_bus_is_refused(inbox: Inbox) -> None:
    """The embedded transport has one reader of a group, and its error comes through."""
    async with inbox.bus.subscribe(topics.inbox(ME), topics.inbox(ME), start="committed"):
        with pytest.raises(GroupBusyError):
            await inbox.receive()


async def test_missing_topic_is_named(inbox: Inbox) -> None:
    """An agency without topics is told to provision them."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        with pytest.raises(TopicMissingError, match="vn.H10"):
            await inbox.subscriber(database, agency="vn:H10").run(asyncio.Event())
    finally:
        database.close()


async def test_silent_brokers_are_waited_for(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing fetch, quarantine or commit is repeated and loses nothing."""
    await inbox.post_value(b"random")
    await inbox.post(*inbox.exchange.documents(CITY, ME, 2))
    failures = {"fetch": 2, "append": 2, "commit": 1}

    def flaky(name: str, original: Any) -> Any:
        async def call(*given: Any, **named: Any) -> Any:
            if failures[name]:
                failures[name] -= 1
                raise BrokerUnavailableError("nobody answers")
            return await original(*given, **named)

        return call

    from docbus.transport.sqlite_groups import SqliteSubscription  # noqa: PLC0415 - to break it

    for owner, name in ((SqliteSubscription, "fetch"), (SqliteTransport, "append"), (SqliteSubscription, "commit")):
        monkeypatch.setattr(owner, name, flaky(name, getattr(owner, name)))

    await inbox.receive()
    await inbox.receive()

    assert {"fetch": 0, "append": 0, "commit": 0} == failures
    assert ["envelope_malformed"] == await inbox.reasons()
    assert 2 == len(inbox.sink.order)
    assert 3 == inbox.next_offset()


async def test_bytes_parked_for_one_sender_are_bounded(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few large statements that wait fill the room of their sender as many small ones do."""
    drafts = [draft for _ in range(3) for draft in inbox.exchange.drafts(CITY, [ME])]
    posted = inbox.exchange.seal(CITY, drafts, now_ms=inbox.clock.ms + 3_600_000)
    monkeypatch.setattr("docbus.consumers.items.MAX_PARKED_BYTES", len(posted[0].value) + 1)
    await inbox.post(*posted)

    await inbox.receive()

    assert 2 == inbox.parked()
    assert ["parked_too_many"] == await inbox.reasons()


@pytest.mark.parametrize("bound", ["MAX_RESUMED", "MAX_RESUMED_BYTES"])
async def test_parked_records_are_taken_up_some_at_a_time(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """However many records wait behind one, so many of them are in memory at once, and all are filed in order."""
    taken: list[int] = []
    read = parking.read_parked

    def counted(*given: Any) -> Any:
        found = read(*given)
        taken.append(len(found))
        return found

    monkeypatch.setattr(f"docbus.consumers.parking.{bound}", 2 if bound == "MAX_RESUMED" else 1)
    monkeypatch.setattr(parking, "read_parked", counted)
    drafts = [draft for _ in range(5) for draft in inbox.exchange.drafts(CITY, [ME])]
    await inbox.post(*inbox.exchange.seal(CITY, drafts, now_ms=inbox.clock.ms + 3_600_000))
    await inbox.receive()
    assert 5 == inbox.parked()

    inbox.clock.advance(4000)
    await inbox.receive()

    assert (0, 5) == (inbox.parked(), len(inbox.sink.order))
    assert max(taken) == (2 if bound == "MAX_RESUMED" else 1)


async def test_findings_that_are_kept_are_the_newest(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a sender does to be noticed, the ledger keeps so many findings."""
    monkeypatch.setattr("docbus.consumers.settling.MAX_FINDINGS", 2)
    contents = [b"first", b"second", b"third", b"fourth"]
    drafts = [inbox.exchange.drafts(CITY, [ME], document_id="one", content=content)[0] for content in contents]
    for posted in inbox.exchange.seal(CITY, drafts):
        await inbox.post(posted)
        await inbox.receive()

    assert ["equivocation"] * 3 == await inbox.reasons()
    assert [(2,), (3,)] == inbox.rows("SELECT at_offset FROM finding ORDER BY finding")


@pytest.mark.parametrize(("bound", "value"), [("MAX_FETCH_RECORDS", 2), ("MAX_FETCH_BYTES", 1), ("CHUNK_RECORDS", 3)])
async def test_what_is_taken_at_once_is_bounded(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    """However much has come, so much is fetched and verified at a time, and all of it is filed in order."""
    fetched: list[int] = []
    inspected: list[int] = []
    take, inspect = Intake.inspect, Inspector.inspect

    async def taken(intake: Intake, records: Any, hand: str) -> Any:
        fetched.append(len(records))
        return await take(intake, records, hand)

    def verified(inspector: Inspector, records: Any, *rest: Any) -> Any:
        inspected.append(len(records))
        return inspect(inspector, records, *rest)

    monkeypatch.setattr(Intake, "inspect", taken)
    monkeypatch.setattr(Inspector, "inspect", verified)
    monkeypatch.setattr(f"docbus.consumers.intake.{bound}", value)
    await inbox.post(*inbox.exchange.documents(CITY, ME, 7))

    await inbox.receive()

    assert [f"H26-{number:05}" for number in range(1, 8)] == inbox.sink.order
    assert (value, value if bound != "CHUNK_RECORDS" else 7) == (max(inspected), max(fetched))


@pytest.mark.parametrize("kind", [FolderSink, IteratorSink])
async def test_a_sink_gets_no_more_at_once_than_it_takes(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, kind: type[FolderSink | IteratorSink]
) -> None:
    """However many documents have come, docbus's own sinks get so many at a time, in order, and few at first."""
    sizes: list[int] = []

    async def deliver(_sink: Any, batch: Any) -> Any:
        sizes.append(len(batch))
        return [Created(delivery.document_id) for delivery in batch]

    most = kind.max_batch
    monkeypatch.setattr(kind, "deliver", deliver)
    inbox.sink = FolderSink(inbox.folder) if kind is FolderSink else IteratorSink()
    await inbox.post(*inbox.exchange.documents(CITY, ME, 2 * most + 1))

    await inbox.receive()

    first = min(most, FIRST_PORTION)
    assert [first, most, most + 1 - first] == sizes
