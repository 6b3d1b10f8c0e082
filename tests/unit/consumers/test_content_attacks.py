"""What may lie in a content topic, and what may stand in hints and statements, without anybody's being led astray.

Whoever may write to a content topic, and brokers, can withhold parts. More than that no record there can do.
"""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers import assembling
from docbus.consumers.fetching import MISSING_LIMIT_MS
from docbus.documents.statuses import StatusCode
from docbus.envelope.envelope import Hint
from docbus.envelope.parts import encode_part, seal_part
from docbus.envelope.statement import Attachment
from docbus.limits import MAX_PARTS, MIB, PART_BYTES
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.wire.parts import SEALED_PART_BYTES, content_size
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.content import (
    ReadingSink,
    context_of,
    expire,
    large_document,
    plaintext,
    seal_content,
    send,
    signed_content,
    spooled,
    spooled_bytes,
    upload,
)
from tests.support.inbox import ME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.envelope.parts import Part
    from tests.support.content import LargeDocument, SealedContent
    from tests.support.inbox import Inbox

LIMIT_SECONDS = MISSING_LIMIT_MS / 1000
DOCUMENT = "H26-00001"


@pytest.fixture
def large(inbox: Inbox) -> Inbox:
    """Return the inbox with a sink that reads what it is given."""
    inbox.sink = ReadingSink()
    return inbox


async def wait_in_vain(inbox: Inbox) -> None:
    """Receive until the time for which parts may be missing is over."""
    await inbox.receive()
    assert [] == inbox.receipts()
    inbox.clock.advance(LIMIT_SECONDS - 1)
    await inbox.receive()
    assert [] == inbox.receipts()
    inbox.clock.advance(LIMIT_SECONDS)
    await inbox.receive()


# --- records in place of parts --------------------------------------------------------------------------


def swapped(content: SealedContent) -> list[bytes]:
    """The parts of one attachment, each with the bytes of the other."""
    first, second = content.parts
    return [encode_part(first._replace(content=second.content)), encode_part(second._replace(content=first.content))]


def renumbered(content: SealedContent) -> list[bytes]:
    """The parts, each under the number of the other."""
    first, second = content.parts
    return [encode_part(first._replace(index=1)), encode_part(second._replace(index=0))]


def repeated(content: SealedContent) -> list[bytes]:
    """The first part twice."""
    return [content.values[0], content.values[0]]


def dropped(content: SealedContent) -> list[bytes]:
    """The first part alone."""
    return content.values[:1]


def cut(content: SealedContent) -> list[bytes]:
    """The last part without its last byte."""
    last = content.parts[1]
    return [content.values[0], encode_part(last._replace(content=last.content[:-1]))]


def extended(content: SealedContent) -> list[bytes]:
    """The last part with one byte more."""
    last = content.parts[1]
    return [content.values[0], encode_part(last._replace(content=bytes(last.content) + b"\0"))]


def resized(content: SealedContent) -> list[bytes]:
    """The last part of content that is said to be one part longer."""
    last = content.parts[1]
    return [content.values[0], encode_part(last._replace(size=last.size + SEALED_PART_BYTES))]


def flipped(content: SealedContent) -> list[bytes]:
    """The last part with one bit changed."""
    last = content.parts[1]
    changed = bytes(last.content[:-1]) + bytes([last.content[-1] ^ 1])
    return [content.values[0], encode_part(last._replace(content=changed))]


def without_proof(content: SealedContent) -> list[bytes]:
    """The last part without its path."""
    return [content.values[0], encode_part(content.parts[1]._replace(path=b""))]


def of_another_document(content: SealedContent) -> list[bytes]:
    """The last part as it would be of another document of the same sender, key and plaintext."""
    return [content.values[0], *_sealed_again(content, context_of("another"))]


def of_another_sender(content: SealedContent) -> list[bytes]:
    """The last part as it would be of another sender's document, with the same key and plaintext."""
    return [content.values[0], *_sealed_again(content, context_of(DOCUMENT, sender=COMMUNE))]


def claimed_of_this_document(content: SealedContent) -> list[bytes]:
    """The last part of another document, under this one's digest."""
    other = seal_content(content.plaintext, context_of("another"), key=content.large.key).parts[1]
    return [content.values[0], encode_part(other._replace(digest=content.parts[1].digest))]


