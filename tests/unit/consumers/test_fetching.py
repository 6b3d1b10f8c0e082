"""What the loop that fetches large content does beside what ``test_content.py`` shows of the recipient as a whole."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers import assembling, fetching
from docbus.consumers.assembling import Assembly
from docbus.consumers.fetching import MISSING_LIMIT_MS, UNREADABLE_LIMIT_MS
from docbus.consumers.ledger import Ledger
from docbus.consumers.single import fetch_file
from docbus.consumers.sinks.port import Retry
from docbus.errors import BrokerUnavailableError, TransportError
from docbus.storage.content import ContentFolder
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from docbus.verification.opening import Opener
from docbus.verification.verifier import Verifier
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.content import ReadingSink, large_document, plaintext, spooled, spooled_bytes, upload
from tests.support.directory import ENVIRONMENT
from tests.support.inbox import ME
from tests.support.outbox import until

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.envelope.parts import Part
    from tests.support.inbox import Inbox


@pytest.fixture
def large(inbox: Inbox) -> Inbox:
    """Return the inbox with a sink that reads what it is given."""
    inbox.sink = ReadingSink()
    return inbox


class Gate:
    """Holds reads of a content topic from some offset on, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sender: str, offset: int) -> None:
        self.held = asyncio.Event()
        self.opened = asyncio.Event()
        genuine = SqliteTransport.read

        async def read(transport: SqliteTransport, topic: str, partition: int, at: int, **named: Any) -> Any:
            if topic == topics.content(sender) and at >= offset:
                self.held.set()
                await self.opened.wait()
            return await genuine(transport, topic, partition, at, **named)

        monkeypatch.setattr(SqliteTransport, "read", read)


async def test_what_is_refused_is_not_fetched_any_more(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that is under way when its document is refused never ends as that of another document."""
    document = large_document(large.exchange, plaintext(0.1), not_after=large.clock.ms)
    gate = Gate(monkeypatch, CITY, 0)
    await large.post(document.seal(large.exchange, document.hints(await upload(large, document.values))))
    serving = asyncio.ensure_future(large.serve())
    await gate.held.wait()
    large.clock.advance(1.0)
    await large.post(replace(document, lane="urgent").seal(large.exchange))
    await until(lambda: large.rows("SELECT * FROM incoming WHERE reason = 'not_after_passed'"))
    other = large_document(large.exchange, plaintext(0.1), sender=COMMUNE)
    await large.post(other.seal(large.exchange))
    await until(lambda: large.rows("SELECT * FROM wanted WHERE attempts > 0"))

    gate.opened.set()
    large.stop.set()
    await serving

    assert [(2, other.document_id, 0)] == large.rows("SELECT wanted, document_id, state FROM wanted")
    assert 0 == spooled_bytes(large)


async def test_files_stay_open_while_a_thread_writes_to_them(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop closes nothing under a thread that is writing, which might otherwise write to whatever is opened next."""
    taking, closed = threading.Event(), threading.Event()
    seen: list[bool] = []
    take, close = Assembly.take, Assembly.close

    def slow_take(assembly: Assembly, records: Any) -> Any:
        taking.set()
        seen.append(closed.wait(0.3))
        return take(assembly, records)

    def noted_close(assembly: Assembly) -> None:
        closed.set()
        close(assembly)

    monkeypatch.setattr(Assembly, "take", slow_take)
    monkeypatch.setattr(Assembly, "close", noted_close)
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange, document.hints(await upload(large, document.values))))
    serving = asyncio.ensure_future(large.serve())
    await until(taking.is_set)

    large.stop.set()
    await serving

    assert [False] == seen
    assert closed.is_set()


