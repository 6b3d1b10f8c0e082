"""What a process was working on when it died, so that a record that kills it every time ends in quarantine.

A note of the records in hand is kept in a file: written before the work, taken back after it, without a sync, since it
has to outlive the process and not the machine. A note that is found at the start is a death, by whatever signal or
error. The records of it are *suspects*: they are worked on alone and in ever smaller portions, until one record is left
that dies alone, again and again; it is condemned, and goes to quarantine without being looked at.

=========  ========================================================================
deaths     how many records are taken at a time
=========  ========================================================================
1          64, and nothing is fetched ahead
2          8
3          1
6 or 7     the record that was in hand alone three times more is condemned
=========  ========================================================================

Work that has gone on for ``ALIVE_SECONDS`` is not what kills: a process that is stopped while a DMS is slow says
nothing of the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.holding import StopReceiving
from docbus.consumers.values import read_value, write_value
from docbus.errors import DocbusError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from docbus.transport.port import Record

CRASH_LOOP = "crash_loop"
"""Reason of a record that is condemned."""
FILE_NAME = "inbox.attempt"
_STATE = "suspects"
"""Name of the ledger's value that remembers them."""
PORTIONS = (64, 8, 1)
"""Records taken at a time after the first, second and every further death."""
CONDEMNED_AT = len(PORTIONS) + 3
"""Deaths after which a record is condemned: narrowed down to it, and then three more alone."""
ALIVE_SECONDS = 10.0
"""Seconds of work after which a death is no fault of the records in hand."""
REACH = 2048
"""Offsets that the next fetches may reach: one that is taken, and one ahead of it."""
MAX_SUSPECTS = 256
"""Suspects that are remembered; the oldest are forgotten. A death makes a few."""


class Suspect(NamedTuple):
    """Records of a partition that were in hand when the process died, both ends included."""

    partition: int
    first: int
    last: int
    deaths: int

    @property
    def condemned(self) -> bool:
        """Whether it is one record, and has had all its chances."""
        return self.first == self.last and self.deaths >= CONDEMNED_AT


def portion_of(suspects: Collection[Suspect]) -> int | None:
    """Return how many records may be taken at a time while these are suspected, or None if there are none."""
    if not suspects:
        return None
    return min(PORTIONS[min(one.deaths, len(PORTIONS)) - 1] for one in suspects)


Span = tuple[int, int, int]
"""(Partition, first offset, last offset)."""


def spans_of(records: Iterable[Record]) -> list[Span]:
    """Return what records span, by partition."""
    ends: dict[int, tuple[int, int]] = {}
    for record in records:
        first, last = ends.get(record.partition, (record.offset, record.offset))
        ends[record.partition] = min(first, record.offset), max(last, record.offset)
    return [(partition, first, last) for partition, (first, last) in ends.items()]


def suspect(before: Iterable[Suspect], died_on: Iterable[Span]) -> list[Suspect]:
    """Return the suspects after one more death.

    Args:
        before: Those that are known.
        died_on: What was in hand.
    """
    known = list(before)
    for partition, first, last in died_on:
        wider = next((s for s in known if s.partition == partition and s.first <= first and last <= s.last), None)
        if wider is None:
            known.append(Suspect(partition, first, last, 1))
        elif (wider.first, wider.last) == (first, last):
            known[known.index(wider)] = wider._replace(deaths=wider.deaths + 1)
        else:
            # Closer, but no proof against any one record yet.
            known[known.index(wider)] = Suspect(partition, first, last, min(wider.deaths + 1, len(PORTIONS)))
    return known[-MAX_SUSPECTS:]


def acquit(suspects: Iterable[Suspect], spans: Iterable[Span]) -> list[Suspect]:
    """Return the suspects that are left when work on records has come to its end."""
    left = list(suspects)
    for partition, first, last in spans:
        left = [
            one._replace(first=last + 1) if one.partition == partition and first <= one.first <= last else one
            for one in left
        ]
    return [one for one in left if one.first <= one.last]


