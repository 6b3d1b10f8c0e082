from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers.content_limits import ContentLimits
from docbus.consumers.fetching import MISSING_LIMIT_MS
from docbus.consumers.sinks.port import Conflict, Reject, Retry
from docbus.documents.statuses import StatusCode
from docbus.limits import PART_BYTES
from docbus.storage.content import ContentFolder
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.content import (
    ReadingSink,
    expire,
    large_document,
    plaintext,
    send,
    spooled,
    spooled_bytes,
    upload,
)
from tests.support.inbox import ME, Inbox
from tests.support.outbox import until

if TYPE_CHECKING:
    from docbus.consumers.sinks.port import Outcome
    from tests.support.audit_exchange import Posted
    from tests.support.content import LargeDocument

DUE_SECONDS = 10.0
"""Seconds after which an attempt that was in vain is repeated."""


@pytest.fixture
def large(inbox: Inbox) -> Inbox:
    """Return the inbox with a sink that reads what it is given."""
    inbox.sink = ReadingSink()
    return inbox


async def wait_for_content(inbox: Inbox) -> None:
    """Receive once more, after the pause before the next attempt."""
    inbox.clock.advance(DUE_SECONDS)
    await inbox.receive()


# --- what arrives ---------------------------------------------------------------------------------------


async def test_large_document_is_filed_byte_for_byte_and_receipted(large: Inbox) -> None:
    """Content of several parts, whose last is short, reaches the sink as a stream of exactly its bytes."""
    content = plaintext(2.3)
    posted = await send(large, large_document(large.exchange, content))

    await large.receive()

    assert [content] == large.sink.contents("H26-00001")
    assert {(CITY, posted.sealed.epoch, 1): None} == large.meaning()
    assert 1 == len(large.sink.calls) == large.next_offset() == await large.committed()
    assert [] == large.findings() == spooled(large)
    assert [] == large.rows("SELECT * FROM wanted")
    assert 0 == large.parked()


@pytest.mark.parametrize("size", [1, 16_384, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1])
async def test_content_of_any_length_is_filed(large: Inbox, size: int) -> None:
    """Lengths at the edges of chunks and parts come out as they went in."""
    content = plaintext(2)[:size]
    await send(large, large_document(large.exchange, content))

    await large.receive()

    assert [content] == large.sink.contents("H26-00001")


async def test_every_attachment_keeps_what_its_sender_said_of_it(large: Inbox) -> None:
    """Several attachments, and a file that travels inside, each have their own name, type, size and digest."""
    contents = [plaintext(0.1), plaintext(1.5), plaintext(0.2)]
    document = large_document(large.exchange, *contents, small=b"small")
    await send(large, document)

    await large.receive()

    files = large.sink.files["H26-00001"]
    assert ["0.bin", "1.bin", "2.bin", "small.txt"] == [file.name for file in files]
    assert [*(f"application/x-{n}" for n in range(3)), "text/plain"] == [file.media_type for file in files]
    assert [*contents, b"small"] == [file.content for file in files]
    assert [len(content) for content in contents] == [file.size for file in files[:3]]
    assert [one.large.digest for one in document.contents] == [file.digest for file in files[:3]]


async def test_document_that_is_resent_unchanged_is_filed_once(large: Inbox) -> None:
    """The same statement again, and the same body in a new statement, get the answer of the first."""
    document = large_document(large.exchange, plaintext(0.1))
    posted = await send(large, document)
    await large.post(posted)
    await large.receive()
    await send(large, document)
    await large.post(posted)

    await large.receive()

    assert [["H26-00001"]] == large.sink.calls
    assert {None} == set(large.meaning().values())
    assert {1, 2} == {sequence for _, _, sequence in large.meaning()}
    assert [] == spooled(large)


async def test_two_statements_of_one_document_in_one_fetch_are_filed_once(large: Inbox) -> None:
    """A document that comes twice before its content was fetched waits once, and both statements are receipted."""
    document = large_document(large.exchange, plaintext(0.1))
    await send(large, document)
    await send(large, document)

    await large.receive()

    assert ["H26-00001"] == large.sink.order
    assert {1, 2} == {sequence for _, _, sequence in large.meaning()}
    assert {None} == set(large.meaning().values())


