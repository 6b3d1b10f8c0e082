"""RSA keys with a known weakness each, made of primes that are chosen for it: 2048 bits, public exponent 65537."""

from __future__ import annotations

import random
from math import prod
from typing import TYPE_CHECKING

import gmpy2
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_BITS = 1024
_ROCA_PRIMES = [int(prime) for prime in range(2, 702) if gmpy2.is_prime(prime)]
_seeded = random.Random(20171016)  # noqa: S311 - keys for tests, the same each time


def prime() -> int:
    """Return a prime of 1024 bits whose two highest bits are set, so that a product of two has 2048."""
    return int(gmpy2.next_prime(_seeded.getrandbits(_BITS - 2) | 3 << (_BITS - 2)))


def key_of(p: int, q: int, exponent: int = 65537) -> RSAPublicKey:
    """Return the public key of two primes."""
    return rsa.RSAPublicNumbers(exponent, p * q).public_key()


def roca_key() -> RSAPublicKey:
    """Return a key as the chips of CVE-2017-15361 made it: each prime is k·M + (65537^a mod M), M a primorial."""
    primorial = prod(_ROCA_PRIMES)

    size = _BITS - primorial.bit_length()

    def weak_prime() -> int:
        while True:
            factor = _seeded.getrandbits(size - 1) | 1 << size
            found = factor * primorial + pow(65537, _seeded.getrandbits(128), primorial)
            if found.bit_length() == _BITS and gmpy2.is_prime(found):
                return found

    while True:
        made = key_of(weak_prime(), weak_prime())
        if made.key_size == 2 * _BITS:
            return made


def close_primes() -> RSAPublicKey:
    """Return a key whose primes follow each other (CVE-2022-26320)."""
    first = prime()
    return key_of(first, int(gmpy2.next_prime(first)))


def small_factor() -> RSAPublicKey:
    """Return a key that a faulty generator has made: one factor is 65521."""
    found = int(gmpy2.next_prime(_seeded.getrandbits(2 * _BITS - 16) | 3 << (2 * _BITS - 18)))
    return key_of(found, 65521)


def zeros() -> RSAPublicKey:
    """Return a key whose primes have zeros but in their first and last bytes, so that the modulus shows them."""
    first = int(gmpy2.next_prime(sum(0xC9 << 128 * place for place in range(1, 8)) | 0xC1 << 1016))
    second = int(gmpy2.next_prime(sum(0x85 << 128 * place for place in range(1, 8)) | 0xD3 << 1016))
    return key_of(first, second)
