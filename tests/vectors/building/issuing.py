"""The authority of the vectors, its certificates and its revocation lists; made once, and never again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from docbus.identity.pki.crl import Revoked
from docbus.identity.pki.issuing import make_list
from docbus.identity.pki.names import DOCUMENT_SIGNING, URN
from tests.support.pki import usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.identity.signing import PrivateKey

    Kept = Callable[[str, object], bytes]

NOW = 1_800_000_000_000
HOUR_MS = 60 * 60 * 1000
CLEAN, REVOKED, HELD = "clean.crl", "revoked.crl", "held.crl"
SERIAL = 0x1001
"""Of the certificate that the second list revokes, an hour after everything was made, and the third puts on hold."""


def _day(days: float) -> datetime:
    return datetime.fromtimestamp(NOW // 1000, UTC) + timedelta(days=days)


class TestAuthority:
    """Its key and its files.

    Args:
        kept: Returns the file of a name, and makes it if it is not there and drawing is allowed.
    """

    __test__ = False

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        key = load_pem_private_key(kept("keys/authority.signing.pem", _new_key), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("not the authority's key")
        self._key = key
        self.certificate = kept("keys/authority.certificate.der", self._self_signed)
        self._parsed = x509.load_der_x509_certificate(self.certificate)

    def _self_signed(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vectors CA")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(_day(-1))
            .not_valid_after(_day(3652))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA384())
            .public_bytes(Encoding.DER)
        )

    def issue(self, key: PrivateKey, agency: str, *, serial: int, days: int) -> bytes:
        """Return an agency's certificate."""
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agency)]))
            .issuer_name(self._parsed.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(_day(-1))
            .not_valid_after(_day(days - 1))
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URN + agency)]), critical=False)
            .add_extension(usage("digital_signature", "content_commitment"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA384())
            .public_bytes(Encoding.DER)
        )

    def material(self) -> dict[str, bytes]:
        """Return the lists by name: twelve hours old, two hours later, and two hours later in another course of things.

        Each is current for a day.
        """
        reason = x509.ReasonFlags
        later, before = NOW + 2 * HOUR_MS, NOW - 12 * HOUR_MS
        revoked = Revoked(NOW + HOUR_MS, reason.superseded), Revoked(NOW, reason.certificate_hold)
        made = {
            CLEAN: lambda: make_list([], self._parsed, self._key, number=1, now_ms=before, days=1),
            REVOKED: lambda: make_list([(SERIAL, revoked[0])], self._parsed, self._key, number=2, now_ms=later, days=1),
            HELD: lambda: make_list([(SERIAL, revoked[1])], self._parsed, self._key, number=2, now_ms=later, days=1),
        }
        return {name: self._kept(f"material/{name}", make) for name, make in made.items()}


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
