"""Avro binary encoding of the few forms that are written by hand.

fastavro takes about 10 microseconds for an envelope, because it walks a dict; most bytes of a batch are the same in
every copy. What is written here equals what fastavro writes, and a property test says so.
"""

from __future__ import annotations

NULL = b"\x00"
SOME = b"\x02"
"""Branches 0 and 1 of a union [null, X]."""
NO_ITEMS = b"\x00"

_SMALL_END = 64
_SMALL = tuple(bytes((n << 1,)) for n in range(_SMALL_END))
"""Numbers of one byte."""
_LAST_BYTE = 0x7F


def put_long(number: int) -> bytes:
    """Return the zig-zag varint of a number from -2**63 to 2**63 - 1."""
    if 0 <= number < _SMALL_END:
        return _SMALL[number]
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > _LAST_BYTE:
        out.append(rest & _LAST_BYTE | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def put_bytes(value: bytes) -> bytes:
    """Return length and bytes."""
    return put_long(len(value)) + value


def put_text(value: str) -> bytes:
    """Return length and UTF-8 bytes."""
    encoded = value.encode()
    return put_long(len(encoded)) + encoded


def put_optional_text(value: str | None) -> bytes:
    """Return a union [null, string]."""
    return NULL if value is None else SOME + put_text(value)


def put_optional_fixed(value: bytes | None) -> bytes:
    """Return a union [null, fixed]."""
    return NULL if value is None else SOME + value


def put_array(items: list[bytes]) -> bytes:
    """Return an array of items that are already encoded: one block, then the end."""
    return put_long(len(items)) + b"".join(items) + NO_ITEMS if items else NO_ITEMS
