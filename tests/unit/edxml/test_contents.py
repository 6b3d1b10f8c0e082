"""Which files a document has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from docbus.edxml import Attachment, EdXMLDocument
from docbus.edxml.contents import attached_files, unreadable, whole_file
from docbus.edxml.notes import Notes
from docbus.errors import DocumentError
from tests.support.edxml import codes, example, read_document


def _with(*attachments: Attachment) -> EdXMLDocument:
    return replace(read_document(example()), attachments=attachments)


def _attachment(name: str | None, content: bytes | None = b"x", entry: str | None = None) -> Attachment:
    return Attachment(content_id=None, name=name, content_type="text/plain", content=content, entry=entry)


@pytest.mark.parametrize(
    ("attachments", "problem"),
    [
        ([], "there is no attachment"),
        ([_attachment("a"), _attachment("b", None)], "1 of 2 attachments cannot be read"),
        ([_attachment("a")] * 1025, "there are 1,025 attachments"),
        ([_attachment("a")], None),
    ],
)
def test_when_attachments_cannot_stand_for_the_file(attachments: list[Attachment], problem: str | None) -> None:
    """None, one that is lost, or too many."""
    found = unreadable(_with(*attachments))

    assert (found or "").startswith(problem or "")
    assert (found is None) is (problem is None)


def test_unsafe_and_repeated_names_are_changed() -> None:
    """Every file gets a name that is safe and its own, and every change is told."""
    notes = Notes()
    read = _with(_attachment("../../a.txt"), _attachment("A.TXT"), _attachment(None, entry="b.txt"), _attachment(None))

    files = attached_files(read, notes)

    assert ["a.txt", "A (2).TXT", "b.txt", "attachment-4"] == [file.name for file in files]
    assert [
        "M.AttachmentEncoded.Attachment[1].AttachmentName",
        "M.AttachmentEncoded.Attachment[2].AttachmentName",
    ] == codes(notes.warnings())


def test_media_types_follow_from_the_bytes() -> None:
    """What the sender claims is not passed on."""
    (file,) = attached_files(_with(_attachment("a.txt", b"%PDF-1.4")), Notes())

    assert "application/pdf" == file.media_type


def test_the_whole_file() -> None:
    """The edXML bytes themselves, under a name that must be safe."""
    file = whole_file(read_document(example()), "cv.edxml")

    assert ("cv.edxml", "application/xml", example()) == (file.name, file.media_type, file.content)
    with pytest.raises(DocumentError, match=r"^name: "):
        whole_file(read_document(example()), "../cv.edxml")
