"""Ed25519 public keys that may sign nothing: of small order, of mixed order, in encodings that are not canonical."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from docbus.identity import ed25519 as points

_SIGN = 1 << 255
_Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")


def _raw(y: int, *, odd: bool = False) -> bytes:
    return (y | (_SIGN if odd else 0)).to_bytes(32, "little")


SMALL_ORDER = {
    "order 1": _raw(1),
    "order 2": _raw(points.FIELD - 1),
    "order 4, first": _raw(0),
    "order 4, second": _raw(0, odd=True),
    "order 8, first": _raw(_Y8),
    "order 8, second": _raw(_Y8, odd=True),
    "order 8, third": _raw(points.FIELD - _Y8),
    "order 8, fourth": _raw(points.FIELD - _Y8, odd=True),
}
"""The eight points whose order divides 8, each in its one encoding."""
NOT_CANONICAL = {
    "y = p": _raw(points.FIELD),
    "y = p, odd": _raw(points.FIELD, odd=True),
    "y = p + 1": _raw(points.FIELD + 1),
    "y = p + 1, odd": _raw(points.FIELD + 1, odd=True),
    "y = 1, odd": _raw(1, odd=True),
    "y = -1, odd": _raw(points.FIELD - 1, odd=True),
}
"""All other encodings of these points that a lenient reader takes."""


def mixed_order_key() -> bytes:
    """Return a genuine key to which a point of order 8 was added."""
    key = points._decode(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01").public_key().public_bytes_raw())
    moved = points._sum(key, points._decode(SMALL_ORDER["order 8, first"]))
    inverse = pow(moved.z, -1, points.FIELD)
    x, y = moved.x * inverse % points.FIELD, moved.y * inverse % points.FIELD
    return _raw(y, odd=bool(x & 1))
