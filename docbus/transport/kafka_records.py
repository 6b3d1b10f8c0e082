"""Record batches that aiokafka cannot decode, decoded all the same, and compressed ones unpacked within bounds.

aiokafka decodes header names as strict UTF-8. A broker stores any bytes there, so one record of anybody who may write
to an inbox would stop its reader for good: aiokafka cannot step over a record in the middle of a batch. Here such a
batch is parsed again with names escaped, and what cannot be parsed at all is handed on as an empty record in its place,
so that it goes to quarantine and costs itself alone.

aiokafka also unpacks a compressed batch to whatever size comes out: 700 KB to 700 MB. The topics of docbus are stored
uncompressed, so a broker that does as it is told never sends one; of any other broker, docbus unpacks gzip by itself,
within bounds. What is larger, and what is compressed otherwise, is handed on as empty records, never unpacked.

An answer that nobody reads to its end, because reading goes on elsewhere or its consumer is given up, is freed at once:
aiokafka's stays in memory, up to 4 MiB, until the garbage collector looks, which counts objects and not bytes.

Source: Kafka's record batch format, magic 2, https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import weakref
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from docbus.limits import MIB
from docbus.transport.topics import MAX_QUARANTINED_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNREADABLE: Final = "docbus_unreadable"
"""Header of a record whose bytes could not be parsed; its value says why."""
MAX_UNPACKED_BYTES: Final = MAX_QUARANTINED_BYTES
"""Bytes that one compressed batch may unpack to, 1.5 MiB: no batch of docbus has more before a broker compresses it."""
MAX_UNPACKED_TOTAL_BYTES: Final = 4 * MIB
"""Bytes unpacked of one answer, as many as an answer has uncompressed. The rest of it is fetched again, when it has its
turn: an answer of 4 MiB may hold thousands of batches, each within its own bound."""
MAX_PLACES: Final = 1024
"""Empty records that stand for one batch, twice the statements that docbus seals at a time. A batch says by itself how
many records it has; of one that says two thousand million, the rest counts as missing."""
_LENGTH_AT, _LOG_OVERHEAD = 8, 12
_MAGIC_AT, _MAGIC = 16, 2
_RECORDS_AT = 61
_GZIP = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_MAX_VARINT_BYTES = 10


class FoundRecord(NamedTuple):
    """A record in the shape in which aiokafka's fetcher expects one."""

    offset: int
    timestamp: int
    timestamp_type: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class TolerantRecords:
    """In place of aiokafka's ``MemoryRecords``: the same batches, none of which fails while it is iterated over."""

    def __init__(self, raw: bytes) -> None:
        self._records: Any = MemoryRecords(raw)
        self._raw = raw
        self._at = 0
        self._room = MAX_UNPACKED_TOTAL_BYTES

    def size_in_bytes(self) -> int:
        """Return the bytes in all."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Tell whether a whole batch is left; if not, the fetcher asks the broker for what follows the last one."""
        return self._room > 0 and bool(self._records.has_next())

    def next_batch(self) -> Any:
        """Return the next batch, or None."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        begin = self._at
        length = int.from_bytes(self._raw[begin + _LENGTH_AT : begin + _LOG_OVERHEAD], "big")
        self._at = begin + _LOG_OVERHEAD + length
        if self._raw[begin + _MAGIC_AT] != _MAGIC:
            return UnreadableBatch(batch, "in a format that Kafka 4 does not have any more")
        if batch.compression_type:
            return self._compressed(batch, memoryview(self._raw)[begin + _RECORDS_AT : self._at])
        return TolerantBatch(batch, self._raw, begin, self._at)

    def _compressed(self, batch: Any, packed: memoryview) -> Any:
        if batch.is_control_batch:
            return UnreadableBatch(batch, "of the broker's own marks, compressed")
        if batch.compression_type != _GZIP:
            return UnreadableBatch(batch, "compressed in a way that is not unpacked here")
        try:
            unpacked = _unpack(packed)
        except (ValueError, zlib.error) as error:
            # A bomb has cost as much as the largest batch that is none.
            self._room -= MAX_UNPACKED_BYTES
            return UnreadableBatch(batch, f"compressed: {error}")
        self._room -= len(unpacked)
        return UnpackedBatch(batch, unpacked)


class DroppableRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one partition in an answer, as aiokafka iterates over them, freed with the last reference.

    aiokafka's keep a generator that refers back to them. Such a cycle is a handful of objects with all bytes of the
    answer, and every seek leaves one: a process that fetched a large document in a thousand records grew by 4 MiB each.
    """

    def _unpack_records(self) -> Iterator[Any]:
        # The generator runs only in __next__, and so only as long as this object lives.
        unpack: Callable[[Any], Iterator[Any]] = super()._unpack_records.__func__
        return unpack(weakref.proxy(self))


