"""What docbus needs of an ordered, durable log, and how much of it may be relied on.

The guarantees stand here once and hold for every adapter; ``tests/contract/test_transport.py`` runs them on each. What
only one adapter can do is not promised. In short:

================  ===========================================================================================
order             Records of one call to one (topic, partition) are stored in the order given. Two calls that
                  run at the same time have no order between them: who needs one awaits the first.
durability        What ``append`` returned for is on all in-sync replicas (Kafka), or synced to the disk of
                  this host (embedded). Kafka's replicas write to disk lazily: put them in separate
                  failure domains.
atomicity         None. After an error any part of a call may be stored, except where the error says otherwise.
duplicates        Possible whenever an append is repeated after an error; readers must be idempotent (design D5).
visibility        A record is readable once it is stored, not before; readers wait for it without polling.
time              ``timestamp_ms`` is the broker's clock at storing. It may go back when a leader changes.
retention         Records older than the topic's ``retention.ms`` are deleted, oldest first, some time after they have
                  expired; the first offset of a partition then is above 0. Offsets are not given again.
positions         A committed position is advice: brokers control it, and it is never proof of an outcome.
cancellation      Cancelling a read loses no record. Cancelling an append leaves its outcome unknown.
concurrency       One transport belongs to one event loop; its methods may run at the same time.
================  ===========================================================================================

Every wait is bounded, and every error is a :class:`~docbus.errors.TransportError` (the embedded transport adds
:class:`~docbus.errors.DiskFullError`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docbus.transport.access import AccessControl

Start: TypeAlias = "Literal['committed', 'earliest'] | Mapping[int, int] | Callable[[int], int]"
"""Where a subscription begins: at the group's position (or the first record if it has none), at the first record, or
at given offsets by partition; a partition that the mapping leaves out begins as with ``committed``. A function is asked
for the offset of a partition each time this member is given it; the group's position is then never looked at."""

UNKNOWN_OFFSET = -1
"""Offset of a record that is stored, but of which the broker did not say where: it had the batch already."""


class Record(NamedTuple):
    """A record as read: where it lies, and the bytes that somebody with write access put there.

    A tuple, because one is made for everything that is read, and a frozen dataclass costs 1.5 microseconds more.
    """

    topic: str
    partition: int
    offset: int
    """Rises by at least one within a partition; gaps are normal on Kafka (control records, retention)."""
    timestamp_ms: int
    """The broker's clock when it stored the record; a hint, as the broker is not trusted."""
    key: bytes | None
    value: bytes | None
    """``None`` is a tombstone, which docbus never writes but anybody may."""
    headers: tuple[tuple[str, bytes], ...]
    """In the order written; names may repeat. A header without a value reads as empty."""


class NewRecord(NamedTuple):
    """A record to be stored; a tuple for the same reason as :class:`Record`."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """``None`` takes the partition from the key as every Kafka client does (murmur2); without a key it is 0. An inbox
    with several partitions keeps its last one for express records, see ``partitioner``."""
    express: bool = False
    """The record must not wait behind those that are not; counts only where no partition is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it is meant to be."""

    name: str
    partitions: int
    configuration: Mapping[str, str]
    """Kafka's own names and spelling. ``min.insync.replicas`` is lowered to replicas - 1, at least 1: with as many
    in-sync replicas required as there are, one restarting broker would stop every write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as it is."""

    name: str
    partitions: int
    configuration: Mapping[str, str]
    """Settings in force, defaults of the broker included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which a topic is not as it is meant to be."""

    topic: str
    setting: str
    """A name of Kafka's configuration, or ``partitions``, or ``topic`` if there is no such topic."""
    actual: str | None
    intended: str


