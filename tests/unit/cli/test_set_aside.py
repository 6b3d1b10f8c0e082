from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.transport import topics
from docbus.transport.port import NewRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.unit.cli.conftest import Result

JUNK = b"random bytes \x00\xff"


@pytest.fixture
def quarantined(exchange: Path, docbus: Callable[..., Result], append: Callable[[Sequence[NewRecord]], None]) -> Path:
    """Put random bytes with hostile key and headers into the inbox of H26, and have H26 receive them."""
    headers = (("x\x1b[31m", b"\x1b[31mred"), ("docbus_reason", b"all_is_well"))
    append([NewRecord(topic=topics.inbox("vn:H26"), key=b"vn:\x1b[2JH37", value=JUNK, headers=headers)])
    found = docbus("-C", "H26", "publish", "letter.txt", "--to", "H26", "--wait", "received", "--timeout", 20)
    assert 0 == found.code, found.err
    return exchange


def test_quarantine_says_what_and_why(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """Step, reason and place are listed; what the record says of itself is not believed, and not sent to a terminal."""
    text = docbus("-C", "H26", "quarantine", "ls")
    found = docbus("-C", "H26", "quarantine", "ls", "--output", "json").json

    assert 0 == text.code, text.err
    assert "\x1b" not in text.out
    assert "vn:<U+001B>[2JH37" in text.out
    assert 1 == len(found)
    assert (0, "C1.02", "envelope_malformed") == (found[0]["number"], found[0]["step"], found[0]["reason"])
    assert (topics.inbox("vn:H26"), 0, 0) == (found[0]["topic"], found[0]["partition"], found[0]["offset"])


def test_quarantined_record_is_shown_with_every_check(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """One record is shown with its own headers and the numbered checks."""
    text = docbus("-C", "H26", "quarantine", "show", 0)
    found = docbus("-C", "H26", "quarantine", "show", 0, "--output", "json").json

    assert 0 == text.code, text.err
    assert "\x1b" not in text.out
    assert {"x\x1b[31m": "\x1b[31mred", "docbus_reason": "all_is_well"} == found["headers"]
    assert ["C1.02"] == [check["id"] for check in found["now"]["checks"] if check["result"] == "failed"]


def test_bytes_are_given_exactly(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """The bytes come out as they went in, to a pipe or to a new file."""
    raw = docbus("-C", "H26", "quarantine", "show", 0, "--raw")
    docbus("-C", "H26", "quarantine", "show", 0, "-o", "record.bin")

    assert JUNK == raw.content
    assert JUNK == (quarantined / "record.bin").read_bytes()


def test_status_counts_what_was_set_aside(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """The overview has the number by reason."""
    found = docbus("-C", "H26", "status", "--output", "json").json["inbox"]["set_aside"]

    assert [("quarantine", "envelope_malformed", 1)] == [(one["topic"], one["reason"], one["count"]) for one in found]
    assert "envelope_malformed 1" in docbus("-C", "H26", "status").out


def test_tampering_makes_the_replay_invalid(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """The auditor finds the same record, and the exit code is 1."""
    found = docbus("-C", "auditor", "replay", "--verify", "--output", "json")

    assert (1, {"envelope_malformed": 1}) == (found.code, found.json["failed"])


def test_number_that_is_not_there_is_named(quarantined: Path, docbus: Callable[..., Result]) -> None:
    """A wrong number is told with those that there are."""
    found = docbus("-C", "H26", "quarantine", "show", 7)

    assert 1 == found.code
    assert "it holds 0 to 0" in found.err


def test_dead_letters_are_listed_and_shown(
    exchange: Path, docbus: Callable[..., Result], append: Callable[[Sequence[NewRecord]], None]
) -> None:
    """A dead letter is shown with the sink's reason; an empty list says so."""
    empty = docbus("-C", "H26", "dead-letter", "ls")
    headers = (
        ("docbus_reason", b"sink_conflict"),
        ("docbus_step", b"C3"),
        ("docbus_detail", b"there is something under this name"),
        ("docbus_topic", topics.inbox("vn:H26").encode()),
        ("docbus_offset", b"not a number"),
        ("docbus_set_aside_at", b"2026-11-23T09:00:00.000Z"),
    )
    append([NewRecord(topic=topics.dead_letter("vn:H26"), key=b"vn:H37.02.02", value=b"x", headers=headers)])
    listed = docbus("-C", "H26", "dead-letter", "ls", "--output", "json").json[0]
    shown = docbus("-C", "H26", "dead-letter", "show", 0)

    assert empty.out.startswith("nothing is open")
    assert ("sink_conflict", "C3", None) == (listed["reason"], listed["step"], listed["offset"])
    assert "2026-11-23T09:00:00.000Z" == listed["set_aside_at"]
    assert "there is something under this name" in shown.out
