"""As much of DER as it takes to bring the certificates of a token into order (X.690).

OpenSSL writes a chain in the order in which it found it, where DER has a set in the order of its bytes, and the library
that reads tokens takes nothing but DER. No signature covers certificates or their order (RFC 5652 section 5.4), so
that they are put in order changes nothing of what is proven.
"""

from __future__ import annotations

import re

SEQUENCE = 0x30
OBJECT_IDENTIFIER = 0x06
CERTIFICATES = 0xA0
"""[0], which is the explicit tag around the content of a ContentInfo as well."""
_LONG = 0x80
_MORE_TAG = 0x1F
_MAX_LENGTH_BYTES = 4
_DOTTED = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,19})){1,30}")
_LAST_ROOT = 2
"""Roots of object identifiers are 0, 1 and 2."""
_ARCS_OF_A_ROOT = 40
"""Arcs below each of the first two roots, from 0."""


def element(tag: int, content: bytes) -> bytes:
    """Return an element with its length in the shortest form (X.690 sections 8.1.3 and 10.1)."""
    length = len(content)
    if length < _LONG:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(size)]) + size + content


def object_identifier(dotted: str) -> bytes:
    """Return the element of an object identifier such as ``1.2.840`` (X.690 section 8.19).

    Raises:
        ValueError: It is none.
    """
    if not _DOTTED.fullmatch(dotted):
        raise ValueError(f"{dotted[:80]!r} is no object identifier, which looks like 1.3.6.1.4.1.99999.1")
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    if first < _LAST_ROOT and second >= _ARCS_OF_A_ROOT:
        raise ValueError(f"{dotted} is no object identifier: the second number below {first} is at most 39")
    content = b"".join(_base128(arc) for arc in (first * _ARCS_OF_A_ROOT + second, *rest))
    return element(OBJECT_IDENTIFIER, content)


def checked_identifier(dotted: str) -> str:
    """Return an object identifier in dotted form.

    Raises:
        ValueError: It is none.
    """
    object_identifier(dotted)
    return dotted


def _base128(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | _LONG)
    return bytes(reversed(groups))


def elements(encoded: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element in a row.

    Raises:
        ValueError: These are no elements of definite length with tags of one byte.
    """
    found, at = [], 0
    while at < len(encoded):
        begin, end = _content(encoded, at)
        found.append((encoded[at], encoded[begin:end]))
        at = end
    return found


def _content(encoded: bytes, at: int) -> tuple[int, int]:
    if encoded[at] & _MORE_TAG == _MORE_TAG or at + 1 == len(encoded):
        raise ValueError("a tag of several bytes, or no length")
    length, begin = encoded[at + 1], at + 2
    if length >= _LONG:
        size = length - _LONG
        if not 0 < size <= _MAX_LENGTH_BYTES:
            raise ValueError("a length that is indefinite, or has too many bytes")
        length, begin = int.from_bytes(encoded[begin : begin + size], "big"), begin + size
    if begin + length > len(encoded):
        raise ValueError("an element that is longer than what there is")
    return begin, begin + length


def with_ordered_certificates(response: bytes) -> bytes:
    """Return an RFC 3161 response with the certificates of its token in the order of DER.

    What is no such response, or has no token, comes back as it is, for its reader to refuse.
    """
    try:
        ((_, body),) = elements(response)
        status, (tag, token) = elements(body)
        kind, (_, explicit) = elements(token)
        ((_, signed),) = elements(explicit)
        parts = [_ordered(*part) for part in elements(signed)]
    except ValueError:
        return response
    content = element(SEQUENCE, element(*kind) + element(CERTIFICATES, element(SEQUENCE, b"".join(parts))))
    return element(SEQUENCE, element(*status) + content) if tag == SEQUENCE else response


def _ordered(tag: int, content: bytes) -> bytes:
    if tag != CERTIFICATES:
        return element(tag, content)
    return element(tag, b"".join(sorted(element(*one) for one in elements(content))))
