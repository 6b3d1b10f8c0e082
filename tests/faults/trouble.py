"""One journey through trouble, for the writes that come of it; as ``everything``, its steps can be gone again.

The file of a document is gone at Hà Nội before it is uploaded, another is withdrawn by command. Tây Ninh has no inbox
yet; in front of all that comes into it lies something that its operator skips. Nobody says whether the first part is
stored. A part is gone before Tây Ninh reads it: the document is refused, its redelivery is in vain as the dead letter
has expired, and Hà Nội sends it again. At last what nobody needs any more is forgotten by command. Hà Nội shares its
inbox, so that its outbox reads its answers by itself.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from docbus import Selection
from docbus.cli.app import run
from docbus.client.running import beside
from docbus.consumers import fetching
from docbus.consumers.requests import GONE, RequestState, read_rows
from docbus.documents.refusals import CONTENT_MISSING
from docbus.documents.statuses import StatusCode
from docbus.errors import AppendUnknownError, DocumentConflictError
from docbus.producers import pauses
from docbus.producers.content import WITHDRAWN as TAKEN_BACK
from docbus.producers.content import content_files
from docbus.producers.withdrawing import CONTENT_LOST
from docbus.registry import provision
from docbus.settings import FILE_NAME
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.transport.sqlite import SqliteTransport
from docbus.verification.parts import claimed_part
from tests.faults import invariants
from tests.faults.letters import DRAWINGS, drawings, letter
from tests.faults.steps import at_work, content_left, hurry, note, nothing_to_send, promised
from tests.support.trial import AGENCIES, HANOI, PATIENCE, TAY_NINH, found, id_of, leg_of, opened, settled, until

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.agency import Agency
    from tests.support.trial import Exchange

LOST, WITHDRAWN, MISSED, FORGOTTEN = "lost", "withdrawn", DRAWINGS, "plans"
PARTS = 2
"""Parts of what is sent again; the last of them is missed."""
CALLS = (
    (letter(0, urgent=False), letter(1, urgent=True)),
    (drawings(MISSED, PARTS),),
    # Behind it, so that what is missed is not the end of the content topic.
    (drawings(FORGOTTEN, 1),),
)
PUBLISHED = [document for call in CALLS for document in call]
MISSING_LIMIT_MS = 60
"""Milliseconds for which a part is looked for: some attempts."""
FIRST_PAUSE = 0.02
"""Seconds before the second attempt to send."""
_NOISE = b"not an envelope"


async def begin(folder: Path) -> Exchange:
    """Found the exchange; Hà Nội shares its inbox, and that of Tây Ninh is yet to be provisioned."""
    exchange = await found(folder, AGENCIES[:2])
    with (exchange.folder / HANOI / FILE_NAME).open("a", encoding="utf-8") as settings:
        settings.write("\n[inbox]\nshared = true\n")
    inbox = topics.inbox(id_of(TAY_NINH))
    _on_bus(exchange, "DELETE FROM partitions WHERE topic = (SELECT id FROM topics WHERE name = ?)", inbox)
    _on_bus(exchange, "DELETE FROM topics WHERE name = ?", inbox)
    return exchange


def _on_bus(exchange: Exchange, statement: str, *values: object) -> None:
    """Do what brokers do on their own: no process of docbus runs meanwhile."""
    bus = sqlite3.connect(exchange.folder / "bus.db")
    bus.execute(statement, values)
    bus.commit()
    bus.close()


_EXPIRE = """
DELETE FROM records WHERE "offset" = ? AND partition_id IN (
    SELECT p.id FROM partitions AS p JOIN topics AS t ON t.id = p.topic WHERE t.name = ? AND p.number = 0)
"""


def set_up(_exchange: Exchange) -> None:
    """Let this process go on soon after whatever fails, and not learn what became of the exchange's first part."""
    hurry()
    fetching.MISSING_LIMIT_MS = MISSING_LIMIT_MS
    pauses.FIRST_PAUSE = FIRST_PAUSE
    append = SqliteTransport.append

    async def append_in_doubt(transport: SqliteTransport, records: Any) -> list[int]:
        offsets = await append(transport, records)
        if topics.kind_of(records[0].topic) == topics.CONTENT and offsets[0] == 0:
            raise AppendUnknownError("no answer has come")
        return offsets

    SqliteTransport.append = append_in_doubt  # type: ignore[method-assign]