async def test_thirty_attachments_of_one_part_each(large: Inbox) -> None:
    """A document of many small attachments is complete once all of them are."""
    contents = [plaintext(0.01) for _ in range(30)]
    await send(large, large_document(large.exchange, *contents))

    await large.receive()

    assert contents == large.sink.contents("H26-00001")
    assert [] == spooled(large)


# --- what waits -----------------------------------------------------------------------------------------


async def test_sink_is_asked_only_when_everything_is_there(large: Inbox) -> None:
    """While the last part is missing the sink hears nothing of the document, nor does its sender."""
    document = large_document(large.exchange, plaintext(0.1), plaintext(1.5))
    await upload(large, document.values[:-1])
    await large.post(document.seal(large.exchange))
    await large.receive()
    assert ([], [], 1) == (large.sink.calls, large.receipts(), large.parked())

    await upload(large, document.values[-1:])
    await wait_for_content(large)

    assert [content.plaintext for content in document.contents] == large.sink.contents("H26-00001")
    assert [(CITY, 1, 1)] == large.ranges()


async def test_only_the_stream_of_an_incomplete_document_waits(large: Inbox) -> None:
    """Other senders and the urgent lane go on; what is behind it in its own stream follows in order."""
    document = large_document(large.exchange, plaintext(0.2))
    await large.post(document.seal(large.exchange))
    await large.post(*large.exchange.documents(CITY, ME, 2), *large.exchange.documents(COMMUNE, ME, 1))
    await send(large, large_document(large.exchange, plaintext(0.1), lane="urgent", urgency=3))
    await large.receive()
    assert {".20-00004", "H26-00005"} == set(large.sink.order)
    assert 3 == large.parked()

    await upload(large, document.values)
    await wait_for_content(large)

    assert ["H26-00001", "H26-00002", "H26-00003"] == large.sink.order[2:]
    assert {None} == set(large.meaning().values())
    assert 5 == len(large.meaning())
    assert [] == large.findings()


async def test_large_documents_of_one_stream_are_filed_in_order(large: Inbox) -> None:
    """Content that is there before its turn waits for its turn."""
    first, second = large_document(large.exchange, plaintext(1.1)), large_document(large.exchange, plaintext(0.1))
    await upload(large, first.values[:1])
    await large.post(first.seal(large.exchange))
    await send(large, second)
    await large.receive()
    assert [] == large.sink.order
    assert [("H26-00002",)] == large.rows("SELECT document_id FROM wanted WHERE state = 1")

    await upload(large, first.values[1:])
    await wait_for_content(large)

    assert ["H26-00001", "H26-00002"] == large.sink.order
    assert [] == spooled(large)


async def test_running_recipient_goes_on_by_itself(large: Inbox) -> None:
    """Parts that come late are found by the process that looked for them in vain before."""
    document = large_document(large.exchange, plaintext(1.2))
    await large.post(document.seal(large.exchange))
    large.sink.after = large.stop.set
    serving = asyncio.ensure_future(large.serve())
    await until(lambda: large.rows("SELECT * FROM wanted WHERE attempts > 0"))

    await upload(large, document.values)
    large.clock.advance(DUE_SECONDS)
    await serving

    assert [document.contents[0].plaintext] == large.sink.contents("H26-00001")
    assert [(CITY, 1, 1)] == large.ranges()


async def test_sink_that_asks_for_later_is_not_given_another_fetch(large: Inbox) -> None:
    """Content stays where it is while its document waits for the DMS, and goes when that has it."""
    document = large_document(large.exchange, plaintext(0.3))
    await send(large, document)
    large.sink.answers["H26-00001"] = Retry("locked by a clerk")
    await large.receive()
    before = spooled(large)
    expire(large.folder.parent / "bus.db", CITY, 1)
    large.sink.answers.clear()
    large.sink.files.clear()

    await wait_for_content(large)

    assert ["1", "1.have"] == before
    assert [document.contents[0].plaintext] == large.sink.contents("H26-00001")
    assert [] == spooled(large)


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Reject("not_competent", "no"), "not_competent"), (Conflict("ref", "other content"), "conflict")],
)
async def test_content_is_removed_when_its_document_is_refused(large: Inbox, answer: Outcome, reason: str) -> None:
    """A document that the DMS does not take leaves nothing in the spool."""
    await send(large, large_document(large.exchange, plaintext(0.1)))
    large.sink.answers["H26-00001"] = answer

    await large.receive()

    assert [reason] == list(large.meaning().values())
    assert [] == spooled(large)
    assert [] == large.rows("SELECT * FROM wanted")


