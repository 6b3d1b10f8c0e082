from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.producers.epochs import begin_epoch, requeue
from docbus.producers.pruning import prune
from docbus.producers.receipts import match
from docbus.producers.unsent import mark_sent
from tests.support.outbox import (
    ANNA,
    BINH,
    NOW_MS,
    add_receipt,
    document,
    receipt,
    rows,
    seal_all,
    states,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database


def settle(database: Database, recipient: str, last: int, at_ms: int = NOW_MS) -> None:
    body = receipt(database, recipient, 1, last)
    assert database.write_now(lambda c: match(c, receipt=body, issuer=recipient, at_ms=at_ms)) == []


def cut(database: Database, before_ms: int = NOW_MS + 1, **limit: int) -> int:
    return database.write_now(lambda c: prune(c, settled_before_ms=before_ms, **limit))


def test_settled_envelopes_go_and_metadata_stay(database: Database) -> None:
    """After its keep time a received document has no bytes left, and its journey is still known."""
    take_in(database, document("a"), document("b"))
    seal_all(database)
    settle(database, ANNA, 1)

    pruned = cut(database)

    assert pruned == 1
    assert rows(database, "SELECT body, package, content_key FROM outgoing WHERE document_id = 'a'") == [(None,) * 3]
    assert rows(database, "SELECT package FROM outgoing WHERE document_id = 'b'") == [(b"ciphertext",)]
    assert rows(database, "SELECT count(*) FROM envelope") == [(1,)]
    assert states(database) == [("a", ANNA, 3), ("b", ANNA, 1)]


def test_keep_time_is_kept(database: Database) -> None:
    """What was settled at the limit or later keeps its bytes."""
    take_in(database, document("a"))
    seal_all(database)
    settle(database, ANNA, 1, at_ms=NOW_MS)

    assert cut(database, before_ms=NOW_MS) == 0
    assert rows(database, "SELECT count(*) FROM envelope") == [(1,)]


def test_package_stays_for_the_last_recipient(database: Database) -> None:
    """A package goes only when no copy can need it."""
    take_in(database, document("a", ANNA, BINH))
    copies = seal_all(database)
    settle(database, ANNA, 1)
    first = cut(database)
    between = rows(database, "SELECT package FROM outgoing")
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))
    settle(database, BINH, 1)
    second = cut(database)

    assert (first, second) == (1, 1)
    assert between == [(b"ciphertext",)]
    assert rows(database, "SELECT package FROM outgoing") == [(None,)]


def test_copy_that_goes_out_again_keeps_the_package(database: Database) -> None:
    """The old copy of what was queued again loses its envelope, the new one its package not."""
    take_in(database, document("a"))
    copies = seal_all(database)
    database.write_now(lambda c: begin_epoch(c, "documents", "contradicted", at_ms=NOW_MS))
    database.write_now(lambda c: requeue(c, copies[0].stream, at_ms=NOW_MS))

    assert cut(database) == 1
    assert len(seal_all(database)) == 1


def test_sent_receipts_are_dropped_altogether(database: Database) -> None:
    """Receipts are as many as batches; nothing of them is kept."""
    add_receipt(database)
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))

    cut(database)

    assert rows(database, "SELECT * FROM outgoing") == []
    assert rows(database, "SELECT * FROM copy") == []
    assert rows(database, "SELECT * FROM envelope") == []
    add_receipt(database)
    assert [copy.sequence for copy in seal_all(database)] == [2]


def test_pruning_goes_in_parts(database: Database) -> None:
    """One transaction prunes at most so many, the oldest first."""
    take_in(database, *[document(name) for name in "abc"])
    seal_all(database)
    settle(database, ANNA, 3)

    assert [cut(database, max_copies=2) for _ in range(3)] == [2, 1, 0]


def test_late_receipt_is_understood_after_pruning(database: Database) -> None:
    """Digests stay, so that a range over pruned statements still has its root."""
    take_in(database, document("a"), document("b"))
    seal_all(database)
    settle(database, ANNA, 1)
    cut(database)

    settle(database, ANNA, 2)

    assert states(database) == [("a", ANNA, 3), ("b", ANNA, 3)]
