"""A document's journey: accepted, sent, delivered, received; or refused; and what the recipient reports later."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.consumers.pace import FIRST_PORTION
from docbus.documents.document import Document, DocumentReference
from docbus.documents.statuses import StatusCode
from docbus.errors import AgencyClosedError, DocumentConflictError, DocumentError, UnknownAgencyError, WaitTimeoutError
from docbus.transport import topics
from tests.support.trial import (
    COMMUNE,
    HANOI,
    PATIENCE,
    TAY_NINH,
    id_of,
    knows,
    leg_of,
    letter,
    next_of,
    opened,
    statuses,
)

if TYPE_CHECKING:
    from tests.support.trial import Exchange


async def test_accepted_delivery_is_receipted(exchange: Exchange) -> None:
    """What the recipient's program accepts comes back to the sender as received, with a time for every step."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        accepted = await hanoi.publish(letter("nội dung"), to=[TAY_NINH], title="V/v phòng chống bão", number="1/UBND")
        async with hanoi.serving(), tay_ninh.deliveries() as deliveries:
            incoming = await next_of(deliveries)
            delivery = incoming.delivery
            await incoming.accept("DMS-4711")
            journey = await hanoi.wait(accepted.document_id, until="received", timeout=PATIENCE)

    assert (id_of(HANOI), accepted.document_id, 1) == (delivery.sender, delivery.document_id, delivery.revision)
    assert ("V/v phòng chống bão", "1/UBND") == (delivery.manifest.title, delivery.manifest.number)
    assert [("công văn.txt", "nội dung".encode())] == [(file.name, file.read()) for file in delivery.files]
    (leg,) = journey.legs
    assert ("received", None, "documents", 1) == (leg.state, leg.reason, leg.lane, leg.attempts)
    assert leg.sealed_at is not None
    assert leg.sent_at is not None
    assert leg.settled_at is not None
    assert leg.accepted_at <= leg.sealed_at <= leg.sent_at <= leg.settled_at


async def test_block_that_ends_at_once_sends_what_was_accepted(exchange: Exchange) -> None:
    """What is in the outbox when `serving` begins has been sent when it ends, though nothing is done inside."""
    async with opened(exchange, HANOI) as (hanoi,):
        accepted = await hanoi.publish(letter(), to=[TAY_NINH])
        async with hanoi.serving(receive=False):
            pass
        assert "sent" == (await leg_of(hanoi, accepted.document_id)).state


async def test_states_are_reached_one_after_the_other(exchange: Exchange) -> None:
    """A document is accepted before anything is sent, sent before the recipient looks, and received only then."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        first = (await leg_of(hanoi, document)).state
        async with hanoi.serving():
            await hanoi.wait(document, until="sent", timeout=PATIENCE)
            second = (await leg_of(hanoi, document)).state
            async with tay_ninh.serving():
                await hanoi.wait(document, until="received", timeout=PATIENCE)
        third = (await leg_of(hanoi, document)).state

    assert ["accepted", "sent", "received"] == [first, second, third]
    assert [document] == exchange.ids_filed(TAY_NINH)


async def test_rejection_tells_the_sender_why(exchange: Exchange) -> None:
    """A rejected document is refused in the receipt, explained in a status 02, and kept as a dead letter."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        async with hanoi.serving(), tay_ninh.deliveries() as deliveries:
            await (await next_of(deliveries)).reject("not_competent", "Không thuộc thẩm quyền của tỉnh.")
            await hanoi.wait(document, until="received", timeout=PATIENCE)
            reported = await statuses(hanoi, document, 1)
            leg = await leg_of(hanoi, document)
        tay_ninh_says = (await tay_ninh.status()).inbox

    assert ("refused", "not_competent") == (leg.state, leg.reason)
    assert [(StatusCode.REFUSED, "Không thuộc thẩm quyền của tỉnh.")] == reported
    (inbox_record, *_) = await exchange.records(topics.inbox(id_of(TAY_NINH)))
    (dead,) = await exchange.records(topics.dead_letter(id_of(TAY_NINH)))
    headers = dict(dead.headers)
    assert inbox_record.value == dead.value
    assert (b"not_competent", b"C3") == (headers["docbus_reason"], headers["docbus_step"])
    assert [("dead-letter", "not_competent", 1)] == [(a.topic, a.reason, a.count) for a in tay_ninh_says.set_aside]
    assert [] == await exchange.records(topics.quarantine(id_of(TAY_NINH)))