class Attempts:
    """Notes of the work in hand. Belongs to whoever holds the lock of the inbox; one event loop.

    Args:
        folder: The agency's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._descriptor: int | None = None
        self._hands: dict[str, list[Span]] = {}
        self.suspects: list[Suspect] = []

    def open(self) -> list[Span]:
        """Open the file; return what the process before this one had in hand when it died."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._descriptor).st_size
        line = os.pread(self._descriptor, size, 0).partition(b"\n")[0]
        self._hands = {}
        try:
            hands: Mapping[str, list[Span]] = json.loads(line) if line else {}
            return [(int(n), int(first), int(last)) for spans in hands.values() for n, first, last in spans]
        except (ValueError, TypeError, AttributeError):
            # A machine that lost power may leave anything here; it proves nothing.
            return []

    def close(self) -> None:
        """Close the file; what is in hand stays noted."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def forgive(self) -> None:
        """Forget what the process before this one had in hand, now that its suspects are remembered elsewhere.

        Otherwise a process that ends before it takes anything in hand would leave the same note to be counted again.
        """
        self._note()

    def portion(self, records: Sequence[Record]) -> int | None:
        """Return how many of these records may be taken at a time, or None if none of them is suspected."""
        places = [(record.partition, record.offset) for record in (records if self.suspects else ())]
        return portion_of(
            [one for one in self.suspects if any(one.partition == p and one.first <= o <= one.last for p, o in places)]
        )

    def near(self, assigned: Collection[int], next_offset: Callable[[int], int]) -> list[Suspect]:
        """Return the suspects that the next fetch may bring: only there is it worth while to go slowly.

        Args:
            assigned: Partitions that are read.
            next_offset: Where reading goes on in each.
        """
        return [
            one
            for one in self.suspects
            if one.partition in assigned and one.first - REACH < next_offset(one.partition) <= one.last
        ]

    def condemns(self, record: Record) -> Suspect | None:
        """Return why a record goes to quarantine unseen, if it does."""
        place = record.partition, record.offset
        return next((one for one in self.suspects if one.condemned and place == (one.partition, one.first)), None)

    def acquit(self, records: Iterable[Record]) -> bool:
        """Suspect records no more that have come to the end of all work; tell whether any of them was."""
        if not self.suspects:
            return False
        before, self.suspects = self.suspects, acquit(self.suspects, spans_of(records))
        return before != self.suspects

    @contextlib.contextmanager
    def working(self, name: str, records: Iterable[Record]) -> Iterator[None]:
        """Note that records are in hand as long as the block runs.

        What docbus raises takes the note back, and so does a cancellation: they are dealt with. Any other error leaves
        it, as it ends the process.

        Args:
            name: Of the hand; each is in one place at a time.
            records: What is worked on.
        """
        self._hands[name] = spans_of(records)
        self._note()
        alive = asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._drop, name)
        try:
            yield
        except Exception as error:
            if isinstance(error, DocbusError | StopReceiving):
                self._drop(name)
            raise
        except BaseException:
            self._drop(name)
            raise
        else:
            self._drop(name)
        finally:
            alive.cancel()

    def _drop(self, name: str) -> None:
        if self._hands.pop(name, None):
            self._note()

    def _note(self) -> None:
        if self._descriptor is None:
            return
        line = json.dumps(self._hands, separators=(",", ":")).encode() + b"\n"
        # A note is worth nothing that stops the work: a full disk is met elsewhere.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, line, 0)
            os.ftruncate(self._descriptor, len(line))


def read_suspects(connection: sqlite3.Connection) -> list[Suspect]:
    """Return the suspects that the ledger remembers, without those that are decided by now."""
    suspects = [Suspect(*one) for one in read_value(connection, _STATE) or ()]
    return [one for one in suspects if not _decided(connection, one)]


def _decided(connection: sqlite3.Connection, one: Suspect) -> bool:
    """Tell whether everything that is suspected lies before where the partition is decided, and none of it waits."""
    beyond = connection.execute(
        "SELECT 1 FROM inbox_partition WHERE partition = ? AND next_offset > ?", (one.partition, one.last)
    ).fetchone()
    waits = connection.execute(
        "SELECT 1 FROM parked WHERE partition = ? AND at_offset BETWEEN ? AND ? LIMIT 1",
        (one.partition, one.first, one.last),
    ).fetchone()
    return beyond is not None and waits is None


def write_suspects(connection: sqlite3.Connection, suspects: Iterable[Suspect]) -> None:
    """Remember suspects."""
    write_value(connection, _STATE, list(suspects))
