"""RSA keys that others can compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from docbus.errors import IdentityError
from docbus.identity.certificates import check_for_registration
from docbus.identity.signing import generate_signing_key
from docbus.identity.weak_rsa import check_new_key, sharing
from docbus.wire.profiles import Algorithm, Profile
from tests.support import weak_rsa
from tests.support.certificates import issue
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (weak_rsa.roca_key, "ROCA"),
        (weak_rsa.close_primes, "close to each other"),
        (weak_rsa.small_factor, "a small prime factor"),
        (weak_rsa.zeros, "pattern of zeros"),
    ],
)
def test_a_key_that_others_can_compute_is_not_registered(made: Callable[[], RSAPublicKey], reason: str) -> None:
    """A certificate with a key of a known weakness is refused, and one with a key like it but sound is taken."""
    with pytest.raises(IdentityError, match=reason):
        check_for_registration(issue(made(), "vn:H26"), "vn:H26", Algorithm.RSA_PSS_SHA256, now_ms=NOW_MS)

    sound = weak_rsa.key_of(weak_rsa.prime(), weak_rsa.prime())
    check_for_registration(issue(sound, "vn:H26"), "vn:H26", Algorithm.RSA_PSS_SHA256, now_ms=NOW_MS)


def test_keys_of_other_kinds_are_not_looked_at() -> None:
    """Nothing is known of single keys on curves, and the keys that docbus makes pass."""
    check_new_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    check_new_key(generate_signing_key(Profile.RSA_PSS_SHA256).public_key())


def test_a_common_prime_is_found() -> None:
    """Of other keys the one is returned that has a prime in common, and the same modulus with another exponent too."""
    shared, p, q, r = (weak_rsa.prime() for _ in range(4))
    key, akin, stranger = (weak_rsa.key_of(*primes) for primes in ((shared, p), (shared, q), (q, r)))

    assert sharing(key, [stranger, akin]) is akin
    assert sharing(key, [stranger, key]) is None
    other_exponent = weak_rsa.key_of(shared, p, exponent=65539)
    assert sharing(key, [other_exponent]) is other_exponent