async def test_statuses_come_back_in_order_with_their_notes(exchange: Exchange) -> None:
    """Arrived follows from the receipt; then the sender sees what was reported, in the order in which it was."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.wait(document, until="received", timeout=PATIENCE)
            await tay_ninh.report(HANOI, document, StatusCode.REGISTERED, "Số đến 123")
            await tay_ninh.report(HANOI, document, StatusCode.PROCESSING)
            await tay_ninh.report(HANOI, document, StatusCode.FINISHED, "Đã trả lời bằng văn bản số 5")
            reported = await statuses(hanoi, document, 4)
        flags = [status.flagged for status in (await leg_of(hanoi, document)).statuses]

    assert [(1, None), (3, "Số đến 123"), (5, None), (6, "Đã trả lời bằng văn bản số 5")] == reported
    assert [False, False, False, False] == flags


async def test_impossible_status_is_kept_and_flagged(exchange: Exchange) -> None:
    """Finished without ever having been registered: recorded, and marked as impossible."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.wait(document, until="received", timeout=PATIENCE)
            await tay_ninh.report(HANOI, document, StatusCode.FINISHED)
            reported = await statuses(hanoi, document, 2)
        flags = [status.flagged for status in (await leg_of(hanoi, document)).statuses]

    assert [(1, None), (6, None)] == reported
    assert [False, True] == flags


async def test_same_id_with_same_content_is_the_same_document(exchange: Exchange) -> None:
    """Published twice, it is accepted twice and delivered once."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        first = await hanoi.publish(letter(), to=[TAY_NINH], id="12/UBND-VP")
        async with hanoi.serving(), tay_ninh.serving():
            await hanoi.wait("12/UBND-VP", until="received", timeout=PATIENCE)
            second = await hanoi.publish(letter(), to=[TAY_NINH], id="12/UBND-VP")
            other = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
            await hanoi.wait(other, until="received", timeout=PATIENCE)

    assert [False, True] == [first.duplicate, second.duplicate]
    assert ["12/UBND-VP", other] == exchange.ids_filed(TAY_NINH)


@pytest.mark.parametrize("changed", ["content", "recipients", "title"])
async def test_same_id_with_other_content_is_refused(exchange: Exchange, changed: str) -> None:
    """An id cannot be used for something else, whatever differs; the first document stays as it was."""
    document = Document(document_id="12/UBND-VP", title="Tựa", files=(letter("một"),), recipients=(TAY_NINH,))
    others = {
        "content": replace(document, files=(letter("hai"),)),
        "recipients": replace(document, recipients=(TAY_NINH, COMMUNE)),
        "title": replace(document, title="Tựa khác"),
    }
    async with exchange.agency(HANOI) as hanoi:
        await hanoi.publish_documents([document])
        with pytest.raises(DocumentConflictError, match="12/UBND-VP revision 1 was accepted before"):
            await hanoi.publish_documents([others[changed]])
        counts = (await hanoi.status()).outbox

    assert 1 == counts.accepted


async def test_urgent_document_overtakes_what_was_accepted_before(exchange: Exchange) -> None:
    """Accepted after a heap of ordinary documents, the telegram waits for a first portion of them at most."""
    heap = [
        Document(document_id=f"bulk-{number:03}", title="Báo cáo", files=(letter(),), recipients=(TAY_NINH,))
        for number in range(40)
    ]
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        await hanoi.publish_documents(heap)
        urgent = (await hanoi.publish(letter("Sơ tán!"), to=[TAY_NINH], urgency=3)).document_id
        arrived = []
        async with hanoi.serving():
            await hanoi.wait(heap[-1].document_id, until="sent", timeout=PATIENCE)
            async with tay_ninh.deliveries() as deliveries:
                for _ in range(len(heap) + 1):
                    incoming = await next_of(deliveries)
                    arrived.append(incoming.delivery.document_id)
                    await incoming.accept()
                await hanoi.wait(urgent, until="received", timeout=PATIENCE)

    place = arrived.index(urgent)
    assert FIRST_PORTION >= place
    assert [document.document_id for document in heap] == arrived[:place] + arrived[place + 1 :]


async def test_closed_agency_gets_nothing_more(exchange: Exchange) -> None:
    """Publishing to an agency that was merged is refused, and the refusal names who took over."""
    async with exchange.agency(HANOI) as hanoi:
        async with exchange.registrar() as registrar:
            closure = await registrar.close(COMMUNE, reason="sáp nhập", successor=TAY_NINH)
        await knows([hanoi], closure.position)
        with pytest.raises(AgencyClosedError, match=COMMUNE) as refused:
            await hanoi.publish(letter(), to=[COMMUNE])
        counts = (await hanoi.status()).outbox

    assert id_of(TAY_NINH) in (refused.value.hint or "")
    assert 0 == counts.accepted


async def test_document_accepted_before_a_closure_fails_visibly(exchange: Exchange) -> None:
    """What was accepted and not sealed when its recipient was closed is not lost silently: its leg says why."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        document = (await hanoi.publish(letter(), to=[COMMUNE, TAY_NINH])).document_id
        async with exchange.registrar() as registrar:
            closure = await registrar.close(COMMUNE, reason="sáp nhập", successor=TAY_NINH)
        await knows([hanoi], closure.position)
        async with hanoi.serving(), tay_ninh.serving():
            journey = await hanoi.wait(document, until="received", timeout=PATIENCE)

    states = {leg.recipient: (leg.state, leg.reason) for leg in journey.legs}
    assert {id_of(COMMUNE): ("failed", "agency_closed"), id_of(TAY_NINH): ("received", None)} == states


