from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.producers.unsent import mark_failures, mark_sent, read_unsent, stored_envelopes, unsent_streams
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    add_receipt,
    document,
    rows,
    seal_all,
    states,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database


def test_bytes_read_back_are_those_that_were_sealed(database: Database) -> None:
    """After a crash exactly the stored bytes are there, in stream order."""
    take_in(database, *[document(f"{number}", ANNA, BINH) for number in range(5)])
    copies = seal_all(database)
    streams = [unsent.stream for unsent in database.read_now(unsent_streams)]

    found = database.read_now(lambda c: read_unsent(c, streams, 512, 1 << 20))

    assert {copy for part in found.values() for copy in part} == set(copies)
    assert {tuple(copy.sequence for copy in part) for part in found.values()} == {(1, 2, 3, 4, 5)}


def test_reading_is_bounded_in_statements_and_bytes(database: Database) -> None:
    """A long stream is read in parts; streams without room are left out, empty ones are told."""
    take_in(database, *[document(f"{number}", ANNA, BINH, content=bytes(1000)) for number in range(5)])
    copies = seal_all(database)
    first, second = copies[0].stream, copies[1].stream

    def lengths(streams: list[int], statements: int, size: int) -> dict[int, int]:
        found = database.read_now(lambda c: read_unsent(c, streams, statements, size))
        return {stream: len(part) for stream, part in found.items()}

    assert lengths([first, second], 7, 1 << 20) == {first: 5, second: 2}
    assert lengths([first, second], 5, 1 << 20) == {first: 5}
    assert lengths([first, second], 512, 3500) == {first: 3}
    assert lengths([first, second], 512, 5500) == {first: 5}
    assert lengths([first, second], 512, 1) == {first: 1}
    assert lengths([999, second], 512, 1) == {999: 0, second: 1}


def test_marking_moves_the_stream_and_the_copies(database: Database) -> None:
    """What was acknowledged is sent, with its time; the rest is not."""
    take_in(database, document("a"), document("b"), document("c"))
    copies = seal_all(database)

    for _ in range(2):
        database.write_now(lambda c: mark_sent(c, copies[:2], at_ms=NOW_MS + 5))

    assert states(database) == [("a", ANNA, 2), ("b", ANNA, 2), ("c", ANNA, 1)]
    assert rows(database, "SELECT sent_at, settled_at FROM copy") == [(NOW_MS + 5, None)] * 2 + [(None, None)]
    assert rows(database, "SELECT sequence, sent FROM stream") == [(3, 2)]
    assert [unsent.sent for unsent in database.read_now(unsent_streams)] == [2]


def test_sent_receipt_is_settled(database: Database) -> None:
    """Nothing comes back for a receipt."""
    add_receipt(database)
    copies = seal_all(database)

    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))

    assert rows(database, "SELECT state, settled_at FROM copy") == [(2, NOW_MS)]


def test_failures_are_counted_until_something_is_sent(database: Database) -> None:
    """How often, when and why stands with the stream, and goes with the first success."""
    take_in(database, document("a"), document("b"))
    copies = seal_all(database)
    stream = copies[0].stream

    for at_ms in (1, 2):
        database.write_now(lambda c, at_ms=at_ms: mark_failures(c, {stream: "no such topic"}, at_ms=at_ms))
    failed = rows(database, "SELECT failures, failed_at, error FROM stream")
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))
    database.write_now(lambda c: mark_failures(c, {stream: "late"}, at_ms=3))

    assert failed == [(2, 2, "no such topic")]
    assert rows(database, "SELECT failures, failed_at, error FROM stream") == [(0, None, None)]


def test_envelopes_of_a_document_can_be_exported(database: Database) -> None:
    """The exact bytes are found by document, revision and recipient."""
    take_in(database, document("a", ANNA, BINH), document("b", CHI))
    copies = seal_all(database)

    def export(name: str, **chosen: object) -> list[tuple[str, bytes]]:
        return database.read_now(lambda c: stored_envelopes(c, name, **chosen))  # type: ignore[arg-type]

    assert export("a") == [(ANNA, copies[0].value), (BINH, copies[1].value)]
    assert export("a", recipient=BINH) == [(BINH, copies[1].value)]
    assert export("a", revision=2) == []
    assert export("nothing") == []
