"""Files."""

from __future__ import annotations

import pytest

from docbus.documents.file import File
from docbus.errors import DocumentError


def test_a_file_is_what_it_was_given() -> None:
    """Name, media type and content come back unchanged."""
    file = File(name="Công văn.pdf", media_type="application/pdf", content=b"%PDF-")

    assert ("Công văn.pdf", "application/pdf", b"%PDF-") == (file.name, file.media_type, file.content)


def test_the_content_is_not_in_its_representation() -> None:
    """A log line that shows a file does not show what is in it."""
    assert "secret" not in repr(File(name="a", media_type="text/plain", content=b"secret"))


def test_an_empty_file_is_refused() -> None:
    """The error names field and file."""
    with pytest.raises(DocumentError, match=r'^content: .*"a.pdf" is empty'):
        File(name="a.pdf", media_type="application/pdf", content=b"")


def test_an_unsafe_name_is_refused() -> None:
    """A file cannot be made with a path for a name."""
    with pytest.raises(DocumentError, match=r"^name: "):
        File(name="../a.pdf", media_type="application/pdf", content=b"x")


@pytest.mark.parametrize("media_type", ["", "pdf", "a/b/c", "text/plain\r\nX: y", "tiếng/việt", "a/" + "b" * 200])
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    """A media type cannot carry a line end or anything else that a header would take apart."""
    with pytest.raises(DocumentError, match=r"^media_type: "):
        File(name="a", media_type=media_type, content=b"x")


def test_a_media_type_may_have_parameters() -> None:
    """The character set of a text is kept."""
    assert (
        "text/plain; charset=utf-8" == File(name="a", media_type="text/plain; charset=utf-8", content=b"x").media_type
    )
