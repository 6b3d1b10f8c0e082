"""Recalls, updates and replacements, from one agency to another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from docbus import Reject, Selection
from docbus.client.changing import recall_id
from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.naming import delivery_name
from docbus.consumers.sinks.port import Answer
from docbus.documents.document import DocumentReference
from docbus.errors import DocumentError
from tests.support.trial import (
    COMMUNE,
    HANOI,
    PATIENCE,
    TAY_NINH,
    id_of,
    leg_of,
    letter,
    next_of,
    opened,
    settled,
    statuses,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus import Delivery
    from docbus.client.agency import Agency
    from tests.support.trial import Exchange

REASON = "Ban hành nhầm"


def marks(exchange: Exchange, document_id: str, revision: int = 1) -> list[dict[str, str]]:
    """Return the marks of changes in a document's directory."""
    name = delivery_name(id_of(HANOI), document_id, revision)
    found = sorted((exchange.folder / TAY_NINH / "documents" / name / "changes").glob("*.json"))
    return [json.loads(path.read_text("utf-8")) for path in found]


async def about_changes(agency: Agency, document_id: str) -> list[tuple[int, str | None]]:
    """Return code and note of what was said about taking a document back, once it is answered."""

    async def said() -> list[tuple[int, str | None]]:
        return [(one.code, one.note) for one in (await leg_of(agency, document_id)).statuses if one.code >= 13]

    async def answered() -> bool:
        return len(await said()) >= 2

    await until(answered)
    return await said()


async def test_recall_is_filed_marked_and_answered(exchange: Exchange) -> None:
    """A recall marks the document in the recipient's folder, whose bytes stay, and the sender gets 15; once."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        first = await hanoi.recall("letter", reason=REASON)
        second = await hanoi.recall("letter", reason=REASON)
        await settled(hanoi, tay_ninh)
        said = await about_changes(hanoi, "letter")

    assert (recall_id("letter", 1, None), True) == (first.document_id, second.duplicate)
    assert [(13, f"recall {first.document_id}"), (15, None)] == said
    (mark,) = marks(exchange, "letter")
    assert ("recall", first.document_id, REASON) == (mark["kind"], mark["document_id"], mark["reason"])
    filed = {one.document_id: one for one in exchange.filed(TAY_NINH)}
    assert letter().content == filed["letter"].contents["công văn.txt"]
    assert "valid" == (await exchange.audit()).verdict


async def test_recall_that_comes_before_its_document(exchange: Exchange) -> None:
    """In another lane a recall may overtake: the document is marked when it comes, and the answer is 15 as ever."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        concerned = DocumentReference(sender=hanoi.id, document_id="late")
        await hanoi.publish(to=[TAY_NINH], id="hurry", kind="recall", concerns=[concerned], urgency=2, title="Thu hồi")
        async with tay_ninh.serving():
            await hanoi.wait("hurry", until="received")
            await hanoi.publish(letter(), to=[TAY_NINH], id="late")
            await settled(hanoi, tay_ninh)
        said = await about_changes(hanoi, "late")

    assert [13, 15] == [code for code, _ in said]
    assert ["hurry"] == [mark["document_id"] for mark in marks(exchange, "late")]


async def test_recall_of_what_was_never_delivered_is_answered(exchange: Exchange) -> None:
    """A document that never comes is recalled all the same, with an answer, and nothing is made up for it."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        concerned = DocumentReference(sender=hanoi.id, document_id="never")
        await hanoi.publish(to=[TAY_NINH], id="r", kind="recall", concerns=[concerned], title="Thu hồi")
        await settled(hanoi, tay_ninh)

    assert ["r"] == exchange.ids_filed(TAY_NINH)
    assert [] == marks(exchange, "never")


async def test_program_may_refuse_a_recall(exchange: Exchange) -> None:
    """A program that accepts a recall as a document, and refuses what it asks for, answers 16 with its reason."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        await hanoi.recall("letter", reason=REASON)
        async with tay_ninh.deliveries() as deliveries:
            await (await next_of(deliveries)).accept()
            change = await next_of(deliveries)
            assert ("recall", "letter") == (change.delivery.kind, change.delivery.concerns[0].document_id)
            await change.accept(answer=Answer(agreed=False, note="Đã ban hành tiếp"))
            said = await about_changes(hanoi, "letter")

    assert [(13, f"recall {recall_id('letter', 1, None)}"), (16, "Đã ban hành tiếp")] == said


