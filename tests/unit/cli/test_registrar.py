"""`docbus registrar heartbeat` and `run`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from docbus.cli import registrar
from docbus.identity.entries import DEFAULT_FRESHNESS_ALARM_MS
from docbus.registry import beating

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


def last_entry(docbus: Callable[..., Result]) -> int:
    """Return the position of the directory's last entry."""
    return int(docbus("-C", "registrar", "registrar", "show", "--output", "json").json["last_entry"])


def test_heartbeat_is_one_more_entry(exchange: Path, docbus: Callable[..., Result]) -> None:
    """The command signs one heartbeat and prints its place; agencies then know how old their directory is."""
    before = last_entry(docbus)
    unjudged = docbus("-C", "H26", "status").out

    result = docbus("-C", "registrar", "registrar", "heartbeat", "--output", "json")

    assert (0, before + 1) == (result.code, result.json["entry"])
    assert before + 1 == last_entry(docbus)
    assert "signs no heartbeats" in unjudged
    judged = docbus("-C", "H26", "status", "--output", "json").json["directory"]
    assert (before + 1, "fresh", True) == (judged["position"], judged["freshness"], judged["age_ms"] < 60_000)


def test_registrar_beats_until_it_is_stopped(
    exchange: Path, docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It beats at once, says so in the log, and SIGTERM ends it with success."""
    before, beat = last_entry(docbus), beating._beat_if_due
    given: list[int] = []

    async def beat_and_stop(registrar: Any, clock: Any, every_ms: int, stamps: Any) -> float:
        due_in = await beat(registrar, clock, every_ms, stamps)
        given.append(every_ms)
        signal.raise_signal(signal.SIGTERM)
        return due_in

    monkeypatch.setattr(beating, "_beat_if_due", beat_and_stop)

    result = docbus("-C", "registrar", "registrar", "run", "--every", "3")

    assert (0, [180_000], before + 1) == (result.code, given, last_entry(docbus))
    assert "SIGTERM" in result.err
    assert '"event": "heartbeat"' in result.err


def test_folder_of_an_agency_does_not_beat(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Only a registrar has a heart."""
    result = docbus("-C", "H26", "registrar", "run")

    assert result.code != 0
    assert "not a registrar's folder" in result.err


@pytest.mark.parametrize("minutes", ["0", "0.09", "15.1"])
def test_pause_between_heartbeats_is_bounded(docbus: Callable[..., Result], minutes: str) -> None:
    """Neither a log that is flooded nor one that is always taken for old."""
    result = docbus("-C", "registrar", "registrar", "run", "--every", minutes)

    assert (2, True) == (result.code, "--every" in result.err)
    assert DEFAULT_FRESHNESS_ALARM_MS == registrar.MAX_EVERY_MINUTES * registrar.MINUTE_MS


def test_pause_is_the_library_s_unless_told_otherwise() -> None:
    """Command line and library agree on the default."""
    assert beating.HEARTBEAT_MS == registrar.EVERY_MINUTES * registrar.MINUTE_MS


def test_access_is_for_kafka_alone(exchange: Path, docbus: Callable[..., Result]) -> None:
    """On the embedded transport the table is an error that says why, and nothing is done."""
    settings = exchange / "registrar" / "docbus.toml"
    settings.write_text(settings.read_text("utf-8") + '\n[access]\nregistrars = ["User:registrar"]\n', "utf-8")

    result = docbus("-C", "registrar", "provision")

    assert result.code != 0
    assert "on the embedded transport whoever can open the file may do everything" in result.err


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('agencies = "User:all"', "{name}"),
        ('agencies = "User:{other}"', "{name}"),
        ('agencies = "{name}"', "not a principal"),
        ('auditors = ["User:*"]', "not a principal"),
        ("agency_write_bytes = 1", "1024"),
    ],
)
def test_access_that_cannot_be_is_refused(
    exchange: Path, docbus: Callable[..., Result], table: str, reason: str
) -> None:
    """Everybody, somebody who is not told apart, and no bytes at all are no access."""
    settings = exchange / "registrar" / "docbus.toml"
    settings.write_text(settings.read_text("utf-8") + f"\n[access]\n{table}\n", "utf-8")

    result = docbus("-C", "registrar", "provision")

    assert result.code != 0
    assert reason in result.err
