from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from docbus.consumers import redrive as redriving
from docbus.consumers.acts import MAX_ROUNDS
from docbus.consumers.requests import RequestState
from docbus.consumers.settling import Settlement
from docbus.consumers.sinks.port import Conflict, Reject, Retry
from docbus.consumers.values import write_value
from docbus.documents.document import DocumentReference
from docbus.envelope.act import seal_acts
from docbus.envelope.envelope import decode_envelope, encode_envelope
from docbus.errors import TransportError
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.support.acts import act_of, append, append_values, decide, follow, outcomes, redrive
from tests.support.audit_exchange import CITY
from tests.support.content import ReadingSink, expire, large_document, plaintext, send
from tests.support.directory import NOW_MS, make_keys
from tests.support.inbox import ME, Inbox, ObedientSink, unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import Delivery, Outcome
    from tests.support.audit_exchange import Posted

DONE, IN_VAIN, REQUESTED = RequestState.DONE, RequestState.IN_VAIN, RequestState.REQUESTED
WRONG = make_keys(ME).encryption_key
"""A key that opens nothing of this agency's."""


async def unopened(inbox: Inbox, count: int = 1, *, hole: bool = True) -> list[Posted]:
    """Let documents go to quarantine because the key that opens them is missing; leave their positions open."""
    posted = inbox.exchange.documents(CITY, ME, count)
    await inbox.post(*posted)
    await inbox.receive(decrypters=[WRONG.decrypter()])
    if hole:
        await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
        await inbox.receive()
    return posted


async def refused(inbox: Inbox, answer: Conflict | Reject, count: int = 1, **changed: object) -> list[Posted]:
    """Let the sink refuse documents."""
    posted = inbox.exchange.documents(CITY, ME, count, **changed)
    names = [f"H26-{inbox.exchange.count - count + n + 1:05}" for n in range(count)]
    inbox.sink.answers = dict.fromkeys(names, answer)
    await inbox.post(*posted)
    await inbox.receive()
    inbox.sink.answers = {}
    return posted


def changes_of(inbox: Inbox, document_id: str) -> list[tuple[int, str | None, int]]:
    """Return code, note and flag of what is known about taking a document back, in order."""
    return inbox.rows(
        "SELECT code, note, flagged FROM status WHERE document_id = ? AND code >= 13 ORDER BY status", document_id
    )


async def test_released_records_fill_their_holes(inbox: Inbox) -> None:
    """What can be opened now is filed, takes its position, is receipted, and its request is done."""
    posted = await unopened(inbox, 3)
    assert [(1, 3, 1)] == inbox.holes()

    await decide(inbox, "release", "quarantine", 0, 1, 2)
    await inbox.receive()

    assert ["H26-00004", "H26-00001", "H26-00002", "H26-00003"] == inbox.sink.order
    assert [] == inbox.holes()
    assert [(CITY, 4, 4), (CITY, 1, 3)] == inbox.ranges()
    assert dict.fromkeys(range(3), (DONE, "filed")) == outcomes(inbox, "quarantine")
    assert posted[0].value == inbox.sink.filed[next(n for n in inbox.sink.filed if "00001" in n)].value
    assert 3 == len(await inbox.quarantined())


async def test_released_record_that_fails_again_is_kept_once(inbox: Inbox) -> None:
    """The request is in vain with the code of the check, no second copy is set aside, and no position moves."""
    await unopened(inbox, hole=False)
    before = inbox.next_offset()

    await decide(inbox, "release", "quarantine", 0)
    await inbox.receive(decrypters=[WRONG.decrypter()])

    assert {0: (IN_VAIN, "batch_key_unusable")} == outcomes(inbox, "quarantine")
    assert 1 == len(await inbox.quarantined())
    assert [("quarantine", "batch_key_unusable", 1)] == inbox.rows("SELECT topic, reason, count FROM set_aside")
    assert ([], before) == (inbox.sink.order, inbox.next_offset())


async def test_in_vain_can_be_tried_again(inbox: Inbox) -> None:
    """Once the cause is mended, a later act releases what an earlier one could not."""
    await unopened(inbox, hole=False)
    await decide(inbox, "release", "quarantine", 0)
    await inbox.receive(decrypters=[WRONG.decrypter()])

    await decide(inbox, "release", "quarantine", 0)
    await inbox.receive()

    assert {0: (DONE, "filed")} == outcomes(inbox, "quarantine")
    assert ["H26-00001"] == inbox.sink.order