async def test_fetch_for_one_file_closes_nothing_under_a_thread(
    large: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also whoever fetches a single file, and leaves, closes its files only when the thread is done with them."""
    taking, closed = threading.Event(), threading.Event()
    seen: list[bool] = []
    take, close = Assembly.take, Assembly.close

    def slow_take(assembly: Assembly, records: Any) -> Any:
        taking.set()
        seen.append(closed.wait(0.3))
        return take(assembly, records)

    def noted_close(assembly: Assembly) -> None:
        closed.set()
        close(assembly)

    monkeypatch.setattr(Assembly, "take", slow_take)
    monkeypatch.setattr(Assembly, "close", noted_close)
    fetching = asyncio.ensure_future(fetch_one(large, tmp_path / "one"))
    await until(taking.is_set)

    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert [False] == seen
    assert closed.is_set()


async def fetch_one(inbox: Inbox, folder: Path) -> Path:
    """Fetch the only file of a new document."""
    document = large_document(inbox.exchange, plaintext(0.1))
    posted = document.seal(inbox.exchange, document.hints(await upload(inbox, document.values)))
    decrypter = inbox.exchange.keys[ME].encryption_key.decrypter()
    verified = Verifier().verify(
        posted.value, key=CITY.encode(), recipient=ME, snapshot=inbox.exchange.snapshot, now_ms=inbox.clock.ms
    )
    package = Opener(ME, [decrypter]).open(verified)
    assert package is not None
    return await fetch_file(inbox.bus, verified, package.manifest.files[0], ContentFolder(folder))


async def test_attempts_come_later_and_later(large: Inbox) -> None:
    """Pauses double from a second on, whatever is missing, and the reason of the last attempt is kept."""
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange))
    pauses = []
    for _ in range(6):
        await large.receive(factor=lambda: 1.0)
        ((due_at, code, attempts),) = large.rows("SELECT due_at, code, attempts FROM wanted")
        pauses.append(due_at - large.clock.ms)
        large.clock.ms = due_at

    assert [1_000, 2_000, 4_000, 8_000, 16_000, 32_000] == pauses
    assert ("content_missing", 6) == (code, attempts)


async def test_attempt_is_not_made_before_its_time(large: Inbox) -> None:
    """A process that starts again does not try again for that."""
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange))
    for _ in range(3):
        await large.receive(factor=lambda: 1.0)

    assert [(1,)] == large.rows("SELECT attempts FROM wanted")


async def test_missing_topic_is_missing_content(large: Inbox) -> None:
    """A sender without a content topic is refused after the time for which parts may be missing, and not before."""
    await forget_topic(large)
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange))
    await large.receive()
    assert [] == large.receipts()

    large.clock.advance(MISSING_LIMIT_MS / 1000)
    await large.receive()

    assert ["content_missing"] == list(large.meaning().values())
    ((note,),) = large.rows("SELECT note FROM status")
    assert f"there is no topic {topics.content(CITY)}" in note


async def forget_topic(inbox: Inbox) -> None:
    """Remove the city's content topic from the bus."""
    topic = topics.content(CITY)

    def remove(connection: Any) -> None:
        connection.execute("DELETE FROM partitions WHERE topic IN (SELECT id FROM topics WHERE name = ?)", (topic,))
        connection.execute("DELETE FROM topics WHERE name = ?", (topic,))

    await inbox.bus.run(remove)


def failing(error: Exception) -> Any:
    """Return a way to read content that fails."""
    genuine = SqliteTransport.read

    async def read(transport: SqliteTransport, topic: str, *given: Any, **named: Any) -> Any:
        if topic == topics.content(CITY):
            raise error
        return await genuine(transport, topic, *given, **named)

    return read


async def test_silent_brokers_are_waited_for_without_end(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that cannot be reached refuses nobody's document, however long it lasts."""
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange, document.hints(await upload(large, document.values))))
    with monkeypatch.context() as patched:
        patched.setattr(SqliteTransport, "read", failing(BrokerUnavailableError("nobody answers")))
        for _ in range(3):
            await large.receive()
            large.clock.advance(7 * 24 * 3600)
        assert [(3, "broker_unavailable")] == large.rows("SELECT attempts, code FROM wanted")
        assert [] == large.receipts()

    await large.receive()

    assert [document.document_id] == large.sink.order


