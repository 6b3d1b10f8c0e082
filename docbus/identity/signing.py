"""Signatures: ES256 with nonces after RFC 6979, RSA-PSS with SHA-256, Ed25519 (design D10, ``wire.profiles``)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.ed25519 import check_ed25519_key, verify_ed25519
from docbus.identity.keyfile import path_of, read_private_keys
from docbus.wire.profiles import PROFILES, Algorithm, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
    PublicKey = EllipticCurvePublicKey | RSAPublicKey | MLDSA65PublicKey | Ed25519PublicKey

MIN_RSA_BITS = 2048
"""Bits of an RSA modulus (Circular 15/2025/TT-BKHCN; NIST SP 800-131A)."""
MAX_RSA_BITS = 8192
"""Bits of an RSA modulus; verification time grows with its square."""
MIN_RSA_EXPONENT = 65537
"""Smaller public exponents load without complaint, and have broken too many implementations."""
MAX_RSA_EXPONENT_BITS = 64
"""Bits of an RSA public exponent: one as long as a modulus of 3072 bits makes verification a hundred times as dear."""
NEW_RSA_BITS = 3072
"""Bits of an RSA key made here: 128-bit strength."""

_SALT_BYTES = 32
_SIGN_ES256 = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_VERIFY_ES256 = ec.ECDSA(hashes.SHA256())
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=_SALT_BYTES)
_SHA256 = hashes.SHA256()


class Signer(Protocol):
    """Holds the use of an agency's signing key, not the key; may be a file, later a token."""

    @property
    def certificate(self) -> bytes:
        """SHA-256 of the certificate (DER), 32 bytes."""
        ...

    @property
    def profile(self) -> int:
        """Number of the profile it signs under."""
        ...

    def sign(self, tbs: bytes) -> bytes:
        """Return the first key's signature over exactly these bytes."""
        ...

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """Return one signature over exactly these bytes for each key of the profile, in the profile's order."""
        ...


