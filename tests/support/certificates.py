"""Certificates that differ from a good one by what is changed, for any key, issued by anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from docbus.identity.certificates import DOCUMENT_SIGNING, URN
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

CA_KEY = ec.generate_private_key(ec.SECP256R1())
"""Key of a certification authority that nobody has asked to vouch for anything."""


def issue(
    public_key: Any,
    agency: str,
    *,
    purposes: Sequence[x509.ObjectIdentifier] = (DOCUMENT_SIGNING,),
    issuer: str = "Certification authority",
    issuing_key: Any = CA_KEY,
) -> bytes:
    """Return a certificate for an agency's public key, DER; nobody has to hold the private one."""
    now = datetime.fromtimestamp(NOW_MS // 1000, UTC)
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
    ) | {"encipher_only": False, "decipher_only": False, "digital_signature": True, "content_commitment": True}
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agency)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=700))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URN + agency)]), critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(issuing_key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