async def test_unknown_recipient_is_refused_with_the_nearest_code(exchange: Exchange) -> None:
    """A mistyped code is not in the directory; the hint shows what may have been meant."""
    async with exchange.agency(HANOI) as hanoi:
        with pytest.raises(UnknownAgencyError) as refused:
            await hanoi.publish(letter(), to=["000.21.33.H53"])

    assert COMMUNE in (refused.value.hint or "")


async def test_replies_and_recalls_name_what_they_concern(exchange: Exchange) -> None:
    """An answer and a recall arrive with the reference to the document they are about."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        question = await hanoi.publish(letter("hỏi"), to=[TAY_NINH], id="question")
        async with hanoi.deliveries() as to_hanoi, tay_ninh.deliveries() as to_tay_ninh:
            asked = await next_of(to_tay_ninh)
            await asked.accept()
            about = asked.delivery
            reference = DocumentReference(sender=about.sender, document_id=about.document_id)
            await tay_ninh.publish(letter("đáp"), to=[HANOI], id="answer", in_reply_to=reference)
            answer = await next_of(to_hanoi)
            await answer.accept()
            await hanoi.publish(to=[TAY_NINH], id="recall", kind="recall", concerns=[reference], title="Thu hồi")
            recall = await next_of(to_tay_ninh)
            await recall.accept()
            await hanoi.wait("recall", until="received", timeout=PATIENCE)

    assert question.document_id == answer.delivery.in_reply_to.document_id  # type: ignore[union-attr] # it has one
    assert ("recall", [question.document_id]) == (
        recall.delivery.kind,
        [concerned.document_id for concerned in recall.delivery.concerns],
    )


async def test_undecided_delivery_comes_again(exchange: Exchange) -> None:
    """A program that leaves without deciding has taken nothing: the document is there for the next one."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        async with tay_ninh.deliveries() as deliveries:
            first = await next_of(deliveries)
        async with tay_ninh.deliveries() as deliveries:
            second = await next_of(deliveries)
            await second.accept()
            journey = await hanoi.wait(document, until="received", timeout=PATIENCE)

    assert document == first.delivery.document_id == second.delivery.document_id
    assert first.outcome is None
    assert ["received"] == [leg.state for leg in journey.legs]


async def test_waiting_in_vain_says_how_far_it_came(exchange: Exchange) -> None:
    """Where nobody sends, waiting ends in its time, names the document, and nothing is lost."""
    async with exchange.agency(HANOI) as hanoi:
        await hanoi.publish(letter(), to=[TAY_NINH, COMMUNE], id="12/UBND")
        with pytest.raises(WaitTimeoutError, match="12/UBND is not sent at 2 of 2 recipients after 0.1 s") as waited:
            await hanoi.wait("12/UBND", until="sent", timeout=0.1)
        states = [leg.state for leg in (await hanoi.track("12/UBND")).legs]

    assert "docbus run" in (waited.value.hint or "")
    assert ["accepted", "accepted"] == states


async def test_unknown_document_cannot_be_tracked(exchange: Exchange) -> None:
    """Tracking names the id that the outbox does not have."""
    async with exchange.agency(HANOI) as hanoi:
        with pytest.raises(DocumentError, match="the outbox has no document 12/UBND"):
            await hanoi.track("12/UBND")


@pytest.mark.parametrize(
    ("code", "note", "text"),
    [
        (StatusCode.ARRIVED, None, "status 01 cannot be reported"),
        (StatusCode.REFUSED, None, "needs a reason"),
        (StatusCode.TAKE_BACK, "sai", "is for the document's sender to report"),
        (9, None, "status 9 does not exist"),
    ],
)
async def test_status_that_is_not_the_recipients_to_say_is_refused(
    exchange: Exchange, code: int, note: str | None, text: str
) -> None:
    """01 follows from the receipt, 02 needs its reason, 13 is the sender's, and 9 is nobody's."""
    async with exchange.agency(TAY_NINH) as tay_ninh:
        with pytest.raises(DocumentError, match=text):
            await tay_ninh.report(HANOI, "12/UBND", code, note)
        waiting = (await tay_ninh.status()).outbox.accepted

    assert 0 == waiting
