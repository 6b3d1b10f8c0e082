from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from docbus.cli import options
from docbus.settings import EmbeddedSettings, KafkaServerSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T07:00:01.5+07:00", 1_500),
    ],
)
def test_time_is_read_in_its_zone(text: str, expected: int) -> None:
    """A time carries its zone, and a day begins in UTC."""
    assert expected == options.parse_time(text)


@pytest.mark.parametrize("text", ["2026-01-01T00:00", "yesterday", "2026-13-01", ""])
def test_time_that_could_mean_another_is_refused(text: str) -> None:
    """A time without zone, and what is no time, is refused with an example."""
    with pytest.raises(typer.BadParameter, match=r"zone|like 2026"):
        options.parse_time(text)


def test_when_something_was_there_needs_a_time_of_day() -> None:
    """A day alone is refused, and both forms that it may have meant are shown."""
    with pytest.raises(typer.BadParameter, match=r"1970-01-02T23:59:59Z .* 1970-01-02T23:59:59\+07:00"):
        options.parse_known_at("1970-01-02", 10 * 86_400_000)


def test_nothing_was_there_in_the_future() -> None:
    """The present millisecond is the last one that is taken."""
    assert options.parse_known_at("1970-01-01T00:00:01Z", 1_000) == 1_000
    with pytest.raises(typer.BadParameter, match="has not come yet"):
        options.parse_known_at("1970-01-01T00:00:01Z", 999)


def test_points_of_the_log() -> None:
    """A point is the beginning, an offset or a time."""
    assert options.Offset(0) == options.parse_point("earliest")
    assert options.Offset(17) == options.parse_point("17")
    assert options.Moment(86_400_000) == options.parse_point("1970-01-02")
    with pytest.raises(typer.BadParameter, match="earliest"):
        options.parse_point("latest")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", ("one", 1)),
        ("one@2", ("one", 2)),
        ("mail@2@1", ("mail@2", 1)),
        ("a@b", ("a@b", 1)),
        ("000.00.32.H53,2026/11/06,303/UBND-VP", ("000.00.32.H53,2026/11/06,303/UBND-VP", 1)),
    ],
)
def test_document_is_named_by_id_and_revision(text: str, expected: tuple[str, int]) -> None:
    """The revision stands behind the last @."""
    assert expected == options.parse_document(text)


def test_foreign_document_has_its_sender_first() -> None:
    """Everything behind the first slash is the id, which may have slashes itself."""
    assert ("H26", ("7816/VPCP", 2)) == options.parse_foreign_document("H26/7816/VPCP@2")
    for text in ("H26", "/x", "H26/"):
        with pytest.raises(typer.BadParameter, match="CODE/ID"):
            options.parse_foreign_document(text)


def _bus(**given: Any) -> EmbeddedSettings | KafkaServerSettings:
    nothing: dict[str, Any] = dict.fromkeys(
        ("file", "kafka", "tls_ca", "tls_certificate", "tls_key", "sasl_mechanism", "sasl_username")
    )
    return options.bus_of(**(nothing | {"tls": False, "replication_factor": 3} | given))


def test_bus_is_a_file_or_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is remembered wherever the command was run; brokers keep their options, the password from outside."""
    monkeypatch.setenv(options.PASSWORD_VARIABLE, "secret")

    kafka = _bus(kafka="b:9093", tls=True, sasl_mechanism="SCRAM-SHA-512", sasl_username="h26")

    assert EmbeddedSettings(file=Path("bus.db").absolute()) == _bus(file=Path("bus.db"))
    assert isinstance(kafka, KafkaServerSettings)
    assert ("b:9093", True, "h26") == (kafka.bootstrap, kafka.tls, kafka.sasl_username)
    assert kafka.sasl_password is not None
    assert "secret" == kafka.sasl_password.get_secret_value()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "--bus FILE or --kafka"),
        ({"file": Path("b"), "kafka": "b:1"}, "--bus FILE or --kafka"),
        ({"kafka": "b:1", "tls_key": Path("k")}, "--tls-certificate and --tls-key"),
        ({"kafka": "b:1", "sasl_username": "u"}, "--sasl-mechanism"),
        ({"kafka": "b:1", "sasl_username": "u", "sasl_mechanism": "PLAIN"}, options.PASSWORD_VARIABLE),
    ],
)
def test_contradicting_options_are_named(given: dict[str, Any], named: str) -> None:
    """What cannot work together is refused before anything is made."""
    with pytest.raises(typer.BadParameter, match=named):
        _bus(**given)
