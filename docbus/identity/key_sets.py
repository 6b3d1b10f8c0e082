"""The signing keys of a profile as one: a single key, or the two of a hybrid profile, in files of their own order.

A key file holds one PEM block for each key, and a certificate file one for each certificate, in the profile's order:
for profile 3 the P-256 key, then the ML-DSA-65 key (design D10).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.certificates import certificate_set_digest, make_certificate
from docbus.identity.keyfile import path_of, read_private_keys
from docbus.identity.signing import (
    HybridSigner,
    algorithm_of,
    generate_signing_key,
    private_key_pem,
    public_key_bytes,
    signer_of,
)
from docbus.wire.profiles import PROFILES, Algorithm, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import PrivateKey, Signer

    AnyPrivateKey = PrivateKey | mldsa.MLDSA65PrivateKey

MAX_KEYS = max(terms.signatures for terms in PROFILES.values())
"""Keys of one set, by the profile that has most."""
_KINDS = ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey, mldsa.MLDSA65PrivateKey


def generate_key_set(profile: int) -> tuple[AnyPrivateKey, ...]:
    """Return new private keys of a profile, in its order.

    Raises:
        IdentityError: This version makes no keys of that profile.
    """
    if profile == Profile.ES256_ML_DSA_65:
        return generate_signing_key(Profile.ES256), mldsa.MLDSA65PrivateKey.generate()
    return (generate_signing_key(profile),)


def profile_of_set(private_keys: Sequence[AnyPrivateKey]) -> Profile:
    """Return the profile of keys that :func:`read_key_set` or a token has given."""
    algorithms = tuple(algorithm_of(one.public_key()) for one in private_keys)
    return next(Profile(number) for number, terms in PROFILES.items() if terms.algorithms == algorithms)


def key_set_pem(private_keys: Sequence[AnyPrivateKey]) -> bytes:
    """Return keys in PKCS#8, PEM, one after the other, without a passphrase; store them with mode 0600."""
    return b"".join(map(private_key_pem, private_keys))


def make_certificates(private_keys: Sequence[AnyPrivateKey], agency: str, *, now_ms: int) -> tuple[bytes, ...]:
    """Return a self-signed certificate for each key, DER, as :func:`~docbus.identity.certificates.make_certificate`."""
    return tuple(make_certificate(key, agency, now_ms=now_ms) for key in private_keys)


def certificates_pem(certificates: Sequence[bytes]) -> bytes:
    """Return certificates, given in DER, in PEM, one after the other."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def read_certificates_pem(content: bytes) -> tuple[bytes, ...]:
    """Return the certificates in PEM blocks, DER, in their order.

    Raises:
        ValueError: There are none, or more than a profile has, or one cannot be read.
    """
    found = x509.load_pem_x509_certificates(content)
    if len(found) > MAX_KEYS:
        raise ValueError(f"{len(found)} certificates, where a profile has at most {MAX_KEYS}")
    return tuple(one.public_bytes(Encoding.DER) for one in found)


def read_key_set(uri: str) -> tuple[AnyPrivateKey, ...]:
    """Return the private keys of one profile in a file, in its order.

    Raises:
        KeyFileError: The file is missing, unreadable, open to others, or holds something else.
    """
    found = read_private_keys(uri)
    kinds = [type(one).__name__ for one in found if not isinstance(one, _KINDS)]
    keys = cast("tuple[AnyPrivateKey, ...]", tuple(found))
    try:
        algorithms = () if kinds else tuple(algorithm_of(one.public_key()) for one in keys)
    except IdentityError as error:
        raise KeyFileError(f"the key file {path_of(uri)} holds {error.text}") from error
    if algorithms not in {terms.algorithms for terms in PROFILES.values()}:
        held = f"{len(found)} keys" if len(found) != 1 else "no signing key of a known profile"
        raise KeyFileError(
            f"the key file {path_of(uri)} holds {held}",
            hint="One key that signs is expected, or for the hybrid profile a P-256 key and then an ML-DSA-65 key.",
        )
    return keys


def key_set_signer(private_keys: Sequence[AnyPrivateKey], certificates: Sequence[bytes]) -> Signer:
    """Return a signer for the keys of one profile and the certificates that go with them, DER, in the same order.

    Raises:
        KeyFileError: A certificate is another key's, or there are not as many of them.
    """
    if len(private_keys) != len(certificates):
        raise KeyFileError(
            f"there are {len(private_keys)} signing keys, and {len(certificates)} certificates beside them",
            hint="For the hybrid profile both files have two blocks: P-256, then ML-DSA-65.",
        )
    first, *more = private_keys
    signer = signer_of(cast("PrivateKey", first), certificates[0])
    if not more:
        return signer
    second = cast("mldsa.MLDSA65PrivateKey", more[0])
    try:
        certified = x509.load_der_x509_certificate(certificates[1]).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("the second certificate beside the signing keys cannot be read") from error
    if public_key_bytes(certified) != public_key_bytes(second.public_key()):
        raise KeyFileError(
            f"the second signing key, of {Algorithm.ML_DSA_65}, does not belong to the second certificate",
            hint="Check that the key's URI and the certificates are of one agency and one rotation.",
        )
    return HybridSigner(
        private_key=cast("ec.EllipticCurvePrivateKey", first),
        second_key=second,
        certificate=certificate_set_digest([sha256(der).digest() for der in certificates]),
    )


def open_signer(uri: str, certificates: Sequence[bytes]) -> Signer:
    """Return the signer whose private keys a URI names.

    Raises:
        KeyFileError: The file is missing, unreadable, open to others, or holds no signing keys of one profile, or they
            are not the certificates'.
    """
    private_keys = read_key_set(uri)
    try:
        return key_set_signer(private_keys, certificates)
    except KeyFileError as error:
        raise KeyFileError(f"{error.text} ({path_of(uri)})", hint=error.hint) from error
