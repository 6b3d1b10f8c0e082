"""What a time stamp token says, as long as nobody has verified it (RFC 3161 section 2.4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from rfc3161_client import decode_timestamp_response

from docbus.errors import MalformedError
from docbus.identity.time_stamps.anchors import UNREADABLE
from docbus.identity.time_stamps.der import SEQUENCE, element, with_ordered_certificates
from docbus.identity.time_stamps.shown import begins_with
from docbus.limits import KIB, MAX_TIME_MS

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MAX_TOKEN_BYTES = 24 * KIB
"""Bytes of a token; one with its signer's certificate has about 1 KiB, and three RSA-4096 certificates make 6."""
MAX_TOKEN_CERTIFICATES = 8
"""Certificates in a token: a chain has three or four, and each is looked at with each."""

GRANTED = 0
"""PKIStatus granted: the only one under which a token is taken (RFC 3161 section 2.4.2)."""
_GRANTED_STATUS = bytes.fromhex("3003020100")
"""PKIStatusInfo with status granted, which makes a response of a token."""
IMPRINTS = {"2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.3": "sha512"}
"""Object identifier to name of each algorithm that an imprint may be made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeStamp:
    """A token that can be read.

    Attributes:
        token: Its exact bytes, a CMS ContentInfo in DER.
        algorithm: ``sha256``, ``sha512``, or the dotted identifier of one that is not accepted.
        imprint: Digest of what was stamped.
        time_ms: genTime, milliseconds since 1970 UTC.
        policy: Dotted identifier of the authority's policy.
        nonce: As in the request, or None.
        serial: The authority's own number for the token.
        authority: Subject of the signer's certificate (RFC 4514); None where it is not in the token.
        signer: The signer's certificate.
        certificates: All that are in the token.
    """

    token: bytes
    algorithm: str
    imprint: bytes
    time_ms: int
    policy: str
    nonce: int | None
    serial: int
    authority: str | None
    signer: x509.Certificate | None = field(repr=False)
    certificates: tuple[x509.Certificate, ...] = field(repr=False)


def response_of(token: bytes) -> bytes:
    """Return a granted response with this token in it, DER: what the library reads is a response."""
    return element(SEQUENCE, _GRANTED_STATUS + token)


def decode_response(answer: bytes) -> TimeStampResponse:
    """Return what an authority's answer says; nothing is verified.

    Raises:
        MalformedError: It is no time stamp response.
    """
    try:
        return decode_timestamp_response(with_ordered_certificates(answer))
    except ValueError as error:
        # The library's text is about ASN.1, and says nothing to whoever reads a report.
        raise MalformedError(f"it is no RFC 3161 response: {begins_with(answer)}") from error


def read_token(token: bytes) -> TimeStamp:
    """Return what a token says.

    Raises:
        MalformedError: It is too large, or no token of one signer.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise MalformedError(f"a time stamp token of {len(token)} bytes; {MAX_TOKEN_BYTES} are allowed")
    try:
        response = decode_response(response_of(token))
    except MalformedError as error:
        raise MalformedError(f"it is no time stamp token: {begins_with(token)}") from error
    return describe(response)


def describe(response: TimeStampResponse) -> TimeStamp:
    """Return what the token in a granted response says.

    Raises:
        MalformedError: There is no token of one signer in it, or it says what no calendar or certificate has.
    """
    try:
        token, stated, signed = response.time_stamp_token(), response.tst_info, response.signed_data
        signers = list(signed.signer_infos)
        encoded = sorted(signed.certificates)
        if len(encoded) > MAX_TOKEN_CERTIFICATES:
            raise MalformedError(f"a token with {len(encoded)} certificates; {MAX_TOKEN_CERTIFICATES} are allowed")
        certificates = tuple(x509.load_der_x509_certificate(der) for der in encoded)
        if len(signers) != 1:
            raise MalformedError(f"a token with {len(signers)} signers, where RFC 3161 has one")
        named = signers[0].issuer, signers[0].serial_number
        signer = next((one for one in certificates if (one.issuer, one.serial_number) == named), None)
        algorithm = stated.message_imprint.hash_algorithm.dotted_string
        time_ms = round(stated.gen_time.timestamp() * 1000)
        if not 0 <= time_ms <= MAX_TIME_MS:
            raise MalformedError(f"a token of {time_ms} ms, which no calendar has")
        return TimeStamp(
            token=bytes(token),
            algorithm=IMPRINTS.get(algorithm, algorithm),
            imprint=bytes(stated.message_imprint.message),
            time_ms=time_ms,
            policy=stated.policy.dotted_string,
            nonce=stated.nonce,
            serial=stated.serial_number,
            authority=None if signer is None else signer.subject.rfc4514_string(),
            signer=signer,
            certificates=certificates,
        )
    except UNREADABLE as error:
        raise MalformedError(f"a time stamp token that cannot be read: {error}") from error
