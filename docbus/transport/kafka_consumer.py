"""Consumers of aiokafka with the settings that docbus needs, none of which is the default."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, conn

from docbus.limits import MIB
from docbus.transport.kafka_records import install
from docbus.transport.port import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.transport.kafka_client import Connector

install()

_VALUE = itemgetter(1)

FETCH_BYTES: Final = 4 * MIB + 64 * 1024
"""Bytes fetched at a time: four of the largest records, eight parts of large content with their frames, or thousands of
small records, and what still arrives within the time for a request on a slow line."""
READ_AHEAD_BYTES: Final = 2 * MIB
"""Half of the bytes of an answer that are read from a socket before reading pauses. With the 64 KiB of aiokafka, which
has no setting for them (0.14), reading a fetch of large content pauses and goes on dozens of times."""
conn.READER_LIMIT = READ_AHEAD_BYTES
FETCH_WAIT_MS: Final = 500
"""Milliseconds that a broker holds a fetch back while there is nothing; it answers at once when something comes."""
SESSION_MS: Final = 30_000
"""Milliseconds without a heartbeat after which a member is taken for dead. Three times aiokafka's default: work on the
event loop delays heartbeats, and being thrown out means reading again."""
HEARTBEAT_MS: Final = 1_000
"""Milliseconds between heartbeats, and so until a member learns of a new one."""
MAX_POLL_MS: Final = 15 * 60 * 1000
"""Milliseconds without a fetch after which a member gives its partitions to others: a DMS that is away for a quarter of
an hour."""


def group_less(connector: Connector) -> Any:
    """Return a consumer that belongs to no group, for reading at given offsets and asking for offsets.

    An offset that is out of range is an error: going elsewhere in silence is not for this reader to decide.
    """
    return AIOKafkaConsumer(**_options(connector), auto_offset_reset="none")


def member(connector: Connector, group: str) -> Any:
    """Return a consumer that can join a group; without a position it begins at the first record."""
    return AIOKafkaConsumer(
        **_options(connector),
        group_id=group,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        max_poll_interval_ms=MAX_POLL_MS,
    )


def _options(connector: Connector) -> dict[str, Any]:
    return connector.options | {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "check_crcs": True,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "max_partition_fetch_bytes": FETCH_BYTES,
        "fetch_max_bytes": FETCH_BYTES,
    }


def records_of(answer: dict[Any, list[Any]]) -> list[Record]:
    """Return what ``getmany`` returned as records of the port."""
    return [
        Record(
            found.topic,
            found.partition,
            found.offset,
            found.timestamp,
            found.key,
            found.value,
            _headers(found.headers),
        )
        for records in answer.values()
        for found in records
    ]


def _headers(found: Sequence[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes], ...]:
    """Return headers with empty values in place of missing ones; most records have none missing."""
    if all(map(_VALUE, found)):
        return tuple(found)  # type: ignore[arg-type] # no value is None
    return tuple((name, value or b"") for name, value in found)


def split(records: list[Record], max_records: int, max_bytes: int) -> tuple[list[Record], list[Record]]:
    """Return what fits the bounds, at least one record, and the rest."""
    room = max_bytes
    for index, record in enumerate(records[:max_records]):
        room -= len(record.key or b"") + len(record.value or b"") + sum(map(len, chain.from_iterable(record.headers)))
        if room < 0 and index:
            return records[:index], records[index:]
    return records[:max_records], records[max_records:]
