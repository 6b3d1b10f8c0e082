"""File names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docbus.documents.names import checked_name, safe_name, same_name
from docbus.errors import DocumentError

EVERY_LETTER = "aàảãáạăằẳẵắặâầẩẫấậeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụưừửữứựyỳỷỹýỵđ.txt"


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "Công văn số 12 (bản ký).pdf",
        EVERY_LETTER,
        EVERY_LETTER.upper(),
        ".hidden",
        "a..b.tar.gz",
        "console.txt",
        "com10.txt",
        "x" * 255,
        "quốc ngữ_văn bản.docx",
    ],
)
def test_ordinary_names_pass(name: str) -> None:
    """What agencies call their files is kept as it is."""
    assert name == checked_name(name)


def test_names_are_kept_composed() -> None:
    """A name in pieces, as macOS gives it, is composed."""
    assert "Phụ lục.pdf" == checked_name(unicodedata.normalize("NFD", "Phụ lục.pdf"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "...",
        "../a.pdf",
        "a/b.pdf",
        "a\\b.pdf",
        "C:a.pdf",
        "a.pdf:stream",
        "a\x00.pdf",
        "a\n.pdf",
        "a\x7f.pdf",
        "a\x9b.pdf",
        "a\u2028.pdf",
        "a\u202efdp.exe",
        "a\u200f.pdf",
        "a\u2066.pdf",
        'a".pdf',
        "a*.pdf",
        "a?.pdf",
        "a<b>.pdf",
        "a|b.pdf",
        "a.pdf.",
        "a.pdf ",
        " a.pdf",
        "CON",
        "con.pdf",
        "Nul .txt",
        "aux.tar.gz",
        "COM1",
        "lpt9.pdf",
        "com\u00b9.txt",
        "CONIN$",
        "a\udc80.pdf",
        "x" * 256,
        "ộ" * 86,
    ],
)
def test_unsafe_names_are_refused(name: str) -> None:
    """A name that some system resolves to something else, or cannot store, is refused; the error names the field."""
    with pytest.raises(DocumentError, match=r"^name: "):
        checked_name(name)


def test_a_refused_name_is_shown_harmlessly() -> None:
    """The error shows the character that disguises the suffix, and does not contain it."""
    with pytest.raises(DocumentError) as caught:
        checked_name("bao-cao\u202efdp.exe")

    assert "<U+202E>" in caught.value.text
    assert "\u202e" not in caught.value.text


def _passes(name: str) -> bool:
    try:
        checked_name(name)
    except DocumentError:
        return False
    return bool(name.strip("._ ").strip())


@given(st.text(max_size=400))
def test_any_text_becomes_a_safe_name(name: str) -> None:
    """Whatever another system chose, the result passes the check."""
    safe = safe_name(name, fallback="tep-1")

    assert safe == checked_name(safe)


@given(st.text(max_size=300))
def test_a_taken_name_does_not_come_out_again(name: str) -> None:
    """The second file of a name gets another one, which is safe too."""
    first = safe_name(name, fallback="tep-1")

    second = safe_name(name, fallback="tep-1", taken={same_name(first)})

    assert second == checked_name(second)
    assert same_name(first) != same_name(second)


@given(st.text(min_size=1, max_size=60).filter(_passes))
def test_a_safe_name_is_left_alone(name: str) -> None:
    """What passes the check is not changed, but for its composition."""
    assert checked_name(name) == safe_name(name, fallback="tep-1")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("V/v báo cáo: quý 3.docx", "v báo cáo_ quý 3.docx"),
        ("con.pdf", "_con.pdf"),
        ("..", "tep-1"),
        ("", "tep-1"),
        ("a.pdf. ", "a.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_the_nearest_safe_name_is_taken(name: str, safe: str) -> None:
    """Folders go, bad characters become underscores, the suffix stays."""
    assert safe == safe_name(name, fallback="tep-1")


def test_the_number_stands_before_the_suffix() -> None:
    """A second file of one name stays what it is, a PDF."""
    assert "a (3).pdf" == safe_name("A.pdf", fallback="x", taken={"a.pdf", "a (2).pdf"}).lower()


def test_names_that_some_system_takes_for_one() -> None:
    """Letter case and composition do not make another file."""
    assert same_name("PHỤ LỤC.PDF") == same_name(unicodedata.normalize("NFD", "phụ lục.pdf"))
