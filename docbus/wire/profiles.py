"""Signature profiles: named, numbered, dated; never loose algorithm names (design D10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Algorithm(StrEnum):
    """What one key of a profile signs with.

    - ES256: ECDSA on P-256 with SHA-256, nonces after RFC 6979, ASN.1 DER signature.
    - RSA_PSS_SHA256: RSASSA-PSS (RFC 8017), SHA-256, MGF1 with SHA-256, salt of 32 bytes, modulus of 2048 to 8192 bits,
      exponent of 65537 or more and at most 64 bits.
    - ML_DSA_65: FIPS 204, pure, empty context; never alone.
    - ED25519: RFC 8032, pure, verified without the cofactor; keys of the prime-order group in canonical encoding.
    """

    ES256 = "ES256"
    RSA_PSS_SHA256 = "RSA-PSS-SHA256"
    ML_DSA_65 = "ML-DSA-65"
    ED25519 = "Ed25519"


class Profile(IntEnum):
    """Number of a profile as it stands, big-endian u16, in what a signature covers."""

    ES256 = 1
    RSA_PSS_SHA256 = 2
    ES256_ML_DSA_65 = 3
    ED25519 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTerms:
    """What a profile means: an algorithm for each of its certificates and signatures, in this order; since when."""

    name: str
    algorithms: tuple[Algorithm, ...]
    introduced: str

    @property
    def signatures(self) -> int:
        """How many signatures, and certificates, it has; all of them must verify."""
        return len(self.algorithms)


PROFILES: dict[int, ProfileTerms] = {
    Profile.ES256: ProfileTerms(name="ES256", algorithms=(Algorithm.ES256,), introduced="2026-11-01"),
    Profile.RSA_PSS_SHA256: ProfileTerms(
        name="RSA-PSS-SHA256", algorithms=(Algorithm.RSA_PSS_SHA256,), introduced="2026-11-01"
    ),
    Profile.ES256_ML_DSA_65: ProfileTerms(
        name="ES256+ML-DSA-65", algorithms=(Algorithm.ES256, Algorithm.ML_DSA_65), introduced="2026-11-01"
    ),
    Profile.ED25519: ProfileTerms(name="Ed25519", algorithms=(Algorithm.ED25519,), introduced="2026-11-27"),
}
"""What each profile means."""
