"""Parts of large content: how many an attachment has, and how long each is, encrypted and not.

A large attachment is cut into parts of 512 KiB, each of which is encrypted by itself (ADR 0010). So sizes say all there
is to know: from the bytes of ciphertext that a statement names follow the number of parts, the length of each, and the
bytes of plaintext; a size that no content has is refused before anything is fetched.

Cobblestone-256 puts a header in front and cuts its input into chunks, each with a tag; the last chunk is the only one
that may be short or empty. Source: C2SP chunked-encryption.
"""

from __future__ import annotations

from typing import Final

from docbus.errors import MalformedError
from docbus.limits import KIB, PART_BYTES

CHUNK_BYTES: Final = 16 * KIB
"""Bytes of plaintext in a chunk of Cobblestone."""
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 56
"""Bytes in front of the chunks: 24 random ones and the commitment to key and context."""


def sealed_size(plain: int) -> int:
    """Return the bytes of ciphertext that so many bytes of plaintext become in one part."""
    return HEADER_BYTES + plain + TAG_BYTES * (plain // CHUNK_BYTES + 1)


SEALED_PART_BYTES: Final = sealed_size(PART_BYTES)
"""Bytes of ciphertext of every part but the last: 524,872."""


def content_size(plain: int) -> int:
    """Return the bytes of ciphertext, in all parts together, of content with so many bytes of plaintext, at least 1."""
    whole, rest = divmod(plain, PART_BYTES)
    return whole * SEALED_PART_BYTES + (sealed_size(rest) if rest else 0)


def count_parts(size: int) -> int:
    """Return how many parts content of so many bytes of ciphertext has.

    Raises:
        MalformedError: No content has this size.
    """
    whole, rest = divmod(size, SEALED_PART_BYTES)
    if size < 1 or (rest and not _is_sealed(rest)):
        raise MalformedError(f"no content has {size:,} bytes when it is encrypted")
    return whole + bool(rest)


def part_size(size: int, index: int) -> int:
    """Return the bytes of ciphertext of one part of content of so many bytes of ciphertext."""
    return min(SEALED_PART_BYTES, size - index * SEALED_PART_BYTES)


def plain_size(size: int) -> int:
    """Return the bytes of plaintext of content of so many bytes of ciphertext.

    Raises:
        MalformedError: No content has this size.
    """
    whole, rest = divmod(size, SEALED_PART_BYTES)
    count_parts(size)
    return whole * PART_BYTES + (_opened(rest) if rest else 0)


def _opened(sealed: int) -> int:
    """Return the plaintext's bytes of one part; meaningless for a size that no part has."""
    chunks = -(-(sealed - HEADER_BYTES) // (CHUNK_BYTES + TAG_BYTES))
    return sealed - HEADER_BYTES - TAG_BYTES * chunks


def _is_sealed(sealed: int) -> bool:
    plain = _opened(sealed)
    return 1 <= plain < PART_BYTES and sealed_size(plain) == sealed
