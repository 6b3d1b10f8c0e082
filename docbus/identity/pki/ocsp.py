"""OCSP responses: what an authority, or whom it has entrusted with it, says of one certificate (RFC 6960).

The library verifies no response: that its signer may speak for the authority is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, SignatureAlgorithmOID

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki.crl import STRONG, Revoked, milliseconds

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

MAX_RESPONSE_BYTES = 32 * 1024
"""Bytes of an OCSP response; one with an RSA-8192 responder's certificate has about 4,500."""
MAX_RESPONSE_CERTIFICATES = 4
"""Certificates in a response; the responder's own is asked for."""

_NO_CHECK = x509.OCSPNoCheck
_UNREADABLE = (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)
"""What reading a certificate's extensions may raise beside ValueError."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class StatusResponse:
    """An OCSP response about one certificate; who signed it has not been proven, see :meth:`speaks_of`.

    Attributes:
        digest: SHA-256 of the response, DER.
        content: The response, DER.
        serial: Serial number of the certificate.
        this_update_ms: When what it says was known to be right, milliseconds since 1970 UTC.
        next_update_ms: Until when there will be newer knowledge.
        is_good: Whether it says that the certificate is not revoked; neither, if the responder does not know it.
        revoked: What it says of the revocation; None if it says none.
        nonce: What it repeats of a request; None if nothing.
    """

    digest: bytes
    content: bytes
    serial: int
    this_update_ms: int
    next_update_ms: int
    is_good: bool
    revoked: Revoked | None
    nonce: bytes | None
    parsed: ocsp.OCSPResponse

    def speaks_of(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Tell whether it is about this certificate of this authority, and signed by who may speak for it."""
        if certificate.serial_number != self.serial:
            return False
        response = self.parsed
        try:
            asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, response.hash_algorithm).build()
        except (ValueError, UnsupportedAlgorithm):
            return False
        if (asked.issuer_name_hash, asked.issuer_key_hash) != (response.issuer_name_hash, response.issuer_key_hash):
            return False
        return any(_has_signed(response, signer) for signer in self._signers(issuer))

    def _signers(self, issuer: x509.Certificate) -> list[x509.Certificate]:
        """Return who may have signed: the authority, and whom it has entrusted by a certificate in the response."""
        named = [issuer, *(one for one in self.parsed.certificates if _is_entrusted(one, issuer, self.this_update_ms))]
        return [one for one in named if _is_responder(self.parsed, one)]


def responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URIs at which a certificate says that its authority answers OCSP requests."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    )


def read_response(content: bytes) -> StatusResponse:
    """Return an OCSP response about one certificate.

    Raises:
        MalformedError: It is too large, or no response.
        IdentityError: It is an error, speaks of several certificates, says no end, or has something in it that must be
            understood and is not.
    """
    if len(content) > MAX_RESPONSE_BYTES:
        raise MalformedError(f"an OCSP response of {len(content):,} bytes; {MAX_RESPONSE_BYTES:,} are allowed")
    try:
        parsed = ocsp.load_der_ocsp_response(content)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise IdentityError(f"an OCSP response that is an error: {parsed.response_status.name}")
        if len(list(parsed.responses)) != 1:
            raise IdentityError("an OCSP response about several certificates; one is asked about")
        return _read(content, parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm, *_UNREADABLE) as error:
        raise MalformedError("an OCSP response that cannot be read (RFC 6960, DER)") from error


def _read(content: bytes, parsed: ocsp.OCSPResponse) -> StatusResponse:
    hashed = parsed.signature_hash_algorithm
    if hashed is not None and not isinstance(hashed, STRONG):
        raise IdentityError(f"an OCSP response that is signed over a {hashed.name} hash, which proves nothing")
    if len(parsed.certificates) > MAX_RESPONSE_CERTIFICATES:
        raise IdentityError(f"an OCSP response with more than {MAX_RESPONSE_CERTIFICATES} certificates")
    nonce = None
    for extension in (*parsed.extensions, *parsed.single_extensions):
        if isinstance(extension.value, x509.OCSPNonce):
            nonce = extension.value.nonce
        elif extension.critical:
            raise IdentityError(
                f"an OCSP response with a critical extension that is not understood ({extension.oid.dotted_string})"
            )
    if parsed.next_update_utc is None:
        raise IdentityError("an OCSP response that does not say until when it holds")
    revoked = None
    if parsed.certificate_status is ocsp.OCSPCertStatus.REVOKED and parsed.revocation_time_utc is not None:
        reason = parsed.revocation_reason or x509.ReasonFlags.unspecified
        revoked = Revoked(milliseconds(parsed.revocation_time_utc), reason)
    return StatusResponse(
        digest=sha256(content).digest(),
        content=content,
        serial=parsed.serial_number,
        this_update_ms=milliseconds(parsed.this_update_utc),
        next_update_ms=milliseconds(parsed.next_update_utc),
        is_good=parsed.certificate_status is ocsp.OCSPCertStatus.GOOD,
        revoked=revoked,
        nonce=nonce,
        parsed=parsed,
    )


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    """Tell whether the response names this certificate's subject, or the SHA-1 of its key, as its signer."""
    try:
        if response.responder_name is not None:
            return response.responder_name == certificate.subject
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest


def _is_entrusted(certificate: x509.Certificate, issuer: x509.Certificate, at_ms: int) -> bool:
    """Tell whether the authority itself has issued this certificate for signing OCSP responses (RFC 6960 4.2.2.2).

    It must ask not to be checked for revocation itself: whom to ask about it would be the responder.
    """
    try:
        extensions = certificate.extensions
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        extensions.get_extension_for_class(_NO_CHECK)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, *_UNREADABLE):
        return False
    begin, end = milliseconds(certificate.not_valid_before_utc), milliseconds(certificate.not_valid_after_utc)
    return ExtendedKeyUsageOID.OCSP_SIGNING in purposes and begin <= at_ms <= end


def _has_signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    try:
        _verify(response, signer.public_key())
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _verify(response: ocsp.OCSPResponse, key: CertificatePublicKeyTypes) -> None:
    """Verify the signature over exactly the bytes that were signed.

    Raises:
        InvalidSignature: It is not the key's, or of a kind that proves nothing.
    """
    signature, signed, hashed = response.signature, response.tbs_response_bytes, response.signature_hash_algorithm
    if isinstance(key, mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey):
        key.verify(signature, signed)
    elif isinstance(key, ec.EllipticCurvePublicKey) and hashed is not None:
        key.verify(signature, signed, ec.ECDSA(hashed))
    elif isinstance(key, rsa.RSAPublicKey) and hashed is not None:
        is_pss = response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
        salt = padding.PSS(mgf=padding.MGF1(hashed), salt_length=padding.PSS.AUTO)
        key.verify(signature, signed, salt if is_pss else padding.PKCS1v15(), hashed)
    else:
        raise InvalidSignature("a responder's key of a kind that signs nothing here")


def request_for(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes) -> bytes:
    """Return an OCSP request about a certificate, DER.

    Args:
        certificate: Whose standing is asked for.
        issuer: Its authority.
        nonce: Random bytes that the answer has to repeat, 1 to 32.
    """
    return (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, issuer, hashes.SHA256())
        .add_extension(x509.OCSPNonce(nonce), critical=False)
        .build()
        .public_bytes(Encoding.DER)
    )
