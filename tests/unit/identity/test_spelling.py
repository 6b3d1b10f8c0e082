"""Making the invisible visible."""

from __future__ import annotations

import pytest

from docbus.errors import IdentityError
from docbus.identity.spelling import MAX_TITLE_BYTES, check_title, name_characters, show, suggestion


def test_show_writes_out_what_is_not_plain() -> None:
    """Nothing that a terminal would act on or hide gets into an error."""
    assert '"H<U+001B>[31m"' == show("H\x1b[31m")


def test_show_is_bounded() -> None:
    """A long text is cut."""
    assert '"' + "x" * 80 + '…"' == show("x" * 81)


def test_only_the_first_characters_are_named() -> None:
    """A text full of wrong characters gives a short error that says how many there are."""
    assert (
        "U+0061 LATIN SMALL LETTER A at position 1, U+0061 LATIN SMALL LETTER A at position 2, "
        "U+0061 LATIN SMALL LETTER A at position 3 and 2 more"
    ) == name_characters("aaaaa", [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "meant"),
    [("\u041d37\u200b.\uff10\uff12", "H37.02"), ("h37", "H37"), (" H37\n", "H37"), ("\u0410\u0392\u0421", "ABC")],
)
def test_suggestion_is_what_was_meant(text: str, meant: str) -> None:
    """Look-alikes, wide forms and the invisible lead back to the plain code."""
    assert meant == suggestion(text)


@pytest.mark.parametrize(
    "text", ["Ủy ban nhân dân xã An Bình", "Sở Khoa học và Công nghệ", "x" * MAX_TITLE_BYTES, "A & B (C)"]
)
def test_ordinary_title_passes(text: str) -> None:
    """Vietnamese with every diacritic, composed, is ordinary."""
    check_title(text, "the name")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the name is empty, or begins or ends with a space"),
        (" x", "the name is empty, or begins or ends with a space"),
        ("x" * (MAX_TITLE_BYTES + 1), "the name has 1025 bytes; 1024 are allowed"),
        ("huyện\u200b Tân Châu", "the name has U+200B ZERO WIDTH SPACE at position 6"),
        ("a\u202eb", "the name has U+202E RIGHT-TO-LEFT OVERRIDE at position 2"),
        ("a\nb", "the name has U+000A (a control character) at position 2"),
        ("a\ud800", "the name has U+D800 (a control character) at position 2"),
        ("Ta\u0302n", "the name has letters in pieces (not in Unicode form NFC)"),
    ],
)
def test_title_that_deceives_is_refused(text: str, reason: str) -> None:
    """A name with something in it that cannot be seen, or with nothing, is refused."""
    with pytest.raises(IdentityError) as caught:
        check_title(text, "the name")

    assert reason == caught.value.text
