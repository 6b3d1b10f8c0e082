from __future__ import annotations

import json

import pytest

from docbus.cli.escape import escaped_json, shown, shown_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J", "<U+001B>[2J"),
        ("\x9b31m", "<U+009B>31m"),
        ("a\u202eb", "a<U+202E>b"),
        ("H\u200b26", "H<U+200B>26"),
        ("a\r\nb\tc", "a<U+000D><U+000A>b<U+0009>c"),
        ("\udcff", "<U+DCFF>"),
        ("\U000e0041", "<U+E0041>"),
        ("\x7f\u2028\ufeff", "<U+007F><U+2028><U+FEFF>"),
    ],
)
def test_what_controls_a_terminal_is_named(text: str, expected: str) -> None:
    """Control, bidirectional, zero-width and tag characters and lone surrogates are named, not sent."""
    assert expected == shown(text)


@pytest.mark.parametrize("text", ["Ủy ban nhân dân tỉnh Tây Ninh", "Tha\u0302\u0301ng", "日本 – ’ €"])
def test_what_can_be_seen_stays(text: str) -> None:
    """Letters with every diacritic, composed or not, and punctuation are shown as they are."""
    assert text == shown(text)


def test_lines_may_be_kept() -> None:
    """Tabs and line feeds stay where a text has lines; a carriage return does not."""
    assert "a\n\tb<U+000D>" == shown_lines("a\n\tb\r")


def test_json_stays_the_same_value() -> None:
    """Escaping JSON changes how it is written, not what it says."""
    value = {"title": "a\u202eb\U000e0041 Tây Ninh\x1b"}

    escaped = escaped_json(json.dumps(value, ensure_ascii=False, indent=1))

    assert value == json.loads(escaped)
    assert "Tây Ninh" in escaped
    assert not {"\u202e", "\U000e0041", "\x1b"} & set(escaped)
