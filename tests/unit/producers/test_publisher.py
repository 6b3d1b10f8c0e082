from __future__ import annotations

import asyncio
import errno
import os
import threading
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from docbus.documents.document import Document
from docbus.documents.file import File, FileStream
from docbus.errors import (
    AgencyClosedError,
    AgencyCodeError,
    DelegationError,
    DiskFullError,
    DocumentConflictError,
    DocumentError,
    DocumentTooLargeError,
    OutboxFullError,
    StorageError,
    UnknownAgencyError,
)
from docbus.identity import entries
from docbus.producers import publisher as module
from docbus.producers import staging
from docbus.producers.outbox import read_waiting
from docbus.producers.publisher import Accepted, Publisher, PublisherLimits
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    PATIENCE,
    SENDER,
    FakeClock,
    content_folder,
    rows,
    staged_files,
    states,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database

CLOSED = "vn:H38"


@cache
def snapshot() -> TrustSnapshot:
    builder = DirectoryBuilder()
    for agency in (SENDER, ANNA, BINH, CHI, CLOSED):
        builder.grant(agency)
    builder.append(entries.Alias(agency=ANNA, alias="vn2016:000.00.00.H37"))
    builder.append(entries.Closure(agency=CLOSED, successor=ANNA, reason="merged"))
    return builder.snapshot()


def make(database: Database, **changed: Any) -> Publisher:
    values: dict[str, Any] = {
        "database": database,
        "environment": ENVIRONMENT,
        "agency": SENDER,
        "snapshot": snapshot,
        "clock": FakeClock(ms=NOW_MS),
    }
    return Publisher(**(values | changed))


@pytest.fixture
def publisher(database: Database) -> Iterator[Publisher]:
    made = make(database)
    yield made
    made.close()


def letter(name: str = "a", *recipients: str, content: bytes = b"secret content", **changed: Any) -> Document:
    values: dict[str, Any] = {
        "document_id": name,
        "title": "Công văn mật",
        "files": (File(name="a.txt", media_type="text/plain", content=content),),
        "recipients": recipients or (ANNA,),
    }
    return Document(**(values | changed))


async def test_published_documents_are_on_disk(database: Database, publisher: Publisher) -> None:
    """What publish_many returns for waits in the outbox, in the order of the list."""
    accepted = await publisher.publish_many([letter(f"{number:03}", ANNA, BINH) for number in range(200)])

    assert accepted == [Accepted(f"{number:03}", 1, duplicate=False) for number in range(200)]
    assert [row[:2] for row in states(database)[::2]] == [(f"{number:03}", ANNA) for number in range(200)]
    assert rows(database, "SELECT DISTINCT accepted_at FROM outgoing") == [(NOW_MS,)]


async def test_outbox_holds_no_plaintext(database: Database, publisher: Publisher) -> None:
    """Neither title nor content can be found in the database's files."""
    await publisher.publish(letter(content=b"very secret content" * 50))

    database.write_now(lambda c: None)
    stored = b"".join(path.read_bytes() for path in database.path.parent.glob("state.db*"))
    assert b"very secret content" not in stored
    assert "Công văn mật".encode() not in stored


async def test_codes_and_aliases_become_canonical_ids(database: Database, publisher: Publisher) -> None:
    """People may type a code or an alias; the outbox has the id that stands on the wire."""
    await publisher.publish(letter("a", "000.00.00.H37", "H37.02"))

    assert states(database) == [("a", ANNA, 0), ("a", BINH, 0)]


async def test_two_names_of_one_agency_are_refused(publisher: Publisher) -> None:
    """A recipient is named once, also under different names."""
    with pytest.raises(DocumentError, match="twice"):
        await publisher.publish(letter("a", "H37", "000.00.00.H37"))


async def test_agency_may_send_to_itself(database: Database, publisher: Publisher) -> None:
    """The sender is a recipient like any other."""
    await publisher.publish(letter("a", SENDER))

    assert states(database) == [("a", SENDER, 0)]


