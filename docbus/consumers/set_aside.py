"""Reading what was set aside: records of a quarantine or dead letter topic, see :mod:`docbus.consumers.aside`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.consumers.aside import FOREIGN_PREFIX
from docbus.consumers.parking import REQUESTED_PARTITION
from docbus.consumers.spans import PARTITION, READ_BYTES, READ_RECORDS, READ_SECONDS, bounds_of
from docbus.errors import TransportError
from docbus.limits import MAX_TIME_MS, MIB
from docbus.transport import topics
from docbus.transport.port import Record

if TYPE_CHECKING:
    from collections.abc import Collection

    from docbus.transport.port import Transport

MAX_READ_BYTES = 16 * MIB
"""Bytes of records by number that are in memory at once."""


INT64_END = 1 << 63
"""What a database takes for a number is less."""
MAX_DIGITS = len(str(INT64_END))
"""Digits of a partition or an offset in our headers, which anybody who can write to the topic may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A record that was not filed. Everything but value and digest is a hint: the brokers could have changed it.

    Attributes:
        number: Its offset in the topic it lies in, by which it is named.
        owner: The agency whose topic that is.
        set_aside_at: When it was put there, milliseconds since 1970-01-01T00:00:00Z; None if that cannot be read.
        step: Step of the journey that refused it.
        reason: Stable code.
        detail: A sentence.
        topic: Where it came from.
        partition: Likewise.
        offset: Likewise.
        stored_at: When the broker stored it there.
        claimed_sender: The record's key as printable text.
        value: The exact bytes.
        headers: The headers that it came with.
    """

    number: int
    owner: str
    set_aside_at: int | None
    step: str
    reason: str
    detail: str
    topic: str
    partition: int | None
    offset: int | None
    stored_at: int | None
    claimed_sender: str
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes], ...]

    @property
    def origin(self) -> str:
        """Topic, partition and offset on one line."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.value)

    @property
    def digest(self) -> str:
        """SHA-256 of the value, in hex."""
        return sha256(self.value).hexdigest()


async def read_one(transport: Transport, topic: str, number: int) -> SetAside:
    """Return the record with this offset.

    Raises:
        TransportError: There is none, or the topic is missing or cannot be read.
    """
    first, end = await bounds_of(transport, topic)
    if not first <= number < end:
        held = f"it holds {first} to {end - 1}" if first < end else "it is empty"
        raise TransportError(f"{topic} has no record {number}: {held}", hint="The command `ls` lists them.")
    records = await transport.read(topic, PARTITION, number, max_records=1, max_bytes=READ_BYTES, wait=READ_SECONDS)
    if not records or records[0].offset != number:
        raise TransportError(f"{topic} has no record {number} any more", hint="The command `ls` lists those it has.")
    return set_aside_of(records[0])


async def read_numbers(transport: Transport, topic: str, numbers: Collection[int]) -> dict[int, Record | None]:
    """Return the records with these offsets, None where there is none any more, in few reads.

    Numbers beyond what fits into ``MAX_READ_BYTES`` are left out; at least one is in the answer.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    first, end = await bounds_of(transport, topic)
    found: dict[int, Record | None] = {number: None for number in numbers if not first <= number < end}
    wanted = deque(sorted(number for number in numbers if first <= number < end))
    size = 0
    while wanted and size < MAX_READ_BYTES:
        # Up to the last number of a window, so that one by itself costs one record.
        window = max(number for number in wanted if number < wanted[0] + READ_RECORDS)
        records = await transport.read(
            topic,
            PARTITION,
            wanted[0],
            max_records=window - wanted[0] + 1,
            max_bytes=READ_BYTES,
            wait=READ_SECONDS,
        )
        if not records:
            raise TransportError(f"{topic} ends at offset {end}, but nothing was read from {wanted[0]} on")
        read = {record.offset: record for record in records}
        while wanted and wanted[0] <= records[-1].offset:
            record = found[wanted[0]] = read.get(wanted[0])
            size += len(record.value or b"") if record is not None else 0
            wanted.popleft()
    return found


def original_of(record: Record, agency: str) -> Record:
    """Return the record as it was in the inbox, value and key exact, and its headers and time as ours say: hints.

    Its place is none of the inbox: what our headers say of it is not signed, and whoever changed it could let the
    record wait in a partition that nobody reads here.
    """
    found = set_aside_of(record)
    return Record(
        topic=topics.inbox(agency),
        partition=REQUESTED_PARTITION,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms if found.stored_at is None else found.stored_at,
        key=record.key,
        value=record.value,
        headers=found.headers,
    )


def set_aside_of(record: Record) -> SetAside:
    """Read the headers of a record; what is missing or odd in them is left empty."""
    ours: dict[str, str] = {}
    foreign = []
    for name, value in record.headers:
        if name.startswith(FOREIGN_PREFIX):
            foreign.append((name.removeprefix(FOREIGN_PREFIX), value))
        else:
            ours.setdefault(name, value.decode("ascii", "replace"))
    return SetAside(
        number=record.offset,
        owner=topics.owner_of(record.topic) or "",
        set_aside_at=_time(ours.get("docbus_set_aside_at", "")),
        step=ours.get("docbus_step", ""),
        reason=ours.get("docbus_reason", ""),
        detail=ours.get("docbus_detail", ""),
        topic=ours.get("docbus_topic", ""),
        partition=_number(ours.get("docbus_partition", "")),
        offset=_number(ours.get("docbus_offset", "")),
        stored_at=_possible(_number(ours.get("docbus_stored_at", ""))),
        claimed_sender=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers=tuple(foreign),
    )


def _number(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None
    return number if number is not None and number < INT64_END else None


def _time(text: str) -> int | None:
    try:
        return _possible(round(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError):
        return None


def _possible(milliseconds: int | None) -> int | None:
    """Return a time if it is one that a calendar has."""
    return milliseconds if milliseconds is not None and 0 <= milliseconds <= MAX_TIME_MS else None