async def test_no_check_is_skipped(inbox: Inbox) -> None:
    """A tampered envelope stays refused however often it is released."""
    (posted,) = inbox.exchange.documents(CITY, ME, 1)
    envelope = decode_envelope(posted.value)
    package = envelope.package or b""
    await inbox.post_value(
        encode_envelope(envelope._replace(package=bytes([package[0] ^ 1]) + package[1:])), CITY.encode()
    )
    await inbox.receive()

    await decide(inbox, "release", "quarantine", 0)
    await inbox.receive()

    assert {0: (IN_VAIN, "package_mismatch")} == outcomes(inbox, "quarantine")
    assert [] == inbox.sink.order


@pytest.mark.parametrize(
    ("answer", "topic"), [(Reject("not_competent", "wrong office"), "dead-letter"), (Conflict("x", "y"), "quarantine")]
)
async def test_redelivered_document_turns_refused_into_filed(
    inbox: Inbox, answer: Conflict | Reject, topic: str
) -> None:
    """A document that the sink takes now is receipted as filed at its old position, and is filed in the ledger."""
    (posted,) = await refused(inbox, answer)
    code = answer.code if isinstance(answer, Reject) else "conflict"
    assert [code] == list(inbox.meaning().values())

    await decide(inbox, "redeliver", topic, 0)
    await inbox.receive()

    assert ["H26-00001"] == inbox.sink.order
    assert {(CITY, posted.sealed.epoch, 1): None} == inbox.meaning()
    assert {0: (DONE, "filed")} == outcomes(inbox, topic)
    assert [(None,)] == inbox.rows("SELECT reason FROM incoming")
    await inbox.post(posted)
    await inbox.receive()
    assert (CITY, 1, 1) == inbox.ranges()[-1]
    assert {(CITY, posted.sealed.epoch, 1): None} == inbox.meaning()


@pytest.mark.parametrize(
    ("answer", "topic", "note"),
    [
        (Reject("not_competent", "wrong office"), "dead-letter", "wrong office"),
        (Conflict("x", "y"), "quarantine", None),
    ],
)
async def test_redelivered_change_is_answered_anew(
    inbox: Inbox, answer: Conflict | Reject, topic: str, note: str | None
) -> None:
    """A recall that was refused, or was a conflict, is answered 16, and 15 once it takes effect; each once."""
    await refused(inbox, answer, kind="recall", concerns=(DocumentReference(sender=CITY, document_id="old"),))
    assert [(13, None, 0), (16, note or "conflict", 0)] == changes_of(inbox, "old")

    await decide(inbox, "redeliver", topic, 0)
    await inbox.receive()
    await inbox.receive()

    assert [(13, None, 0), (16, note or "conflict", 0), (15, None, 0)] == changes_of(inbox, "old")
    assert 2 + (note is not None) == len(inbox.rows("SELECT outgoing FROM outgoing WHERE form = 'status'"))


async def test_redelivered_change_that_is_refused_again_is_not_answered_again(inbox: Inbox) -> None:
    """The first refusal stands, so there is nothing new to say."""
    await refused(
        inbox, Reject("not_competent"), kind="recall", concerns=(DocumentReference(sender=CITY, document_id="old"),)
    )
    inbox.sink.answers = {"H26-00001": Reject("archive_full")}

    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert [(13, None, 0), (16, "not_competent", 0)] == changes_of(inbox, "old")


@pytest.mark.parametrize("hole", [True, False])
async def test_change_that_an_operator_rejects_is_refused(inbox: Inbox, *, hole: bool) -> None:
    """A recall that nobody could decide about, and an operator rejects, is answered 16 with the operator's reason."""
    posted = inbox.exchange.recall(CITY, ME, DocumentReference(sender=CITY, document_id="old"))
    await inbox.post(posted)
    await inbox.receive(decrypters=[WRONG.decrypter()])
    if hole:
        await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
        await inbox.receive()

    await decide(inbox, "reject", "quarantine", 0, reason="agreed by telephone")
    await inbox.receive()

    assert [(13, None, 0), (16, "agreed by telephone", 0)] == changes_of(inbox, "old")


