"""The profile of issued certificates and of the authorities that issue them (RFC 5280, RFC 9336; ADR 0021).

The directory decides who an agency is. What a certificate says of it is compared as far as it says anything: a national
authority that has never heard of docbus does not write an agency's code into a certificate.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from docbus.errors import IdentityError
from docbus.identity.pki.names import DOCUMENT_SIGNING, URN
from docbus.identity.signing import (
    MAX_RSA_BITS,
    MAX_RSA_EXPONENT_BITS,
    MIN_RSA_BITS,
    MIN_RSA_EXPONENT,
    algorithm_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection

E = TypeVar("E", bound=x509.ExtensionType)

MAX_CERTIFICATE_BYTES = 8 * 1024
"""Bytes of a certificate; one with an RSA-8192 key has about 2,500, one with ML-DSA-65 about 5,500."""
MAX_ISSUED_DAYS = 732
"""Days for which an issued certificate is valid, two years and a day: after that nobody need remember what became of
it."""

_OTHER_USES = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.NAME_CONSTRAINTS,
    }
)
_ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def load_certificate(der: bytes) -> x509.Certificate:
    """Return a certificate whose extensions can be read.

    Raises:
        IdentityError: It is too large, or cannot be read.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise IdentityError(f"a certificate of {len(der)} bytes; {MAX_CERTIFICATE_BYTES} are allowed")
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise IdentityError("a certificate that cannot be read (X.509, DER)") from error
    return certificate


def is_issued(certificate: x509.Certificate) -> bool:
    """Tell whether somebody else has issued it, by its names."""
    return certificate.issuer != certificate.subject


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether it says that it is an authority's.

    Raises:
        IdentityError: Its extensions cannot be read.
    """
    try:
        constraints = _extension(certificate.extensions, x509.BasicConstraints)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise IdentityError("a certificate with an extension that cannot be read") from error
    return constraints is not None and constraints.value.ca


def issuer_name(certificate: x509.Certificate) -> bytes:
    """Return the issuer's name, DER."""
    return certificate.issuer.public_bytes()


def subject_name(certificate: x509.Certificate) -> bytes:
    """Return the subject's name, DER."""
    return certificate.subject.public_bytes()


def agency_named(certificate: x509.Certificate) -> str | None:
    """Return the canonical id of the one agency that a certificate names, unchecked; None if it names none or several.

    Raises:
        IdentityError: Its extensions cannot be read.
    """
    named = [uri.removeprefix(URN) for uri in _uris(certificate.extensions) if uri.startswith(URN)]
    return named[0] if len(named) == 1 else None


def check_issued(certificate: x509.Certificate, agency: str) -> None:
    """Return if an issued certificate may stand in a grant to an agency; its period is for :func:`check_period`.

    Raises:
        IdentityError: It may not; the text says why.
    """
    extensions = certificate.extensions
    _check_names(extensions, agency)
    usage = _extension(extensions, x509.KeyUsage)
    if usage is None or not usage.critical:
        raise IdentityError("a certificate whose key usage is missing, or not critical")
    if not usage.value.digital_signature or any(getattr(usage.value, use) for use in _OTHER_USES):
        raise IdentityError(
            "a certificate whose key usage is not digitalSignature, with or without contentCommitment, alone"
        )
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    if purposes is None or list(purposes.value) != [DOCUMENT_SIGNING]:
        raise IdentityError(
            f"a certificate whose extended key usage is not just documentSigning ({DOCUMENT_SIGNING.dotted_string})"
        )
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        raise IdentityError("a certificate of a CA; agencies sign with end-entity certificates")
    _check_critical(extensions, "a certificate")


def check_period(certificate: x509.Certificate) -> None:
    """Return if an issued certificate is valid for no longer than the profile allows.

    Raises:
        IdentityError: It is.
    """
    period = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if period > timedelta(days=MAX_ISSUED_DAYS):
        raise IdentityError(
            f"an issued certificate that is valid for {period.days} days; {MAX_ISSUED_DAYS} are allowed"
        )


def check_leaf_key(certificate: x509.Certificate) -> None:
    """Return if the key of an agency's certificate is of a kind and size that may sign.

    Raises:
        IdentityError: It is not.
    """
    algorithm_of(_key_of(certificate))


def check_authority(certificate: x509.Certificate) -> None:
    """Return if a certificate is one of an authority that may issue certificates for agencies.

    Raises:
        IdentityError: It is not; the text says why.
    """
    extensions = certificate.extensions
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        raise IdentityError("a certificate without basic constraints that make it an authority's")
    usage = _extension(extensions, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        raise IdentityError("an authority's certificate whose key usage does not have keyCertSign")
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    if purposes is not None and not {DOCUMENT_SIGNING, _ANY_PURPOSE} & set(purposes.value):
        raise IdentityError("an authority's certificate that is not for documentSigning")
    _check_critical(extensions, "an authority's certificate")
    _check_authority_key(_key_of(certificate))


def may_sign_lists(certificate: x509.Certificate) -> bool:
    """Tell whether an authority may sign revocation lists (RFC 5280 section 4.2.1.3)."""
    usage = _extension(certificate.extensions, x509.KeyUsage)
    return usage is not None and usage.value.crl_sign


def _check_authority_key(key: object) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise IdentityError(f"an authority's EC key on {key.curve.name}; P-256, P-384 and P-521 may issue")
        return
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise IdentityError(f"an authority's RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS}")
        if exponent < MIN_RSA_EXPONENT or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
            raise IdentityError(f"an authority's RSA key whose exponent has {exponent.bit_length()} bits")
        return
    if not isinstance(key, mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey):
        raise IdentityError(f"an authority's key of kind {type(key).__name__}, which may not issue")


def _check_names(extensions: x509.Extensions, agency: str) -> None:
    others = [uri for uri in _uris(extensions) if uri.startswith(URN) and uri != URN + agency]
    if others:
        raise IdentityError(f"a certificate that names another agency in its subject alternative name: {others[0]!r}")


def _uris(extensions: x509.Extensions) -> Collection[str]:
    names = _extension(extensions, x509.SubjectAlternativeName)
    return () if names is None else names.value.get_values_for_type(x509.UniformResourceIdentifier)


def _check_critical(extensions: x509.Extensions, what: str) -> None:
    strange = [extension.oid for extension in extensions if extension.critical and extension.oid not in _UNDERSTOOD]
    if strange:
        raise IdentityError(f"{what} with a critical extension that is not understood ({strange[0].dotted_string})")


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError("a certificate with a key that cannot be read") from error


def _extension(extensions: x509.Extensions, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