def rubbish(content: SealedContent) -> list[bytes]:
    """The first part, and bytes that are none."""
    return [content.values[0], b"rubbish"]


def _sealed_again(content: SealedContent, context: Any) -> list[bytes]:
    return seal_content(content.plaintext, context, key=content.large.key).values[1:]


NOT_THE_PARTS: list[tuple[Callable[[SealedContent], list[bytes]], str]] = [
    (swapped, "content_damaged"),
    (renumbered, "content_damaged"),
    (repeated, "content_missing"),
    (dropped, "content_missing"),
    (cut, "content_damaged"),
    (extended, "content_damaged"),
    (resized, "content_damaged"),
    (flipped, "content_damaged"),
    (without_proof, "content_damaged"),
    (of_another_document, "content_missing"),
    (of_another_sender, "content_missing"),
    (claimed_of_this_document, "content_damaged"),
    (rubbish, "content_damaged"),
]
forgeries = pytest.mark.parametrize(("forge", "reason"), NOT_THE_PARTS, ids=lambda one: getattr(one, "__name__", one))


@forgeries
async def test_what_is_not_the_part_is_refused_in_the_end(
    large: Inbox, forge: Callable[[SealedContent], list[bytes]], reason: str
) -> None:
    """Another record in the place of a part is never filed; in the end the document is refused, and nobody accused."""
    document = large_document(large.exchange, plaintext(1.5))
    offsets = await upload(large, forge(document.contents[0]))
    await large.post(document.seal(large.exchange, document.hints(offsets)))

    await wait_in_vain(large)

    assert [reason] == list(large.meaning().values())
    assert [] == large.sink.calls == await large.reasons() == large.findings()
    assert [] == spooled(large)


@forgeries
async def test_the_part_is_found_behind_what_is_not_the_part(
    large: Inbox, forge: Callable[[SealedContent], list[bytes]], reason: str
) -> None:
    """Where the genuine part lies elsewhere in the topic, what lies in its place costs a search and nothing else."""
    document = large_document(large.exchange, plaintext(1.5))
    content = document.contents[0]
    offsets = await upload(large, forge(content))
    await upload(large, [*(b"rubbish" for _ in range(20)), *content.values])
    await large.post(document.seal(large.exchange, document.hints(offsets)))

    await large.receive()

    assert [content.plaintext] == large.sink.contents(DOCUMENT)
    assert [None] == list(large.meaning().values())


async def test_part_of_the_other_attachment_is_not_taken(large: Inbox) -> None:
    """Attachments whose parts lie in each other's places are each put together from their own."""
    document = large_document(large.exchange, plaintext(1.5), plaintext(1.5))
    offsets = await upload(large, document.values)
    await large.post(document.seal(large.exchange, document.hints([*offsets[2:], *offsets[:2]])))

    await large.receive()

    assert [content.plaintext for content in document.contents] == large.sink.contents(DOCUMENT)


