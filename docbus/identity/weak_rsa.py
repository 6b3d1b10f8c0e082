"""RSA keys whose private half somebody else can compute, looked for before one is granted (attack 5).

This is asked of new keys only, by whoever grants them and whoever asks for them. It is no rule of the log: what is
known of weaknesses grows, and an entry that stood must not fall for those who read it later.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from docbus.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterable

WEAKNESSES = {
    "roca": "comes from a chip that made keys which can be computed from their public half (ROCA, CVE-2017-15361)",
    "fermat": "has two primes that are close to each other (CVE-2022-26320)",
    "smallfactors": "has a small prime factor",
    "smalld": "has a private exponent that is too small (Wiener)",
    "rsapoly": "has a modulus whose pattern of zeros gives its factors away",
    "sharedprimes": "has a prime factor that is known from other keys",
    "rsainvalid": "has an exponent that cannot be",
}
"""What is looked for, by badkeys' names for it, and how a sentence goes on after "an RSA key that". Its list of
compromised keys is not among them, since it is not part of the package and would have to be fetched."""


def check_new_key(public_key: object) -> None:
    """Return if nothing is known by which others could compute a key's private half; only RSA keys are looked at.

    Raises:
        IdentityError: It is weak; the text says how.
    """
    if not isinstance(public_key, RSAPublicKey):
        return
    # A tenth of a second, which only those pay who have such keys.
    from badkeys import checkrsa  # noqa: PLC0415 - see above

    numbers = public_key.public_numbers()
    for found in checkrsa(numbers.n, e=numbers.e, checks=list(WEAKNESSES)):
        raise IdentityError(f"an RSA key that {WEAKNESSES[found]}", hint=NEW_KEY)


NEW_KEY = "Make a new key with another program, or on another kind of token."


def sharing(public_key: RSAPublicKey, others: Iterable[RSAPublicKey]) -> RSAPublicKey | None:
    """Return the first of other keys that has a prime factor in common with this one; both can then be computed.

    The same key is none of them, but another exponent with the same modulus makes another key.
    """
    numbers = public_key.public_numbers()
    for other in others:
        known = other.public_numbers()
        if known != numbers and gcd(numbers.n, known.n) != 1:
            return other
    return None
