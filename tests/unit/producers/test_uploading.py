from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.parts import belongs
from docbus.errors import AppendUnknownError, BrokerUnavailableError, DiskFullError
from docbus.producers import uploading
from docbus.producers.content import content_counts, content_files, note_trouble, read_seen
from docbus.producers.journey import journey
from docbus.producers.withdrawing import withdraw
from docbus.transport.topics import content
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    PATIENCE,
    SENDER,
    UNKNOWN_PLACES,
    ContentTransport,
    FakeClock,
    FakeSealer,
    Stored,
    add_receipt,
    content_folder,
    document,
    large,
    make_drain,
    make_uploader,
    rows,
    staged_files,
    states,
    take_in,
    until,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database

AWAY = BrokerUnavailableError("no broker answers")
UNKNOWN = AppendUnknownError("nobody knows")


@pytest.fixture
def transport() -> ContentTransport:
    return ContentTransport()


@pytest.fixture
def slices_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part goes up by itself."""
    monkeypatch.setattr(uploading, "SLICE_PARTS", 1)


def indexes(transport: ContentTransport, digest: bytes | None = None) -> list[int]:
    return [part.index for part in transport.parts() if digest in (None, part.digest)]


def bodies(transport: ContentTransport, recipient: str) -> list[bytes]:
    """Return what a recipient was sent, in order; as the fake sealer writes it."""
    return [value.split(b"|")[4].removesuffix(b"ciphertext") for value in transport.values(recipient)]


def digest_of(database: Database, name: str) -> bytes:
    query = "SELECT c.digest FROM content AS c JOIN outgoing USING (outgoing) WHERE document_id = ?"
    return bytes(rows(database, query, name)[0][0])


# --- what is uploaded -----------------------------------------------------------------------------


async def test_parts_go_up_once_for_all_recipients_before_any_envelope(
    database: Database, transport: ContentTransport
) -> None:
    """Three recipients share one upload, and no envelope is out before the last part is."""
    take_in(database, large(database, "a", ANNA, BINH, CHI, parts=11))

    await make_drain(database, transport).drain()

    assert indexes(transport) == list(range(11))
    assert [{record.topic for record in call} == {content(SENDER)} for call in transport.calls] == [True, True, False]
    assert len(transport.values()) == 3


async def test_uploaded_parts_are_the_staged_ones(database: Database, transport: ContentTransport) -> None:
    """Each record has the bytes of its part, a proof, the sender as key, and says nothing about the document."""
    accepted = large(database, "a-telling-name", parts=3)
    file = content_folder(database).file(accepted.attachments[0].file)
    take_in(database, accepted)

    await make_uploader(database, transport).upload_all()

    parts = transport.parts()
    assert all(map(belongs, parts))
    assert b"".join(bytes(part.content) for part in parts) == file.read_bytes()
    assert {(record.key, record.partition) for record in transport.content} == {(SENDER.encode(), 0)}
    assert not any(b"telling" in record.value for record in transport.content)


@pytest.mark.usefixtures("slices_of_one")
async def test_hints_lead_to_every_part(database: Database, transport: ContentTransport) -> None:
    """From the offsets that an envelope hints at, reading on finds all parts, also where others lie between them."""
    sealer = FakeSealer()
    take_in(database, large(database, "a", ANNA, BINH, parts=4), large(database, "b", ANNA, parts=3))

    await make_drain(database, transport, sealer).drain()

    for body, recipient in ((b"a", ANNA), (b"a", BINH), (b"b", ANNA)):
        ((hint,),) = sealer.hints[body, recipient]
        digest = digest_of(database, body.decode())
        assert (hint.attachment, hint.topic, hint.partition) == (0, content(SENDER), 0)
        found = []
        for offset in hint.offsets:
            assert transport.parts()[offset].digest == digest
            for part in transport.parts()[offset:]:
                if part.digest != digest:
                    break
                found.append(part.index)
        assert found == list(range(len(indexes(transport, digest))))
        assert len(hint.offsets) > 1, "the two took turns"


async def test_parts_in_a_row_are_one_run(database: Database, transport: ContentTransport) -> None:
    """However many parts follow one another, an envelope names only where they begin."""
    sealer = FakeSealer()
    take_in(database, large(database, "a", parts=20))

    await make_drain(database, transport, sealer).drain()

    assert [hint.offsets for (hint,) in sealer.hints[b"a", ANNA]] == [(0,)]


async def test_small_documents_have_no_hints(database: Database, transport: ContentTransport) -> None:
    """What travels whole in its envelope points nowhere."""
    sealer = FakeSealer()
    take_in(database, document("a"))

    await make_drain(database, transport, sealer).drain()

    assert sealer.hints == {(b"a", ANNA): [()]}
    assert transport.content == []


# --- whose turn it is -----------------------------------------------------------------------------


@pytest.mark.usefixtures("slices_of_one")
async def test_documents_take_turns(database: Database, transport: ContentTransport) -> None:
    """A small upload does not wait for the large one before it, and none has two turns while another waits."""
    take_in(database, large(database, "a", ANNA, parts=6), large(database, "b", BINH, parts=2))

    await make_uploader(database, transport).upload_all()

    order = [part.digest == digest_of(database, "a") for part in transport.parts()]
    assert all(one != other for one, other in pairwise(order[:4]))
    assert order[4:] == [True] * 4


@pytest.mark.usefixtures("slices_of_one")
async def test_urgent_content_goes_first(database: Database, transport: ContentTransport) -> None:
    """What is urgent has every turn, whenever it was accepted."""
    take_in(
        database,
        large(database, "a", ANNA, parts=3),
        large(database, "b", ANNA, parts=3, urgency=1, lane="urgent"),
    )

    await make_uploader(database, transport).upload_all()

    assert [part.digest == digest_of(database, "b") for part in transport.parts()] == [True] * 3 + [False] * 3


async def test_what_is_behind_an_upload_waits_and_all_else_goes_on(
    database: Database, transport: ContentTransport
) -> None:
    """While parts go up, only later copies in the same lane to the same recipient wait; receipts never do."""
    going, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        going.set()
        await go.wait()

    transport.before = hold
    stop = asyncio.Event()
    take_in(
        database,
        document("before", ANNA),
        large(database, "large", ANNA),
        document("behind", ANNA, BINH),
        document("urgent", ANNA, urgency=1, lane="urgent"),
    )
    add_receipt(database, ANNA)
    running = asyncio.create_task(make_drain(database, transport).run(stop))
    async with asyncio.timeout(PATIENCE):
        await going.wait()
    await until(lambda: len(transport.values()) == 4)

    assert sorted(bodies(transport, ANNA)) == [b"before", b"receipt", b"urgent"]
    assert bodies(transport, BINH) == [b"behind"]

    go.set()
    await until(lambda: len(transport.values()) == 6)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running
    assert bodies(transport, ANNA)[3:] == [b"large", b"behind"]
    assert transport.sequences(ANNA) == [1, 2, 3]


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slices_of_one")
@pytest.mark.parametrize(
    "step",
    [AWAY, UNKNOWN, Stored(1, UNKNOWN), Stored(1, AWAY)],
    ids=["away", "unknown, not stored", "unknown, stored", "away, stored"],
)
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("restarted", [False, True], ids=["goes on", "restarted"])
async def test_failed_append_leaves_each_part_once(
    database: Database, transport: ContentTransport, step: Exception | Stored, before: int, *, restarted: bool
) -> None:
    """Whatever an error left on the brokers is found there: no part is missing, and none is sent twice."""
    take_in(database, large(database, "a", parts=4))
    transport.content_script = [None] * before + [step]
    uploader = make_uploader(database, transport)
    with pytest.raises((BrokerUnavailableError, AppendUnknownError)):
        await uploader.upload_all()

    await (make_uploader(database, transport) if restarted else uploader).upload_all()

    assert indexes(transport) == [0, 1, 2, 3]
    assert states(database) == [("a", ANNA, 0)]
    assert database.read_now(read_seen) is None


async def test_slice_that_is_stored_in_part_is_completed(database: Database, transport: ContentTransport) -> None:
    """Of parts handed over together the first may be stored and the others not; those follow."""
    take_in(database, large(database, "a", parts=12))
    transport.content_script = [Stored(3, UNKNOWN)]
    uploader = make_uploader(database, transport)
    with pytest.raises(AppendUnknownError):
        await uploader.upload_all()

    await uploader.upload_all()

    assert indexes(transport) == list(range(12))


async def test_parts_that_are_stored_nobody_says_where_are_looked_up(
    database: Database, transport: ContentTransport
) -> None:
    """A broker that had the records already gives no offsets; the topic itself tells where they lie."""
    sealer = FakeSealer()
    take_in(database, large(database, "a", parts=12))
    transport.content_script = [UNKNOWN_PLACES, UNKNOWN_PLACES]

    await make_drain(database, transport, sealer).drain()

    assert indexes(transport) == list(range(12))
    assert [hint.offsets for (hint,) in sealer.hints[b"a", ANNA]] == [(0,)]
    assert states(database) == [("a", ANNA, 2)]


async def test_foreign_records_in_the_topic_are_passed_over(database: Database, transport: ContentTransport) -> None:
    """What looks like a part and is not this outbox's own is not taken for one."""
    take_in(database, large(database, "a", parts=4))
    transport.content_script = [Stored(2, UNKNOWN)]
    uploader = make_uploader(database, transport)
    with pytest.raises(AppendUnknownError):
        await uploader.upload_all()
    own = list(transport.content)
    transport.content += [own[0]._replace(value=b"not a part"), own[0], own[1]._replace(key=b"vn:H99")]

    await uploader.upload_all()

    assert indexes_of_own(transport, own[0].value) == [0, 1, 0, 2, 3]
    assert states(database) == [("a", ANNA, 0)]


