"""What a granted signing key comes to once its certificates were checked, and how that is kept (ADR 0025).

Parsing certificates and checking them against the profile is most of what an entry costs beside its signature. Whoever
keeps the log of the directory keeps this beside each record, and does neither again.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Self

from docbus.errors import IdentityError, MalformedError
from docbus.identity.certificates import check_certificate
from docbus.identity.signing import public_key_bytes
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from docbus.identity.entries import SigningKey

DIGEST_BYTES = 32
NOTHING_CHECKED = b""
"""What is kept beside an entry that grants no signing key."""
_VALIDITY = struct.Struct(">qq")
_MOST_KEYS = max(terms.signatures for terms in PROFILES.values())


class CheckedSigning(NamedTuple):
    """What the certificates of a signing key say.

    Attributes:
        keys: SHA-256 of the SubjectPublicKeyInfo of each certificate, 32 bytes, in the profile's order.
        not_before_ms: Beginning of the time in which all of them are valid, milliseconds since 1970 UTC.
        not_after_ms: End of it.
    """

    keys: tuple[bytes, ...]
    not_before_ms: int
    not_after_ms: int

    def encode(self) -> bytes:
        """Return the bytes that are kept."""
        return _VALIDITY.pack(self.not_before_ms, self.not_after_ms) + b"".join(self.keys)

    @classmethod
    def decode(cls, kept: bytes) -> Self:
        """Return what :meth:`encode` has made bytes of.

        Raises:
            MalformedError: It has not.
        """
        count, rest = divmod(len(kept) - _VALIDITY.size, DIGEST_BYTES)
        if rest or not 1 <= count <= _MOST_KEYS:
            raise MalformedError(f"{len(kept)} bytes are kept beside a signing key, which are no digests of its keys")
        begin, end = _VALIDITY.unpack_from(kept)
        at = range(_VALIDITY.size, len(kept), DIGEST_BYTES)
        return cls(tuple(kept[start : start + DIGEST_BYTES] for start in at), begin, end)


def check_signing(agency: str, signing: SigningKey) -> CheckedSigning:
    """Check the certificates of a signing key against the profile for agencies.

    Args:
        agency: Canonical id that they have to name.
        signing: Of a profile that this version reads.

    Raises:
        IdentityError: Their number is not the profile's, or one of them does not fit; the text says why.
    """
    terms = PROFILES[signing.profile]
    if len(signing.certificates) != terms.signatures:
        count = len(signing.certificates)
        raise IdentityError(f"{count} certificates, where {terms.name} has {terms.signatures}")
    checked = [
        check_certificate(der, agency, algorithm)
        for der, algorithm in zip(signing.certificates, terms.algorithms, strict=True)
    ]
    return CheckedSigning(
        tuple(sha256(public_key_bytes(one.public_key)).digest() for one in checked),
        max(one.not_before_ms for one in checked),
        min(one.not_after_ms for one in checked),
    )