async def test_redelivered_document_that_is_refused_again_changes_nothing(inbox: Inbox) -> None:
    """Another refusal is no contradicting receipt, no second dead letter, and no second status."""
    await refused(inbox, Reject("not_competent", "wrong office"))
    before = inbox.meaning(), len(inbox.receipts()), inbox.rows("SELECT count(*) FROM status")
    inbox.sink.answers = {"H26-00001": Reject("archive_full", "no room")}

    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert {0: (IN_VAIN, "archive_full")} == outcomes(inbox, "dead-letter")
    assert before == (inbox.meaning(), len(inbox.receipts()), inbox.rows("SELECT count(*) FROM status"))
    assert 1 == len(await inbox.dead_letters())


async def test_document_whose_time_has_passed_stays_refused(inbox: Inbox) -> None:
    """What its sender signed about time holds at redelivery: an operator cannot override it."""
    await refused(inbox, Reject("not_competent"), not_after=NOW_MS + 60_000)
    inbox.clock.advance(120)

    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert {0: (IN_VAIN, "not_after_passed")} == outcomes(inbox, "dead-letter")
    assert [] == inbox.sink.order


async def test_evidence_stays_evidence(inbox: Inbox) -> None:
    """A fork and an equivocation stay refused, whatever their headers say they were refused for."""
    exchange = inbox.exchange
    first, *_ = exchange.documents(CITY, ME, 1)
    fork = exchange.seal(CITY, exchange.drafts(CITY, [ME]), heads={})[0]
    other = exchange.documents(CITY, ME, 1, document_id="H26-00001")[0]
    await inbox.post(first, fork, other)
    await inbox.receive()
    assert ["stream_fork", "equivocation"] == await inbox.reasons()

    await decide(inbox, "release", "quarantine", 0, 1, refused_for="batch_key_unusable")
    await inbox.receive()

    assert {0: (IN_VAIN, "stream_fork"), 1: (IN_VAIN, "equivocation")} == outcomes(inbox, "quarantine")
    assert ["H26-00001"] == inbox.sink.order


async def test_rejected_dead_letter_is_told(inbox: Inbox) -> None:
    """The sender gets one status 02 with the operator's reason; the receipt that refuses it stands."""
    await refused(inbox, Reject("not_competent"))
    before = inbox.meaning()

    await decide(inbox, "reject", "dead-letter", 0, reason="agreed by telephone")
    await inbox.receive()
    await decide(inbox, "reject", "dead-letter", 0, reason="once more")
    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert {0: (DONE, "rejected")} == outcomes(inbox, "dead-letter")
    told = inbox.rows("SELECT code, note FROM status")
    assert [(2, "not_competent"), (2, "agreed by telephone")] == told
    assert before == inbox.meaning()
    assert [] == inbox.sink.order


async def test_rejected_quarantined_document_takes_its_position(inbox: Inbox) -> None:
    """A genuine document that nobody wants fills its hole with a refusal, and its sender is told."""
    (posted,) = await unopened(inbox)

    await decide(inbox, "reject", "quarantine", 0)
    await inbox.receive()

    assert {0: (DONE, "rejected")} == outcomes(inbox, "quarantine")
    assert "rejected_by_operator" == inbox.meaning()[CITY, posted.sealed.epoch, 1]
    assert [] == inbox.holes()
    assert [(2, "the cause is mended")] == inbox.rows("SELECT code, note FROM status")
    assert [] == await inbox.dead_letters()


async def test_rejecting_rubbish_is_only_kept(inbox: Inbox) -> None:
    """Of what nobody has signed only the act remains: no status, no position, no finding."""
    await inbox.post_value(b"rubbish", b"somebody")
    await inbox.receive()

    await decide(inbox, "reject", "quarantine", 0)
    await inbox.receive()

    assert {0: (DONE, "rejected")} == outcomes(inbox, "quarantine")
    assert ([], []) == (inbox.rows("SELECT * FROM status"), inbox.findings())