async def test_urgent_documents_have_their_lane(database: Database, publisher: Publisher) -> None:
    """Any urgency above normal takes the urgent lane."""
    await publisher.publish_many([letter("a"), letter("b", urgency=1), letter("c", urgency=4)])

    assert [(copy.lane, copy.outgoing) for copy in database.read_now(read_waiting)] == [
        ("urgent", 2),
        ("urgent", 3),
        ("documents", 1),
    ]


async def test_same_document_again_is_the_same(database: Database, publisher: Publisher) -> None:
    """A repeated call is answered again and sends nothing twice, whatever names the recipients were given."""
    await publisher.publish(letter("a", ANNA, BINH))

    again = await publisher.publish(letter("a", "000.00.00.H37", "H37.02"))

    assert again == Accepted("a", 1, duplicate=True)
    assert states(database) == [("a", ANNA, 0), ("a", BINH, 0)]


@pytest.mark.parametrize(
    "changed",
    [{"content": b"other"}, {"title": "Khác"}, {"recipients": (ANNA, BINH)}, {"urgency": 1}, {"number": "1/CV"}],
    ids=str,
)
async def test_same_id_with_other_content_is_refused(
    database: Database, publisher: Publisher, changed: dict[str, Any]
) -> None:
    """Anything else under the same id is an error, and nothing of the call is taken in."""
    await publisher.publish(letter("a"))

    with pytest.raises(DocumentConflictError, match="document a"):
        await publisher.publish_many([letter("b"), letter("a", **changed)])

    assert states(database) == [("a", ANNA, 0)]


@pytest.mark.parametrize(
    ("recipient", "error", "text"),
    [
        ("H99", UnknownAgencyError, "H99"),
        ("H38", AgencyClosedError, "H38"),
        ("h37", AgencyCodeError, "h37"),
    ],
)
async def test_one_bad_recipient_refuses_the_whole_call(
    database: Database, publisher: Publisher, recipient: str, error: type[Exception], text: str
) -> None:
    """A code that cannot be sent to is named, and nothing of the call is taken in."""
    with pytest.raises(error, match=text):
        await publisher.publish_many([letter("a"), letter("b", ANNA, recipient)])

    assert states(database) == []


async def test_closed_agency_hints_at_its_successor(publisher: Publisher) -> None:
    """Whoever writes to a closed agency is told where to write."""
    with pytest.raises(AgencyClosedError) as caught:
        await publisher.publish(letter("a", CLOSED))

    assert ANNA in str(caught.value.hint)


async def test_too_large_document_refuses_the_whole_call(database: Database) -> None:
    """A document with more content than is allowed is told before anything is stored."""
    limited = make(database, limits=PublisherLimits(document_bytes=800 * 1024))
    with pytest.raises(DocumentTooLargeError, match="document b"):
        await limited.publish_many([letter("a"), letter("b", content=bytes(800 * 1024 + 1))])
    refused = states(database), staged_files(database)
    await limited.publish(letter("b", content=bytes(800 * 1024)))
    limited.close()

    assert refused == ([], set())
    assert states(database) == [("b", ANNA, 7)]


async def test_description_that_fits_no_envelope_refuses_the_whole_call(
    database: Database, publisher: Publisher
) -> None:
    """Content may travel in parts, but what describes it may not; what was staged for it is removed."""
    properties = tuple((f"{number}", "x" * 4000) for number in range(70))
    with pytest.raises(DocumentTooLargeError, match="document b"):
        await publisher.publish_many([letter("a"), letter("b", content=bytes(1 << 20), properties=properties)])

    assert states(database) == []
    assert staged_files(database) == set()


async def test_full_outbox_refuses(database: Database) -> None:
    """Beyond its configured bytes the outbox takes nothing more, and says so; duplicates are still answered."""
    limited = make(database, limits=PublisherLimits(outbox_bytes=database.file_bytes() + 300_000))
    accepted = await limited.publish(letter("a", content=bytes(200_000)))
    with pytest.raises(OutboxFullError, match="its limit is") as caught:
        await limited.publish(letter("b", content=bytes(200_000)))
    again = await limited.publish(letter("a", content=bytes(200_000)))
    limited.close()

    assert not accepted.duplicate
    assert again.duplicate
    assert "nothing accepted before is lost" in str(caught.value.hint)
    assert states(database) == [("a", ANNA, 0)]


