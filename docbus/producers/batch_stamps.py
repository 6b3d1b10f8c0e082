"""The batches of an agency that wait for a time stamp, and the tokens it has (ADR 0022).

Noting a batch is one row in the transaction that seals it. Everything else happens beside: one token for all batches
that have come since the last, an hour after the first of them, over the RFC 9162 root of their digests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.identity.time_stamps.gap import Gap
from docbus.identity.time_stamps.stamped import stamped_batches
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.wire.tree import HASH_BYTES, levels, path_of, root_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from docbus.errors import DocbusError
    from docbus.identity.time_stamps.gap import Unstamped
    from docbus.identity.time_stamps.token import TimeStamp
    from docbus.storage.database import Database

MAX_STAMPED_BATCHES = 65_536
"""Batches under one token: their digests are 2 MiB in memory and in one row; what is more gets another one at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstampedBatches:
    """Batches that are to be stamped together.

    Attributes:
        stamped: The bytes to ask about.
        leaves: Digests of the batches in the order of sealing.
        last: Row of the last one.
        first_at: When the first was sealed, milliseconds since 1970 UTC.
        last_at: When the last was.
    """

    stamped: bytes
    leaves: tuple[bytes, ...]
    last: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedBatch:
    """A batch under a token.

    Attributes:
        index: Its place among the batches of the token, from 0.
        count: How many these are.
        path: Hashes from its digest up to their root, 32 bytes each.
        token: The token.
    """

    index: int
    count: int
    path: bytes
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StampCounts:
    """What waits, what there is, and what is in the way; times in milliseconds since 1970 UTC.

    Attributes:
        waiting: Batches without a time stamp.
        waiting_since: When the first of them was sealed.
        stamps: How many tokens there are.
        stamped_at: Time of the newest one.
        authority: Whose it is.
        gap: Since when no authority has stamped, and why.
    """

    waiting: int
    waiting_since: int | None
    stamps: int
    stamped_at: int | None
    authority: str | None
    gap: Gap | None


class BatchStamps:
    """What waits in one outbox. Belongs to one event loop.

    Args:
        database: The outbox.
        environment: Name of the environment.
        agency: Canonical id of the agency.
        every_ms: Milliseconds that a batch waits for others to be stamped with it.
    """

    def __init__(self, database: Database, *, environment: str, agency: str, every_ms: int) -> None:
        self._database = database
        self._environment = environment
        self._agency = agency
        self._every_ms = every_ms

    async def due(self, now_ms: int) -> UnstampedBatches | None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`."""
        found = await self._database.read(lambda c: _read_due(c, now_ms, self._every_ms))
        if not found:
            return None
        leaves = tuple(bytes(digest) for _, digest, _ in found)
        root = await asyncio.to_thread(root_of, leaves)
        return UnstampedBatches(
            stamped=stamped_batches(self._environment, self._agency, len(leaves), root),
            leaves=leaves,
            last=found[-1][0],
            first_at=found[0][2],
            last_at=found[-1][2],
        )

    async def keep(self, unstamped: Unstamped, stamp: TimeStamp) -> None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`."""
        if not isinstance(unstamped, UnstampedBatches):
            raise TypeError(f"{unstamped!r} is none of this outbox")
        await self._database.write(lambda c: _keep(c, unstamped, stamp))

    async def fail(self, error: DocbusError, now_ms: int) -> None:
        """See :class:`~docbus.identity.time_stamps.gap.Waiting`."""
        await self._database.write(lambda c: _fail(c, error, now_ms))


def note_batch(connection: sqlite3.Connection, digest: bytes, sealed_at: int) -> None:
    """Let a batch wait for a time stamp; part of the transaction that seals it."""
    connection.execute("INSERT INTO unstamped_batch (digest, sealed_at) VALUES (?, ?)", (digest, sealed_at))


def stamp_counts(connection: sqlite3.Connection) -> StampCounts:
    """Return what waits and what there is."""
    waiting, since = connection.execute("SELECT count(*), min(sealed_at) FROM unstamped_batch").fetchone()
    (stamps,) = connection.execute("SELECT count(*) FROM time_stamp").fetchone()
    newest = connection.execute(
        "SELECT stamped_at, authority FROM time_stamp ORDER BY time_stamp DESC LIMIT 1"
    ).fetchone()
    at, authority = newest or (None, None)
    return StampCounts(
        waiting=waiting,
        waiting_since=since,
        stamps=stamps,
        stamped_at=at,
        authority=authority,
        gap=_read_gap(connection),
    )


def find_stamp(connection: sqlite3.Connection, digest: bytes) -> StampedBatch | None:
    """Return the token over a batch and its path, or None where it has none."""
    rows = connection.execute(
        "SELECT leaves, token FROM time_stamp WHERE instr(leaves, ?) ORDER BY time_stamp", (digest,)
    )
    for row in rows:
        leaves = _split(bytes(row[0]))
        # Found by its bytes, and not where these only happen to lie across two digests.
        if digest in leaves:
            index = leaves.index(digest)
            path = path_of(levels(leaves), index)
            return StampedBatch(index=index, count=len(leaves), path=path, token=bytes(row[1]))
    return None


def is_waiting(connection: sqlite3.Connection, digest: bytes) -> bool:
    """Tell whether a batch waits for a time stamp."""
    found = connection.execute("SELECT 1 FROM unstamped_batch WHERE digest = ?", (digest,)).fetchone()
    return found is not None


def _split(leaves: bytes) -> list[bytes]:
    return [leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES)]


def _read_due(connection: sqlite3.Connection, now_ms: int, every_ms: int) -> Sequence[tuple[int, bytes, int]]:
    """Return what is to be stamped now: everything that waits, once the first has waited for so long."""
    first = connection.execute("SELECT sealed_at FROM unstamped_batch ORDER BY batch LIMIT 1").fetchone()
    # One that was sealed in the future waits for nothing: the clock was set back since.
    if first is None or -MAX_CLOCK_SKEW_MS <= now_ms - first[0] < every_ms:
        return []
    return connection.execute(
        "SELECT batch, digest, sealed_at FROM unstamped_batch ORDER BY batch LIMIT ?", (MAX_STAMPED_BATCHES,)
    ).fetchall()


def _keep(connection: sqlite3.Connection, unstamped: UnstampedBatches, stamp: TimeStamp) -> None:
    connection.execute(
        "INSERT INTO time_stamp (first_at, last_at, stamped_at, authority, leaves, token) VALUES (?, ?, ?, ?, ?, ?)",
        (
            unstamped.first_at,
            unstamped.last_at,
            stamp.time_ms,
            stamp.authority,
            b"".join(unstamped.leaves),
            stamp.token,
        ),
    )
    connection.execute("DELETE FROM unstamped_batch WHERE batch <= ?", (unstamped.last,))
    connection.execute("DELETE FROM time_stamp_gap")


def _fail(connection: sqlite3.Connection, error: DocbusError, now_ms: int) -> None:
    gap = Gap.after(_read_gap(connection), error, now_ms)
    connection.execute(
        "INSERT OR REPLACE INTO time_stamp_gap (one, since, attempts, tried_at, code, text) VALUES (1, ?, ?, ?, ?, ?)",
        (gap.since, gap.attempts, gap.tried_at, gap.code, gap.text),
    )


def _read_gap(connection: sqlite3.Connection) -> Gap | None:
    row = connection.execute("SELECT since, attempts, tried_at, code, text FROM time_stamp_gap").fetchone()
    if row is None:
        return None
    since, attempts, tried_at, code, text = row
    return Gap(since=since, attempts=attempts, tried_at=tried_at, code=code, text=text)
