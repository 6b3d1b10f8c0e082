"""Record batches that aiokafka cannot decode, decoded all the same.

aiokafka decodes header names as strict UTF-8. A broker stores any bytes there, so one record of anybody who may write
to an inbox would stop its reader for good: aiokafka cannot step over a record in the middle of a batch. Here such a
batch is parsed again with names escaped, and what cannot be parsed at all is handed on as an empty record in its place,
so that it goes to quarantine and costs itself alone.

Source: Kafka's record batch format, magic 2, https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

if TYPE_CHECKING:
    from collections.abc import Iterator

UNREADABLE: Final = "docbus_unreadable"
"""Header of a record whose bytes could not be parsed; its value says why."""
_LENGTH_AT, _LOG_OVERHEAD = 8, 12
_RECORDS_AT = 61
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

    def size_in_bytes(self) -> int:
        """Return the bytes in all."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Tell whether a whole batch is left."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """Return the next batch, or None."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        begin = self._at
        length = int.from_bytes(self._raw[begin + _LENGTH_AT : begin + _LOG_OVERHEAD], "big")
        self._at = begin + _LOG_OVERHEAD + length
        return TolerantBatch(batch, self._raw, begin, self._at)


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
            yield from self._again(after, error)

    def _again(self, after: int, error: Exception) -> Iterator[FoundRecord]:
        """Parse the batch anew, and return what comes after an offset."""
        batch = self._batch
        try:
            found = [record for record in parse(self._raw[self._begin : self._end], batch) if record.offset > after]
        except (IndexError, ValueError):
            found = []
        yield from found
        if found:
            after = found[-1].offset
        reason = f"{type(error).__name__} in a batch of the broker".encode()
        for offset in range(after + 1, batch.next_offset):
            yield FoundRecord(offset, batch.max_timestamp, batch.timestamp_type, None, None, [(UNREADABLE, reason)])


def parse(raw: bytes, batch: Any) -> list[FoundRecord]:
    """Return the records of an uncompressed batch, bytes in header names that are not UTF-8 escaped.

    Raises:
        ValueError: The batch is compressed, or a length is negative or too large.
        IndexError: The bytes end too soon.
    """
    if batch.compression_type:
        raise ValueError("a compressed batch, which docbus's topics never hold")
    records = []
    at = _RECORDS_AT
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
        records.append(FoundRecord(batch.base_offset + offset, stamp, batch.timestamp_type, key, value, headers))
    return records


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
    """Let aiokafka's consumers use :class:`TolerantRecords`; it has no setting for that (aiokafka 0.14)."""
    fetcher.MemoryRecords = TolerantRecords
