"""One journey on which docbus writes everything that it ever writes, in steps that can be gone again after any crash.

Hà Nội withdraws a document, and sends letters in both lanes, one with large content and a recall. Tây Ninh finds a
record that is no envelope, files, refuses one letter, asks for time with another, marks what is recalled, and answers.
Then its operators decide about what was set aside, and Hà Nội reads what became of everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus import Reject, Retry, Selection
from docbus.consumers import attempts
from docbus.consumers.sinks.folder import LOCK_NAME, WORK_PREFIX, FolderSink
from docbus.documents.document import Document, DocumentReference
from docbus.documents.statuses import StatusCode
from docbus.errors import DocumentConflictError, RedriveError
from docbus.storage.content import CONTENT_NAME
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.faults import invariants
from tests.faults.letters import DRAWINGS, drawings, letter
from tests.faults.steps import at_work, content_left, hurry, note, nothing_to_send, promised
from tests.support.trial import AGENCIES, HANOI, PATIENCE, TAY_NINH, found, id_of, knows, leg_of, opened, settled, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery
    from tests.support.trial import Exchange

REFUSED, RECALL, WITHDRAWN = "letter-03", "recall", "withdrawn"
POSTPONED = frozenset({"letter-02", "letter-03"})
"""The second waits behind the first."""
RECALLED, REPORTED = "letter-00", "letter-01"
ANSWERS = (StatusCode.REFUSED, StatusCode.REGISTERED, StatusCode.TAKE_BACK, StatusCode.CHANGE_AGREED)
"""What Hà Nội hears besides receipts."""
PARTS = 2
"""Parts of large content: the first and the last."""
CALLS = (
    (letter(0, urgent=False), letter(1, urgent=True)),
    (drawings(DRAWINGS, PARTS),),
    (
        Document(
            document_id=RECALL,
            title="Thu hồi",
            summary="Ban hành nhầm",
            kind="recall",
            files=(),
            recipients=(TAY_NINH,),
            concerns=(DocumentReference(sender=id_of(HANOI), document_id=RECALLED),),
        ),
        letter(2, urgent=False),
        letter(3, urgent=False),
    ),
)
PUBLISHED = [document for call in CALLS for document in call]
_TO_WITHDRAW = drawings(WITHDRAWN, 1)


async def begin(folder: Path) -> Exchange:
    """Found the exchange, with a record in an inbox that is no envelope, and with what a crash has left."""
    exchange = await found(folder, AGENCIES[:2])
    _leave(exchange.folder / TAY_NINH / "documents" / f"{WORK_PREFIX}left", LOCK_NAME, "0")
    _leave(exchange.folder / HANOI / CONTENT_NAME / "outgoing" / "left", "lock", "0-0")
    _leave(exchange.folder / TAY_NINH / CONTENT_NAME / "incoming", "7", "7.have")
    (exchange.folder / TAY_NINH / attempts.FILE_NAME).write_text('{"hand":[[0,0,0]]}\n', "ascii")
    async with exchange.bus() as wire:
        await wire.append([NewRecord(topic=topics.inbox(id_of(TAY_NINH)), key=None, value=b"not an envelope")])
    return exchange


def _leave(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"left")


def set_up(exchange: Exchange) -> None:
    """Let this process upload and read part by part, and its folder sink refuse and postpone a letter."""
    hurry()
    file = FolderSink.deliver
    postponed: set[str] = set()

    async def deliver(sink: FolderSink, batch: Sequence[Delivery]) -> list[Any]:
        refuses = set() if _mended(exchange).exists() else {REFUSED}
        postpones = POSTPONED - postponed
        postponed.update(one.document_id for one in batch)
        kept = iter(await file(sink, [one for one in batch if one.document_id not in refuses | postpones]))
        return [
            Retry("not today")
            if one.document_id in postpones
            else Reject("not_competent", "wrong office")
            if one.document_id in refuses
            else next(kept)
            for one in batch
        ]

    FolderSink.deliver = deliver  # type: ignore[method-assign,assignment]


def _mended(exchange: Exchange) -> Path:
    return exchange.folder / "mended"


async def journey(exchange: Exchange) -> None:
    """Go all of it, from wherever a process before this one has come.

    What was promised before must be known, whoever asks: then it is a duplicate.
    """
    before = promised(exchange)
    await _send(exchange, before)
    await _receive(exchange)
    await _answer(exchange, before)
    await _decide(exchange)
    await _end(exchange)


async def _send(exchange: Exchange, before: set[str]) -> None:
    async with exchange.agency(HANOI) as hanoi:
        if WITHDRAWN not in before:
            # Nobody sends yet, so that it can be withdrawn for certain.
            try:
                await hanoi.publish_documents([_TO_WITHDRAW])
                await hanoi.withdraw(WITHDRAWN)
            except DocumentConflictError:
                # Withdrawn by a process that could not say so any more.
                assert "withdrawn" == (await leg_of(hanoi, WITHDRAWN)).reason
            note(exchange, WITHDRAWN)
        async with exchange.registrar() as registrar:
            # It is known to whoever follows the directory.
            known = hanoi.snapshot.position
            await registrar.rename(HANOI, f"Hà Nội {known}")
            await knows([hanoi], known + 1)
        async with hanoi.serving(receive=False):
            for call in CALLS:
                for accepted in await hanoi.publish_documents(call):
                    assert accepted.duplicate or accepted.document_id not in before, "what was promised is lost"
                    note(exchange, accepted.document_id)
                for document in call:
                    await hanoi.wait(document.document_id, until="sent", timeout=PATIENCE)


async def _receive(exchange: Exchange) -> None:
    async with at_work(exchange, TAY_NINH) as tay_ninh:

        async def all_is_decided() -> bool:
            inbox = (await tay_ninh.status()).inbox
            return inbox.parked == 0 and inbox.documents == len(PUBLISHED)

        await until(all_is_decided)
        await until(lambda: nothing_to_send(tay_ninh))


async def _answer(exchange: Exchange, before: set[str]) -> None:
    async with at_work(exchange, TAY_NINH) as tay_ninh:
        if "reported" not in before:
            await tay_ninh.report(HANOI, REPORTED, StatusCode.REGISTERED)
            note(exchange, "reported")
        await until(lambda: nothing_to_send(tay_ninh))


async def _decide(exchange: Exchange) -> None:
    """Nobody receives meanwhile, so that the commands do the work themselves."""
    _mended(exchange).touch()
    async with exchange.agency(TAY_NINH) as tay_ninh:
        done = await tay_ninh.redeliver(Selection(documents=(REFUSED,)), reason="mended", operator="a", wait=PATIENCE)
        assert {"done", "already"} >= {one.outcome for one in done}
        try:
            await tay_ninh.reject(
                Selection(everything=True), reason="noise", operator="a", wait=PATIENCE, topics=("quarantine",)
            )
        except RedriveError:
            assert "rejected" in promised(exchange)
        note(exchange, "rejected")


async def _end(exchange: Exchange) -> None:
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():

        async def received() -> bool:
            legs = [await leg_of(hanoi, document.document_id) for document in PUBLISHED]
            said = [{status.code for status in leg.statuses} for leg in legs]
            return all(leg.state == "received" for leg in legs) and set(ANSWERS) == set.union(*said) & set(ANSWERS)

        await until(received)
        await settled(hanoi, tay_ninh)


async def check(exchange: Exchange) -> None:
    """Check what holds after every crash, and what only this journey has, once it is at its end."""
    await invariants.check(
        exchange,
        sender=HANOI,
        recipient=TAY_NINH,
        published=PUBLISHED,
        forged=1,
        redelivered=[REFUSED],
        unsent=1,
    )
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        recalled = [status.code for status in (await leg_of(hanoi, RECALLED)).statuses]
        assert (1, 1) == (recalled.count(StatusCode.TAKE_BACK), recalled.count(StatusCode.CHANGE_AGREED))
        assert StatusCode.REGISTERED in {status.code for status in (await leg_of(hanoi, REPORTED)).statuses}
        refused = {status.code for status in (await leg_of(hanoi, REFUSED)).statuses}
        assert StatusCode.REFUSED in refused
        assert "withdrawn" == (await leg_of(hanoi, WITHDRAWN)).reason
        assert {"redeliver", "reject"} == {one.act.action async for one in tay_ninh.acts() if one.act is not None}
    (marked,) = (one.folder for one in exchange.filed(TAY_NINH) if one.document_id == RECALLED)
    assert 1 == len(list((marked / "changes").iterdir())), "the recall's mark, once, and nothing half written"
    assert (1, 0) == content_left(exchange, HANOI), "kept for a day; nothing else is left"
    assert (0, 0) == content_left(exchange, TAY_NINH)