async def test_whoever_refused_can_be_asked_again(exchange: Exchange) -> None:
    """A second recall goes to those who refused the first, and to nobody as long as nobody has refused."""
    async with (
        opened(exchange, HANOI, TAY_NINH, COMMUNE) as (hanoi, tay_ninh, commune),
        hanoi.serving(),
        commune.serving(),
    ):
        await hanoi.publish(letter(), to=[TAY_NINH, COMMUNE], id="letter")
        with pytest.raises(DocumentError, match="nobody has refused to change letter revision 1"):
            await hanoi.recall("letter", reason=REASON, again=True)
        await hanoi.recall("letter", reason=REASON)
        async with tay_ninh.deliveries() as deliveries:
            await (await next_of(deliveries)).accept()
            await (await next_of(deliveries)).accept(answer=Answer(agreed=False, note="Đang xử lý"))
            await until(lambda: refused(hanoi))
            again = await hanoi.recall("letter", reason="Lần hai", again=True)
            with pytest.raises(DocumentError, match="nobody has refused to change letter revision 1"):
                await hanoi.recall("letter", reason="Lần hai", again=True)
            second = await next_of(deliveries)
            await second.accept()
            await settled(hanoi, tay_ninh, commune)
        journey = await hanoi.track("letter")

    assert (recall_id("letter", 1, None), 2) == (again.document_id, again.revision)
    assert "Lần hai" == second.delivery.manifest.summary
    said = {leg.recipient: [(int(one.code), one.flagged) for one in leg.statuses[1:]] for leg in journey.legs}
    assert {
        id_of(COMMUNE): [(13, False), (15, False)],
        id_of(TAY_NINH): [(13, False), (16, False), (13, False), (15, False)],
    } == said
    assert ["letter", again.document_id] == exchange.ids_filed(COMMUNE)


async def refused(agency: Agency) -> bool:
    """Tell whether anybody has refused to change the letter."""
    return any(one.code == 16 for leg in (await agency.track("letter")).legs for one in leg.statuses)


async def test_recall_that_the_system_rejects_is_answered_with_16(exchange: Exchange) -> None:
    """A recall that the system will not take at all is refused in the receipt, and answered 16 with the reason."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        recall = (await hanoi.recall("letter", reason=REASON)).document_id
        async with tay_ninh.deliveries() as deliveries:
            await (await next_of(deliveries)).accept()
            await (await next_of(deliveries)).reject("not_competent")
            said = await about_changes(hanoi, "letter")
            told = await statuses(hanoi, recall, 1)
            # The receipt has a lane of its own, and may come behind the status.
            await hanoi.wait(recall, until="received", timeout=PATIENCE)
        leg = await leg_of(hanoi, recall)

    assert (16, "not_competent") == said[1]
    assert ("refused", "not_competent") == (leg.state, leg.reason)
    assert [(2, "not_competent")] == told


async def _refuse(_sink: FolderSink, batch: Sequence[Delivery]) -> list[Reject]:
    return [Reject("not_competent", "Sai thẩm quyền") for _ in batch]


async def test_recall_that_is_redelivered_is_answered_anew(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recall that was refused and is redelivered takes effect, and its sender gets 15 after 16, once, unflagged."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        async with tay_ninh.serving():
            await settled(hanoi, tay_ninh)
        with monkeypatch.context() as patch:
            patch.setattr(FolderSink, "deliver", _refuse)
            async with tay_ninh.serving():
                recall = (await hanoi.recall("letter", reason=REASON)).document_id
                refused = await about_changes(hanoi, "letter")
        async with tay_ninh.serving():
            for _ in range(2):
                await tay_ninh.redeliver(Selection(everything=True), reason="mended", wait=PATIENCE)
            await settled(hanoi, tay_ninh)
            await statuses(hanoi, "letter", 3)
        told = (await leg_of(hanoi, "letter")).statuses
        at_recipient = await tay_ninh.database.read(
            lambda connection: connection.execute(
                "SELECT code, flagged FROM status WHERE document_id = 'letter' ORDER BY status"
            ).fetchall()
        )
        leg = await leg_of(hanoi, recall)

    assert [13, 16] == [code for code, _ in refused]
    assert [(1, False), (13, False), (16, False), (15, False)] == [(one.code, one.flagged) for one in told]
    assert [(13, 0), (16, 0), (15, 0)] == at_recipient
    assert "received" == leg.state
    assert [recall] == [mark["document_id"] for mark in marks(exchange, "letter")]
    assert "valid" == (await exchange.audit()).verdict


async def test_replacement_marks_all_that_it_replaces(exchange: Exchange) -> None:
    """A replacement of two documents is filed, marks both, and is answered for each."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        old = [DocumentReference(sender=hanoi.id, document_id=name) for name in ("a", "b")]
        for name in ("a", "b"):
            await hanoi.publish(letter(), to=[TAY_NINH], id=name)
        await hanoi.publish(letter("mới"), to=[TAY_NINH], id="c", kind="replacement", concerns=old)
        await settled(hanoi, tay_ninh)
        said = [await about_changes(hanoi, name) for name in ("a", "b")]

    assert [[13, 15], [13, 15]] == [[code for code, _ in one] for one in said]
    assert [["c"], ["c"]] == [[mark["document_id"] for mark in marks(exchange, name)] for name in ("a", "b")]