def indexes_of_own(transport: ContentTransport, value: bytes) -> list[int]:
    """Return the indexes of what this sender has stored, parts alone."""
    assert value
    kept = [record for record in transport.content if record.key == SENDER.encode() and record.value != b"not a part"]
    other = ContentTransport()
    other.content = kept
    return indexes(other)


async def test_crash_after_the_last_part_lets_the_envelopes_go(database: Database, transport: ContentTransport) -> None:
    """Draining once finds all parts on the brokers, and sends the copies that only waited for the note."""
    take_in(database, large(database, "a", parts=2), document("b"))
    transport.content_script = [Stored(2, UNKNOWN)]
    with pytest.raises(AppendUnknownError):
        await make_drain(database, transport).drain()

    await make_drain(database, transport).drain()

    assert indexes(transport) == [0, 1]
    assert states(database) == [("a", ANNA, 2), ("b", ANNA, 2)]


async def test_document_accepted_while_looking_is_uploaded_once(
    database: Database, transport: ContentTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that comes between two looks at the outbox is as safe from being sent twice as any other."""
    uploader = make_uploader(database, transport)
    begin = uploader._begin

    async def begin_and_accept() -> object:
        begun = await begin()
        if not rows(database, "SELECT 1 FROM content"):
            take_in(database, large(database, "a", parts=2))
        return begun

    monkeypatch.setattr(uploader, "_begin", begin_and_accept)
    transport.content_script = [Stored(2, UNKNOWN)]
    assert await uploader.upload_all() == 0
    with pytest.raises(AppendUnknownError):
        await uploader.upload_all()

    await make_uploader(database, transport).upload_all()

    assert indexes(transport) == [0, 1]


@pytest.mark.usefixtures("slices_of_one")
async def test_part_noted_while_the_outbox_is_read_is_not_sent_again(
    database: Database, transport: ContentTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which part is next does not depend on whether a note comes right before or right after a look at the outbox."""
    take_in(database, large(database, "a", ANNA, parts=4), large(database, "b", BINH, parts=3))
    uploader = make_uploader(database, transport)
    mark, read = uploader._mark, database.read
    marking = 0

    async def mark_and_count(*arguments: Any) -> int:
        nonlocal marking
        marking += 1
        released = await mark(*arguments)
        marking -= 1
        return released

    async def read_and_wait(operation: Any) -> Any:
        found = await read(operation)
        await until(lambda: marking == 0)
        return found

    monkeypatch.setattr(uploader, "_mark", mark_and_count)
    monkeypatch.setattr(database, "read", read_and_wait)
    await uploader.upload_all()

    assert indexes(transport, digest_of(database, "a")) == [0, 1, 2, 3]
    assert indexes(transport, digest_of(database, "b")) == [0, 1, 2]


async def test_outage_is_waited_out_and_shown(database: Database, transport: ContentTransport) -> None:
    """While no broker answers the status says since when and why; afterwards it says nothing."""
    clock, stop = FakeClock(), asyncio.Event()
    uploader = make_uploader(database, transport, clock=clock)
    take_in(database, large(database, "a"))
    transport.content_script = [AWAY]
    running = asyncio.create_task(uploader.run(stop))
    await until(lambda: database.read_now(content_counts).error is not None)

    counts = database.read_now(content_counts)
    outage = uploader.outage
    clock.advance(60)
    await until(lambda: states(database) == [("a", ANNA, 0)])
    await until(lambda: database.read_now(content_counts).error is None)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running

    assert (counts.failed_at, counts.error) == (NOW_MS, AWAY.text)
    assert (counts.uploads, counts.uploaded) == (1, 0)
    assert outage is AWAY
    assert uploader.outage is None


async def test_outage_that_a_process_before_has_noted_is_over(database: Database, transport: ContentTransport) -> None:
    """A process that uploads what one before it could not says nothing of an outage any more."""
    take_in(database, large(database, "a"))
    database.write_now(lambda c: note_trouble(c, (NOW_MS, AWAY.text)))

    await make_uploader(database, transport).upload_all()

    assert database.read_now(content_counts).error is None


async def test_stop_in_the_middle_is_no_loss(database: Database, transport: ContentTransport) -> None:
    """A stop does not wait for a broker that does not answer, and the next start goes on where this one was."""
    going, stop = asyncio.Event(), asyncio.Event()

    async def never_answer() -> None:
        going.set()
        await asyncio.Event().wait()

    transport.before = never_answer
    take_in(database, large(database, "a", parts=2))
    running = asyncio.create_task(make_uploader(database, transport).run(stop))
    async with asyncio.timeout(PATIENCE):
        await going.wait()
        stop.set()
        await running
    transport.before = None

    await make_uploader(database, transport).upload_all()

    assert indexes(transport) == [0, 1]


async def test_running_uploader_notices_what_is_accepted(database: Database, transport: ContentTransport) -> None:
    """Woken, it uploads at once; it tells its caller that copies may be sealed."""
    told, stop = asyncio.Event(), asyncio.Event()
    uploader = make_uploader(database, transport, uploaded=told.set)
    running = asyncio.create_task(uploader.run(stop))
    take_in(database, large(database, "a"))
    uploader.wake()

    async with asyncio.timeout(PATIENCE):
        await told.wait()
        stop.set()
        await running

    assert states(database) == [("a", ANNA, 0)]


async def test_share_that_is_uploaded_is_shown(database: Database, transport: ContentTransport) -> None:
    """The journey of a document says how much of its content the brokers have, in bytes of ciphertext."""
    held, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        if transport.content:
            held.set()
            await go.wait()

    def share() -> tuple[int, int]:
        found = database.read_now(lambda c: journey(c, "a", sender=SENDER)).content
        assert found is not None
        return found.uploaded, found.size

    transport.before = hold
    take_in(database, large(database, "a", parts=12))
    before = share()
    uploading_all = asyncio.create_task(make_uploader(database, transport).upload_all())
    async with asyncio.timeout(PATIENCE):
        await held.wait()
    await until(lambda: share()[0] > 0)
    between = share()
    go.set()
    await uploading_all

    size = 11 * 524_872 + 160
    assert (before, between, share()) == ((0, size), (8 * 524_872, size), (size, size))


@pytest.mark.parametrize("damage", ["removed", "shorter", "rotten"])
async def test_lost_file_fails_its_copies_and_frees_those_behind(
    database: Database, transport: ContentTransport, damage: str
) -> None:
    """Content that is gone from the disk cannot be sent: its copies fail, named so, and the next letters go out."""
    lost = large(database, "a", ANNA, BINH)
    take_in(database, lost, document("b"))
    file = content_folder(database).file(lost.attachments[0].file)
    if damage == "removed":
        file.unlink()
    elif damage == "shorter":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)

    await make_drain(database, transport).drain()

    assert states(database) == [("a", ANNA, 5), ("a", BINH, 5), ("b", ANNA, 2)]
    assert rows(database, "SELECT DISTINCT reason FROM copy WHERE state = 5") == [("content_lost",)]
    assert rows(database, "SELECT body, package, content_key FROM outgoing WHERE document_id = 'a'") == [(None,) * 3]
    assert staged_files(database) == set()


