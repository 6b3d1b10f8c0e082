"""A Kafka that knows who is there: TLS with client certificates, principals from their subjects, an authorizer.

The settings are those of ``docs/how-to/run-on-kafka.md``, which a test compares.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from docbus.settings import KafkaServerSettings
from tests.support.kafka import SMALL_JVM, running_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BROKER, OPERATOR = "kafka-1", "provisioner"
DAY = dt.timedelta(days=1)
REVOCATION_JVM = ("-Dcom.sun.net.ssl.checkRevocation=true", "-Dcom.sun.security.enableCRLDP=true")
"""The broker asks the list that each certificate names; without an answer it takes none."""
SECURITY = {
    "ssl.client.auth": "required",
    "ssl.principal.mapping.rules": (
        "RULE:^CN=([a-zA-Z0-9._-]+),OU=(?:agencies|brokers|operators),O=docbus$/$1/,DEFAULT"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{BROKER};User:{OPERATOR}",
    "allow.everyone.if.no.acl.found": "false",
}
"""What makes a broker ask who is there, and refuse what nobody has allowed."""
_USAGE_OF_AUTHORITY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_HERE = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
_BOTH_ENDS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])


@dataclass(frozen=True)
class Identity:
    """Files of a certificate and its key, and the certificate's number."""

    certificate: Path
    key: Path
    serial: int


class Authority:
    """A certification authority with its files in a folder.

    Args:
        folder: Made if missing.
        name: Of the authority.
        crl_url: Where it says its list of revoked certificates is; nowhere if left out.
    """

    def __init__(self, folder: Path, name: str, crl_url: str | None = None) -> None:
        """Make its key and its certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._crl_url = crl_url
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_USAGE_OF_AUTHORITY, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, common_name: str, unit: str = "agencies", *, ended: bool = False) -> Identity:
        """Return a certificate ``CN=…,OU=…,O=docbus`` for TLS clients and servers on this machine."""
        key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
        now = dt.datetime.now(dt.UTC)
        subject = (
            (NameOID.ORGANIZATION_NAME, "docbus"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            (NameOID.COMMON_NAME, common_name),
        )
        builder = (
            x509.CertificateBuilder(self._name, public_key=key.public_key(), serial_number=serial)
            .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in subject]))
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now - DAY if ended else now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_BOTH_ENDS, critical=False)
            .add_extension(_HERE, critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        if self._crl_url is not None:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(self._crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        stem = self.folder / f"{serial:x}"
        made = Identity(stem.with_suffix(".crt"), stem.with_suffix(".key"), serial)
        made.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made

    def revoked(self, *serials: int) -> bytes:
        """Return the list of certificates that are revoked, DER."""
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateRevocationListBuilder(self._name, now - DAY, now + DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        for serial in serials:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now - DAY).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass(frozen=True)
class SecuredKafka:
    """A running broker, and the authority that it believes."""

    bootstrap: str
    authority: Authority

    def shown(self, identity: Identity) -> KafkaServerSettings:
        """Return the settings of a client that shows this certificate."""
        return KafkaServerSettings(
            bootstrap=self.bootstrap,
            tls=True,
            tls_ca=self.authority.file,
            tls_certificate=identity.certificate,
            tls_key=identity.key,
            replication_factor=1,
        )

    @cached_property
    def operator(self) -> KafkaServerSettings:
        """Settings of the one who may do everything."""
        return self.shown(self.authority.issue(OPERATOR, "operators"))


@contextmanager
def secured_kafka(folder: Path, authority: Authority) -> Iterator[SecuredKafka]:
    """Run a broker that asks for certificates of the authority, and refuses what no ACL allows.

    Raises:
        KafkaMissingError: This machine has no Java or no Maven.
        KafkaFailedError: The broker did not start in time.
    """
    broker = authority.issue(BROKER, "brokers")
    store = authority.folder / "broker.pem"
    store.write_bytes(b"".join(file.read_bytes() for file in (broker.key, broker.certificate, authority.file)))

    def secured(settings: Mapping[str, str]) -> Mapping[str, str]:
        own = {
            "listener.security.protocol.map": "CONTROLLER:SSL,SSL:SSL",
            "inter.broker.listener.name": "SSL",
            "listeners": settings["listeners"].replace("PLAINTEXT:", "SSL:"),
            "advertised.listeners": settings["advertised.listeners"].replace("PLAINTEXT:", "SSL:"),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
        }
        return {**settings, **SECURITY, **own}

    with running_kafka(folder, java_options=(*SMALL_JVM, *REVOCATION_JVM), secured=secured) as bootstrap:
        yield SecuredKafka(bootstrap, authority)
