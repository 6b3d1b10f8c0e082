"""What a small authority makes: its own certificate, those of agencies, and revocation lists (RFC 5280, RFC 2986).

Pure: keys and the time are arguments. Files and the list of what was issued are kept in :mod:`docbus.client.issuing`.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from docbus.errors import AgencyCodeError, IdentityError, MalformedError
from docbus.identity.agency import parse_canonical
from docbus.identity.pki.names import DOCUMENT_SIGNING, URN
from docbus.identity.signing import algorithm_of
from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from docbus.identity.pki.crl import Revoked

_REQUEST = re.compile(
    rb"-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----.+?-----END (?:NEW )?CERTIFICATE REQUEST-----\n?", re.DOTALL
)
MAX_REQUEST_BYTES = 16 * 1024
"""Bytes of a certification request; one with ML-DSA-65 has about 5,600, in PEM 7,600."""
AUTHORITY_DAYS = 3652
"""Days for which a small authority's certificate is valid: ten years."""
LEAF_DAYS = 730
"""Days for which it issues certificates, unless told otherwise."""
LIST_DAYS = 7
"""Days for which a revocation list is current, unless told otherwise: as long as members may go without a new one."""

_SERIAL_BITS = 158
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class CertificationRequest(NamedTuple):
    """A request whose signature proves that its maker has the key; whether it is the agency is for people to ask."""

    agency: str
    parsed: x509.CertificateSigningRequest


def make_authority(name: str, *, now_ms: int) -> tuple[EllipticCurvePrivateKey, bytes]:
    """Return the key of a new authority, P-384, and its self-signed certificate, DER."""
    key = ec.generate_private_key(ec.SECP384R1())
    begins = _begins(now_ms)
    titled = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(titled)
        .issuer_name(titled)
        .public_key(key.public_key())
        .serial_number(new_serial())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return key, certificate.public_bytes(Encoding.DER)


def make_request(key: CertificateIssuerPrivateKeyTypes, agency: str) -> bytes:
    """Return a certification request of an agency, PEM, that any authority understands."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agency)]))
        .add_extension(_names(agency), critical=False)
        .add_extension(_usage("digital_signature", "content_commitment"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
        .sign(key, None if isinstance(key, mldsa.MLDSA65PrivateKey | ed25519.Ed25519PrivateKey) else hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def split_requests(content: bytes) -> list[bytes]:
    """Return the certification requests in a file, PEM, unread; the whole of it if there is no block."""
    return _REQUEST.findall(content) or [content]


def read_request(pem: bytes) -> CertificationRequest:
    """Return a certification request that may be granted; of its fields, key and agency are taken, and nothing else.

    Raises:
        MalformedError: Not a certification request in PEM.
        IdentityError: It is not signed by its own key, the key may not sign, or it names no agency or several.
    """
    if len(pem) > MAX_REQUEST_BYTES:
        raise MalformedError(f"a certification request of {len(pem):,} bytes; {MAX_REQUEST_BYTES:,} are allowed")
    try:
        parsed = x509.load_pem_x509_csr(pem)
        key = parsed.public_key()
        names = list(parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise MalformedError(
            "not a certification request that can be read (PKCS #10, PEM)", hint="`docbus cert request` makes one."
        ) from error
    except x509.ExtensionNotFound as error:
        raise IdentityError("a certification request that names no agency") from error
    algorithm_of(key)
    if not parsed.is_signature_valid:
        raise IdentityError("a certification request that is not signed by the key it asks for")
    agencies = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(names) != 1 or len(agencies) != 1 or not agencies[0].startswith(URN):
        raise IdentityError(f"a certification request whose subject alternative name is not one URI {URN}…")
    agency = agencies[0].removeprefix(URN)
    try:
        parse_canonical(agency)
    except AgencyCodeError as error:
        raise IdentityError(f"a certification request for {error.text}", hint=error.hint) from error
    return CertificationRequest(agency, parsed)


def issue(
    request: CertificationRequest,
    authority: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    now_ms: int,
    days: int = LEAF_DAYS,
    serial: int | None = None,
    points: Sequence[str] = (),
) -> bytes:
    """Return an agency's certificate, DER.

    Args:
        request: Of the agency.
        authority: Certificate of the authority.
        key: Its key.
        now_ms: When it is made, milliseconds since 1970 UTC.
        days: For which it is valid.
        serial: Its serial number; a new one unless given.
        points: URIs from which the authority's revocation list can be had.
    """
    begins = _begins(now_ms)
    own = request.parsed.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, request.agency)]))
        .issuer_name(authority.subject)
        .public_key(own)
        .serial_number(serial or new_serial())
        .not_valid_before(begins)
        .not_valid_after(min(begins + timedelta(days=days), authority.not_valid_after_utc))
        .add_extension(_names(request.agency), critical=False)
        .add_extension(_usage("digital_signature", "content_commitment"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(_key_of(authority), critical=False)
    )
    if points:
        named = [x509.DistributionPoint([x509.UniformResourceIdentifier(point)], None, None, None) for point in points]
        builder = builder.add_extension(x509.CRLDistributionPoints(named), critical=False)
    return builder.sign(key, hashes.SHA384()).public_bytes(Encoding.DER)


def make_list(
    revoked: Iterable[tuple[int, Revoked]],
    authority: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    number: int,
    now_ms: int,
    days: int = LIST_DAYS,
) -> bytes:
    """Return a revocation list, DER.

    Args:
        revoked: Serial number, and what there is to say, of each certificate.
        authority: Certificate of the authority.
        key: Its key.
        number: More than that of any list before.
        now_ms: When it is made, milliseconds since 1970 UTC.
        days: For which it is current.
    """
    made = datetime.fromtimestamp(now_ms // 1000, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(made)
        .next_update(made + timedelta(days=days))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_key_of(authority), critical=False)
    )
    for serial, said in revoked:
        builder = builder.add_revoked_certificate(_entry(serial, said))
    return builder.sign(key, hashes.SHA384()).public_bytes(Encoding.DER)


def new_serial() -> int:
    """Return a serial number that nobody can guess: 20 bytes, positive (RFC 5280 section 4.1.2.2)."""
    return secrets.randbits(_SERIAL_BITS) | 1 << _SERIAL_BITS


def _entry(serial: int, said: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(serial)
        .revocation_date(datetime.fromtimestamp(said.revoked_at // 1000, UTC))
    )
    if said.reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(said.reason), critical=False)
    if said.compromised_at is not None:
        since = datetime.fromtimestamp(said.compromised_at // 1000, UTC)
        builder = builder.add_extension(x509.InvalidityDate(since), critical=False)
    return builder.build()


def _begins(now_ms: int) -> datetime:
    # Who verifies with a clock that is behind must not find it not yet valid.
    return datetime.fromtimestamp((now_ms - MAX_CLOCK_SKEW_MS) // 1000, UTC)


def _names(agency: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URN + agency)])


def _key_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})