async def journey(exchange: Exchange) -> None:
    """Go all of it, from wherever a process before this one has come; what was promised before must be known."""
    before = promised(exchange)
    await _prepare(exchange, before)
    if "provisioned" not in before:
        await _provision(exchange)
    await _send(exchange, before)
    if "missed" not in before:
        await _miss(exchange)
    await _receive(exchange)
    await _redeliver(exchange, before)
    await _send_again(exchange)
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        for document in PUBLISHED:
            await hanoi.wait(document.document_id, until="received", timeout=PATIENCE)
        await settled(hanoi, tay_ninh)
    await _forget(exchange, before)


async def _prepare(exchange: Exchange, before: set[str]) -> None:
    """Nobody sends yet: a file is lost, and what is withdrawn is withdrawn for certain."""
    async with exchange.agency(HANOI) as hanoi:
        if LOST not in before:
            await hanoi.publish_documents([drawings(LOST, 1)])
            for name in await hanoi.database.read(content_files):
                hanoi.content.file(name).unlink()
            note(exchange, LOST)
        if WITHDRAWN not in before:
            try:
                await hanoi.publish_documents([drawings(WITHDRAWN, 1)])
                assert 0 == _command(exchange, "withdraw", WITHDRAWN)
            except DocumentConflictError:
                # Withdrawn by a process that could not say so any more.
                assert TAKEN_BACK == (await leg_of(hanoi, WITHDRAWN)).reason
            note(exchange, WITHDRAWN)


def _command(exchange: Exchange, name: str, document: str) -> int:
    return run(["--folder", str(exchange.folder / HANOI), name, document])


async def _provision(exchange: Exchange) -> None:
    """Send in vain; then make the inbox, and let somebody put noise into it before all else."""
    async with exchange.agency(HANOI) as hanoi:
        snapshot = hanoi.snapshot
        async with hanoi.serving():
            await hanoi.publish_documents(CALLS[0])

            async def is_blocked() -> bool:
                return len((await hanoi.status()).outbox.blocked) == len(CALLS[0])

            await until(is_blocked)
    async with exchange.bus() as wire:
        await provision.apply(wire, await provision.plan(wire, snapshot))
        inbox = topics.inbox(id_of(TAY_NINH))
        await wire.append([NewRecord(topic=inbox, key=id_of(HANOI).encode(), value=_NOISE)])
    note(exchange, "provisioned")


async def _send(exchange: Exchange, before: set[str]) -> None:
    async with at_work(exchange, HANOI) as hanoi:
        for call in CALLS:
            for accepted in await hanoi.publish_documents(call):
                assert accepted.duplicate or accepted.document_id not in before, "what was promised is lost"
                note(exchange, accepted.document_id)
            for document in call:
                await hanoi.wait(document.document_id, until="sent", timeout=PATIENCE)

        async def is_lost() -> bool:
            return (await leg_of(hanoi, LOST)).reason == CONTENT_LOST

        await until(is_lost)


async def _miss(exchange: Exchange) -> None:
    """Let the last part of a document be gone."""
    content = topics.content(id_of(HANOI))
    records = await exchange.records(content)
    (missed,) = [record.offset for record in records if claimed_part(record.value).index == PARTS - 1]
    _on_bus(exchange, _EXPIRE, missed, content)
    note(exchange, "missed")


async def _receive(exchange: Exchange) -> None:
    """Receive from behind the noise, as the operator says again at each start until all is read."""
    inbox = await exchange.records(topics.inbox(id_of(TAY_NINH)))
    start = {record.partition: record.offset + 1 for record in inbox if record.value == _NOISE}
    async with exchange.agency(TAY_NINH) as tay_ninh, beside(lambda stop: tay_ninh.run(stop=stop, start=start)):

        async def all_is_decided() -> bool:
            found = (await tay_ninh.status()).inbox
            return found.parked == 0 and found.documents == len(PUBLISHED) and await nothing_to_send(tay_ninh)

        await until(all_is_decided)


