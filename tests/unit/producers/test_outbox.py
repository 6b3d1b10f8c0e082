from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import DocumentConflictError
from docbus.producers.outbox import MAX_BATCH_STATEMENTS, fail_copies, read_waiting, share
from tests.support.outbox import ANNA, BINH, CHI, NOW_MS, add_receipt, begin, document, rows, states, take_in

if TYPE_CHECKING:
    from docbus.storage.database import Database


def test_accepted_document_waits_once_for_each_recipient(database: Database) -> None:
    """One document to three agencies is stored once and has three copies."""
    duplicates = take_in(database, document("a", ANNA, BINH, CHI))

    assert duplicates == [False]
    assert states(database) == [("a", ANNA, 0), ("a", BINH, 0), ("a", CHI, 0)]
    assert rows(database, "SELECT count(*), sum(length(package)) FROM outgoing") == [(1, 10)]


def test_same_document_again_is_a_duplicate(database: Database) -> None:
    """The same id with the same content is answered again and not taken in again."""
    take_in(database, document("a"))

    duplicates = take_in(database, document("b"), document("a"), document("c"))

    assert duplicates == [False, True, False]
    assert states(database) == [("a", ANNA, 0), ("b", ANNA, 0), ("c", ANNA, 0)]


def test_same_document_twice_in_one_list_is_a_duplicate(database: Database) -> None:
    """Within one call the second of two equal documents is the duplicate."""
    assert take_in(database, document("a"), document("a")) == [False, True]
    assert states(database) == [("a", ANNA, 0)]


@pytest.mark.parametrize("other", [document("a", content=b"other"), document("a", BINH), document("a", ANNA, BINH)])
def test_same_id_with_other_content_is_refused(database: Database, other: object) -> None:
    """Other content, or other recipients, under a known id stores nothing of the whole call."""
    take_in(database, document("a"))

    with pytest.raises(DocumentConflictError, match="document a revision 1"):
        take_in(database, document("b"), other)  # type: ignore[arg-type]

    assert states(database) == [("a", ANNA, 0)]


def test_next_revision_is_another_document(database: Database) -> None:
    """Id and revision together name a document."""
    take_in(database, document("a"))

    assert take_in(database, document("a", content=b"other", revision=2)) == [False]


def test_duplicate_is_known_after_pruning_and_failing(database: Database) -> None:
    """What tells duplicates stays when a document's bytes are dropped."""
    take_in(database, document("a"))
    database.write_now(lambda c: fail_copies(c, [(1, 0, "agency_closed")], at_ms=NOW_MS))

    assert rows(database, "SELECT body, package, content_key FROM outgoing") == [(None, None, None)]
    assert take_in(database, document("a")) == [True]


def test_failing_one_copy_keeps_what_the_others_need(database: Database) -> None:
    """The package goes only with the last copy."""
    take_in(database, document("a", ANNA, BINH))

    database.write_now(lambda c: fail_copies(c, [(1, 0, "agency_closed")], at_ms=NOW_MS))

    assert states(database) == [("a", ANNA, 5), ("a", BINH, 0)]
    assert rows(database, "SELECT package FROM outgoing") == [(b"ciphertext",)]


def test_waiting_comes_in_order_of_acceptance(database: Database) -> None:
    """Within a lane nothing overtakes."""
    take_in(database, *[document(f"{number:03}", ANNA, BINH) for number in range(10)])

    waiting = database.read_now(read_waiting)

    assert [(copy.outgoing, copy.ordinal) for copy in waiting] == [(n, o) for n in range(1, 11) for o in (0, 1)]
    assert waiting[0].body == b"000"


def test_urgent_comes_first_and_receipts_come_along(database: Database) -> None:
    """A batch begins with what is urgent and has room for every lane."""
    take_in(database, *[document(f"d{number}") for number in range(600)])
    add_receipt(database)
    take_in(database, document("u", lane="urgent", urgency=1))

    waiting = database.read_now(read_waiting)

    assert len(waiting) == MAX_BATCH_STATEMENTS
    assert [copy.lane for copy in waiting[:3]] == ["urgent", "receipts", "documents"]


def test_batch_is_bounded_in_bytes(database: Database) -> None:
    """Large packages make small batches, but never an empty one."""
    take_in(database, *[document(name, content=bytes(1000)) for name in "abc"])

    assert len(database.read_now(lambda c: read_waiting(c, 512, 2500))) == 2
    assert len(database.read_now(lambda c: read_waiting(c, 512, 10))) == 1


def test_package_is_read_once_for_all_its_copies(database: Database) -> None:
    """Copies in one batch share the package's bytes in memory."""
    take_in(database, document("a", ANNA, BINH, CHI))

    waiting = database.read_now(read_waiting)

    assert len({id(copy.package) for copy in waiting}) == 1


@pytest.mark.parametrize(
    ("waiting", "places", "expected"),
    [
        ([0, 0, 0], 512, [0, 0, 0]),
        ([1000, 1000, 1000], 512, [384, 64, 64]),
        ([0, 0, 1000], 512, [0, 0, 512]),
        ([0, 1000, 10], 512, [0, 502, 10]),
        ([5, 5, 5], 3, [1, 1, 1]),
        ([5, 5, 5], 1, [1, 0, 0]),
    ],
)
def test_places_are_shared_by_rank_without_starving(waiting: list[int], places: int, expected: list[int]) -> None:
    """Each lane has its reserve; the rest goes to the higher rank."""
    assert share(waiting, places) == expected


def test_waiting_needs_no_epoch(database: Database) -> None:
    """Accepting works before a drain has ever run, and a drain's start changes nothing that waits."""
    take_in(database, document("a"))
    begin(database)

    assert len(database.read_now(read_waiting)) == 1


def test_many_ids_are_looked_up_some_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicates are found however many documents one call has; a query names so many of them."""
    monkeypatch.setattr("docbus.producers.outbox._LOOKUP", 2)
    documents = [document(name, ANNA) for name in "abcde"]
    queries: list[str] = []
    database._writer.set_trace_callback(queries.append)

    assert [False] * 5 == take_in(database, *documents)
    del queries[:]
    assert [True] * 5 == take_in(database, *documents)

    assert 3 == sum("SELECT document_id, revision, outgoing, fingerprint" in query for query in queries)
