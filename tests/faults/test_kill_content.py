"""As ``test_kill``, for a document whose content travels in parts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers import locating
from docbus.consumers.assembling import Assembly
from docbus.envelope.parts import decode_part
from docbus.producers import uploading
from docbus.producers.content import content_files
from docbus.producers.staging import Stager
from docbus.storage.content import CONTENT_NAME
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from tests.faults import invariants
from tests.faults.content_victim import FETCHING, FILING, STAGING, UPLOADING
from tests.faults.killing import accepted, inodes, kill_at
from tests.faults.letters import DRAWINGS, DRAWINGS_PARTS, around_drawings, drawings_content
from tests.support import trial
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, id_of, leg_of, opened, settled

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.consumers.assembling import Taken
    from docbus.envelope.parts import Part
    from tests.support.trial import Exchange

PUBLISHED = [document for call in around_drawings() for document in call]
VICTIM = "content_victim"


@pytest.fixture
async def exchange(tmp_path: Path) -> Exchange:
    """A sender and a recipient."""
    return await trial.found(tmp_path, trial.AGENCIES[:2])


@pytest.fixture(autouse=True)
def part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what goes on after a crash be counted in parts, too."""
    monkeypatch.setattr(uploading, "SLICE_PARTS", 1)
    monkeypatch.setattr(locating, "WINDOW_PARTS", 1)


async def publish_and_send(exchange: Exchange) -> None:
    async with exchange.agency(HANOI) as hanoi, hanoi.serving(receive=False):
        for call in around_drawings():
            await hanoi.publish_documents(call)
        for document in PUBLISHED:
            await hanoi.wait(document.document_id, until="sent", timeout=PATIENCE)


async def go_on(exchange: Exchange) -> None:
    """Start both sides again, as their operators would, until nothing is under way."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await settled(hanoi, tay_ninh)


async def parts_of(exchange: Exchange) -> list[Part]:
    """Return the parts in the sender's content topic, in their order there."""
    return [decode_part(record.value or b"") for record in await exchange.records(topics.content(id_of(HANOI)))]


def files_below(folder: Path) -> set[str]:
    """Return the files of large content below an agency's folder, without locks."""
    content = folder / CONTENT_NAME
    return {path.relative_to(content).as_posix() for path in content.rglob("*") if path.is_file()} - {
        path.relative_to(content).as_posix() for path in content.rglob("lock")
    }


async def check(exchange: Exchange) -> None:
    """Check what holds after every crash, and that large content is where it belongs, once, and nowhere else."""
    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED)
    parts = await parts_of(exchange)
    assert list(range(DRAWINGS_PARTS)) == [part.index for part in parts]
    assert 1 == len({part.digest for part in parts})
    async with exchange.agency(HANOI) as hanoi:
        assert files_below(exchange.folder / HANOI) == set(await hanoi.database.read(content_files))
        assert 1 == len(files_below(exchange.folder / HANOI)), "kept for a day, in case it is asked for again"
    folders = list((exchange.folder / HANOI / CONTENT_NAME / "outgoing").iterdir())
    assert 1 == len(folders), "nothing is left of what a crash broke off"
    assert set() == files_below(exchange.folder / TAY_NINH)


@pytest.mark.parametrize("point", STAGING | UPLOADING)
async def test_killed_sender_uploads_every_part_once(exchange: Exchange, point: str) -> None:
    """A sender killed at any step delivers all that it accepted; each part is stored once, and what is left goes."""
    kill_at(exchange, "sender", point, victim=VICTIM)
    promised = accepted(exchange)
    sent_before = await parts_of(exchange)
    await go_on(exchange)
    delivered_without_help = exchange.ids_filed(TAY_NINH)

    async with exchange.agency(HANOI) as hanoi:
        answers = [answer for call in around_drawings() for answer in await hanoi.publish_documents(call)]
    await go_on(exchange)

    assert set(promised) <= set(delivered_without_help)
    assert sorted(delivered_without_help) == sorted(answer.document_id for answer in answers if answer.duplicate)
    assert sent_before == (await parts_of(exchange))[: len(sent_before)]
    await check(exchange)


def parts_here(exchange: Exchange) -> int:
    """Return how many parts the recipient has noted as fetched."""
    noted = list((exchange.folder / TAY_NINH / CONTENT_NAME / "incoming").glob("*.have"))
    return sum(path.read_bytes()[:DRAWINGS_PARTS].count(1) for path in noted)