class TolerantBatch:
    """A batch that is iterated over by aiokafka as long as that works; everything else is aiokafka's."""

    def __init__(self, batch: Any, raw: bytes, begin: int, end: int) -> None:
        self._batch = batch
        # Cut out only where it is needed: a batch may be a megabyte, and almost none is looked at twice.
        self._raw = raw
        self._begin, self._end = begin, end

    def __getattr__(self, name: str) -> Any:
        """Return what the fetcher asks of the batch."""
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """Return the one record of a control batch."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over all records."""
        batch = self._batch
        after = batch.base_offset - 1
        try:
            for record in batch:
                yield record
                after = record.offset
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the inbox
            yield from _parsed(self._raw[self._begin + _RECORDS_AT : self._end], batch, after, type(error).__name__)


class UnpackedBatch:
    """A compressed batch whose records are unpacked already; everything but them is aiokafka's."""

    def __init__(self, batch: Any, unpacked: bytes) -> None:
        self._batch = batch
        self._unpacked = unpacked

    def __getattr__(self, name: str) -> Any:
        """Return what the fetcher asks of the batch."""
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[FoundRecord]:
        """Iterate over all records."""
        return _parsed(self._unpacked, self._batch, self._batch.base_offset - 1, "holes")


class UnreadableBatch:
    """A batch that is not looked into, whatever it says of itself; empty records stand in its place."""

    is_control_batch = False
    is_transactional = False

    def __init__(self, batch: Any, why: str) -> None:
        self._batch = batch
        self._why = why

    def __getattr__(self, name: str) -> Any:
        """Return what the fetcher asks of the batch."""
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[FoundRecord]:
        """Iterate over the places of its records."""
        end = self._batch.next_offset
        # The formats before this one say the last offset of a batch only, and have a time for each record.
        first = getattr(self._batch, "base_offset", end - 1)
        return _places(self._batch, first, end, f"a batch {self._why}")


def _parsed(records: bytes, batch: Any, after: int, problem: str) -> Iterator[FoundRecord]:
    """Yield what comes after an offset, and empty records for what cannot be parsed."""
    try:
        for record in parse(records, batch):
            if record.offset > after:
                yield record
                after = record.offset
    except (IndexError, ValueError) as error:
        problem = type(error).__name__
    yield from _places(batch, after + 1, batch.next_offset, f"{problem} in a batch of the broker")


def _places(batch: Any, first: int, end: int, reason: str) -> Iterator[FoundRecord]:
    stamp, kind = getattr(batch, "max_timestamp", -1), getattr(batch, "timestamp_type", None)
    for offset in range(first, min(end, first + MAX_PLACES)):
        yield FoundRecord(offset, stamp, kind, None, None, [(UNREADABLE, reason.encode())])


def _unpack(packed: memoryview) -> bytes:
    """Return what gzip has packed.

    Raises:
        ValueError: It is more than ``MAX_UNPACKED_BYTES``, or not one whole stream.
        zlib.error: It is not gzip.
    """
    inflate = zlib.decompressobj(_GZIP_WINDOW)
    unpacked = inflate.decompress(packed, MAX_UNPACKED_BYTES + 1)
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it is cut, or something follows it")
    return unpacked


def parse(raw: bytes, batch: Any) -> Iterator[FoundRecord]:
    """Yield the records of a batch, bytes in header names that are not UTF-8 escaped.

    Args:
        raw: What follows the batch's header, unpacked.
        batch: Its header, as aiokafka reads it.

    Raises:
        ValueError: A length is negative or too large.
        IndexError: The bytes end too soon.
    """
    at = 0
    while at < len(raw):
        length, at = _varint(raw, at)
        end = at + length
        if length < 0 or end > len(raw):
            raise ValueError("a record longer than its batch")
        at += 1  # attributes
        delta, at = _varint(raw, at)
        offset, at = _varint(raw, at)
        key, at = _bytes(raw, at)
        value, at = _bytes(raw, at)
        count, at = _varint(raw, at)
        headers = []
        for _ in range(count):
            name, at = _bytes(raw, at)
            content, at = _bytes(raw, at)
            headers.append(((name or b"").decode("utf-8", "backslashreplace"), content))
        if at != end:
            raise ValueError("a record that is not as long as it says")
        stamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + delta
        yield FoundRecord(batch.base_offset + offset, stamp, batch.timestamp_type, key, value, headers)


def _bytes(raw: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(raw, at)
    if length < 0:
        return None, at
    if at + length > len(raw):
        raise ValueError("a field longer than its batch")
    return raw[at : at + length], at + length


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise ValueError("a number without end")


def install() -> None:
    """Let aiokafka's consumers use what is here; it has no setting for that (aiokafka 0.14)."""
    fetcher.MemoryRecords = TolerantRecords
    fetcher.PartitionRecords = DroppableRecords
