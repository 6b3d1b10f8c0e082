"""How to reach the brokers: the only part of the Kafka adapter that is configured, everything else is fixed in code."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from docbus.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT: Final = 9092
_MAX_PORT: Final = 0xFFFF
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
SASL_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """Address, encryption and login.

    ``tls_ca`` turns TLS on; ``tls_certificate`` and ``tls_key`` add a client certificate (PEM files, the key not
    encrypted). Names of hosts are always checked against the broker's certificate.
    """

    bootstrap: str
    """``host:port``, several separated by commas; any of them that answers will do."""
    client_id: str = "docbus"
    tls: bool = False
    """TLS with the authorities of the operating system; ``tls_ca`` implies it."""
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    replication_factor: int = 3
    """Replicas of topics that this adapter creates; 1 on a single broker."""

    def __post_init__(self) -> None:
        """Refuse combinations that cannot work.

        Raises:
            ConfigurationError: Names the setting.
        """
        _ = self.addresses
        if (self.tls_key is not None or self.tls_certificate is not None) and not self.encrypted:
            raise ConfigurationError(
                "a client certificate needs TLS", hint="Set tls = true, or name the brokers' authority in tls_ca."
            )
        if self.tls_key is not None and self.tls_certificate is None:
            raise ConfigurationError("tls_key is set, but tls_certificate is not")
        if self.sasl_mechanism is None and (self.sasl_username or self.sasl_password):
            raise ConfigurationError(
                "a user name for Kafka is set, but no sasl_mechanism", hint=f"Set one of {', '.join(SASL_MECHANISMS)}."
            )
        if self.sasl_mechanism is not None:
            if self.sasl_mechanism not in SASL_MECHANISMS:
                raise ConfigurationError(
                    f"sasl_mechanism {self.sasl_mechanism!r} is not known",
                    hint=f"Set one of {', '.join(SASL_MECHANISMS)}.",
                )
            if not self.sasl_username or not self.sasl_password:
                raise ConfigurationError(f"sasl_mechanism {self.sasl_mechanism} needs a user name and a password")
            if self.sasl_mechanism == "PLAIN" and not self.encrypted:
                raise ConfigurationError(
                    "sasl_mechanism PLAIN without TLS would send the password in clear",
                    hint="Set tls = true, or name the brokers' authority in tls_ca.",
                )
        if self.replication_factor < 1:
            raise ConfigurationError(f"replication_factor is {self.replication_factor}, it must be at least 1")

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.tls or self.tls_ca is not None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports.

        Raises:
            ConfigurationError: The text is no list of ``host:port``.
        """
        return [_address(part.strip(), self.bootstrap) for part in self.bootstrap.split(",")]

    @property
    def security_protocol(self) -> str:
        """Kafka's name for the combination of TLS and SASL."""
        if self.sasl_mechanism is None:
            return "SSL" if self.encrypted else "PLAINTEXT"
        return "SASL_SSL" if self.encrypted else "SASL_PLAINTEXT"

    def tls_context(self) -> ssl.SSLContext | None:
        """Read the PEM files; ``None`` without TLS.

        Raises:
            ConfigurationError: A file is missing, unreadable or not what it should be; names it.
        """
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
        except (OSError, ssl.SSLError) as error:
            raise _unreadable("tls_ca", self.tls_ca, error) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.tls_certificate is not None:
            try:
                context.load_cert_chain(self.tls_certificate, self.tls_key, password=_no_password)
            except (OSError, ssl.SSLError, ValueError) as error:
                names = f"{self.tls_certificate} with {self.tls_key or 'the key in the same file'}"
                raise _unreadable("tls_certificate", names, error) from error
        return context


def _no_password() -> str:
    """Instead of OpenSSL's question at the terminal."""
    raise ValueError("the key is encrypted, and docbus has no password for it")


def _unreadable(setting: str, what: object, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(
        f"{setting} of Kafka cannot be used: {what}: {reason}",
        hint="Give PEM files that this user may read; key and certificate must belong together.",
    )


def _address(part: str, bootstrap: str) -> tuple[str, int]:
    host, colon, port = part.rpartition(":")
    if not colon or part.endswith("]"):
        host, port = part, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise ConfigurationError(
            f"the address of Kafka, {bootstrap!r}, is not host:port", hint="Write it like broker1:9092,broker2:9092."
        )
    return host, int(port)