async def test_unreadable_file_is_no_lost_file(
    database: Database, transport: ContentTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer is waited for: nothing fails for good because of it."""
    take_in(database, large(database, "a"))
    uploader = make_uploader(database, transport)

    def broken(*_: object) -> None:
        raise DiskFullError("no space left", hint="Free space.")

    monkeypatch.setattr(uploader, "_read", broken)
    with pytest.raises(DiskFullError):
        await uploader.upload_all()
    monkeypatch.undo()
    await uploader.upload_all()

    assert states(database) == [("a", ANNA, 0)]


@pytest.mark.usefixtures("slices_of_one")
async def test_withdrawn_content_is_not_uploaded_further(database: Database, transport: ContentTransport) -> None:
    """What is withdrawn in the middle of its upload has no further turn; what comes after has."""
    going, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        if len(transport.content) == 2:
            going.set()
            await go.wait()

    transport.before = hold
    take_in(database, large(database, "a", parts=9), document("b"), large(database, "c", BINH, parts=1))
    database.write_now(lambda c: c.execute("UPDATE content SET sent = 1 WHERE parts = 1"))
    working = asyncio.create_task(make_uploader(database, transport).upload_all())
    async with asyncio.timeout(PATIENCE):
        await going.wait()
        done = await database.write(lambda c: withdraw(c, "a", at_ms=NOW_MS))
        content_folder(database).drop(done.files)
        go.set()
        await working

    assert indexes(transport) in ([0, 1, 2], [0, 1, 2, 3]), "at most what was under way, and what was read ahead"
    assert states(database)[:2] == [("a", ANNA, 5), ("b", ANNA, 0)]
    assert rows(database, "SELECT reason FROM copy WHERE state = 5") == [("withdrawn",)]


async def test_start_removes_what_a_crash_left(database: Database, transport: ContentTransport) -> None:
    """Files that no document names are gone after the next start; those in use are there."""
    take_in(database, large(database, "a"))
    large(database, "never accepted")

    await make_uploader(database, transport).clean()

    assert staged_files(database) == set(database.read_now(content_files))
    assert len(staged_files(database)) == 1


@pytest.mark.usefixtures("slices_of_one")
async def test_attachments_that_take_turns_are_bounded(
    database: Database, transport: ContentTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many attachments so many take turns; the others begin when one of these is done."""
    monkeypatch.setattr("docbus.producers.uploading.MAX_UPLOADS", 2)
    take_in(database, *(large(database, name, ANNA, parts=3) for name in "abcd"))

    await make_uploader(database, transport).upload_all()

    order = [part.digest for part in transport.parts()]
    assert 12 == len(order)
    assert 2 == len(set(order[:6]))


async def test_parts_of_one_call_are_bounded(database: Database, transport: ContentTransport) -> None:
    """However long content is, so many of its parts are read and handed over at a time."""
    take_in(database, large(database, "a", ANNA, parts=2 * uploading.SLICE_PARTS + 1))

    await make_uploader(database, transport).upload_all()

    assert [uploading.SLICE_PARTS, uploading.SLICE_PARTS, 1] == [len(call) for call in transport.calls]
