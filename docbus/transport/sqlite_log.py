"""What the embedded transport does inside a transaction: functions on a connection, one statement per batch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from docbus.errors import RecordRefusedError, TopicMissingError, TransportError
from docbus.transport.partitioner import batch_size, place_of
from docbus.transport.port import Record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from docbus.transport.port import NewRecord

_HEADER = struct.Struct(">HI")
"""Bytes of a header's name, and of its value."""

_PLACES: Final = """
SELECT t.name, t.max_bytes, p.id, p.next_offset, p.last_stored_ms
FROM topics AS t JOIN partitions AS p ON p.topic = t.id
WHERE t.name IN (SELECT value FROM json_each(?)) ORDER BY t.id, p.number
"""
_INSERT: Final = """
INSERT INTO records (partition_id, "offset", stored_ms, key, value, headers) VALUES (?, ?, ?, ?, ?, ?)
"""
_ADVANCE: Final = "UPDATE partitions SET next_offset = ?, last_stored_ms = ? WHERE id = ?"
_READ: Final = """
SELECT "offset", stored_ms, key, value, headers FROM records
WHERE partition_id = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?
"""
_STORED: Final = """
SELECT "offset", stored_ms FROM records WHERE partition_id = ? AND "offset" >= ? ORDER BY "offset" LIMIT 1
"""
_STRETCHES: Final = """
SELECT p.id, coalesce((SELECT min(r."offset") FROM records AS r WHERE r.partition_id = p.id), p.next_offset),
       p.next_offset
FROM topics AS t JOIN partitions AS p ON p.topic = t.id WHERE t.name = ? ORDER BY p.number
"""
_COMMIT: Final = """
INSERT INTO positions (partition_id, group_name, next_offset) VALUES (?, ?, ?)
ON CONFLICT (partition_id, group_name) DO UPDATE SET next_offset = excluded.next_offset
"""
_POSITIONS: Final = """
SELECT p.number, c.next_offset
FROM topics AS t JOIN partitions AS p ON p.topic = t.id
LEFT JOIN positions AS c ON c.partition_id = p.id AND c.group_name = ?
WHERE t.name = ? ORDER BY p.number
"""


@dataclass(slots=True)
class Place:
    """A partition as it is inside the transaction."""

    id: int
    max_bytes: int
    next_offset: int
    stored_ms: int
    changed: bool = False


def places(connection: sqlite3.Connection, topics: Iterable[str]) -> dict[str, list[Place]]:
    """Return the partitions of topics, by number.

    Raises:
        TopicMissingError: One does not exist.
    """
    wanted = set(topics)
    found: dict[str, list[Place]] = {}
    for name, max_bytes, place, next_offset, stored_ms in connection.execute(_PLACES, (json.dumps(sorted(wanted)),)):
        found.setdefault(name, []).append(Place(place, max_bytes, next_offset, stored_ms))
    if missing := wanted - found.keys():
        raise missing_topic(min(missing))
    return found


def missing_topic(topic: str) -> TopicMissingError:
    """Return the error for a topic that does not exist."""
    return TopicMissingError(f"there is no topic {topic}", hint="Create it with `docbus provision`.")


def missing_partition(topic: str, partition: int, partitions: int) -> TopicMissingError:
    """Return the error for a partition that does not exist."""
    return TopicMissingError(f"topic {topic} has {partitions} partitions, and none with the number {partition}")


def append(connection: sqlite3.Connection, records: Sequence[NewRecord], now_ms: int) -> list[int]:
    """Store records and return their offsets; all or, on an error, none."""
    found = places(connection, {record.topic for record in records})
    offsets: list[int] = []
    rows: list[tuple[object, ...]] = []
    for record in records:
        partitions = found[record.topic]
        number = record.partition
        if number is None:
            number = place_of(record.topic, record.key, len(partitions), express=record.express)
        if not 0 <= number < len(partitions):
            raise missing_partition(record.topic, number, len(partitions))
        place = partitions[number]
        if (size := batch_size(record)) > place.max_bytes:
            raise RecordRefusedError(
                f"a record of {size} bytes for {record.topic} is larger than its max.message.bytes, {place.max_bytes}"
            )
        if not place.changed:
            place.changed, place.stored_ms = True, max(place.stored_ms, now_ms)
        rows.append(
            (place.id, place.next_offset, place.stored_ms, record.key, record.value, pack_headers(record.headers))
        )
        offsets.append(place.next_offset)
        place.next_offset += 1
    connection.executemany(_INSERT, rows)
    connection.executemany(
        _ADVANCE,
        [(p.next_offset, p.stored_ms, p.id) for partitions in found.values() for p in partitions if p.changed],
    )
    return offsets


