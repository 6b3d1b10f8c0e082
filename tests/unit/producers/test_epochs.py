from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from docbus.producers.epochs import (
    CONTRADICTED,
    MARK_NAME,
    RENEWAL_PAUSE_MS,
    begin_epoch,
    current_epochs,
    renewed_lately,
    requeue,
)
from docbus.producers.unsent import mark_sent, unsent_streams
from docbus.storage.database import Database
from tests.support.outbox import (
    ANNA,
    BINH,
    NOW_MS,
    FakeSealer,
    add_receipt,
    begin,
    document,
    rows,
    seal_all,
    sealing,
    states,
    take_in,
)

if TYPE_CHECKING:
    from pathlib import Path


def identifiers(database: Database) -> dict[str, bytes]:
    return {lane: identifier for lane, (_, identifier) in database.read_now(current_epochs).items()}


def test_every_lane_has_an_epoch_of_its_own(database: Database) -> None:
    """An outbox begins with three epochs of 16 random bytes."""
    renewed = begin(database)

    epochs = identifiers(database)
    assert renewed == []
    assert set(epochs) == {"documents", "urgent", "receipts"}
    assert {len(identifier) for identifier in epochs.values()} == {16}
    assert len(set(epochs.values())) == 3


def test_restart_keeps_the_epochs(database: Database) -> None:
    """A start on the same file changes nothing."""
    begin(database)
    before = identifiers(database)

    assert begin(database) == []
    assert identifiers(database) == before


def test_copied_outbox_begins_new_epochs(tmp_path: Path) -> None:
    """Original and copy must not both number on in the same stream."""
    original = Database.open(tmp_path / "state.db")
    take_in(original, document("a"))
    seal_all(original)
    take_in(original, document("b"))
    before = identifiers(original)
    original.close()
    (tmp_path / "backup").mkdir()
    shutil.copy(tmp_path / "state.db", tmp_path / "backup" / "state.db")

    copy = Database.open(tmp_path / "backup" / "state.db")
    renewed = begin(copy)
    again = begin(copy)
    after = identifiers(copy)
    sealed = seal_all(copy)
    unsent = copy.read_now(unsent_streams)
    copy.close()

    assert renewed == ["documents", "urgent", "receipts"]
    assert again == []
    assert set(before.values()).isdisjoint(after.values())
    assert [copied.sequence for copied in sealed] == [1]
    # What was sealed before is still sent, as it is: the original sends the same bytes.
    assert len(unsent) == 2


def test_new_epoch_numbers_from_one(database: Database) -> None:
    """A stream of the new epoch begins at 1 with an empty chain."""
    take_in(database, document("a"), document("b"))
    seal_all(database)
    database.write_now(lambda c: begin_epoch(c, "documents", CONTRADICTED, at_ms=NOW_MS))
    take_in(database, document("c"))

    sealed = seal_all(database)

    assert [copy.sequence for copy in sealed] == [1]
    assert rows(database, "SELECT sequence, sent FROM stream ORDER BY stream") == [(2, 0), (1, 0)]


def test_what_is_not_receipted_goes_out_again(database: Database) -> None:
    """Sealed and sent copies wait again in their order; the old stream has nothing more to send."""
    take_in(database, document("a"), document("b", ANNA, BINH), document("c"))
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, [copies[0], copies[1]], at_ms=NOW_MS))
    stream = copies[0].stream
    database.write_now(lambda c: begin_epoch(c, "documents", CONTRADICTED, at_ms=NOW_MS))

    count = database.write_now(lambda c: requeue(c, stream, at_ms=NOW_MS))

    again = seal_all(database)
    assert count == 3
    assert states(database) == [
        ("a", ANNA, 6),
        ("a", ANNA, 1),
        ("b", ANNA, 6),
        ("b", BINH, 1),
        ("b", ANNA, 1),
        ("c", ANNA, 6),
        ("c", ANNA, 1),
    ]
    assert [(copy.recipient, copy.sequence) for copy in again] == [(ANNA, 1), (ANNA, 2), (ANNA, 3)]
    assert {unsent.stream for unsent in database.read_now(unsent_streams)} == {copies[2].stream, again[0].stream}
    assert database.write_now(lambda c: requeue(c, stream, at_ms=NOW_MS)) == 0


def test_sent_receipts_do_not_go_out_again(database: Database) -> None:
    """Whoever misses a receipt sends its document again and gets another one."""
    add_receipt(database, body=b"first")
    add_receipt(database, body=b"second")
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies[:1], at_ms=NOW_MS))

    assert database.write_now(lambda c: requeue(c, copies[0].stream, at_ms=NOW_MS)) == 1


def test_renewals_are_counted_by_the_hour(database: Database) -> None:
    """Only epochs that receipts have caused count, and only for the pause."""
    begin(database)

    def lately(at_ms: int, lane: str = "documents") -> bool:
        return database.read_now(lambda c: renewed_lately(c, lane, at_ms=at_ms))

    before = lately(NOW_MS)
    database.write_now(lambda c: begin_epoch(c, "documents", CONTRADICTED, at_ms=NOW_MS))

    assert not before
    assert lately(NOW_MS + RENEWAL_PAUSE_MS - 1)
    assert not lately(NOW_MS + RENEWAL_PAUSE_MS)
    assert not lately(NOW_MS, "urgent")


def test_epoch_that_begins_while_a_batch_is_sealed_is_noticed(database: Database) -> None:
    """A batch built on an epoch that has ended is not stored, but built anew."""
    take_in(database, document("a"))
    begin(database)
    sealer = FakeSealer()

    def renew() -> None:
        sealer.before = lambda: None
        database.write_now(lambda c: begin_epoch(c, "documents", CONTRADICTED, at_ms=NOW_MS))

    sealer.before = renew
    batch = sealing(database, sealer).seal_next()

    assert sealer.batches == [1, 1]
    assert [copy.front.split(b"|")[2].decode() for copy in batch.copies] == [identifiers(database)["documents"].hex()]


def test_backup_put_back_in_place_begins_new_epochs(tmp_path: Path) -> None:
    """A restored file is recognised by what was sealed since, also if it has the inode of the one it replaces."""
    path = tmp_path / "state.db"
    database = Database.open(path)
    take_in(database, document("a"))
    seal_all(database)
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(backup)) as target, closing(sqlite3.connect(path)) as source:
        source.backup(target)
    take_in(database, document("b"))
    seal_all(database)
    before = identifiers(database)
    database.close()

    # Written over in place: the inode stays.
    for name in ("state.db-wal", "state.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    path.write_bytes(backup.read_bytes())
    restored = Database.open(path)
    renewed = begin(restored)
    again = begin(restored)
    after = identifiers(restored)
    restored.close()

    assert ["documents", "urgent", "receipts"] == renewed
    assert [] == again
    assert set(before.values()).isdisjoint(after.values())


def test_lost_mark_is_no_restoration(database: Database) -> None:
    """A mark that is missing or cut, as after a crash of the machine, says nothing."""
    begin(database)
    take_in(database, document("a"))
    seal_all(database)
    mark = database.path.with_name(MARK_NAME)

    mark.write_bytes(b"1")
    after_cut = begin(database)
    mark.unlink()
    after_loss = begin(database)

    assert ([], []) == (after_cut, after_loss)
