"""Authorities, certificates, revocation lists and OCSP responses that differ from good ones by what is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from docbus.identity.pki.authorities import NO_AUTHORITIES, Authorities, TrustAnchor
from docbus.identity.pki.names import DOCUMENT_SIGNING, URN
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOW = datetime.fromtimestamp(NOW_MS // 1000, UTC)
AGENCY = "vn:H26"
SHA256 = hashes.SHA256()
_ALL_USES = (
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


def usage(*uses: str) -> x509.KeyUsage:
    """Return a key usage with just these."""
    return x509.KeyUsage(**{use: use in uses for use in _ALL_USES})


def day(days: float) -> datetime:
    """Return the time of the tests, and so many days."""
    return NOW + timedelta(days=days)


def ms(days: float) -> int:
    """Return the same in milliseconds."""
    return NOW_MS + int(days * 86_400_000)


def name_of(text: str) -> x509.Name:
    """Return a name with just a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _hash_for(key: Any) -> Any:
    alone = (ed25519.Ed25519PrivateKey, mldsa.MLDSA65PrivateKey)
    return None if isinstance(key, alone) else SHA256


Extensions = dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None]
"""What replaces an extension of its kind, and whether critical; None leaves it out."""


def _added(builder: x509.CertificateBuilder, usual: Extensions, changed: Extensions) -> x509.CertificateBuilder:
    for pair in (usual | changed).values():
        if pair is not None:
            builder = builder.add_extension(pair[0], critical=pair[1])
    return builder


@dataclass(kw_only=True)
class TestAuthority:
    """A certification authority with its key; ``certificate`` is by itself, or by the one above it."""

    __test__ = False

    name: str = "Root"
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    above: TestAuthority | None = None
    begins: float = -1000
    ends: float = 3000
    path_length: int | None = None
    changed: Extensions = field(default_factory=dict)
    serial: int = 1

    def __post_init__(self) -> None:
        """Make the certificate."""
        signer = self.above or self
        usual: Extensions = {
            x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=self.path_length), True),
            x509.KeyUsage: (usage("key_cert_sign", "crl_sign"), True),
            x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False),
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(self.name))
            .issuer_name(name_of(signer.name))
            .public_key(self.key.public_key())
            .serial_number(self.serial)
            .not_valid_before(day(self.begins))
            .not_valid_after(day(self.ends))
        )
        self.certificate = _added(builder, usual, self.changed).sign(signer.key, _hash_for(signer.key))

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    def issue(
        self,
        key: Any = None,
        *,
        agency: str = AGENCY,
        serial: int = 0x1001,
        begins: float = -10,
        ends: float = 700,
        changed: Extensions | None = None,
    ) -> x509.Certificate:
        """Return an agency's certificate, except for what is changed."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        usual: Extensions = {
            x509.SubjectAlternativeName: (
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URN + agency)]),
                False,
            ),
            x509.KeyUsage: (usage("digital_signature", "content_commitment"), True),
            x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False),
            x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(agency))
            .issuer_name(name_of(self.name))
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(day(begins))
            .not_valid_after(day(ends))
        )
        return _added(builder, usual, changed or {}).sign(self.key, _hash_for(self.key))

    def revocations(
        self,
        revoked: Iterable[tuple[int, float, x509.ReasonFlags] | x509.RevokedCertificate] = (),
        *,
        number: int | None = 1,
        begins: float = -1,
        ends: float | None = 6,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        issuer: str | None = None,
        hashed: Any = None,
    ) -> bytes:
        """Return a revocation list, DER; (serial, days, reason) of each certificate."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name_of(issuer or self.name))
            .last_update(day(begins))
            .next_update(day(ends if ends is not None else 6))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for value, critical in more:
            builder = builder.add_extension(value, critical=critical)
        for one in revoked:
            entry = one if isinstance(one, x509.RevokedCertificate) else entry_of(*one)
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashed or _hash_for(self.key)).public_bytes(Encoding.DER)

    def response(
        self,
        certificate: x509.Certificate,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        issuer: TestAuthority | None = None,
        signer: tuple[x509.Certificate, Any] | None = None,
        revoked: float | None = None,
        reason: x509.ReasonFlags | None = None,
        begins: float = -0.5,
        ends: float | None = 1,
        nonce: bytes | None = None,
        certificates: Sequence[x509.Certificate] | None = None,
        encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
        hashed: Any = None,
    ) -> bytes:
        """Return an OCSP response about a certificate, DER."""
        responder, key = signer or (self.certificate, self.key)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=(issuer or self).certificate,
            algorithm=SHA256,
            cert_status=status,
            this_update=day(begins),
            next_update=None if ends is None else day(ends),
            revocation_time=None if revoked is None else day(revoked),
            revocation_reason=reason,
        )
        builder = builder.responder_id(encoding, responder)
        sent = [responder] if certificates is None and signer is not None else list(certificates or ())
        if sent:
            builder = builder.certificates(sent)
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(key, hashed or _hash_for(key)).public_bytes(Encoding.DER)

    def anchor(self, *below: TestAuthority, position: int = 1) -> TrustAnchor:
        """Return it as the directory names it, with intermediates."""
        return TrustAnchor(
            digest=sha256(self.der).digest(),
            name=self.name,
            certificate=self.der,
            intermediates=tuple(one.der for one in below),
            named_at=position,
        )


def entry_of(serial: int, days: float, reason: x509.ReasonFlags, *more: tuple[Any, bool]) -> x509.RevokedCertificate:
    """Return an entry of a revocation list, with more extensions, and whether critical."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(day(days))
    if reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    for value, critical in more:
        builder = builder.add_extension(value, critical=critical)
    return builder.build()


def authorities_of(*anchors: TrustAnchor) -> Authorities:
    """Return authorities with these anchors."""
    found = NO_AUTHORITIES
    for one in anchors:
        found = found.with_anchor(one)
    return found


def responder_of(
    authority: TestAuthority,
    *,
    purposes: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.OCSP_SIGNING,),
    no_check: bool = True,
    begins: float = -10,
    ends: float = 10,
) -> tuple[x509.Certificate, Any]:
    """Return a responder that an authority has entrusted, with its key, except for what is changed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of("Responder"))
        .issuer_name(name_of(authority.name))
        .public_key(key.public_key())
        .serial_number(0x2002)
        .not_valid_before(day(begins))
        .not_valid_after(day(ends))
    )
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if no_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return builder.sign(authority.key, _hash_for(authority.key)), key
