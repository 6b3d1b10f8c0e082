"""Which large content is fetched next, of all that is wanted, and for whom there is room."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers import wanted
from docbus.consumers.wanted import AHEAD_BYTES, Failure, Wanted
from docbus.limits import MIB
from docbus.storage.database import Database
from tests.support.audit_exchange import CITY, COMMUNE
from tests.support.directory import ENVIRONMENT, NOW_MS
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URGENT = b"u" * 16
SELECT_NEW = (
    "SELECT sender, epoch, document_id, revision, body, attachment, urgent, sealed_size, size, root, digest, key,"
    " hints, made_at, stored_at, since, sequence FROM wanted"
)
COUNTS = "SELECT document_id, count(*) FROM wanted GROUP BY document_id ORDER BY document_id"


@dataclass
class Rows:
    """The table of what is wanted."""

    database: Database

    def want(
        self,
        document: str,
        *sizes: int,
        sender: str = CITY,
        epoch: bytes = bytes(16),
        body: bytes = bytes(32),
        sequence: int = 0,
    ) -> None:
        """Want a document's attachments of so many bytes each."""
        zeros = bytes(32)
        new = [
            (
                *(sender, epoch, document, 1, body, index, epoch == URGENT, size + 100, size),
                *(zeros, zeros, zeros, json.dumps([index]), NOW_MS, NOW_MS, NOW_MS, sequence),
            )
            for index, size in enumerate(sizes)
        ]
        self.write(lambda connection: connection.executemany(wanted.INSERT, new))

    def write(self, operation: Callable[[Any], Any]) -> Any:
        """Run an operation."""
        return self.database.write_now(operation)

    def due(self, now_ms: int = NOW_MS) -> list[Wanted]:
        """Return what is due."""
        found: list[Wanted] = self.write(lambda connection: wanted.due(connection, ENVIRONMENT, now_ms))
        return found

    def names(self, now_ms: int = NOW_MS) -> list[str]:
        """Return document and attachment of what is due, in its order."""
        contexts = [one.content.context for one in self.due(now_ms)]
        return [f"{context.document_id}.{context.attachment}" for context in contexts]

    def row(self, name: str) -> Wanted:
        """Return what is due of a document."""
        return next(one for one in self.due() if name == one.content.context.document_id)

    def complete(self, name: str) -> None:
        """Let the attachment of a document that is due be here."""
        one = self.row(name)
        self.write(lambda connection: wanted.complete(connection, one, at_ms=NOW_MS))

    def retry(self, name: str, *, have: int = 0) -> None:
        """Let an attempt be in vain; the next is due in a second."""
        failure = Failure("content_missing", "C2.10", "text")
        one = self.row(name)
        self.write(
            lambda connection: wanted.retry(
                connection, one, failure, due_at=NOW_MS + 1000, missing_at=NOW_MS, have=have
            )
        )


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    """Return an empty table."""
    database = Database.open(tmp_path / "state.db", FakeClock())
    yield Rows(database)
    database.close()


def test_urgent_documents_come_first_then_the_oldest(rows: Rows) -> None:
    """One attachment of each stream is due at a time: urgent streams first, then in the order in which they came."""
    rows.want("a", 1, 1)
    rows.want("b", 1, sender=COMMUNE)
    rows.want("c", 1, epoch=URGENT)
    rows.want("d", 1)

    assert ["c.0", "a.0", "b.0"] == rows.names()


def test_what_is_due_says_all_of_a_row(rows: Rows) -> None:
    """A row comes back as it was written, with the bytes of the whole document."""
    rows.want("a", 5, 7)

    (one,) = rows.due()

    assert ((CITY, "a", 1), one.body) == one.document
    assert (5, 105, 12, 12) == (one.content.size, one.content.sealed_size, one.together, one.left)
    assert (ENVIRONMENT, CITY, "a", 1, 0) == one.content.context
    assert ((0,), NOW_MS, 0, None) == (one.runs, one.made_at, one.attempts, one.missing_at)


def test_attempt_in_vain_lets_the_next_attachment_have_its_turn(rows: Rows) -> None:
    """While one attachment waits for its next attempt the others of its document are fetched."""
    rows.want("a", 1, 1)
    rows.retry("a")

    assert ["a.1"] == rows.names()
    assert ["a.0"] == rows.names(NOW_MS + 1000)
    assert NOW_MS + 1000 > (rows.write(wanted.next_due) or 0)


def test_nothing_is_fetched_ahead_of_a_document_that_has_no_room_yet(rows: Rows) -> None:
    """As long as nothing of a stream's first document is here, nothing behind it is fetched."""
    rows.want("a", 1)
    rows.want("b", 1)
    rows.retry("a")

    assert [] == rows.names()


def test_what_is_behind_a_document_is_fetched_ahead_up_to_a_limit(rows: Rows) -> None:
    """Behind a document that has begun, others are due until what lies before them is over the limit."""
    rows.want("a", AHEAD_BYTES - MIB)
    rows.want("b", MIB)
    rows.want("c", 4096 * MIB)
    rows.want("d", 1)
    rows.retry("a", have=1)
    order = []
    while found := rows.names():
        order += found
        rows.complete(found[0].partition(".")[0])

    assert ["b.0", "c.0"] == order


