"""UUIDv7 (RFC 9562 section 5.7), many at a time."""

from __future__ import annotations

import os
import uuid

UUID_BYTES = 16
_RANDOM_BYTES = 10


def uuid7_bytes(now_ms: int, count: int = 1) -> list[bytes]:
    """Return ``count`` new UUIDv7 of 16 bytes, all with the given time in milliseconds."""
    stamp = now_ms.to_bytes(6, "big")
    pool = os.urandom(_RANDOM_BYTES * count)
    made = []
    for at in range(0, _RANDOM_BYTES * count, _RANDOM_BYTES):
        high, variant = pool[at], pool[at + 2]
        made.append(
            stamp + bytes((0x70 | high & 0x0F, pool[at + 1], 0x80 | variant & 0x3F)) + pool[at + 3 : at + _RANDOM_BYTES]
        )
    return made


def uuid7_text(now_ms: int) -> str:
    """Return one new UUIDv7 in its 36-character form."""
    return str(uuid.UUID(bytes=uuid7_bytes(now_ms)[0]))