def read(
    connection: sqlite3.Connection, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int
) -> list[Record]:
    """Return records from an offset on, at least one if there is one."""
    partitions = places(connection, [topic])[topic]
    if not 0 <= partition < len(partitions):
        raise missing_partition(topic, partition, len(partitions))
    place = partitions[partition]
    if offset > place.next_offset:
        raise beyond_end(topic, partition, offset, place.next_offset)
    records: list[Record] = []
    room = max_bytes
    rows = connection.execute(_READ, (place.id, offset, max_records))
    for at, stored_ms, key, value, headers in rows:
        room -= len(key or b"") + len(value or b"") + len(headers)
        if records and room < 0:
            break
        records.append(
            Record(
                topic=topic,
                partition=partition,
                offset=at,
                timestamp_ms=stored_ms,
                key=key,
                value=value,
                headers=unpack_headers(headers),
            )
        )
    rows.close()
    return records


def beyond_end(topic: str, partition: int, offset: int, end: int) -> TransportError:
    """Return the error for reading at an offset that the log has not reached."""
    return TransportError(
        f"asked for offset {offset} of {topic}/{partition}, which ends at {end}",
        hint="The topic was truncated or made anew; ask whoever runs the brokers, and compare with an archive.",
    )


def bounds(connection: sqlite3.Connection, topic: str) -> dict[int, tuple[int, int]]:
    """Return first offset and end by partition; they are the same if nothing is left."""
    return {number: (first, end) for number, (_, first, end) in enumerate(_stretches(connection, topic))}


def offset_at(connection: sqlite3.Connection, topic: str, timestamp_ms: int) -> dict[int, int]:
    """Return the first offset stored at or after a time by bisection: times do not go back within a partition."""
    found: dict[int, int] = {}
    for number, (place, first, end) in enumerate(_stretches(connection, topic)):
        low, high = first, end
        while low < high:
            middle = (low + high) // 2
            row = connection.execute(_STORED, (place, middle)).fetchone()
            # Without a row, another process has deleted from here to the end since the bounds were read.
            low, high = (row[0] + 1, high) if row and row[1] < timestamp_ms else (low, middle)
        found[number] = low
    return found


def _stretches(connection: sqlite3.Connection, topic: str) -> list[tuple[int, int, int]]:
    """Return the id, the first offset and the end of each partition, by number, as they are at one moment."""
    if not (found := connection.execute(_STRETCHES, (topic,)).fetchall()):
        raise missing_topic(topic)
    return found


def committed(connection: sqlite3.Connection, group: str, topic: str) -> dict[int, int | None]:
    """Return a group's positions."""
    positions: dict[int, int | None] = dict(connection.execute(_POSITIONS, (group, topic)))
    if not positions:
        raise missing_topic(topic)
    return positions


def commit(connection: sqlite3.Connection, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Store a group's positions."""
    partitions = places(connection, [topic])[topic]
    for number in offsets:
        if not 0 <= number < len(partitions):
            raise missing_partition(topic, number, len(partitions))
    connection.executemany(
        _COMMIT, [(partitions[number].id, group, next_offset) for number, next_offset in offsets.items()]
    )


def pack_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Return headers as lengths (two bytes for a name, four for a value, big-endian) and bytes, one after the other."""
    if not headers:
        return b""
    parts: list[bytes] = []
    for name, value in headers:
        encoded = name.encode()
        parts += (_HEADER.pack(len(encoded), len(value)), encoded, value)
    return b"".join(parts)


def unpack_headers(packed: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return what :func:`pack_headers` was given; of anything else, what can be read of it.

    Headers are hints, and whoever may write the file may write them: they must not stop who reads it.
    """
    headers: list[tuple[str, bytes]] = []
    at = 0
    while at + _HEADER.size <= len(packed):
        name_size, value_size = _HEADER.unpack_from(packed, at)
        at += _HEADER.size
        name = packed[at : at + name_size].decode(errors="backslashreplace")
        headers.append((name, packed[at + name_size : at + name_size + value_size]))
        at += name_size + value_size
    return tuple(headers)