class RegistrarSigner(Protocol):
    """Holds the use of a registrar key, which has no certificate: the genesis entry names it."""

    @property
    def key(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, 32 bytes."""
        ...

    @property
    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        ...

    @property
    def profile(self) -> int:
        """Number of the profile it signs under."""
        ...

    def sign(self, tbs: bytes) -> bytes:
        """Return the signature over exactly these bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeySigner:
    """A :class:`Signer` with the private key in memory."""

    private_key: PrivateKey
    certificate: bytes
    profile: int

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`Signer`."""
        return _sign(self.private_key, tbs)

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """See :class:`Signer`."""
        return (_sign(self.private_key, tbs),)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HybridSigner:
    """A :class:`Signer` of profile 3: ES256 with ML-DSA-65 beside it, both keys in memory.

    Attributes:
        certificate: SHA-256 over the hashes of both certificates, which stands in place of a certificate's.
    """

    private_key: EllipticCurvePrivateKey
    second_key: MLDSA65PrivateKey
    certificate: bytes
    profile: int = Profile.ES256_ML_DSA_65

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`Signer`."""
        return _sign(self.private_key, tbs)

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """See :class:`Signer`."""
        return (_sign(self.private_key, tbs), self.second_key.sign(tbs))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RegistrarKeySigner:
    """A :class:`RegistrarSigner` with the private key in memory."""

    private_key: PrivateKey
    key: bytes
    public_key: bytes
    profile: int

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`RegistrarSigner`."""
        return _sign(self.private_key, tbs)


def _sign(private_key: PrivateKey, tbs: bytes) -> bytes:
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return private_key.sign(tbs, _SIGN_ES256)
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return private_key.sign(tbs)
    return private_key.sign(tbs, _PSS, _SHA256)


def verify_signature(profile: int, public_key: object, signature: bytes, signed: bytes) -> None:
    """Return if the signature is the key's, over exactly these bytes, under a profile of one key.

    Raises:
        cryptography.exceptions.InvalidSignature: It is not, or the key is of another kind than the profile's.
    """
    verify_signatures(profile, (public_key,), (signature,), signed)


def verify_signatures(profile: int, public_keys: Sequence[object], signatures: Sequence[bytes], signed: bytes) -> None:
    """Return if each signature is that of the key in its place, over exactly these bytes, under this profile.

    Raises:
        cryptography.exceptions.InvalidSignature: One is not, or their number or the keys' kinds are not the profile's.
    """
    terms = PROFILES.get(profile)
    if terms is None or not len(public_keys) == len(signatures) == terms.signatures:
        raise InvalidSignature(f"profile {profile} is not that of the keys")
    for algorithm, public_key, signature in zip(terms.algorithms, public_keys, signatures, strict=True):
        if algorithm is Algorithm.ES256 and isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, signed, _VERIFY_ES256)
        elif algorithm is Algorithm.RSA_PSS_SHA256 and isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, signed, _PSS, _SHA256)
        elif algorithm is Algorithm.ML_DSA_65 and isinstance(public_key, mldsa.MLDSA65PublicKey):
            public_key.verify(signature, signed)
        elif algorithm is Algorithm.ED25519 and isinstance(public_key, ed25519.Ed25519PublicKey):
            verify_ed25519(public_key, signature, signed)
        else:
            raise InvalidSignature(f"profile {profile} is not that of the key")


def algorithm_of(public_key: object) -> Algorithm:
    """Return the algorithm that follows from a public key: the only place where one is chosen.

    Raises:
        IdentityError: The key is of a kind, curve or size that may not sign here; the text says which.
    """
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        if not isinstance(public_key.curve, ec.SECP256R1):
            raise IdentityError(f"an EC key on {public_key.curve.name}; only P-256 (secp256r1) may sign")
        return Algorithm.ES256
    if isinstance(public_key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= public_key.key_size <= MAX_RSA_BITS:
            raise IdentityError(f"an RSA key of {public_key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} may sign")
        exponent = public_key.public_numbers().e
        if exponent < MIN_RSA_EXPONENT:
            raise IdentityError(f"an RSA key with public exponent {exponent}; it must be {MIN_RSA_EXPONENT} or more")
        if exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
            found = exponent.bit_length()
            raise IdentityError(f"an RSA key whose public exponent has {found} bits; {MAX_RSA_EXPONENT_BITS} may sign")
        return Algorithm.RSA_PSS_SHA256
    if isinstance(public_key, mldsa.MLDSA65PublicKey):
        return Algorithm.ML_DSA_65
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        check_ed25519_key(public_key.public_bytes_raw())
        return Algorithm.ED25519
    raise IdentityError(f"a key of kind {type(public_key).__name__}; only P-256, RSA and Ed25519 keys may sign")


def profile_of(public_key: object) -> Profile:
    """Return the profile of a key that signs alone.

    Raises:
        IdentityError: The key may not sign, or not alone; the text says why.
    """
    algorithm = algorithm_of(public_key)
    for profile, terms in PROFILES.items():
        if terms.algorithms == (algorithm,):
            return Profile(profile)
    raise IdentityError(f"an {algorithm} key, which may sign beside an ES256 key only")


def _registrar_profile(public_key: object) -> Profile:
    """Return the profile of a registrar's key: Ed25519 is for agencies, whose certificates carry it as leaves."""
    profile = profile_of(public_key)
    if profile is Profile.ED25519:
        raise IdentityError("an Ed25519 key; only P-256 and RSA keys may sign the directory")
    return profile


def load_public_key(encoded: bytes) -> PublicKey:
    """Return the registrar's public key in a SubjectPublicKeyInfo, if it may sign the directory.

    Raises:
        IdentityError: It cannot be read, is not in its one DER form, or may not sign.
    """
    try:
        public_key = load_der_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError("a public key that cannot be read (SubjectPublicKeyInfo, DER)") from error
    _registrar_profile(public_key)
    if public_key_bytes(public_key) != encoded:
        raise IdentityError("a public key in another form than DER with a named curve and an uncompressed point")
    return public_key  # type: ignore[return-value] # only these two kinds pass


def public_key_bytes(public_key: object) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key, DER."""
    encoded: bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined] # every public key of cryptography has it
    return encoded


def generate_signing_key(profile: int) -> PrivateKey:
    """Return a new private key of a profile.

    Raises:
        IdentityError: This version makes no keys of that profile.
    """
    if profile == Profile.ES256:
        return ec.generate_private_key(ec.SECP256R1())
    if profile == Profile.RSA_PSS_SHA256:
        return rsa.generate_private_key(public_exponent=MIN_RSA_EXPONENT, key_size=NEW_RSA_BITS)
    if profile == Profile.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    raise IdentityError(f"profile {profile} is not one that this version can make keys for")


def private_key_pem(private_key: PrivateKey | MLDSA65PrivateKey) -> bytes:
    """Return the key in PKCS#8, PEM, without a passphrase; store it with mode 0600."""
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signer_of(private_key: PrivateKey, certificate_der: bytes) -> KeySigner:
    """Return a signer for a key and the certificate that goes with it.

    Raises:
        KeyFileError: The certificate is another key's, or the key may not sign.
    """
    try:
        certified = x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("the certificate beside the signing key cannot be read") from error
    if public_key_bytes(certified) != public_key_bytes(private_key.public_key()):
        raise KeyFileError(
            "the signing key does not belong to the certificate",
            hint="Check that the key's URI and the certificate are of one agency and one rotation.",
        )
    try:
        profile = profile_of(certified)
    except IdentityError as error:
        raise KeyFileError(f"the signing key is {error.text}") from error
    return KeySigner(private_key=private_key, certificate=sha256(certificate_der).digest(), profile=profile)


def registrar_signer_of(private_key: PrivateKey) -> RegistrarKeySigner:
    """Return a registrar's signer for a key.

    Raises:
        IdentityError: The key may not sign.
    """
    public_key = private_key.public_key()
    encoded = public_key_bytes(public_key)
    return RegistrarKeySigner(
        private_key=private_key,
        key=sha256(encoded).digest(),
        public_key=encoded,
        profile=_registrar_profile(public_key),
    )


def open_registrar_signer(uri: str) -> RegistrarSigner:
    """Return the registrar's signer whose private key a URI names.

    Raises:
        KeyFileError: The file is missing, unreadable, open to others, or not a signing key.
    """
    try:
        return registrar_signer_of(_one_signing_key(uri))
    except IdentityError as error:
        raise KeyFileError(f"the key file {path_of(uri)} holds {error.text}") from error


def _one_signing_key(uri: str) -> PrivateKey:
    found = read_private_keys(uri)
    if len(found) != 1:
        raise KeyFileError(f"the key file {path_of(uri)} holds {len(found)} keys, expected 1")
    key = found[0]
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyFileError(f"the key file {path_of(uri)} holds no signing key of a known profile")
    return key