async def test_parts_that_lie_there_a_thousand_times_are_taken_once(
    large: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a part is repeated, it is opened and written once."""
    opened: list[int] = []
    genuine = assembling.open_checked

    def counted(part: Part, *rest: Any) -> memoryview:
        opened.append(part.index)
        return genuine(part, *rest)

    monkeypatch.setattr(assembling, "open_checked", counted)
    document = large_document(large.exchange, plaintext(1) + b"end")
    first, last = document.values
    offsets = await upload(large, [*[last] * 1000, first])
    await large.post(document.seal(large.exchange, document.hints([offsets[0]])))

    await large.receive()

    assert [1, 0] == opened
    assert [document.contents[0].plaintext] == large.sink.contents(DOCUMENT)


# --- hints ----------------------------------------------------------------------------------------------


def content_hint(*offsets: int, sender: str = CITY, **changed: Any) -> Hint:
    """Return a hint for the first attachment."""
    return Hint(0, topics.content(sender), 0, offsets)._replace(**changed)


BAD_HINTS: dict[str, Callable[[Sequence[int]], list[Hint]]] = {
    "none": lambda at: [],
    "empty": lambda at: [content_hint()],
    "directory": lambda at: [content_hint(*at, topic=topics.DIRECTORY)],
    "no topic": lambda at: [content_hint(*at, topic="")],
    "inbox": lambda at: [content_hint(*at, topic=topics.inbox(ME))],
    "topic of another": lambda at: [content_hint(*at, sender=COMMUNE)],
    "partition": lambda at: [content_hint(*at, partition=1)],
    "attachment": lambda at: [content_hint(*at, attachment=1)],
    "negative attachment": lambda at: [content_hint(*at, attachment=-1)],
    "beyond the end": lambda at: [content_hint(1_000_000)],
    "the largest offset": lambda at: [content_hint((1 << 63) - 1)],
    "negative": lambda at: [content_hint(-1)],
    "wrong": lambda at: [content_hint(0, 3, 9)],
    "the last alone": lambda at: [content_hint(at[-1])],
    "backwards": lambda at: [content_hint(*reversed(at))],
    "ten thousand": lambda at: [content_hint(*range(10_000))],
    "ten thousand beyond the end": lambda at: [content_hint(*range(1000, 11_000))],
    "thousands of hints": lambda at: [content_hint(n) for n in range(4096)],
}


@pytest.mark.parametrize("hints", BAD_HINTS.values(), ids=BAD_HINTS)
async def test_whatever_hints_say_parts_are_found(large: Inbox, hints: Callable[[Sequence[int]], list[Hint]]) -> None:
    """Hints are unsigned, so parts that lie in the sender's topic are found whatever they say."""
    await upload(large, [b"rubbish"] * 10)
    document = large_document(large.exchange, plaintext(1.5))
    offsets = await upload(large, document.values)

    await large.post(document.seal(large.exchange, hints(offsets)))
    await large.receive()

    assert [document.contents[0].plaintext] == large.sink.contents(DOCUMENT)
    assert [None] == list(large.meaning().values())


async def test_parts_in_the_topic_of_another_agency_are_not_read(large: Inbox) -> None:
    """A hint leads nobody out of the proven sender's own topic, even where the genuine parts lie elsewhere."""
    document = large_document(large.exchange, plaintext(0.1))
    offsets = await upload(large, document.values, COMMUNE)
    await large.post(document.seal(large.exchange, [content_hint(*offsets, sender=COMMUNE)]))

    await wait_in_vain(large)

    assert ["content_missing"] == list(large.meaning().values())


# --- what a sender may declare ----------------------------------------------------------------------------


def declared(large: Inbox, size: int) -> LargeDocument:
    """Return a document whose statement declares so many bytes of ciphertext, and whose manifest is honest."""
    document = large_document(large.exchange, plaintext(0.1))
    return document.with_body(lambda body: body._replace(attachments=(Attachment(size, body.attachments[0].digest),)))


@pytest.mark.parametrize(
    "size",
    [1 << 60, SEALED_PART_BYTES * 1_000_000, SEALED_PART_BYTES * (MAX_PARTS + 1), 1, 0, -1, SEALED_PART_BYTES + 1],
)
async def test_statement_of_impossible_content_is_malformed(large: Inbox, size: int) -> None:
    """A size that no content has, or may have, goes to quarantine at C1.09, before anything is set aside for it."""
    await large.post(declared(large, size).seal(large.exchange), *large.exchange.documents(CITY, ME, 1))
    tracemalloc.start()
    try:
        await large.receive()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    (record,) = await large.quarantined()
    headers = dict(record.headers)
    assert (b"C1.09", b"statement_malformed") == (headers["docbus_step"], headers["docbus_reason"])
    assert peak < 16 * MIB
    assert [] == spooled(large) == large.rows("SELECT * FROM wanted")
    assert ["H26-00002"] == large.sink.order


async def test_statement_and_manifest_that_differ_are_quarantine(large: Inbox) -> None:
    """A statement that declares the most that is allowed, of a file that is small, costs nothing."""
    await large.post(declared(large, SEALED_PART_BYTES * MAX_PARTS).seal(large.exchange))

    await large.receive()

    assert ["attachment_mismatch"] == await large.reasons()
    assert [] == spooled(large) == large.rows("SELECT * FROM wanted")


async def test_largest_possible_content_is_refused_before_anything_is_set_aside(large: Inbox) -> None:
    """A sender who declares 64 GiB in statement and manifest gets an answer, and no room."""
    content = seal_content(b"small", context_of(DOCUMENT))
    size = PART_BYTES * MAX_PARTS
    attachment = Attachment(content_size(size), content.large.attachment.digest)
    lie = type(content)(content.plaintext, content.large._replace(size=size, attachment=attachment), content.parts)
    await large.post(large_document(large.exchange, lie).seal(large.exchange))

    await large.receive()

    assert ["content_too_large"] == list(large.meaning().values())
    assert [] == spooled(large) == large.rows("SELECT * FROM wanted")


# --- what a sender must answer for ------------------------------------------------------------------------


def sealed_for(context: Any, key: bytes = bytes(32), sealing_key: bytes = bytes(32)) -> SealedContent:
    """Return two signed parts, of which the second was encrypted as given."""
    content = plaintext(1.5)
    own = context_of(DOCUMENT)
    first = seal_part(content[:PART_BYTES], key, own.of_part(0))
    return signed_content(content, key, [first, seal_part(content[PART_BYTES:], sealing_key, context)])


UNDECRYPTABLE: dict[str, Callable[[], SealedContent]] = {
    "another key": lambda: sealed_for(context_of(DOCUMENT).of_part(1), sealing_key=bytes(31) + b"1"),
    "another part": lambda: sealed_for(context_of(DOCUMENT).of_part(0)),
    "another attachment": lambda: sealed_for(context_of(DOCUMENT, 1).of_part(1)),
    "another document": lambda: sealed_for(context_of("another").of_part(1)),
    "another revision": lambda: sealed_for(context_of(DOCUMENT, revision=2).of_part(1)),
    "another sender": lambda: sealed_for(context_of(DOCUMENT, sender=COMMUNE).of_part(1)),
}


@pytest.mark.parametrize("make", UNDECRYPTABLE.values(), ids=UNDECRYPTABLE)
async def test_signed_part_that_does_not_open_is_quarantine(large: Inbox, make: Callable[[], SealedContent]) -> None:
    """A part that the sender signed, and its key does not open, is C2.11: quarantine, no position, and a finding."""
    await send(large, large_document(large.exchange, make()))
    await large.post(*large.exchange.documents(CITY, ME, 1))

    await large.receive()

    (record,) = await large.quarantined()
    headers = dict(record.headers)
    assert (b"C2.11", b"part_undecryptable") == (headers["docbus_step"], headers["docbus_reason"])
    assert "part_undecryptable" in large.findings()
    assert ["H26-00002"] == large.sink.order
    assert [2] == [sequence for _, _, sequence in large.meaning()]
    assert [] == spooled(large)
    assert 0 == large.parked()


async def test_digest_of_another_file_is_quarantine(large: Inbox) -> None:
    """Parts that are all genuine and are not the manifest's file are C2.12: quarantine, no position, and a finding."""
    content = seal_content(plaintext(1.5), context_of(DOCUMENT))
    other = type(content)(content.plaintext, content.large._replace(digest=bytes(32)), content.parts)
    await send(large, large_document(large.exchange, other))

    await large.receive()

    (record,) = await large.quarantined()
    headers = dict(record.headers)
    assert (b"C2.12", b"attachment_content_mismatch") == (headers["docbus_step"], headers["docbus_reason"])
    assert ["attachment_content_mismatch"] == large.findings()
    assert {} == large.meaning()
    assert [] == large.sink.calls == spooled(large)


async def test_digest_of_another_file_is_noticed_after_an_interruption(large: Inbox) -> None:
    """What came in several attempts is fetched once more in one, and then the sender has to answer for it."""
    content = seal_content(plaintext(1.5), context_of(DOCUMENT))
    other = type(content)(content.plaintext, content.large._replace(digest=bytes(32)), content.parts)
    document = large_document(large.exchange, other)
    await upload(large, document.values[:1])
    await large.post(document.seal(large.exchange))
    await large.receive()
    await upload(large, document.values[1:])
    for _ in range(2):
        assert [] == await large.reasons()
        large.clock.advance(10.0)
        await large.receive()

    assert ["attachment_content_mismatch"] == await large.reasons()


# --- parts that never come, or are gone -------------------------------------------------------------------


async def test_sender_who_never_stores_parts_holds_up_himself_alone_and_not_for_long(large: Inbox) -> None:
    """After a quarter of an hour the document is a dead letter, its sender is told why, and the stream goes on."""
    document = large_document(large.exchange, plaintext(1.5))
    await large.post(document.seal(large.exchange), *large.exchange.documents(CITY, ME, 1))

    await wait_in_vain(large)

    assert ["content_missing", None] == list(large.meaning().values())
    assert ["H26-00002"] == large.sink.order
    (letter,) = await large.dead_letters()
    headers = dict(letter.headers)
    assert (b"C2.10", b"content_missing") == (headers["docbus_step"], headers["docbus_reason"])
    ((code, note),) = large.rows("SELECT code, note FROM status")
    assert StatusCode.CONTENT_UNAVAILABLE == code
    assert note.startswith("content_missing: 2 of 2 parts are not in the sender's content topic, since ")
    ((recipient, package),) = large.rows(
        "SELECT c.recipient, o.package FROM outgoing o JOIN copy c USING (outgoing) WHERE form = 'status'"
    )
    assert CITY == recipient
    assert b"content_missing" not in package
    assert 0 == large.parked()
    assert [] == spooled(large) == large.findings()


async def test_expired_parts_are_refused_at_once(large: Inbox) -> None:
    """Parts that the topic no longer has will not come again, so nobody waits for them."""
    document = large_document(large.exchange, plaintext(1.5))
    offsets = await upload(large, [*document.values, b"what came later"])
    expire(large.folder.parent / "bus.db", CITY, 1)
    await large.post(document.seal(large.exchange, document.hints(offsets[:2])))
    await large.post(*large.exchange.documents(CITY, ME, 1))

    await large.receive()

    assert ["content_expired", None] == list(large.meaning().values())
    ((note,),) = large.rows("SELECT note FROM status")
    assert note.startswith("content_expired: 1 of 2 parts are gone: the sender's content topic begins at offset 1 now")
    assert ["H26-00002"] == large.sink.order
    assert [] == spooled(large)


async def test_expired_parts_that_were_stored_again_are_found(large: Inbox) -> None:
    """A hint to what is gone refuses nothing while the parts lie elsewhere."""
    document = large_document(large.exchange, plaintext(1.5))
    offsets = await upload(large, document.values)
    await upload(large, document.values)
    expire(large.folder.parent / "bus.db", CITY, 2)
    await large.post(document.seal(large.exchange, document.hints(offsets)))

    await large.receive()

    assert ["H26-00001"] == large.sink.order


# --- bounds -----------------------------------------------------------------------------------------------


async def test_hostile_topic_takes_bounded_memory(large: Inbox) -> None:
    """A topic full of records as large as they may be costs a few of them in memory, and the document is found."""
    noise = plaintext(1.2)
    document = large_document(large.exchange, plaintext(4.5))
    for value in document.values:
        await upload(large, [noise] * 25)
        await upload(large, [value])
    await large.post(document.seal(large.exchange))
    tracemalloc.start()
    try:
        await large.receive()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 32 * MIB
    assert [document.contents[0].plaintext] == large.sink.contents(DOCUMENT)


async def test_nothing_but_parts_reaches_the_disk(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a topic full of forgeries only plaintext of genuine parts is written, each in its own place."""
    written: list[tuple[int, int]] = []
    genuine = assembling._write

    def noted(descriptor: int, view: memoryview, offset: int) -> None:
        written.append((offset, len(view)))
        genuine(descriptor, view, offset)

    monkeypatch.setattr(assembling, "_write", noted)
    document = large_document(large.exchange, plaintext(1.5))
    content = document.contents[0]
    forged = [value for forge, _ in NOT_THE_PARTS for value in forge(content) if value not in content.values]
    await upload(large, [*forged, content.values[1], *forged])
    await large.post(document.seal(large.exchange))

    await large.receive()

    assert [(PART_BYTES, PART_BYTES // 2)] == written
    assert len(content.plaintext) == spooled_bytes(large)
    assert ["1", "1.have"] == spooled(large)


async def test_records_without_value_and_with_strange_keys_are_passed_over(large: Inbox) -> None:
    """Tombstones, keys and headers mean nothing in a content topic."""
    document = large_document(large.exchange, plaintext(0.1))
    topic = topics.content(CITY)
    await large.bus.append(
        [
            NewRecord(topic=topic, key=COMMUNE.encode(), value=b"", headers=(("a", b"b"),), partition=0),
            NewRecord(topic=topic, key=b"\xff" * 100, value=document.values[0], headers=(("a", b"b"),), partition=0),
        ]
    )
    await large.post(document.seal(large.exchange))

    await large.receive()

    assert ["H26-00001"] == large.sink.order
