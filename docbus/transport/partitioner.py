"""Which partition a record goes to, and what it weighs.

Keys go where Apache Kafka's own clients send them, but for an inbox with several partitions: its last one is the
*express* partition, which takes what must not wait behind documents, and the keys share the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.transport import topics

if TYPE_CHECKING:
    from docbus.transport.port import NewRecord

_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
"""Seed and multiplier of ``org.apache.kafka.common.utils.Utils.murmur2``."""

BATCH_HEADER_BYTES = 61
"""Bytes in front of the records of a batch, message format 2."""
_MAX_FIXED_BYTES = 1 + 1 + 1
"""Attributes, timestamp delta and offset delta of the only record of a batch: one byte each."""


def murmur2(key: bytes) -> int:
    """Return the 32-bit hash that Kafka's default partitioner uses."""
    body = len(key) & ~3
    digest = (_SEED ^ len(key)) & _MASK
    for at in range(0, body, 4):
        word = int.from_bytes(key[at : at + 4], "little") * _FACTOR & _MASK
        word = (word ^ (word >> 24)) * _FACTOR & _MASK
        digest = (digest * _FACTOR & _MASK) ^ word
    if body < len(key):
        digest = (digest ^ int.from_bytes(key[body:], "little")) * _FACTOR & _MASK
    digest = (digest ^ (digest >> 13)) * _FACTOR & _MASK
    return digest ^ (digest >> 15)


def partition_of(key: bytes | None, partitions: int) -> int:
    """Return the partition of a key: Kafka's for a key, and always 0 without one, so that it is the same each time."""
    if key is None or partitions == 1:
        return 0
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def express_partition(topic: str, partitions: int) -> int | None:
    """Return the partition of a topic that is kept for express records; None if it has none."""
    return partitions - 1 if partitions > 1 and topics.kind_of(topic) == topics.INBOX else None


def place_of(topic: str, key: bytes | None, partitions: int, *, express: bool) -> int:
    """Return the partition of a record for which nobody has chosen one.

    Args:
        topic: Its topic.
        key: Its key.
        partitions: How many the topic has.
        express: Whether it must not wait behind those that are not.
    """
    kept = express_partition(topic, partitions)
    if kept is None:
        return partition_of(key, partitions)
    return kept if express else partition_of(key, kept)


def batch_size(record: NewRecord) -> int:
    """Return the bytes of an uncompressed batch with this one record, which is what ``max.message.bytes`` limits."""
    size = _MAX_FIXED_BYTES + _sized(record.key) + _sized(record.value) + _varint(len(record.headers))
    for name, value in record.headers:
        size += _sized(name.encode()) + _sized(value)
    return BATCH_HEADER_BYTES + _varint(size) + size


def _sized(field: bytes | None) -> int:
    return 1 if field is None else _varint(len(field)) + len(field)


def _varint(value: int) -> int:
    """Bytes of a zigzag varint; seven bits each, one bit lost to the sign."""
    return max(1, (value.bit_length() + 7) // 7)