async def test_more_content_than_is_taken_is_refused_and_not_fetched(
    large: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document over the limit is refused with a note of its size, and nothing of it is read."""
    monkeypatch.setattr(SqliteTransport, "read", no_content(large))
    await send(large, large_document(large.exchange, plaintext(0.1), plaintext(0.1)))
    await large.post(*large.exchange.documents(CITY, ME, 1))

    await large.receive(limits=ContentLimits(document_bytes=int(0.2 * PART_BYTES) - 2))

    assert ["content_too_large", None] == list(large.meaning().values())
    assert ["H26-00002"] == large.sink.order
    ((code, note),) = large.rows("SELECT code, note FROM status")
    assert StatusCode.CONTENT_UNAVAILABLE == code
    assert note.startswith("content_too_large: 104,856 bytes of large content, at most 104,855")
    assert [] == spooled(large)


async def test_content_of_exactly_the_limit_is_taken(large: Inbox) -> None:
    """The limit is the most that is taken, in bytes of plaintext."""
    await send(large, large_document(large.exchange, plaintext(1), plaintext(1)))

    await large.receive(limits=ContentLimits(document_bytes=2 * PART_BYTES))

    assert ["H26-00001"] == large.sink.order


async def test_late_document_is_refused_and_not_fetched(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that came after its time is refused for that, whether or not its content is there."""
    monkeypatch.setattr(SqliteTransport, "read", no_content(large))
    await send(large, large_document(large.exchange, plaintext(0.1), not_after=large.clock.ms - 1))

    await large.receive()

    assert ["not_after_passed"] == list(large.meaning().values())
    assert [] == spooled(large)


async def test_document_that_came_in_time_may_wait_past_its_time(large: Inbox) -> None:
    """When the broker stored the envelope decides, not when its content was found."""
    document = large_document(large.exchange, plaintext(0.1), not_after=large.clock.ms + 1)
    await large.post(document.seal(large.exchange))
    await large.receive()
    await upload(large, document.values)

    await wait_for_content(large)

    assert [None] == list(large.meaning().values())


async def test_second_body_under_one_name_never_gets_the_files_of_the_first(large: Inbox) -> None:
    """Two bodies under one id have each their own content; the first is filed, the other is an equivocation."""
    first = large_document(large.exchange, plaintext(0.1))
    second = large_document(large.exchange, plaintext(0.1), document_id=first.document_id)
    await send(large, first)
    await send(large, second)

    await large.receive()

    assert [first.contents[0].plaintext] == large.sink.contents(first.document_id)
    assert [["H26-00001"]] == large.sink.calls
    assert ["equivocation"] == await large.reasons() == large.findings()
    assert [None, "equivocation"] == list(large.meaning().values())
    assert [] == spooled(large)


async def test_second_body_in_another_stream_costs_the_first_nothing(large: Inbox) -> None:
    """A second body that comes while the first waits is refused at once, and the first keeps what was fetched of it."""
    first = large_document(large.exchange, plaintext(1.1))
    second = large_document(large.exchange, plaintext(0.1), document_id=first.document_id, lane="urgent", urgency=3)
    await upload(large, first.values[:1])
    await large.post(first.seal(large.exchange))
    await large.post(second.seal(large.exchange))
    await large.receive()
    await upload(large, [*second.values, *first.values[1:]])
    expire(large.folder.parent / "bus.db", CITY, 1)

    await wait_for_content(large)

    assert [first.contents[0].plaintext] == large.sink.contents(first.document_id)
    assert ["equivocation"] == await large.reasons()
    assert 0 == large.parked()
    assert [] == spooled(large)


async def test_bodies_that_wait_at_the_same_time_keep_their_own_content(large: Inbox) -> None:
    """Of two bodies under one id that wait in two streams the first is filed, with its own content alone."""
    first = large_document(large.exchange, plaintext(0.1))
    second = large_document(large.exchange, plaintext(0.1), document_id=first.document_id, lane="urgent", urgency=3)
    for document in (first, second):
        await large.post(document.seal(large.exchange))
        await large.receive()
    assert [(0,), (0,)] == large.rows("SELECT state FROM wanted")
    await upload(large, second.values)
    await wait_for_content(large)
    await upload(large, first.values)

    await wait_for_content(large)

    assert [first.contents[0].plaintext] == large.sink.contents(first.document_id)
    assert ["equivocation"] == await large.reasons()
    assert 0 == large.parked()
    assert [] == spooled(large)


def no_content(inbox: Inbox) -> Any:
    """Return a way to read that fails the test if content is asked for."""
    genuine = SqliteTransport.read

    async def read(self: SqliteTransport, topic: str, *given: Any, **named: Any) -> Any:
        assert not topic.startswith(topics.CONTENT)
        assert topic != topics.content(CITY)
        return await genuine(self, topic, *given, **named)

    return read


# --- room -----------------------------------------------------------------------------------------------


async def test_full_disk_is_waited_for(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room nothing is fetched and nobody is refused, however long it lasts; with room it goes on by itself."""
    asked = 0

    def free_bytes(folder: ContentFolder) -> int:
        nonlocal asked
        asked += 1
        return 2 * PART_BYTES - 1 if asked < 4 else 2 * PART_BYTES

    def filed_later() -> bool:
        large.clock.advance(MISSING_LIMIT_MS / 1000)
        return large.stop.is_set()

    monkeypatch.setattr(ContentFolder, "free_bytes", free_bytes)
    content = plaintext(1.5)
    await send(large, large_document(large.exchange, content))
    large.sink.after = large.stop.set

    serving = asyncio.ensure_future(large.serve())
    await until(filed_later)
    await serving

    assert asked >= 4
    assert [content] == large.sink.contents("H26-00001")
    assert [None] == list(large.meaning().values())


async def test_one_sender_cannot_fill_the_spool_for_others(large: Inbox) -> None:
    """What waits behind an incomplete document takes half of the room at most; another sender's gets through."""
    first = large_document(large.exchange, plaintext(0.1), plaintext(0.1))
    await upload(large, first.values[:1])
    await large.post(first.seal(large.exchange))
    behind = [large_document(large.exchange, plaintext(0.9)) for _ in range(4)]
    for document in behind:
        await send(large, document)
    other = large_document(large.exchange, plaintext(1.5), sender=COMMUNE)
    await send(large, other)
    limits = ContentLimits(document_bytes=2 * PART_BYTES, spool_bytes=4 * PART_BYTES)
    await large.receive(limits=limits)
    held = spooled_bytes(large)

    await upload(large, first.values[1:])
    large.clock.advance(DUE_SECONDS)
    await large.receive(limits=limits)

    assert int(1.8 * PART_BYTES) <= held <= 2 * PART_BYTES
    names = [document.document_id for document in (other, first, *behind)]
    assert names == large.sink.order
    assert [] == spooled(large)


async def test_what_is_fetched_ahead_takes_no_room_from_what_it_waits_for(large: Inbox) -> None:
    """A document of which nothing is here yet never finds the room taken by those behind it."""
    first = large_document(large.exchange, plaintext(1))
    await large.post(first.seal(large.exchange))
    await send(large, large_document(large.exchange, plaintext(1.5)))
    limits = ContentLimits(document_bytes=2 * PART_BYTES, spool_bytes=2 * PART_BYTES)
    await large.receive(limits=limits)

    await upload(large, first.values)
    large.clock.advance(DUE_SECONDS)
    await large.receive(limits=limits)

    assert ["H26-00001", "H26-00002"] == large.sink.order


async def test_many_attachments_without_room_do_not_keep_others_from_theirs(large: Inbox) -> None:
    """However much of one sender waits for room, what another sender needs is looked at as well."""
    first = large_document(large.exchange, plaintext(0.1), plaintext(0.8))
    await upload(large, first.values[:1])
    await large.post(first.seal(large.exchange))
    await send(large, large_document(large.exchange, *(plaintext(0.02) for _ in range(80))))
    other = large_document(large.exchange, plaintext(0.1), sender=COMMUNE)
    await send(large, other)

    await large.receive(limits=ContentLimits(document_bytes=2 * PART_BYTES, spool_bytes=2 * PART_BYTES))

    assert [other.document_id] == large.sink.order


async def test_document_whose_attachments_fill_the_spool_is_filed(large: Inbox) -> None:
    """A document as large as is taken has room in a spool of that size, however it is divided into attachments."""
    contents = [plaintext(1), plaintext(1)]
    await send(large, large_document(large.exchange, *contents))

    await large.receive(limits=ContentLimits(document_bytes=2 * PART_BYTES, spool_bytes=2 * PART_BYTES))

    assert contents == large.sink.contents("H26-00001")


async def test_documents_that_are_each_half_there_do_not_hold_each_other(large: Inbox) -> None:
    """Room is given to whole documents, so that no two senders' wait for the rest of each other's."""
    documents = [large_document(large.exchange, plaintext(1), plaintext(1), sender=one) for one in (CITY, COMMUNE)]
    for document in documents:
        await upload(large, document.values[:1], document.sender)
        await large.post(document.seal(large.exchange))
    limits = ContentLimits(document_bytes=2 * PART_BYTES, spool_bytes=3 * PART_BYTES)
    await large.receive(limits=limits)
    for document in documents:
        await upload(large, document.values[1:], document.sender)
    for _ in range(2):
        large.clock.advance(DUE_SECONDS)
        await large.receive(limits=limits)

    assert {document.document_id for document in documents} == set(large.sink.order)


async def test_disk_is_promised_once(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that is on its way has its room on the disk: another begins only once there is room for both."""
    monkeypatch.setattr(ContentFolder, "free_bytes", lambda _: 4 * PART_BYTES)
    documents = [large_document(large.exchange, plaintext(3), sender=one) for one in (CITY, COMMUNE)]
    for document in documents:
        await upload(large, document.values[:1], document.sender)
        await large.post(document.seal(large.exchange))

    for _ in range(3):
        await large.receive()
        large.clock.advance(DUE_SECONDS)

    assert PART_BYTES == spooled_bytes(large)


async def test_disk_that_others_fill_meanwhile_is_not_filled_up(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept free stays free, though somebody else writes while content arrives: it waits, and then goes on."""
    room = [4 * PART_BYTES, 4 * PART_BYTES, 0]
    monkeypatch.setattr(ContentFolder, "free_bytes", lambda _: room.pop(0) if len(room) > 1 else room[0])
    document = large_document(large.exchange, plaintext(3))
    await send(large, document)

    await large.receive()
    nothing = spooled_bytes(large)
    room[:] = [4 * PART_BYTES]
    large.clock.advance(DUE_SECONDS)
    await large.receive()

    assert (0, [document.document_id]) == (nothing, large.sink.order)


async def test_incomplete_content_counts_as_held(large: Inbox) -> None:
    """A sender who never stores his last parts fills no more of the spool than one whose content is complete."""
    for lane in ("documents", "urgent"):
        document = large_document(large.exchange, plaintext(3), lane=lane, urgency=3 * (lane == "urgent"))
        await upload(large, document.values[:-1])
        await large.post(document.seal(large.exchange))
    limits = ContentLimits(document_bytes=3 * PART_BYTES, spool_bytes=5 * PART_BYTES)

    for _ in range(3):
        await large.receive(limits=limits)
        large.clock.advance(DUE_SECONDS)

    assert 2 * PART_BYTES == spooled_bytes(large)


# --- content that is sent again --------------------------------------------------------------------------


async def refused_for_expiry(inbox: Inbox) -> tuple[LargeDocument, Posted]:
    """Let a document be refused because its parts are gone."""
    document = large_document(inbox.exchange, plaintext(1.2))
    offsets = await upload(inbox, document.values)
    await upload(inbox, [b"what came later"])
    expire(inbox.folder.parent / "bus.db", CITY, 2)
    posted = document.seal(inbox.exchange, document.hints(offsets))
    await inbox.post(posted)
    await inbox.receive()
    assert ["content_expired"] == list(inbox.meaning().values())
    return document, posted


async def test_content_that_is_sent_again_is_filed(large: Inbox) -> None:
    """The same body in a new statement, with new parts, is filed; receipt and ledger say so, of the new position."""
    document, first = await refused_for_expiry(large)

    await send(large, document)
    await large.receive()

    epoch = first.sealed.epoch
    assert [document.contents[0].plaintext] == large.sink.contents("H26-00001")
    assert {(CITY, epoch, 1): "content_expired", (CITY, epoch, 2): None} == large.meaning()
    assert [(1, "content_expired"), (2, None)] == large.rows("SELECT sequence, reason FROM incoming ORDER BY sequence")
    ((sequence, reference),) = large.rows("SELECT sequence, reference FROM incoming_document")
    assert 2 == sequence
    assert reference is not None
    assert [] == spooled(large) == large.findings()


async def test_old_statement_gets_its_old_answer(large: Inbox) -> None:
    """A statement that comes again is refused as it was, before its content was sent again and after."""
    document, first = await refused_for_expiry(large)
    await large.post(first)
    await large.receive()
    await send(large, document)
    await large.receive()

    await large.post(first)
    await large.receive()

    assert [(CITY, 1, 1), (CITY, 1, 1), (CITY, 2, 2), (CITY, 1, 1)] == large.ranges()
    assert ["content_expired", None] == list(large.meaning().values())
    assert [["H26-00001"]] == large.sink.calls


async def test_old_statement_takes_no_content_from_the_new_one(large: Inbox) -> None:
    """The refused statement comes again beside the one that brings its content: what that one wants is fetched."""
    document, first = await refused_for_expiry(large)
    await large.post(first)
    await send(large, document)

    await large.receive()

    assert [document.contents[0].plaintext] == large.sink.contents("H26-00001")
    assert ["content_expired", None] == list(large.meaning().values())
    assert [] == spooled(large) == large.findings() == large.rows("SELECT * FROM wanted")


async def test_content_that_is_sent_again_and_is_gone_again_is_refused_again(large: Inbox) -> None:
    """A second refusal is one of the second statement, and a third statement may still bring it."""
    document, _ = await refused_for_expiry(large)
    await large.post(document.seal(large.exchange, document.hints([0, 1])))
    await large.receive()
    assert ["content_expired", "content_expired"] == list(large.meaning().values())

    await send(large, document)
    await large.receive()

    assert ["content_expired", "content_expired", None] == list(large.meaning().values())
    assert ["H26-00001"] == large.sink.order
    assert [(50,), (50,)] == large.rows("SELECT code FROM status")


async def test_another_body_is_no_content_that_is_sent_again(large: Inbox) -> None:
    """Under the name of a document that was refused for its content another body is an equivocation."""
    document, _ = await refused_for_expiry(large)

    await send(large, large_document(large.exchange, plaintext(0.1), document_id=document.document_id))
    await large.receive()

    assert ["equivocation"] == await large.reasons()
    assert [] == large.sink.calls == spooled(large)


async def test_document_that_was_too_large_is_filed_once_more_is_taken(large: Inbox) -> None:
    """What was refused for its size alone may be sent again to a recipient who has raised his limit."""
    document = large_document(large.exchange, plaintext(1.2))
    await send(large, document)
    await large.receive(limits=ContentLimits(document_bytes=PART_BYTES))

    await send(large, document)
    await large.receive()

    assert ["content_too_large", None] == list(large.meaning().values())
    assert ["H26-00001"] == large.sink.order


async def test_document_the_dms_rejected_is_not_filed_when_it_comes_again(large: Inbox) -> None:
    """A refusal that is about the document stays, whatever content comes with it."""
    document = large_document(large.exchange, plaintext(0.1))
    await send(large, document)
    large.sink.answers["H26-00001"] = Reject("not_competent", "no")
    await large.receive()
    large.sink.answers.clear()

    await send(large, document)
    await large.receive()

    assert ["not_competent", "not_competent"] == list(large.meaning().values())
    assert [["H26-00001"]] == large.sink.calls
