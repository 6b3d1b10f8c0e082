"""Certificates of agencies: the profile, self-signed ones, and the checks at registration (reference: RFC 5280).

The directory is the authority (design D7). What stands in a certificate is a cross-check, and it is exact: one URI
``urn:docbus:agency:<canonical id>`` as subject alternative name; nothing is read from the subject's name. A certificate
that an authority has issued may name no agency; its profile is in :mod:`docbus.identity.pki.profile`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from docbus.errors import IdentityError
from docbus.identity.pki.names import DOCUMENT_SIGNING, URN
from docbus.identity.pki.profile import MAX_CERTIFICATE_BYTES, check_issued, check_period, is_issued
from docbus.identity.signing import algorithm_of
from docbus.identity.weak_rsa import check_new_key
from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import PrivateKey, PublicKey
    from docbus.wire.profiles import Algorithm

VALIDITY = timedelta(days=730)
"""How long a certificate made here is valid."""

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
    }
)
_WITHOUT_HASH = (MLDSA65PrivateKey, Ed25519PrivateKey)
"""Kinds of keys that sign a certificate as it is, and not its hash."""
_SERIAL_BITS = 159
"""Bits of a serial number: positive and at most 20 bytes (RFC 5280 section 4.1.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCertificate:
    """What a certificate that passed says; times in milliseconds since 1970, UTC."""

    digest: bytes
    public_key: PublicKey
    not_before_ms: int
    not_after_ms: int


def make_certificate(private_key: PrivateKey | MLDSA65PrivateKey, agency: str, *, now_ms: int) -> bytes:
    """Return a self-signed certificate for an agency's canonical id, DER, valid for two years from ``now_ms``."""
    # A registrar whose clock is behind must not find it not yet valid.
    begins = datetime.fromtimestamp((now_ms - MAX_CLOCK_SKEW_MS) // 1000, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agency)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(secrets.randbits(_SERIAL_BITS) | 1)
        .not_valid_before(begins)
        .not_valid_after(begins + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URN + agency)]), critical=False)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private_key, None if isinstance(private_key, _WITHOUT_HASH) else hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def certificate_set_digest(digests: Sequence[bytes]) -> bytes:
    """Return the hash that names a grant: the certificate's own, or SHA-256 over both of a hybrid profile, in order."""
    return digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()


def check_certificate(der: bytes, agency: str, algorithm: Algorithm) -> CheckedCertificate:
    """Return what an agency's certificate says, if it may stand in a grant for this algorithm.

    Validity at some time is not checked here: the time decides nothing in a log; see :func:`check_for_registration`.

    Raises:
        IdentityError: It may not; the text says why, without naming the certificate.
    """
    certificate = _load(der)
    try:
        public_key = certificate.public_key()
        found = algorithm_of(public_key)
        if is_issued(certificate):
            check_issued(certificate, agency)
        else:
            _check_extensions(certificate.extensions, agency)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise IdentityError("a certificate with a key or an extension that cannot be read") from error
    except x509.ExtensionNotFound as error:
        raise IdentityError(f"a certificate without the extension {error.oid.dotted_string}") from error
    if found != algorithm:
        raise IdentityError(f"a certificate whose key is for {found}, where the profile asks for {algorithm}")
    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:
        raise IdentityError("a certificate that is valid at no time")
    return CheckedCertificate(
        digest=sha256(der).digest(),
        public_key=public_key,  # type: ignore[arg-type] # algorithm_of lets only known kinds pass
        not_before_ms=_milliseconds(certificate.not_valid_before_utc),
        not_after_ms=_milliseconds(certificate.not_valid_after_utc),
    )


def check_for_registration(der: bytes, agency: str, algorithm: Algorithm, *, now_ms: int) -> CheckedCertificate:
    """Return what a certificate says, if it may be granted now.

    That is :func:`check_certificate`, no known weakness of the key, validity, and the self-signature if nobody else has
    issued it.

    Raises:
        IdentityError: It may not; the text says why.
    """
    checked = check_certificate(der, agency, algorithm)
    check_new_key(checked.public_key)
    if not checked.not_before_ms <= now_ms <= checked.not_after_ms:
        raise IdentityError("a certificate that is not valid now, by the clock of this machine")
    certificate = _load(der)
    if is_issued(certificate):
        check_period(certificate)
    else:
        try:
            certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise IdentityError("a self-signed certificate whose signature is not valid") from error
    return checked


def load_certificate_key(der: bytes) -> PublicKey:
    """Return the public key of a certificate that was checked before."""
    return x509.load_der_x509_certificate(der).public_key()  # type: ignore[return-value] # checked before


def end_of(der: bytes) -> int:
    """Return the end of a certificate's validity, milliseconds since 1970 UTC.

    Raises:
        IdentityError: It cannot be read.
    """
    return _milliseconds(_load(der).not_valid_after_utc)


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise IdentityError(f"a certificate of {len(der)} bytes; {MAX_CERTIFICATE_BYTES} are allowed")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise IdentityError("a certificate that cannot be read (X.509, DER)") from error


def _check_extensions(extensions: x509.Extensions, agency: str) -> None:
    names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if uris != [URN + agency] or len(names) != 1:
        raise IdentityError(f"a certificate whose subject alternative name is not just {URN}{agency}")
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    if not usage.critical or usage.value != _KEY_USAGE:
        raise IdentityError(
            "a certificate whose key usage is not critical, or not just digitalSignature and contentCommitment"
        )
    purposes = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    if purposes != [DOCUMENT_SIGNING]:
        raise IdentityError(
            f"a certificate whose extended key usage is not just documentSigning ({DOCUMENT_SIGNING.dotted_string})"
        )
    if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in extensions):
        raise IdentityError("a certificate with a critical extension that is not understood")
    if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise IdentityError("a certificate of a CA; agencies sign with end-entity certificates")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
