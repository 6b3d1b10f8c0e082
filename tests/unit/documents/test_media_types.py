"""Media types."""

from __future__ import annotations

import pytest

from docbus.documents.media_types import magic_type, media_type_of, suffix_of


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.pdf", b"%PDF-1.7 ...", "application/pdf"),
        ("a.doc", b"%PDF-1.7 ...", "application/pdf"),
        ("a.PDF", b"no magic", "application/pdf"),
        ("a.docx", b"PK\x03\x04...", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.pdf", b"PK\x03\x04...", "application/zip"),
        ("a.txt", "văn bản".encode(), "text/plain"),
        ("a", b"?", "application/octet-stream"),
        ("a.unknown", b"?", "application/octet-stream"),
        (".pdf", b"?", "application/octet-stream"),
    ],
)
def test_first_bytes_before_suffix(name: str, content: bytes, media_type: str) -> None:
    """First bytes decide, except that office files are zips themselves; then the suffix decides."""
    assert media_type == media_type_of(name, content)


def test_text_has_no_magic() -> None:
    """Nothing is guessed from bytes that tell nothing."""
    assert magic_type(b"plain text") is None


def test_a_leading_dot_begins_no_suffix() -> None:
    """A hidden file is not one of the type it is named."""
    assert ("", "gz", "") == (suffix_of(".pdf"), suffix_of("a.tar.GZ"), suffix_of("a"))
