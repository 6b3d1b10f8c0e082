"""Arithmetic on P-256 that no honest program needs: public keys made to fit a signature (key substitution, DSKS)."""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None


def keys_that_fit(signature: bytes, signed: bytes) -> list[ec.EllipticCurvePublicKey]:
    """Return the two public keys under which an ES256 signature verifies over these bytes (SEC 1 section 4.1.6).

    For the bytes that were signed, one of them is the signer's; for any others, neither is.
    """
    r, s = decode_dss_signature(signature)
    digest = int.from_bytes(sha256(signed).digest(), "big")
    inverse = pow(r, -1, ORDER)
    root = pow(r**3 - 3 * r + _B, (_FIELD + 1) // 4, _FIELD)
    keys = []
    for y in (root, _FIELD - root):
        point = _add(_multiply(s * inverse, (r, y)), _multiply(-digest * inverse, _BASE))
        if point is None:
            raise ValueError("no key fits")
        keys.append(ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key())
    return keys


def _add(first: _Point, second: _Point) -> _Point:
    if first is None or second is None:
        return first or second
    if first[0] == second[0]:
        if (first[1] + second[1]) % _FIELD == 0:
            return None
        slope = (3 * first[0] ** 2 - 3) * pow(2 * first[1], -1, _FIELD)
    else:
        slope = (second[1] - first[1]) * pow(second[0] - first[0], -1, _FIELD)
    x = (slope**2 - first[0] - second[0]) % _FIELD
    return x, (slope * (first[0] - x) - first[1]) % _FIELD


def _multiply(factor: int, point: _Point) -> _Point:
    factor %= ORDER
    result: _Point = None
    while factor:
        if factor & 1:
            result = _add(result, point)
        point = _add(point, point)
        factor >>= 1
    return result
