"""Record batches as a broker may hand them out, also such as no producer of docbus writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RECORDS_AT = 61
"""Bytes of a batch's header, magic 2."""
_LENGTH_AT, _CRC_AT, _ATTRIBUTES_AT = 8, 17, 21

Fields = tuple[bytes | None, bytes, "Sequence[tuple[str, bytes | None]]"]
"""Key, value and headers of a record."""


def encoded(records: Sequence[Fields]) -> bytes:
    """Return a batch with these records, uncompressed, from offset 0."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, 1000 + number, key, value, list(headers))
    return bytes(builder.build())


def compressed(raw: bytes, compress: Callable[[bytes], bytes], *, codec: int = 1, attributes: int = 0) -> bytes:
    """Return an uncompressed batch with its records compressed, and a checksum that holds.

    Args:
        raw: The batch.
        compress: What makes of the records what stands behind the header.
        codec: Number of the compression that the header names; 1 is gzip.
        attributes: Further bits of the header.
    """
    batch = bytearray(raw[:RECORDS_AT] + compress(raw[RECORDS_AT:]))
    batch[_LENGTH_AT : _LENGTH_AT + 4] = (len(batch) - _LENGTH_AT - 4).to_bytes(4, "big")
    batch[_ATTRIBUTES_AT : _ATTRIBUTES_AT + 2] = (codec | attributes).to_bytes(2, "big")
    batch[_CRC_AT : _CRC_AT + 4] = calc_crc32c(bytes(batch[_ATTRIBUTES_AT:])).to_bytes(4, "big")
    return bytes(batch)