async def test_document_that_is_filed_cannot_be_rejected(inbox: Inbox) -> None:
    """A copy of what was filed meanwhile is not refused: the request is in vain."""
    (posted,) = await unopened(inbox, hole=False)
    await inbox.post(posted)
    await inbox.receive()

    await decide(inbox, "reject", "quarantine", 0)
    await inbox.receive()

    assert {0: (IN_VAIN, "filed")} == outcomes(inbox, "quarantine")
    assert [(None,)] == inbox.rows("SELECT reason FROM incoming")
    assert [] == inbox.rows("SELECT * FROM status")


async def test_rejection_replaces_what_is_not_done_yet(inbox: Inbox) -> None:
    """Of a release and a rejection that are both under way, the rejection holds."""
    await unopened(inbox)
    await append(
        inbox,
        await act_of(inbox, "release", "quarantine", 0),
        await act_of(inbox, "reject", "quarantine", 0),
        await act_of(inbox, "release", "quarantine", 0, nonce=bytes([1] * 16)),
    )
    await follow(inbox)

    await inbox.receive()

    assert {0: (DONE, "rejected")} == outcomes(inbox, "quarantine")
    assert ["H26-00002"] == inbox.sink.order


async def test_act_takes_effect_once_however_often_it_is_read(inbox: Inbox) -> None:
    """Two acts about one record, and reading the ledger topic again from its beginning, deliver once."""
    await unopened(inbox, hole=False)
    await decide(inbox, "release", "quarantine", 0)
    await decide(inbox, "release", "quarantine", 0, operator="minh")
    await inbox.receive()
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    database.write_now(lambda connection: connection.execute("DELETE FROM ledger_state WHERE name = 'acts'"))
    database.close()

    await follow(inbox)
    await inbox.receive()

    assert [["H26-00001"]] == [call for call in inbox.sink.calls if call]
    assert [("lan", 2)] == inbox.rows("SELECT operator, state FROM act")


async def test_crash_between_act_and_request_is_healed_by_the_next_start(inbox: Inbox) -> None:
    """An act that was appended and never read takes effect when the receiver starts."""
    await unopened(inbox, hole=False)
    await append(inbox, await act_of(inbox, "release", "quarantine", 0))

    await inbox.receive()

    assert {0: (DONE, "filed")} == outcomes(inbox, "quarantine")