async def test_topic_that_may_not_be_read_is_waited_for_a_day(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may give a right back within a day; then the document is refused as missing."""
    document = large_document(large.exchange, plaintext(0.1))
    await large.post(document.seal(large.exchange, document.hints(await upload(large, document.values))))
    monkeypatch.setattr(SqliteTransport, "read", failing(TransportError("may not be read")))
    await large.receive()
    large.clock.advance(UNREADABLE_LIMIT_MS / 1000 - 1)
    await large.receive()
    assert [] == large.receipts()
    large.clock.advance(1000.0)

    await large.receive()

    assert ["content_unreadable"] == list(large.meaning().values())


async def test_content_of_urgent_documents_is_fetched_first(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what waits in the ledger when a process starts, the urgent document is begun first."""
    monkeypatch.setattr(fetching, "MAX_FETCHES", 0)
    documents = [
        large_document(large.exchange, plaintext(0.1), sender=sender, lane=lane, urgency=3 * (lane == "urgent"))
        for sender, lane in ((COMMUNE, "documents"), (CITY, "documents"), (CITY, "urgent"))
    ]
    for document in documents:
        offsets = await upload(large, document.values, document.sender)
        await large.post(document.seal(large.exchange, document.hints(offsets)))
    await large.receive()
    assert [] == large.sink.order
    monkeypatch.setattr(fetching, "MAX_FETCHES", 1)
    begun: list[str] = []
    genuine = Assembly.open

    def noted(assembly: Assembly) -> None:
        begun.append(assembly._wanted.context.document_id)
        genuine(assembly)

    monkeypatch.setattr(Assembly, "open", noted)

    await large.receive()

    assert [documents[2].document_id, documents[0].document_id, documents[1].document_id] == begun


async def test_torn_file_of_an_earlier_process_accuses_nobody(large: Inbox) -> None:
    """What a power cut has torn is fetched once more, and then the document is filed."""
    document = large_document(large.exchange, plaintext(2.5))
    await upload(large, document.values[:2])
    await large.post(document.seal(large.exchange))
    await large.receive()
    path = large.folder / "content" / "incoming" / "1"
    path.write_bytes(bytes(path.stat().st_size))
    await upload(large, document.values[2:])

    for _ in range(2):
        large.clock.advance(10.0)
        await large.receive()

    assert [document.contents[0].plaintext] == large.sink.contents(document.document_id)
    assert [] == await large.reasons() == large.findings()


async def test_what_is_here_is_not_fetched_again_by_the_next_process(
    large: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that goes on opens only the parts that are missing."""
    opened: list[int] = []
    genuine = assembling.open_checked

    def noted(part: Part, *rest: Any) -> memoryview:
        opened.append(part.index)
        return genuine(part, *rest)

    monkeypatch.setattr(assembling, "open_checked", noted)
    document = large_document(large.exchange, plaintext(2.5))
    await upload(large, document.values[1:])
    await large.post(document.seal(large.exchange))
    await large.receive()
    await upload(large, document.values)
    large.clock.advance(10.0)

    await large.receive()

    assert [1, 2, 0] == opened
    assert [document.contents[0].plaintext] == large.sink.contents(document.document_id)


async def test_files_that_no_row_names_are_removed_at_the_start(large: Inbox) -> None:
    """What a crash has left in the spool goes; what is still wanted stays, and so does a folder, which is not ours."""
    document = large_document(large.exchange, plaintext(1.5))
    await upload(large, document.values[:1])
    await large.post(document.seal(large.exchange))
    await large.receive()
    folder = large.folder / "content" / "incoming"
    for name in ("99", "99.have", "stray"):
        (folder / name).write_bytes(b"left")
    (folder / "somebody's").mkdir()

    await large.receive()

    assert ["1", "1.have", "somebody's"] == spooled(large)


async def test_fetcher_that_is_woken_while_it_looks_is_busy(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever receives until nothing more comes does not leave between a wake and the look that it asks for."""
    database = Database.open(large.folder / "state.db", large.clock)
    loop = asyncio.get_running_loop()
    fetcher = fetching.Fetcher(
        database=database,
        transport=large.bus,
        content=ContentFolder(large.folder / "content"),
        environment=lambda: ENVIRONMENT,
        clock=large.clock,
        arrived=lambda: None,
        spool_bytes=0,
        factor=lambda: 1.0,
    )
    stop = asyncio.Event()
    seen: list[bool] = []

    def due(*_: object) -> list[object]:
        if not seen:
            loop.call_soon_threadsafe(fetcher.wake)
        return []

    async def wait(self: fetching.Fetcher, _ended: object) -> None:
        seen.append(self.busy)
        if len(seen) == 2:
            stop.set()

    monkeypatch.setattr("docbus.consumers.wanted.due", due)
    monkeypatch.setattr(fetching.Fetcher, "_wait", wait)
    try:
        await fetcher.run(stop)
    finally:
        database.close()

    assert [True, False] == seen


async def test_content_that_comes_while_its_document_is_parked_is_noticed(
    large: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that is complete between the look for it and the note that it is waited for is not waited for."""
    (small,) = large.exchange.documents(CITY, ME, 1)
    large.sink.answers["H26-00001"] = Retry("locked by a clerk")
    document = large_document(large.exchange, plaintext(0.1))
    gate = Gate(monkeypatch, CITY, 0)
    offsets = await upload(large, document.values)
    await large.post(small)
    await large.receive()
    await large.post(document.seal(large.exchange, document.hints(offsets)))
    genuine = Ledger.load

    async def load(ledger: Ledger, *given: Any) -> Any:
        context = await genuine(ledger, *given)
        if large.sink.order:
            gate.opened.set()
            await until(lambda: large.rows("SELECT * FROM wanted WHERE state = 1") or len(large.sink.order) > 1)
        return context

    monkeypatch.setattr(Ledger, "load", load)
    serving = asyncio.ensure_future(large.serve())
    await gate.held.wait()
    large.sink.answers.clear()
    large.clock.advance(10.0)

    await until(lambda: len(large.sink.order) == 2)
    large.stop.set()
    await serving

    assert ["H26-00001", document.document_id] == large.sink.order


async def test_one_sender_leaves_places_to_others(large: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many streams of one sender want content, others are served beside it."""
    monkeypatch.setattr(fetching, "MAX_OF_SENDER", 1)
    lanes = ("documents", "urgent")
    documents = [large_document(large.exchange, plaintext(0.1), lane=lane, urgency=lane == "urgent") for lane in lanes]
    for document in documents:
        await large.post(document.seal(large.exchange, document.hints(await upload(large, document.values))))
    gate = Gate(monkeypatch, CITY, 0)
    other = large_document(large.exchange, plaintext(0.1), sender=COMMUNE)
    await large.post(other.seal(large.exchange, other.hints(await upload(large, other.values, COMMUNE))))

    serving = asyncio.ensure_future(large.serve())
    await gate.held.wait()
    await until(lambda: other.document_id in large.sink.order)
    held = list(large.sink.order)
    gate.opened.set()
    await until(lambda: len(large.sink.order) == len(lanes) + 1)
    large.stop.set()
    await serving

    assert [other.document_id] == held
