"""Texts."""

from __future__ import annotations

import pytest

from docbus.documents.texts import (
    check_text,
    cut_bytes,
    has_unseen,
    show,
    without_controls,
    without_controls_in_lines,
)
from docbus.errors import DocumentError


def test_what_cannot_be_seen_is_shown() -> None:
    """Zero-width and bidirectional characters appear as their code points, letters stay."""
    assert '"huyện<U+200B> Tân<U+202E> Châu"' == show("huyện\u200b Tân\u202e Châu")


def test_a_long_text_is_shown_in_part() -> None:
    """An error does not repeat kilobytes."""
    assert 82 == len(show("x" * 10_000))


@pytest.mark.parametrize("character", ["\u200b", "\u200d", "\ufeff", "\u202e", "\u2066", "\xad", "\x00", "\x9f"])
def test_unseen_characters_are_found(character: str) -> None:
    """Each kind of invisible character is noticed."""
    assert has_unseen(f"a{character}b")


def test_vietnamese_is_seen() -> None:
    """No letter with diacritics counts as invisible, composed or in pieces."""
    assert not has_unseen("Đặng Thuỳ Trâm, ngữ pháp, cu\u031b\u0323")


def test_one_line_is_left() -> None:
    """Line ends, tabs and controls become single spaces."""
    assert "a b c d" == without_controls(" a\r\n\tb\x1b\u2028c \x85 d ")


def test_lines_are_kept() -> None:
    """Tabs and line ends stay, an escape character does not."""
    assert "a\n\tb [31m" == without_controls_in_lines("a\n\tb\x1b[31m")


def test_cutting_keeps_whole_characters() -> None:
    """A character that does not fit is left out whole."""
    assert "ab" == cut_bytes("abộ", 4)
    assert "abộ" == cut_bytes("abộ", 5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("a\nb", "control"),
        ("a\x1b[2J", "control"),
        ("ộ" * 4, "12"),
        ("a\udc80", "Unicode"),
    ],
)
def test_a_bad_text_is_refused_by_field(text: str, problem: str) -> None:
    """The error begins with the field's name and says what is wrong."""
    with pytest.raises(DocumentError, match=rf"^title: .*{problem}"):
        check_text("title", text, limit=11)


def test_lines_and_nothing_are_allowed_where_asked_for() -> None:
    """A summary may have lines, and may be empty."""
    check_text("summary", "a\n\tb\r\n", limit=20, lines=True)
    check_text("summary", "", limit=20, empty=True)