async def _redeliver(exchange: Exchange, before: set[str]) -> None:
    """Request what was refused; before anybody takes it up, the dead letter expires."""
    if "expired" not in before:
        async with exchange.agency(TAY_NINH) as tay_ninh:
            done = await tay_ninh.redeliver(Selection(documents=(MISSED,)), reason="try again", operator="a", wait=0)
            assert {"requested", "already"} >= {one.outcome for one in done}
        topic = topics.dead_letter(id_of(TAY_NINH))
        for record in await exchange.records(topic):
            _on_bus(exchange, _EXPIRE, record.offset, topic)
        note(exchange, "expired")
    async with at_work(exchange, TAY_NINH) as tay_ninh:

        async def nothing_is_requested() -> bool:
            return (await tay_ninh.status()).inbox.requested == 0 and await nothing_to_send(tay_ninh)

        await until(nothing_is_requested)


async def _send_again(exchange: Exchange) -> None:
    """Once it knows that the document was refused, Hà Nội says that it goes out again; nobody sends meanwhile."""
    async with at_work(exchange, HANOI) as hanoi:

        async def is_refused() -> bool:
            leg = await leg_of(hanoi, MISSED)
            return await _copies(hanoi) > 1 or leg.reason == CONTENT_MISSING

        await until(is_refused)
    async with exchange.agency(HANOI) as hanoi:
        if await _copies(hanoi) == 1:
            assert (id_of(TAY_NINH),) == (await hanoi.resend(MISSED)).recipients


async def _copies(hanoi: Agency) -> int:
    """Return in how many statements the document goes out that was missed."""
    (count,) = await hanoi.database.read(
        lambda connection: connection.execute(
            "SELECT count(*) FROM copy JOIN outgoing USING (outgoing) WHERE document_id = ?", (MISSED,)
        ).fetchone()
    )
    return int(count)


async def _forget(exchange: Exchange, before: set[str]) -> None:
    """Let go of what everybody has; what a crash leaves of it is removed by whoever sends next."""
    if "forgotten" not in before:
        given = _command(exchange, "forget", FORGOTTEN)
        async with exchange.agency(HANOI) as hanoi:
            assert 1 == len(await hanoi.database.read(content_files)), f"the command ended with {given}"
        note(exchange, "forgotten")
    async with at_work(exchange, HANOI) as hanoi:
        await settled(hanoi)


async def check(exchange: Exchange) -> None:
    """Check what holds after every crash, and what only this journey has, once it is at its end."""
    await invariants.check(
        exchange,
        sender=HANOI,
        recipient=TAY_NINH,
        published=PUBLISHED,
        forged=1,
        resent=[MISSED],
        unsent=2,
    )
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        assert 2 == await _copies(hanoi)
        said = [status.code for status in (await leg_of(hanoi, MISSED)).statuses]
        assert 1 == said.count(StatusCode.CONTENT_UNAVAILABLE)
        assert (CONTENT_LOST, TAKEN_BACK) == tuple([(await leg_of(hanoi, one)).reason for one in (LOST, WITHDRAWN)])
        content = (await hanoi.status()).outbox.content
        assert (0, None, None) == (content.uploads, content.failed_at, content.error)
        (request,) = (await tay_ninh.database.read(lambda c: read_rows(c, "dead-letter"))).values()
        assert (RequestState.IN_VAIN, GONE) == (request.state, request.code)
    assert [] == await exchange.records(topics.quarantine(id_of(TAY_NINH))), "what is skipped is not set aside"
    parts = [claimed_part(record.value).index for record in await exchange.records(topics.content(id_of(HANOI)))]
    assert [0, 0, 0, 1] == parts, "first part, what was forgotten, and both parts again; each once"
    assert (1, 0) == content_left(exchange, HANOI), "what was sent again is kept for a day; nothing else is left"
    assert (0, 0) == content_left(exchange, TAY_NINH)