@pytest.mark.parametrize("point", FETCHING | FILING)
async def test_killed_recipient_goes_on_with_the_parts_it_has(
    exchange: Exchange, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipient killed at any step files every document once, and reads again at most one window of parts."""
    await publish_and_send(exchange)
    kill_at(exchange, "recipient", point, victim=VICTIM)
    before, here = inodes(exchange), parts_here(exchange)
    taken: list[Taken] = []
    read: list[int] = []
    take, look = Assembly.take, SqliteTransport.read

    def take_and_count(self: Assembly, records: Any) -> Taken:
        taken.append(take(self, records))
        return taken[-1]

    async def read_and_count(self: SqliteTransport, topic: str, *arguments: Any, **named: Any) -> Any:
        records = await look(self, topic, *arguments, **named)
        if topics.kind_of(topic) == topics.CONTENT and named["max_bytes"] == locating.WINDOW_BYTES:
            read.extend(record.offset for record in records)
        return records

    monkeypatch.setattr(Assembly, "take", take_and_count)
    monkeypatch.setattr(SqliteTransport, "read", read_and_count)
    await go_on(exchange)
    monkeypatch.undo()

    # After the ledger has it nothing is read at all; before, what is missing, and at most the window it died in.
    missing = DRAWINGS_PARTS - here if point in FETCHING else 0
    assert missing == sum(len(one.parts) for one in taken)
    assert sum(len(one.known) for one in taken) <= 1
    assert missing <= len(read) <= missing + 1
    assert before.items() <= inodes(exchange).items()
    await check(exchange)


async def test_both_sides_are_killed_again_and_again(exchange: Exchange) -> None:
    """One document through one crash after another, on both sides, ends as if nothing had been."""
    for point in ("P1 within a part", "P4 part 2 sent, not noted", "P4 part noted, not committed", "P3 sealed"):
        kill_at(exchange, "sender", point, victim=VICTIM)
    await publish_and_send(exchange)
    for point in ("C2 parked", "C2 within a part", "C2 complete, not committed", "C3 filed, not in the ledger"):
        kill_at(exchange, "recipient", point, victim=VICTIM)

    await go_on(exchange)

    await check(exchange)


async def test_withdrawn_document_leaves_nothing_that_names_it(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawn when half of it is uploaded, a document is in no inbox, and its parts tell nothing about it."""
    half, go = asyncio.Event(), asyncio.Event()
    append, stage = SqliteTransport.append, Stager.stage
    sent = 0
    keys: list[bytes] = []

    async def append_half(self: SqliteTransport, records: Any) -> Any:
        nonlocal sent
        if topics.kind_of(records[0].topic) == topics.CONTENT:
            if sent == DRAWINGS_PARTS // 2:
                half.set()
                await go.wait()
            sent += 1
        return await append(self, records)

    def stage_and_note(self: Stager, *arguments: Any) -> Any:
        staged = stage(self, *arguments)
        keys.extend(one.large.key for one in staged.attachments.values())
        return staged

    monkeypatch.setattr(SqliteTransport, "append", append_half)
    monkeypatch.setattr(Stager, "stage", stage_and_note)
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        for call in around_drawings():
            await hanoi.publish_documents(call)
        async with asyncio.timeout(PATIENCE):
            await half.wait()
        withdrawn = await hanoi.withdraw(DRAWINGS)
        go.set()
        await settled(hanoi, tay_ninh)
        leg = await leg_of(hanoi, DRAWINGS)

    assert (1, "failed", "withdrawn") == (withdrawn.recipients, leg.state, leg.reason)
    assert [one.document_id for one in PUBLISHED if one.document_id != DRAWINGS] == sorted(exchange.ids_filed(TAY_NINH))
    traces = [DRAWINGS.encode(), *(text.encode() for text in ("Bản vẽ thiết kế", "bản vẽ.pdf", "tờ trình.txt")), *keys]
    plaintext = drawings_content()
    traces += [plaintext[at : at + 64] for at in range(0, len(plaintext) - 64, 100_000)]
    parts = await exchange.records(topics.content(id_of(HANOI)))
    inboxes = [record for code in (HANOI, TAY_NINH) for record in await exchange.records(topics.inbox(id_of(code)))]
    assert DRAWINGS_PARTS // 2 <= len(parts) <= DRAWINGS_PARTS // 2 + 2
    for record in (*parts, *inboxes):
        carried = b"".join((record.key or b"", record.value or b"", *(value for _, value in record.headers)))
        assert [] == [trace for trace in traces if trace in carried]
    assert 1 == len(keys)
    assert set() == files_below(exchange.folder / HANOI) | files_below(exchange.folder / TAY_NINH)
    assert "valid" == (await exchange.audit()).verdict