async def test_full_disk_refuses_and_loses_nothing(database: Database, publisher: Publisher) -> None:
    """A document that finds no space is refused, and those before it are still there."""
    await publisher.publish(letter("a"))
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(DiskFullError, match=str(database.path.parent)):
        await publisher.publish(letter("b", content=bytes(200_000)))
    with pytest.raises(DiskFullError, match=str(database.path.parent)):
        await publisher.publish_many([letter("c", content=bytes(500_000)), letter("d", content=bytes(200_000))])

    assert states(database) == [("a", ANNA, 0)]
    assert staged_files(database) == set()


@pytest.mark.parametrize("failing", ["write", "fsync"])
async def test_disk_that_is_full_of_content_refuses_and_leaves_no_file(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Where no space is left for large content, nothing is accepted and nothing half written stays."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner, name = (staging, "_write_all") if failing == "write" else (os, "fsync")
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, full)
        with pytest.raises(DiskFullError, match="no space left"):
            await publisher.publish(letter("a", content=bytes(500_000)))

    assert states(database) == []
    assert staged_files(database) == set()


async def test_cancelled_call_keeps_what_was_stored(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that gives up while its document is being stored cannot make the outbox lose the content."""
    held, go = threading.Event(), threading.Event()
    store = module._Accepting.store

    def store_and_hold(self: Any, connection: Any) -> Any:
        held.set()
        go.wait(PATIENCE)
        return store(self, connection)

    monkeypatch.setattr(module._Accepting, "store", store_and_hold)
    publishing = asyncio.create_task(publisher.publish(letter("a", content=bytes(500_000))))
    await until(held.is_set)
    publishing.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await publishing

    await until(lambda: states(database))
    assert states(database) == [("a", ANNA, 7)]
    assert staged_files(database) == {file for (file,) in rows(database, "SELECT file FROM content")}
    assert len(staged_files(database)) == 1


async def test_cancelled_call_removes_what_was_being_staged(database: Database, publisher: Publisher) -> None:
    """A caller that gives up while its content is read leaves neither document nor file."""
    reading, go = threading.Event(), threading.Event()

    class Slow(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            places.append(self.tell())
            if self.tell() >= 1 << 20:
                reading.set()
                go.wait(PATIENCE)
            return super().read(size)

    places: list[int] = []
    stream = FileStream(name="a.bin", opener=lambda: Slow(bytes(4 << 20)))
    publishing = asyncio.create_task(publisher.publish(letter("a", files=(stream,))))
    await until(reading.is_set)
    publishing.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await until(lambda: not staged_folders(database))
    publisher.close()

    assert states(database) == []
    assert max(places) <= 1 << 20, "nobody reads gigabytes for a caller that has gone"


def staged_folders(database: Database) -> list[Path]:
    outgoing = content_folder(database).path / "outgoing"
    return list(outgoing.iterdir()) if outgoing.is_dir() else []


async def test_database_that_does_not_answer_costs_no_content(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody knows whether a document was stored its content is kept, until the next start has looked."""
    write = database.write

    async def write_and_fail(operation: Any) -> None:
        await write(operation)
        raise StorageError("did not answer", hint="Look at the disk.")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", write_and_fail)
        with pytest.raises(StorageError, match="did not answer"):
            await publisher.publish(letter("a", content=bytes(500_000)))

    assert states(database) == [("a", ANNA, 7)]
    assert staged_files(database) == {file for (file,) in rows(database, "SELECT file FROM content")}
    assert len(staged_files(database)) == 1


@pytest.mark.parametrize(
    ("name", "limit"),
    # One below what the call has: two documents, four copies, 28 bytes.
    [("MAX_DOCUMENTS", 1), ("MAX_COPIES", 3), ("MAX_CALL_BYTES", 27)],
)
async def test_call_is_bounded(
    database: Database,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    limit: int,
) -> None:
    """Documents, copies and bytes of one call have limits; one less is accepted."""
    monkeypatch.setattr(module, name, limit)

    with pytest.raises(DocumentError, match="one call"):
        await publisher.publish_many([letter("a", ANNA, BINH), letter("b", ANNA, BINH)])

    monkeypatch.setattr(module, name, limit + 1)
    assert len(await publisher.publish_many([letter("a", ANNA, BINH), letter("b", ANNA, BINH)])) == 2


async def test_nothing_to_publish_is_no_error(publisher: Publisher) -> None:
    """An empty list is accepted as what it is."""
    assert await publisher.publish_many([]) == []


async def test_drain_is_woken_once_the_documents_are_stored(database: Database) -> None:
    """The loop that sends learns of new documents at once."""
    woken: list[int] = []
    publisher = make(database, wake=lambda: woken.append(len(states(database))))
    await publisher.publish_many([letter("a"), letter("b")])
    publisher.close()

    assert woken == [2]


async def test_encryption_runs_off_the_loop_in_chunks(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is encrypted by the workers, a chunk at a time."""
    chunks: list[tuple[int, bool]] = []
    encrypt = publisher._encrypt

    def spy(documents: Any, now_ms: int) -> Any:
        chunks.append((len(documents), threading.current_thread() is threading.main_thread()))
        return encrypt(documents, now_ms)

    monkeypatch.setattr(publisher, "_encrypt", spy)
    await publisher.publish_many([letter(f"{number}") for number in range(130)])

    assert sorted(chunks) == [(2, False), (64, False), (64, False)]


def test_chunks_end_with_their_bytes() -> None:
    """Large documents share the workers too."""
    chunks = module._chunks([letter(f"{number}", content=bytes(600 * 1024)) for number in range(5)])

    assert [len(chunk) for chunk in chunks] == [2, 2, 1]


async def test_not_after_that_has_passed_is_refused(database: Database) -> None:
    """Every recipient would refuse it, so nothing is accepted; what was accepted in time may be published again."""
    clock = FakeClock(ms=NOW_MS)
    publisher = make(database, clock=clock)
    in_time = letter("in time", not_after=NOW_MS)
    try:
        with pytest.raises(DocumentError, match=f"^not_after: {NOW_MS - 1} is past") as caught:
            await publisher.publish_many([in_time, letter("late", not_after=NOW_MS - 1)])
        assert [] == rows(database, "SELECT 1 FROM outgoing")
        first = await publisher.publish(in_time)
        clock.ms += 1
        second = await publisher.publish(in_time)
    finally:
        publisher.close()

    assert "milliseconds since 1970" in (caught.value.hint or "")
    assert (False, True) == (first.duplicate, second.duplicate)


async def test_document_for_another_agency_needs_a_delegation(database: Database) -> None:
    """It is refused at the door, or accepted with the other agency's canonical id; that is part of what it is."""
    builder = DirectoryBuilder()
    for agency in (SENDER, ANNA, BINH):
        builder.grant(agency)
    builder.append(entries.Alias(agency=BINH, alias="vn2016:000.00.00.H37"))
    builder.append(
        entries.Delegation(
            agency=BINH, delegate=SENDER, kinds=(), not_before=NOW_MS, not_after=NOW_MS + 1000, reason="leave"
        )
    )
    made = make(database, snapshot=builder.snapshot)
    try:
        with pytest.raises(DelegationError, match=f"{SENDER} holds no delegation from {ANNA}"):
            await made.publish(letter("a", BINH, on_behalf_of=ANNA))
        accepted = await made.publish(letter("a", ANNA, on_behalf_of="000.00.00.H37"))
        again = await made.publish(letter("a", ANNA, on_behalf_of=BINH))
        with pytest.raises(DocumentConflictError):
            await made.publish(letter("a", ANNA))
    finally:
        made.close()

    assert (False, True) == (accepted.duplicate, again.duplicate)
    assert [("document", BINH)] == [(one.kind, one.on_behalf_of) for one in await database.read(read_waiting)]
