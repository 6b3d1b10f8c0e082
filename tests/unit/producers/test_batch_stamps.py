"""Batches that wait for a time stamp, and the evidence of those that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import AuthorityUnavailableError, StorageError
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.asking import Question
from docbus.identity.time_stamps.gap import Gap
from docbus.identity.time_stamps.stamped import stamped_batches
from docbus.identity.time_stamps.token import decode_response, describe
from docbus.identity.time_stamps.verdict import Outcome, judge
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.producers import batch_stamps
from docbus.producers.batch_stamps import (
    BatchStamps,
    StampCounts,
    find_stamp,
    is_waiting,
    note_batch,
    stamp_counts,
)
from docbus.wire.tree import root_from_path
from tests.support.outbox import ANNA, NOW_MS, SENDER, FakeTransport, document, make_drain, rows, take_in
from tests.support.time_stamps import NAME, Authority

if TYPE_CHECKING:
    from docbus.identity.time_stamps.token import TimeStamp
    from docbus.storage.database import Database

HOUR_MS = 60 * 60 * 1000
LEAVES = [bytes([number]) * 32 for number in range(1, 6)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


def stamps_of(database: Database) -> BatchStamps:
    return BatchStamps(database, environment="test", agency=SENDER, every_ms=HOUR_MS)


def note(database: Database, *leaves: bytes, at: int = NOW_MS) -> None:
    for leaf in leaves:
        database.write_now(lambda c, leaf=leaf: note_batch(c, leaf, at))  # type: ignore[misc] # bound at once


def stamp(authority: Authority, stamped: bytes) -> TimeStamp:
    return describe(decode_response(authority.answer(Question.about(stamped).encoded)))


async def stamp_all(database: Database, authority: Authority, now_ms: int = NOW_MS + HOUR_MS) -> None:
    stamps = stamps_of(database)
    while unstamped := await stamps.due(now_ms):
        await stamps.keep(unstamped, stamp(authority, unstamped.stamped))


async def test_batches_wait_for_an_hour_and_are_stamped_together(database: Database, authority: Authority) -> None:
    """One token for all that came in the hour after the first, so that load does not matter."""
    stamps = stamps_of(database)
    note(database, LEAVES[0])
    note(database, *LEAVES[1:], at=NOW_MS + HOUR_MS - 1)

    assert await stamps.due(NOW_MS + HOUR_MS - 1) is None
    unstamped = await stamps.due(NOW_MS + HOUR_MS)
    assert unstamped is not None
    assert (tuple(LEAVES), NOW_MS) == (unstamped.leaves, unstamped.first_at)
    await stamps.keep(unstamped, stamp(authority, unstamped.stamped))
    assert await stamps.due(NOW_MS + 9 * HOUR_MS) is None


async def test_each_batch_can_be_proven_under_its_token(database: Database, authority: Authority) -> None:
    """Path and token lead from every digest to what the authority has signed."""
    note(database, *LEAVES)
    await stamp_all(database, authority)
    anchors = Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")

    for index, leaf in enumerate(LEAVES):
        found = database.read_now(lambda c, leaf=leaf: find_stamp(c, leaf))  # type: ignore[misc] # bound at once
        assert found is not None
        assert (index, len(LEAVES)) == (found.index, found.count)
        root = root_from_path(leaf, found.index, found.count, found.path)
        assert root is not None
        stamped = stamped_batches("test", SENDER, found.count, root)
        assert Outcome.PASSED is judge(found.token, stamped, anchors).outcome


async def test_a_batch_that_nobody_stamped_is_not_found(database: Database, authority: Authority) -> None:
    """Neither one that waits, nor one that only happens to lie across two digests."""
    note(database, *LEAVES[:2])
    await stamp_all(database, authority)
    note(database, LEAVES[2])
    across = LEAVES[0][16:] + LEAVES[1][:16]

    assert database.read_now(lambda c: find_stamp(c, LEAVES[2])) is None
    assert database.read_now(lambda c: find_stamp(c, across)) is None
    assert database.read_now(lambda c: is_waiting(c, LEAVES[2]))
    assert not database.read_now(lambda c: is_waiting(c, LEAVES[0]))


async def test_more_than_fits_under_one_token_gets_another(
    database: Database, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long outage everything that waits is stamped at once, in pieces that are bounded."""
    monkeypatch.setattr(batch_stamps, "MAX_STAMPED_BATCHES", 2)
    note(database, *LEAVES)

    await stamp_all(database, authority)

    assert [2, 2, 1] == [len(leaves) // 32 for (leaves,) in rows(database, "SELECT leaves FROM time_stamp")]
    assert 0 == database.read_now(stamp_counts).waiting


async def test_what_comes_while_the_authority_is_asked_waits_for_the_next(
    database: Database, authority: Authority
) -> None:
    """Only what is under the token leaves the line."""
    stamps = stamps_of(database)
    note(database, LEAVES[0])
    unstamped = await stamps.due(NOW_MS + HOUR_MS)
    note(database, LEAVES[1], at=NOW_MS + HOUR_MS)
    assert unstamped is not None

    await stamps.keep(unstamped, stamp(authority, unstamped.stamped))

    assert 1 == database.read_now(stamp_counts).waiting
    assert await stamps.due(NOW_MS + HOUR_MS) is None


async def test_a_clock_that_was_set_back_lets_nothing_wait_for_long(database: Database) -> None:
    """A batch from the future is stamped at once."""
    note(database, LEAVES[0])

    assert await stamps_of(database).due(NOW_MS - MAX_CLOCK_SKEW_MS) is None
    assert await stamps_of(database).due(NOW_MS - MAX_CLOCK_SKEW_MS - 1) is not None


async def test_the_gap_is_counted_until_it_is_filled(database: Database, authority: Authority) -> None:
    """What waits, since when, and why: all of it is in the database, and goes with the first token."""
    stamps = stamps_of(database)
    note(database, *LEAVES)
    for at in (NOW_MS, NOW_MS + 5):
        await stamps.fail(AuthorityUnavailableError("nobody there"), at)

    counts = database.read_now(stamp_counts)
    assert counts == StampCounts(
        waiting=5,
        waiting_since=NOW_MS,
        stamps=0,
        stamped_at=None,
        authority=None,
        gap=Gap(
            since=NOW_MS,
            attempts=2,
            tried_at=NOW_MS + 5,
            code="time_stamp_authority_unavailable",
            text="nobody there",
        ),
    )
    await stamp_all(database, authority)
    counts = database.read_now(stamp_counts)
    assert (0, None, 1, f"CN={NAME}", None) == (
        counts.waiting,
        counts.waiting_since,
        counts.stamps,
        counts.authority,
        counts.gap,
    )
    assert counts.stamped_at is not None


async def test_a_disk_that_is_full_loses_nothing(
    database: Database, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token and line change in one transaction, or not at all."""
    note(database, *LEAVES)
    stamps = stamps_of(database)
    unstamped = await stamps.due(NOW_MS + HOUR_MS)
    assert unstamped is not None
    granted = stamp(authority, unstamped.stamped)
    # SQLite answers SQLITE_FULL beyond so many pages, as it does on a full disk.
    pages = rows(database, "PRAGMA page_count")[0][0]
    database.write_now(lambda c: c.execute("CREATE TABLE filler (content BLOB)"))
    database.write_now(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    huge = batch_stamps.UnstampedBatches(
        stamped=unstamped.stamped,
        leaves=unstamped.leaves * 20_000,
        last=unstamped.last,
        first_at=unstamped.first_at,
        last_at=unstamped.last_at,
    )
    with pytest.raises(StorageError):
        await stamps.keep(huge, granted)

    assert 5 == database.read_now(stamp_counts).waiting
    database.write_now(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    await stamps.keep(unstamped, granted)
    assert 0 == database.read_now(stamp_counts).waiting


@pytest.mark.parametrize("stamped", [True, False])
async def test_sealing_notes_its_batches_if_the_agency_wishes(stamped: bool, database: Database) -> None:
    """A batch waits from the transaction on that seals it; without the wish nothing is written."""
    drain = make_drain(database, FakeTransport(), stamped=stamped)
    take_in(database, document("one", ANNA), document("two", ANNA))
    await drain.drain()

    counts = database.read_now(stamp_counts)

    expected = (1, NOW_MS) if stamped else (0, None)
    assert expected == (counts.waiting, counts.waiting_since)
