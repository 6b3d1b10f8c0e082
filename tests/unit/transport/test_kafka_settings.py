"""What the settings of the brokers accept, and what they say about the rest."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from docbus.errors import ConfigurationError
from docbus.transport.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        ("kafka:9092", [("kafka", 9092)]),
        ("kafka", [("kafka", 9092)]),
        ("a:1, b:65535", [("a", 1), ("b", 65535)]),
        ("[::1]:9093", [("::1", 9093)]),
        ("[::1]", [("::1", 9092)]),
    ],
)
def test_addresses(bootstrap: str, expected: list[tuple[str, int]]) -> None:
    """Hosts and ports are read, several with commas; 9092 where no port is given."""
    assert expected == KafkaSettings(bootstrap=bootstrap).addresses


@pytest.mark.parametrize("bootstrap", ["", "kafka:", "kafka:x", "kafka:0", "kafka:65536", ":9092", "a:1,,b:2"])
def test_addresses_that_are_none(bootstrap: str) -> None:
    """An address that cannot be used is shown."""
    with pytest.raises(ConfigurationError, match="host:port"):
        KafkaSettings(bootstrap=bootstrap)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "PLAINTEXT"),
        ({"tls": True}, "SSL"),
        ({"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u", "sasl_password": "p"}, "SASL_PLAINTEXT"),
        ({"tls": True, "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p"}, "SASL_SSL"),
    ],
)
def test_security_protocol(settings: dict[str, Any], expected: str) -> None:
    """TLS and login together name Kafka's protocol."""
    assert expected == KafkaSettings(bootstrap="k:1", **settings).security_protocol


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p"}, "in clear"),
        ({"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "u"}, "password"),
        ({"sasl_mechanism": "GSSAPI", "sasl_username": "u", "sasl_password": "p"}, "GSSAPI"),
        ({"sasl_username": "u"}, "sasl_mechanism"),
        ({"tls_certificate": "c.pem"}, "needs TLS"),
        ({"tls": True, "tls_key": "k.pem"}, "tls_certificate"),
        ({"replication_factor": 0}, "replication_factor"),
    ],
)
def test_combinations_that_cannot_work(settings: dict[str, Any], named: str) -> None:
    """A combination that cannot work, or would give a password away, is refused by name."""
    with pytest.raises(ConfigurationError, match=named):
        KafkaSettings(bootstrap="k:1", **settings)


def test_password_is_not_shown() -> None:
    """The password is not in the text of the settings, which may end up in a log."""
    secret = "x" * 8
    settings = KafkaSettings(bootstrap="k:1", sasl_mechanism="SCRAM-SHA-512", sasl_username="u", sasl_password=secret)
    assert secret not in repr(settings)


def test_files_of_tls(tmp_path: Path) -> None:
    """Without TLS there is no context; with it hosts are checked; a file that is missing or no PEM is named."""
    assert KafkaSettings(bootstrap="k:1").tls_context() is None
    context = KafkaSettings(bootstrap="k:1", tls=True).tls_context()
    assert context is not None
    assert (True, ssl.CERT_REQUIRED) == (context.check_hostname, context.verify_mode)
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for settings in (
        KafkaSettings(bootstrap="k:1", tls_ca=tmp_path / "gone.pem"),
        KafkaSettings(bootstrap="k:1", tls_ca=wrong),
        KafkaSettings(bootstrap="k:1", tls=True, tls_certificate=wrong, tls_key=tmp_path / "gone.pem"),
    ):
        with pytest.raises(ConfigurationError, match=r"(gone|wrong)\.pem"):
            settings.tls_context()
