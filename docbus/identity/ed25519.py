"""Which Ed25519 keys may sign: points of the prime-order group, in their one encoding (RFC 8032 section 5.1).

OpenSSL loads points of small order, under which anybody can make signatures, and encodings that are not canonical,
which would make two names of one key. So each key is looked at here, in arithmetic of its own, before anything is
believed that is signed with it, be it its own certificate or join request. That takes about 2 ms for a certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature

from docbus.errors import IdentityError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Order of the group in which signatures are made, L in RFC 8032; the curve has eight times as many points."""
_DOUBLINGS_OF_COFACTOR = 3
_D = -121665 * pow(121666, -1, FIELD) % FIELD
_ROOT_OF_MINUS_ONE = pow(2, (FIELD - 1) // 4, FIELD)
_SIGN_BIT = 1 << 255
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        FIELD - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
"""y-coordinates of the eight points whose order divides 8."""


class _Point(NamedTuple):
    """Extended homogeneous coordinates (RFC 8032 section 5.1.4)."""

    x: int
    y: int
    z: int
    t: int


_NEUTRAL = _Point(0, 1, 1, 0)


def check_ed25519_key(raw: bytes) -> None:
    """Return if a public key, 32 bytes, may sign.

    Raises:
        IdentityError: It is not canonical, no point of the curve, or not of the prime-order group; the text says which.
    """
    point = _decode(raw)
    eightfold = point
    for _ in range(_DOUBLINGS_OF_COFACTOR):
        eightfold = _sum(eightfold, eightfold)
    if _is_neutral(eightfold):
        raise IdentityError("an Ed25519 key that is a point of small order, with which anybody can sign")
    if not _is_neutral(_multiple(ORDER, point)):
        raise IdentityError("an Ed25519 key outside the group of prime order")


def verify_ed25519(public_key: Ed25519PublicKey, signature: bytes, signed: bytes) -> None:
    """Return if the signature is the key's, over exactly these bytes: RFC 8032 without the cofactor, and S < L.

    A key of small order verifies nothing, even if it came here unchecked.

    Raises:
        cryptography.exceptions.InvalidSignature: It is not.
    """
    if (int.from_bytes(public_key.public_bytes_raw(), "little") & ~_SIGN_BIT) % FIELD in _SMALL_ORDER:
        raise InvalidSignature("a key of small order signs nothing")
    public_key.verify(signature, signed)


def _decode(raw: bytes) -> _Point:
    """Return the point that a key encodes (RFC 8032 section 5.1.3)."""
    number = int.from_bytes(raw, "little")
    y, is_odd = number & ~_SIGN_BIT, bool(number & _SIGN_BIT)
    if y >= FIELD:
        raise IdentityError("an Ed25519 key whose coordinate is not reduced modulo 2**255 - 19")
    numerator, denominator = (y * y - 1) % FIELD, (_D * y * y + 1) % FIELD
    x = numerator * pow(denominator, 3, FIELD) * pow(numerator * denominator**7, (FIELD - 5) // 8, FIELD) % FIELD
    if (denominator * x * x + numerator) % FIELD == 0:
        x = x * _ROOT_OF_MINUS_ONE % FIELD
    if (denominator * x * x - numerator) % FIELD:
        raise IdentityError("an Ed25519 key that is no point of the curve")
    if x == 0 and is_odd:
        raise IdentityError("an Ed25519 key with the sign of a coordinate that is 0")
    if bool(x & 1) != is_odd:
        x = FIELD - x
    return _Point(x, y, 1, x * y % FIELD)


def _sum(one: _Point, other: _Point) -> _Point:
    """Add two points; the formulas hold for any two, equal ones as well."""
    a = (one.y - one.x) * (other.y - other.x) % FIELD
    b = (one.y + one.x) * (other.y + other.x) % FIELD
    c = 2 * one.t * other.t * _D % FIELD
    d = 2 * one.z * other.z % FIELD
    e, f, g, h = b - a, d - c, d + c, b + a
    return _Point(e * f % FIELD, g * h % FIELD, f * g % FIELD, e * h % FIELD)


def _multiple(factor: int, point: _Point) -> _Point:
    # The time depends on the factor, which is no secret.
    found = _NEUTRAL
    while factor:
        if factor & 1:
            found = _sum(found, point)
        point = _sum(point, point)
        factor >>= 1
    return found


def _is_neutral(point: _Point) -> bool:
    return point.x == 0 and point.y == point.z