async def test_crash_between_sink_and_ledger_files_once(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redelivery whose ledger entry was lost is offered again, and the sink answers that it has it."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "redeliver", "dead-letter", 0)

    def dies(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Settlement, "write", dies)
        with pytest.raises(ZeroDivisionError):
            await inbox.receive()
    assert {0: (REQUESTED, None)} == outcomes(inbox, "dead-letter")
    await inbox.receive()

    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")
    assert ["H26-00001"] == inbox.sink.order
    assert [["H26-00001"]] * 3 == inbox.sink.calls


async def test_lost_database_is_filled_again_from_the_ledger_topic(inbox: Inbox) -> None:
    """What was rejected stays rejected after the state was lost."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "reject", "dead-letter", 0)
    await inbox.receive()
    inbox.lose_ledger()
    inbox.sink.answers = {"H26-00001": Reject("not_competent")}

    await inbox.receive()
    await decide(inbox, "redeliver", "dead-letter", 0)
    inbox.sink.answers = {}
    await inbox.receive()

    assert {0: (DONE, "elsewhere")} == outcomes(inbox, "dead-letter")
    assert [] == inbox.sink.order
    assert ["not_competent"] == [note for (note,) in inbox.rows("SELECT note FROM status")]


async def test_what_another_folder_has_decided_is_not_done_here(inbox: Inbox) -> None:
    """An act of another folder of the agency is known and not done, but may be given here, too."""
    await unopened(inbox, hole=False)
    act = await act_of(inbox, "release", "quarantine", 0)
    values = seal_acts([act], inbox.exchange.keys[ME].signer)
    await inbox.bus.append([NewRecord(topic=topics.ledger(ME), key=None, value=value) for value in values])

    await inbox.receive()
    before = outcomes(inbox, "quarantine"), list(inbox.sink.order)
    await decide(inbox, "release", "quarantine", 0)
    await inbox.receive()

    assert ({0: (DONE, "elsewhere")}, []) == before
    assert {0: (DONE, "filed")} == outcomes(inbox, "quarantine")
    assert ["H26-00001"] == inbox.sink.order


async def test_later_attempt_does_not_hold_the_stream(inbox: Inbox) -> None:
    """When the sink wants a redelivered document later, its stream goes on, and it is tried again after a pause."""
    await refused(inbox, Reject("not_competent"))
    inbox.sink.answers = {"H26-00001": Retry("locked")}
    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))

    await inbox.receive()

    assert {0: (REQUESTED, "retry")} == outcomes(inbox, "dead-letter")
    assert (["H26-00002"], 0) == (inbox.sink.order, inbox.parked())
    inbox.sink.answers = {}
    inbox.clock.advance(600)
    await inbox.receive()
    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")


async def test_command_does_the_work_where_nobody_receives(inbox: Inbox) -> None:
    """Without a receiver requests are done under its lock, and the inbox is not read."""
    await refused(inbox, Reject("not_competent"))
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    await decide(inbox, "redeliver", "dead-letter", 0)

    await redrive(inbox)

    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")
    assert (["H26-00001"], 1) == (inbox.sink.order, inbox.next_offset())
    assert inbox.sink.closed


async def test_sink_that_is_down_holds_a_redelivery(inbox: Inbox) -> None:
    """While the sink is unavailable the request waits, and then is done."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "redeliver", "dead-letter", 0)
    inbox.sink.script = [unavailable(), unavailable()]

    await redrive(inbox)

    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")


async def test_record_that_is_gone_is_told(inbox: Inbox) -> None:
    """An act about a record that lies there no more, or about another one, is in vain."""
    await unopened(inbox, hole=False)
    await decide(inbox, "release", "quarantine", 0, digest=bytes(32))
    await append(inbox, (await act_of(inbox, "release", "quarantine", 0))._replace(number=7))
    await follow(inbox)

    await inbox.receive()

    assert {0: (IN_VAIN, "record_gone"), 7: (IN_VAIN, "record_gone")} == outcomes(inbox, "quarantine")


async def test_act_signed_by_another_has_no_effect(inbox: Inbox) -> None:
    """An act under another agency's key, one that was changed, and one in another's name are passed over."""
    await unopened(inbox, hole=False)
    act = await act_of(inbox, "release", "quarantine", 0)
    foreign = inbox.exchange.keys[CITY].signer
    genuine = seal_acts([act], inbox.exchange.keys[ME].signer)[0]
    changed = genuine.replace(b"the cause is mended", b"the cause is MENDED")
    mine = seal_acts([act], foreign)
    theirs = seal_acts([act._replace(agency=CITY, certificate=foreign.certificate)], foreign)
    await append_values(inbox, [changed, *mine, *theirs])
    await inbox.bus.append([NewRecord(topic=topics.ledger(ME), key=None, value=b"no envelope")])

    await inbox.receive()

    assert {} == outcomes(inbox, "quarantine")
    assert [] == inbox.sink.order


async def test_many_are_done_in_batches(inbox: Inbox) -> None:
    """A thousand redeliveries take a handful of calls of the sink, and few receipts."""
    inbox.sink = ObedientSink()
    await refused(inbox, Reject("down"), 1000)
    calls, receipts = len(inbox.sink.calls), len(inbox.receipts())

    await decide(inbox, "redeliver", "dead-letter", *range(1000))
    await inbox.receive()

    assert 1000 == len(inbox.sink.order)
    # Few at first, as the pace of a system is not known when a process begins.
    assert 3 == len(inbox.sink.calls) - calls
    assert 3 == len(inbox.receipts()) - receipts
    assert set(inbox.meaning().values()) == {None}


async def refused_large(inbox: Inbox) -> bytes:
    """Let the sink refuse a document with large content, which is removed then."""
    inbox.sink = ReadingSink()
    inbox.sink.answers = {"H26-00001": Reject("not_competent")}
    content = plaintext(1.5)
    await send(inbox, large_document(inbox.exchange, content))
    await inbox.receive()
    inbox.sink.answers = {}
    return content


async def test_large_content_is_fetched_again(inbox: Inbox) -> None:
    """A redelivered document waits for its large content as a new one does, and is filed with it."""
    content = await refused_large(inbox)

    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert [content] == inbox.sink.contents("H26-00001")
    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")
    assert ({None}, 0) == (set(inbox.meaning().values()), inbox.parked())


async def test_large_content_that_has_expired_meanwhile_is_told(inbox: Inbox) -> None:
    """When parts cannot be had any more the request is in vain, and the refusal stands as it was, set aside once."""
    await refused_large(inbox)
    expire(inbox.folder.parent / "bus.db", CITY, 10)

    await decide(inbox, "redeliver", "dead-letter", 0)
    await inbox.receive()

    assert {0: (IN_VAIN, "content_expired")} == outcomes(inbox, "dead-letter")
    assert {"not_competent"} == set(inbox.meaning().values())
    assert 1 == len(await inbox.dead_letters())
    assert 0 == inbox.parked()


async def test_rejection_that_comes_while_it_is_filed_is_in_vain(inbox: Inbox) -> None:
    """A rejection put into force between sink and ledger does not undo what is filed, and is told so."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "redeliver", "dead-letter", 0)
    await append(inbox, await act_of(inbox, "reject", "dead-letter", 0))
    deliver = inbox.sink.deliver

    async def overtaken(batch: Sequence[Delivery]) -> list[Outcome]:
        await follow(inbox)
        return list(await deliver(batch))

    inbox.sink.deliver = overtaken
    await redrive(inbox)

    assert {0: (IN_VAIN, "filed")} == outcomes(inbox, "dead-letter")
    assert {None} == set(inbox.meaning().values())
    assert ["not_competent"] == [note for (note,) in inbox.rows("SELECT note FROM status")]


async def test_topic_that_cannot_be_read_is_told(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the brokers do not let the records be read, requests are in vain with that reason, and may be repeated."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "redeliver", "dead-letter", 0)

    async def forbidden(*_: object, **__: object) -> None:
        raise TransportError("not authorised")

    with monkeypatch.context() as patch:
        patch.setattr(redriving, "read_numbers", forbidden)
        await redrive(inbox)
    assert {0: (IN_VAIN, "transport_failed")} == outcomes(inbox, "dead-letter")

    await decide(inbox, "redeliver", "dead-letter", 0)
    await redrive(inbox)

    assert {0: (DONE, "filed")} == outcomes(inbox, "dead-letter")


async def test_one_that_is_wanted_later_holds_up_no_others(inbox: Inbox) -> None:
    """Of a bulk redelivery all but the one that the sink wants later are done at once."""
    await refused(inbox, Reject("down"), 5)
    inbox.sink.answers = {"H26-00002": Retry("locked")}

    await decide(inbox, "redeliver", "dead-letter", *range(5))
    await inbox.receive()

    assert {1: (REQUESTED, "retry")} | dict.fromkeys([0, 2, 3, 4], (DONE, "filed")) == outcomes(inbox, "dead-letter")
    assert {None, "down"} == set(inbox.meaning().values())


async def test_released_ones_keep_their_order_behind_one_that_is_wanted_later(inbox: Inbox) -> None:
    """Records that take positions wait for the one before them, and are done with it."""
    await unopened(inbox, 3, hole=False)
    inbox.sink.answers = {"H26-00001": Retry("locked")}
    await decide(inbox, "release", "quarantine", 0, 1, 2)

    await inbox.receive()

    assert {REQUESTED} == {state for state, _ in outcomes(inbox, "quarantine").values()}
    assert ([], 0) == (inbox.receipts(), inbox.parked())
    inbox.sink.answers = {}
    inbox.clock.advance(600)
    await inbox.receive()
    assert dict.fromkeys(range(3), (DONE, "filed")) == outcomes(inbox, "quarantine")
    assert [(CITY, 1, 3)] == inbox.ranges()


async def test_record_on_which_the_process_dies_ends_in_vain(inbox: Inbox) -> None:
    """A redelivery that ends the process again and again is given up, and the inbox goes on as before."""
    await refused(inbox, Reject("not_competent"))
    await decide(inbox, "redeliver", "dead-letter", 0)

    def dies() -> None:
        raise ZeroDivisionError

    inbox.sink.before = dies
    deaths = 0
    while {0: (REQUESTED, None)} == outcomes(inbox, "dead-letter") and deaths < 20:
        with contextlib.suppress(ZeroDivisionError):
            await inbox.receive()
        deaths += 1
    inbox.sink.before = lambda: None
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive()

    assert {0: (IN_VAIN, "crash_loop")} == outcomes(inbox, "dead-letter")
    assert ["H26-00002"] == inbox.sink.order
    assert 1 == len(await inbox.dead_letters())
    assert [] == await inbox.quarantined()


async def test_requests_taken_up_at_once_are_bounded(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many redeliveries are asked for, so many are in hand at a time, and all are done."""
    monkeypatch.setattr("docbus.consumers.requests.MAX_REQUESTS", 2)
    inbox.sink = ObedientSink()
    await refused(inbox, Reject("down"), 5)
    calls = len(inbox.sink.calls)

    await decide(inbox, "redeliver", "dead-letter", *range(5))
    await inbox.receive()

    assert [2, 2, 1] == [len(call) for call in inbox.sink.calls[calls:]]


async def test_following_acts_ends_where_others_are_always_faster(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody else puts acts into force at every attempt, this one leaves it after so many."""
    rounds: list[int] = []

    def overtaken(_connection: object, *, begun: int, **_: object) -> bool:
        rounds.append(begun)
        return False

    monkeypatch.setattr("docbus.consumers.acts._put", overtaken)
    await refused(inbox, Reject("down"), 1)

    await decide(inbox, "redeliver", "dead-letter", 0)

    assert MAX_ROUNDS == len(rounds)


async def test_place_in_a_header_that_is_changed_blocks_nobody(inbox: Inbox) -> None:
    """Where a dead letter says it came from, nobody has signed: it is filed, and so is what its sender sends then."""
    content = await refused_large(inbox)
    (letter,) = await inbox.dead_letters()
    headers = tuple((name, b"57" if name == "docbus_partition" else value) for name, value in letter.headers)
    assert headers != letter.headers
    await inbox.bus.append([NewRecord(topic=letter.topic, key=letter.key, value=letter.value or b"", headers=headers)])

    await decide(inbox, "redeliver", "dead-letter", 1)
    await inbox.post(*inbox.exchange.documents(CITY, ME, 2))
    await inbox.receive()

    assert [content] == inbox.sink.contents("H26-00001")
    assert ["H26-00001", "H26-00002", "H26-00003"] == sorted(inbox.sink.order)
    assert {1: (DONE, "filed")} == outcomes(inbox, "dead-letter")
    assert ({None}, 0) == (set(inbox.meaning().values()), inbox.parked())


async def test_copy_of_an_old_act_has_no_effect(inbox: Inbox) -> None:
    """Whoever can write to the ledger topic can store an act again, and nothing becomes of it."""
    await unopened(inbox, hole=False)
    for _ in range(2):
        await decide(inbox, "release", "quarantine", 0)
        await inbox.receive(decrypters=[WRONG.decrypter()])
    assert {0: (IN_VAIN, "batch_key_unusable")} == outcomes(inbox, "quarantine")
    first = (await inbox.bus.read(topics.ledger(ME), 0, 0, max_records=1, max_bytes=1 << 20, wait=0.0))[0]

    await inbox.bus.append([NewRecord(topic=first.topic, key=first.key, value=first.value or b"")])
    await follow(inbox)

    assert {0: (IN_VAIN, "batch_key_unusable")} == outcomes(inbox, "quarantine")


async def test_acts_that_are_read_again_have_no_effect(inbox: Inbox) -> None:
    """A ledger topic whose end was set back is read from its first record, and says nothing new."""
    await unopened(inbox, hole=False)
    for _ in range(2):
        await decide(inbox, "release", "quarantine", 0)
        await inbox.receive(decrypters=[WRONG.decrypter()])
    with contextlib.closing(Database.open(inbox.folder / "state.db", inbox.clock)) as database:
        database.write_now(lambda connection: write_value(connection, "acts", {"next_offset": 99}))

    await follow(inbox)

    assert {0: (IN_VAIN, "batch_key_unusable")} == outcomes(inbox, "quarantine")
