"""One ciphertext that AES-GCM opens under two keys, as Cobblestone-256 would have it but for its commitment.

GCM does not commit to its key: a tag is a polynomial in a point that follows from the key, so one free block of
ciphertext is enough to make the tags under two keys equal. Only the commitment in front of the chunks tells them apart.
The steps are those of https://c2sp.org/chunked-encryption, for a message of one block.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SALT_BYTES = 24
BLOCK_BYTES = 16
_KEY_BYTES, _NONCE_BYTES, _COMMITMENT_BYTES = 32, 12, 32
_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_REDUCTION = 0xE1 << 120
_LENGTHS = (8 * BLOCK_BYTES).to_bytes(BLOCK_BYTES, "big")
"""No additional data, one block."""


class Derived(NamedTuple):
    """What Cobblestone-256 derives from a key, a salt and a context."""

    key: bytes
    nonce: bytes
    commitment: bytes


def derive(key: bytes, salt: bytes, context: bytes) -> Derived:
    """Return key, base nonce and commitment of a message."""
    size = _KEY_BYTES + _NONCE_BYTES + _COMMITMENT_BYTES
    made = HKDFExpand(hashes.SHA512(), size, _LABEL + salt + context).derive(key)
    return Derived(made[:_KEY_BYTES], made[_KEY_BYTES:-_COMMITMENT_BYTES], made[-_COMMITMENT_BYTES:])


def chunk_of_two_keys(first: Derived, second: Derived) -> bytes:
    """Return one block of ciphertext and its tag, which are genuine under both keys."""
    lengths = _element(_LENGTHS)
    points = [_element(_block(keys.key, bytes(BLOCK_BYTES))) for keys in (first, second)]
    masks = [_element(_block(keys.key, keys.nonce + b"\0\0\0\1")) for keys in (first, second)]
    constants = [_times(lengths, point) ^ mask for point, mask in zip(points, masks, strict=True)]
    squares = [_times(point, point) for point in points]
    free = _times(constants[0] ^ constants[1], _inverse(squares[0] ^ squares[1]))
    tag = _times(free, squares[0]) ^ constants[0]
    return free.to_bytes(BLOCK_BYTES, "big") + tag.to_bytes(BLOCK_BYTES, "big")


def message_of_two_keys(key: bytes, other: bytes, *, commits_to: bytes, salt: bytes, context: bytes) -> bytes:
    """Return a ciphertext whose chunk opens under both keys, and whose commitment is that of one of them."""
    chunk = chunk_of_two_keys(derive(key, salt, context), derive(other, salt, context))
    return salt + derive(commits_to, salt, context).commitment + chunk


def _block(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305 - one block, to build GCM


def _element(block: bytes) -> int:
    return int.from_bytes(block, "big")


def _times(first: int, second: int) -> int:
    """Multiply in GCM's field, in which the first bit is the lowest power (NIST SP 800-38D section 6.3)."""
    product = 0
    for at in range(127, -1, -1):
        if second >> at & 1:
            product ^= first
        first = first >> 1 ^ (_REDUCTION if first & 1 else 0)
    return product


def _inverse(element: int) -> int:
    """Return the element to the power of 2^128 - 2."""
    result, square = 1 << 127, element
    for _ in range(127):
        square = _times(square, square)
        result = _times(result, square)
    return result
