from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.cli import output

if TYPE_CHECKING:
    import pytest


class _Part(NamedTuple):
    at: int


@dataclass(frozen=True)
class _Whole:
    digest: bytes
    sent_at: int | None
    parts: tuple[_Part, ...]
    count: int


def test_plain_values_have_readable_times_and_digests() -> None:
    """Times become RFC 3339 in UTC, bytes hex, everything else stays."""
    value = _Whole(digest=b"\xff", sent_at=1_000, parts=(_Part(2_000),), count=3)

    expected = {
        "digest": "ff",
        "sent_at": "1970-01-01T00:00:01.000Z",
        "parts": [{"at": "1970-01-01T00:00:02.000Z"}],
        "count": 3,
    }
    assert expected == output.plain(value)


def test_table_lines_up_and_sends_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their widest cell on a screen, marks and wide letters counted as they are seen."""
    output.table(("name", "x"), [("e\u0302", "1"), ("日本", "2"), ("\x1b", "3")])

    expected = "name      x\ne\u0302         1\n日本      2\n<U+001B>  3\n"
    assert expected == capsys.readouterr().out


def test_time_that_no_calendar_has_stays_a_number() -> None:
    """Times come from peers too, and may be any number."""
    assert "1970-01-01T00:00:00Z" == output.when(0)
    assert f"{2**62} ms" == output.when(2**62)
    assert "–" == output.when(None)


def test_wide_terminal_gets_a_drawn_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a long text folds, a time stays whole, and peers' escapes are named; NO_COLOR is honoured."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    output.table(("at", "what"), [("2026-11-23T09:00:00Z", "\x1b[31m" + "words and " * 10)])

    out = capsys.readouterr().out
    assert "2026-11-23T09:00:00Z  <U+001B>[31m" in out
    assert all(len(line) <= 60 for line in out.splitlines()[1:])  # the first has bold letters
    assert "\x1b[31m" not in out


def test_narrow_terminal_gets_whole_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table does not fit, lines stay whole, and the terminal breaks them."""
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    output.table(("at", "until"), [("2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z")])

    assert "2026-11-23T09:00:00Z  2026-11-23T10:00:00Z\n" in capsys.readouterr().out
