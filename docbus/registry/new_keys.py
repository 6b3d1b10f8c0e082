"""What the registrar looks for in the keys of a change before signing it: known weaknesses, and common primes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from docbus.errors import IdentityError
from docbus.identity import entries
from docbus.identity.weak_rsa import NEW_KEY, check_new_key, sharing
from docbus.wire.profiles import PROFILES, Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.snapshot import TrustSnapshot


def check_new_keys(change: entries.Change, snapshot: TrustSnapshot | None = None) -> None:
    """Return if no key in a change is weak, or has a prime factor in common with one that the directory ever granted.

    Some 30 microseconds for each RSA key in the directory, if there is one in the change.

    Args:
        change: Whose keys can be read; what cannot is for the rules of the log to refuse.
        snapshot: The directory before it; None for a new one.

    Raises:
        IdentityError: One is; the text says which, and how.
    """
    asked = list(_keys_in(change))
    for whose, public_key in asked:
        try:
            check_new_key(public_key)
        except IdentityError as error:
            raise IdentityError(f"{whose} has {error.text}", hint=error.hint) from error
    rsa = [(whose, public_key) for whose, public_key in asked if isinstance(public_key, RSAPublicKey)]
    if not rsa:
        return
    granted = () if snapshot is None else _granted(snapshot)
    known = [key for key in granted if isinstance(key, RSAPublicKey)] + [key for _, key in rsa]
    for whose, public_key in rsa:
        if sharing(public_key, known) is not None:
            raise IdentityError(
                f"{whose} has an RSA key with a prime factor of another key of the directory, so that both are known",
                hint=f"{NEW_KEY} Find out whose the other one is, and revoke it as well.",
            )


def _keys_in(change: entries.Change) -> Iterator[tuple[str, object]]:
    """Yield whose each new key is, and the key."""
    match change:
        case entries.AgencyGrant() | entries.KeyRotation() | entries.KeyOverlap():
            for der in () if change.signing is None else change.signing.certificates:
                yield change.agency, _certified(der)
        case entries.Authority():
            for der in (change.certificate, *change.intermediates):
                yield f"the authority {change.name}", _certified(der)
        case entries.Genesis() | entries.RegistrarRotation():
            for encoded in (*change.keys, *getattr(change, "heartbeat_keys", ())):
                yield "the registrar", _loaded(encoded)


def _granted(snapshot: TrustSnapshot) -> Iterator[object]:
    """Yield the public keys that may be RSA of everybody in the directory, retired and revoked ones included."""
    for agency in snapshot.agencies():
        for digest in agency.certificates:
            grant = snapshot.certificate(digest)
            if grant is not None and Algorithm.RSA_PSS_SHA256 in PROFILES[grant.profile].algorithms:
                # Not by the grant's own parsed keys, which would all stay in memory.
                yield from map(_certified, grant.certificates)
    authorities = snapshot.authorities()
    yield from (one.public_key() for one in (*authorities.roots, *authorities.intermediates))
    yield from snapshot.registrar.keys.values()


def _certified(der: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except ValueError:
        return None


def _loaded(encoded: bytes) -> object:
    try:
        return load_der_public_key(encoded)
    except ValueError:
        return None