class Subscription(Protocol):
    """Reading one topic as a member of a group. An async context manager; entering it joins the group.

    On Kafka the members of a group share the partitions, and the share may change at any time. On the embedded
    transport a group has one member at a time, over all processes of the host.
    """

    @property
    def assigned(self) -> frozenset[int]:
        """Partitions that this member reads now; empty until the group has settled."""
        ...

    @property
    def settled(self) -> bool:
        """Whether ``assigned`` is what the group has agreed on; a member may have been given nothing."""
        ...

    @property
    def generation(self) -> int:
        """Changes whenever the assignment does, or the connection was built anew.

        What was fetched under an older generation may be read by another member by now, and will be fetched again by
        whoever has its partition, from the committed position. Whoever keeps records between fetches compares it.
        """
        ...

    async def __aenter__(self) -> Self:
        """Join the group.

        Raises:
            TopicMissingError: There is no such topic.
            GroupBusyError: Embedded transport only: another reader has this topic and group; the text names it.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def __aexit__(self, *exception: object) -> None:
        """Leave the group, within a few seconds even if no broker answers. Commits nothing."""
        ...

    async def fetch(
        self, *, max_records: int, max_bytes: int, wait: float, express: bool | None = None
    ) -> list[Record]:
        """Return what comes next, in the order of offsets within each partition.

        Connections that break and members that are thrown out heal inside; while that goes on, the answer is empty.
        A cancelled call loses nothing. One call at a time for express records, and one for all others; whoever asks
        for both together makes no other call.

        Args:
            express: Only of the topic's express partition, or only of the others; None: of all.
            max_records: At most so many records.
            max_bytes: Stop before this many bytes of keys, values and headers, but return at least one record.
                What a client library has fetched ahead of this limit stays in memory: up to 4 MiB per partition.
            wait: Seconds to wait for the first record.

        Returns:
            Records; empty when ``wait`` has passed. The position moves past them for this subscription only.

        Raises:
            BrokerUnavailableError: Nothing has answered for several seconds. Fetch again: it goes on trying.
            AccessDeniedError: Reading is not allowed. Fetching again tries again.
            TransportError: The broker's copy is damaged. Fetching again tries again.
        """
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Store the group's position. The same position again is harmless, a lower one moves it back.

        A partition that has moved to another member is left out without an error, as its new reader decides; the
        generation shows it.

        Args:
            offsets: By partition, the offset to be read next, that is the last one done plus one.

        Raises:
            BrokerUnavailableError: It may or may not be stored.
        """
        ...

    async def lag(self) -> dict[int, int]:
        """Return how many offsets lie between the group's position and the end, by assigned partition.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...


class Stamp(NamedTuple):
    """The time that a broker put on a record when it stored it, and when the acknowledgement came.

    ``at_ms`` is in milliseconds since 1970-01-01T00:00:00Z by the broker's clock, ``monotonic`` in seconds by
    :meth:`docbus.clock.Clock.monotonic`.
    """

    at_ms: int
    monotonic: float


class Transport(Protocol):
    """The log. Nothing is connected before :meth:`start`."""

    @property
    def access(self) -> AccessControl | None:
        """Who may do what there, to be read and changed; None where whoever reaches it may do everything."""
        ...

    @property
    def stamp(self) -> Stamp | None:
        """The newest of what was appended here; None if there is none yet, or the broker's clock is this machine's."""
        ...

    async def start(self) -> None:
        """Connect, or open the file. A second call does nothing, unless the first one failed.

        Raises:
            BrokerUnavailableError: Nothing answers at the address within a few seconds, or the file cannot be opened.
                The transport is started all the same: every other call tries again.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything within a few seconds, whatever the brokers do. A second call does nothing."""
        ...

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Store records, durably, in order within each (topic, partition).

        The cost is per call, not per record: pass what waits as one list. Every topic is looked up before anything is
        sent. No later record of a partition is sent once an earlier one of the same call has failed.

        Args:
            records: For any number of topics. An empty list does nothing.

        Returns:
            The offset of each, in the order given, or :data:`UNKNOWN_OFFSET`.

        Raises:
            TopicMissingError: A topic or a partition does not exist; nothing was stored.
            RecordRefusedError: The broker will never take one of them, see the text; of the others nothing is known.
            AppendUnknownError: Any of them may be stored or not, even later. Append the same bytes again.
            BrokerUnavailableError: No connection could be made; nothing was stored.
            DiskFullError: Embedded transport: nothing was stored.
        """
        ...

    async def read(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        max_records: int,
        max_bytes: int,
        wait: float,
    ) -> list[Record]:
        """Return records from an offset on, without a group; leaves no trace at the broker.

        Args:
            topic: Where to read.
            partition: Which partition of it.
            offset: Where to begin; if retention has deleted it, at the first that is left.
            max_records: At most so many.
            max_bytes: As in :meth:`Subscription.fetch`.
            wait: Seconds to wait for the first record.

        Returns:
            Records in the order of offsets; empty when ``wait`` has passed.

        Raises:
            TopicMissingError: There is no such topic or partition.
            BrokerUnavailableError: No broker answers.
            AccessDeniedError: Reading is not allowed.
            TransportError: The copy is damaged, or the offset lies beyond the end, which means that the topic was
                truncated or made anew.
        """
        ...

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return by partition the first offset and the end, which is the offset that comes next.

        Raises:
            TopicMissingError: There is no such topic.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def offset_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """Return by partition the first offset stored at or after a time, or the end if there is none.

        Raises:
            TopicMissingError: There is no such topic.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """Return by partition the group's position, ``None`` where it never committed. Needs no membership.

        Raises:
            TopicMissingError: There is no such topic.
            BrokerUnavailableError: No broker answers.
        """
        ...

    def subscribe(self, topic: str, group: str, *, start: Start) -> Subscription:
        """Return a subscription, which joins when it is entered.

        Args:
            topic: Its topic.
            group: The name of the group.
            start: Where it begins. ``earliest`` and given offsets hold until this subscription's first commit in a
                partition; from then on the group's position counts. A function always holds.
        """
        ...

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicState | None]:
        """Return the state of each topic, ``None`` where there is no such topic.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def create(self, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
        """Create topics that do not exist, and return their names once they can be written.

        A topic that exists is left as it is, see :meth:`configure`.

        Raises:
            TransportError: A topic could not be created, see the text; others may have been.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def compare(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """Return every way in which topics differ from their specifications; changes nothing.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def configure(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """Give topics the configuration of their specifications, and return what differed.

        Only topics that differ are touched, and settings that a specification does not name stay as they are. A number
        of partitions is reported and never changed: it decides which partition a key goes to, so changing it would
        break the order of streams. A missing topic is reported and not created.

        Raises:
            TransportError: A change was refused, see the text.
            BrokerUnavailableError: No broker answers.
        """
        ...