def test_a_large_document_is_due_to_its_last_attachment(rows: Rows) -> None:
    """The limit is on what is fetched ahead, not on a document whose turn it is."""
    rows.want("a", *[AHEAD_BYTES] * 4)
    order = []
    while found := rows.names():
        order += found
        rows.complete("a")

    assert ["a.0", "a.1", "a.2", "a.3"] == order


def test_nothing_more_is_fetched_of_what_has_failed(rows: Rows) -> None:
    """A document that cannot be had is no longer due, and is told with its step and reason."""
    rows.want("a", 1, 1)
    rows.want("b", 1, sender=COMMUNE)
    failure = Failure("part_undecryptable", "C2.11", "part 3: text")
    one = rows.row("a")
    rows.write(lambda connection: wanted.fail(connection, one, failure, at_ms=NOW_MS))

    key = (CITY, "a", 1), bytes(32)
    contents = rows.write(lambda connection: wanted.read_contents(connection, [key], lambda number: number))

    assert ["b.0"] == rows.names()
    assert (True, failure, {}) == (contents[key].pending, contents[key].failure, contents[key].files)


def test_room_is_held_by_whole_documents_of_which_something_is_here(rows: Rows) -> None:
    """A document counts with all its content as soon as one attachment, or part of one, is here."""
    rows.want("a", 5, 7)
    rows.want("b", 11, 13, sender=COMMUNE)
    rows.want("c", 17, epoch=URGENT)
    rows.complete("a")
    rows.retry("b", have=1)
    rows.retry("c")

    body = bytes(32)
    expected = {((CITY, "a", 1), body): (12, 7), ((COMMUNE, "b", 1), body): (24, 23)}
    assert expected == rows.write(wanted.held_bytes)


def test_two_bodies_under_one_name_hold_room_each(rows: Rows) -> None:
    """Who says two things under one name takes no more room than who says them under two."""
    rows.want("a", 5)
    rows.want("a", 7, body=b"o" * 32, epoch=URGENT)
    rows.complete("a")
    rows.complete("a")

    assert [5, 7] == sorted(held.size for held in rows.write(wanted.held_bytes).values())


def test_the_next_attachment_of_a_document_follows_the_one_before(rows: Rows) -> None:
    """A document's attachments come one after the other without a new look at everything, and the last has none."""
    rows.want("other", 1, sender=COMMUNE)
    rows.want("a", 1, 1)
    first = rows.row("a")

    second = rows.write(lambda connection: wanted.complete(connection, first, at_ms=NOW_MS))
    last = rows.write(lambda connection: wanted.complete(connection, second, at_ms=NOW_MS))

    assert (first.document, 1) == (second.document, second.content.context.attachment)
    assert last is None


def test_files_are_given_out_only_when_all_are_here(rows: Rows) -> None:
    """Of a document whose second attachment is wanted not even the first is handed out."""
    rows.want("a", 1, 1)
    key = (CITY, "a", 1), bytes(32)

    def read() -> Any:
        return rows.write(lambda connection: wanted.read_contents(connection, [key], lambda number: number))[key]

    rows.complete("a")
    assert (True, {}) == (read().pending, read().files)
    rows.complete("a")
    assert (False, {0: 1, 1: 2}) == (read().pending, read().files)


def test_bodies_of_one_name_are_kept_apart(rows: Rows) -> None:
    """What is known of one body is nothing that is known of another, and forgetting one keeps the other."""
    other = b"o" * 32
    rows.want("a", 1)
    rows.want("a", 1, body=other, epoch=URGENT)
    name = CITY, "a", 1
    assert [2] == rows.write(lambda connection: wanted.forget(connection, [(name, other)]))

    found = rows.write(
        lambda connection: wanted.read_contents(connection, [(name, bytes(32)), (name, other)], lambda number: number)
    )

    assert [(name, bytes(32))] == list(found)


def test_thousands_of_attachments_are_looked_through_at_once(rows: Rows) -> None:
    """What is next is told in one pass over all rows, however many one sender has made others want."""
    for n in range(20):
        rows.want(f"a{n}", *[1] * 1024)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def look(connection: Any) -> list[Wanted]:
        connection.set_progress_handler(count, 1000)
        found = wanted.due(connection, ENVIRONMENT, NOW_MS)
        connection.set_progress_handler(None, 0)
        return found

    found = rows.write(look)

    assert 1 == len(found)
    assert steps < 20 * 1024


def test_rows_of_one_sender_are_bounded(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ahead of its turn nothing is noted of a document that would make too many rows of its sender."""
    monkeypatch.setattr(wanted, "MAX_AHEAD", 3)
    rows.want("a", 1, 1)
    (row,) = rows.write(lambda c: c.execute(SELECT_NEW).fetchall())[:1]
    ahead = [(*row[:2], name, *row[3:5], index, *row[6:]) for name in ("b", "c") for index in range(2)]

    rows.write(lambda c: wanted.insert_ahead(c, ahead[:2]))
    rows.write(lambda c: wanted.insert_ahead(c, ahead[2:3]))

    assert [("a", 2), ("c", 1)] == rows.write(lambda c: c.execute(COUNTS).fetchall())


def test_what_stands_first_in_its_stream_comes_first(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever was wanted first: what stands behind never takes the room of what everything waits for."""
    monkeypatch.setattr(wanted, "AHEAD_BYTES", 1)
    rows.want("behind", 1000, sequence=9)
    rows.complete("behind")
    rows.want("further behind", 1000, sequence=12)

    rows.want("first", 1000, sequence=4)

    assert ["first.0"] == rows.names()