async def test_replacement_goes_to_all_who_had_the_former_ones(exchange: Exchange) -> None:
    """Each recipient gets the new document, marks both, and answers for both; nobody else learns of them."""
    async with (
        opened(exchange, HANOI, TAY_NINH, COMMUNE) as (hanoi, tay_ninh, commune),
        hanoi.serving(),
        tay_ninh.serving(),
        commune.serving(),
    ):
        for name in ("a", "b"):
            await hanoi.publish(letter(), to=[TAY_NINH, COMMUNE], id=name)
        await hanoi.publish(letter(), to=[TAY_NINH], id="own")
        with pytest.raises(DocumentError, match=f"^{id_of(COMMUNE)} was never sent own revision 1$"):
            await hanoi.replace("a", letter("mới"), also=["own"], reason=REASON, id="c")
        done = await hanoi.replace("a", letter("mới"), also=["b"], reason=REASON, id="c")
        await settled(hanoi, tay_ninh, commune)
        legs = [leg for name in ("a", "b") for leg in (await hanoi.track(name)).legs]
        findings = await hanoi.database.read(lambda connection: connection.execute("SELECT * FROM finding").fetchall())

    assert ("c", False) == (done.document_id, done.duplicate)
    assert [[13, 15]] * 4 == [[one.code for one in leg.statuses if one.code >= 13] for leg in legs]
    assert ["c"] == [mark["document_id"] for mark in marks(exchange, "a")]
    filed = [sorted(exchange.ids_filed(code)) for code in (TAY_NINH, COMMUNE)]
    assert [["a", "b", "c", "own"], ["a", "b", "c"]] == filed
    assert [] == findings
    assert "valid" == (await exchange.audit()).verdict


async def test_update_without_a_file_marks_the_newest_revision(exchange: Exchange) -> None:
    """An update that is only words is filed, and concerns the revision that was published last."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        for revision in (1, 2):
            await hanoi.publish(letter(str(revision)), to=[TAY_NINH], id="letter", revision=revision)
        first = await hanoi.update("letter", reason="Hạn là 30/11", id="correction")
        second = await hanoi.update("letter", reason="Hạn là 30/11", id="correction")
        await settled(hanoi, tay_ninh)

    assert (False, True) == (first.duplicate, second.duplicate)
    assert [] == marks(exchange, "letter")
    (mark,) = marks(exchange, "letter", 2)
    assert ("update", "correction", "Hạn là 30/11") == (mark["kind"], mark["document_id"], mark["reason"])


async def test_document_that_was_updated_is_worked_on(exchange: Exchange) -> None:
    """Work between and after updates is not flagged, after a recall it is: at both ends, and by the auditor."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        for number, code in enumerate((3, 5)):
            await hanoi.update("letter", reason="Sửa", id=f"correction-{number}")
            await settled(hanoi, tay_ninh)
            await tay_ninh.report(HANOI, "letter", code)
            await settled(hanoi, tay_ninh)
        await hanoi.recall("letter", reason=REASON)
        await settled(hanoi, tay_ninh)
        await tay_ninh.report(HANOI, "letter", 6)
        await settled(hanoi, tay_ninh)
        told = [(int(one.code), one.flagged) for one in (await leg_of(hanoi, "letter")).statuses]
        noted = await tay_ninh.database.read(
            lambda connection: connection.execute(
                "SELECT code, flagged FROM status WHERE document_id = 'letter' ORDER BY status"
            ).fetchall()
        )

    said = [13, 15, 3, 13, 15, 5, 13, 15, 6]
    assert [(code, code == 6) for code in (1, *said)] == told
    assert [(code, int(code == 6)) for code in said] == noted
    audit = (await exchange.audit()).audit
    found = [one for one in audit.document_statuses if one.document_id == "letter"]
    assert [1] == [len(one.impossible) for one in found]


async def test_change_of_what_was_withdrawn_is_an_error(exchange: Exchange) -> None:
    """Nobody has a document that was withdrawn, so nobody is asked to change it."""
    async with exchange.agency(HANOI) as hanoi:
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter")
        await hanoi.withdraw("letter")
        with pytest.raises(DocumentError, match="nobody was sent letter revision 1"):
            await hanoi.recall("letter", reason=REASON)
