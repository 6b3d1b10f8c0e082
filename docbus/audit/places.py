"""Where a record lies, and what part of an inbox was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

_OFFSET_BITS = 44
"""Bits of an offset within a packed place: 17 million million records in one partition."""
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
MAX_OFFSET = _OFFSET_MASK
"""Of a record that a replay can name: at a million records a second a partition has it after half a year of nothing
else."""
MAX_INBOXES = 1 << 20
"""Partitions in one replay: eight for each agency of the national directory. A packed place has 64 bits."""


class Place(NamedTuple):
    """A record's place in the log."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """One partition of an agency's inbox, and the part of it that is read.

    Attributes:
        agency: Canonical id of its owner.
        topic: Its topic.
        partition: Its partition.
        start: First offset that is read.
        end: Offset behind the last one that is read.
        settled: Offset before which a record was there before the reading of any inbox began to be bounded. What such
            a record refers to lies within the bounds of the other inboxes; a later one may be ahead of them.
        whole: It is read from offset 0, so that a stream in it must begin with its first statement.
        to_now: It is read to its end, or to the same time as all others, so that no receipt was left out on purpose.
    """

    agency: str
    topic: str
    partition: int
    start: int
    end: int
    settled: int
    whole: bool
    to_now: bool


class Inboxes:
    """All inboxes of a replay; packs places into integers that order by topic, partition and offset."""

    def __init__(self, inboxes: Iterable[Inbox]) -> None:
        self.all = tuple(sorted(inboxes, key=lambda inbox: (inbox.topic, inbox.partition)))
        if len(self.all) > MAX_INBOXES:
            raise AuditError(f"{len(self.all):,} inbox partitions, at most {MAX_INBOXES:,} fit into one replay")
        self._ranks = {(inbox.topic, inbox.partition): rank for rank, inbox in enumerate(self.all)}
        self._by_agency: dict[str, list[int]] = {}
        for rank, inbox in enumerate(self.all):
            self._by_agency.setdefault(inbox.agency, []).append(rank)

    def rank(self, topic: str, partition: int) -> int:
        """Return an inbox's number in :attr:`all`."""
        return self._ranks[topic, partition]

    def pack(self, rank: int, offset: int) -> int:
        """Return a place as one integer below 2**64."""
        if offset > _OFFSET_MASK:
            raise AuditError(f"offset {offset} of {self.all[rank].topic} is beyond what a replay can name")
        return rank << _OFFSET_BITS | offset

    def inbox_of(self, packed: int) -> Inbox:
        """Return the inbox in which a place lies."""
        return self.all[packed >> _OFFSET_BITS]

    def place(self, packed: int) -> Place:
        """Return a packed place for people."""
        inbox = self.inbox_of(packed)
        return Place(inbox.topic, inbox.partition, packed & _OFFSET_MASK)

    def settled(self, packed: int) -> bool:
        """Tell whether what this record refers to must have been read too."""
        return packed & _OFFSET_MASK < self.inbox_of(packed).settled

    def of(self, agency: str) -> tuple[Inbox, ...]:
        """Return an agency's inboxes, none if they are not read."""
        return tuple(self.all[rank] for rank in self._by_agency.get(agency, ()))
