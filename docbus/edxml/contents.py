"""The files of a document that came as edXML: its attachments, or the edXML file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.documents.file import File
from docbus.documents.media_types import media_type_of
from docbus.documents.names import safe_name, same_name
from docbus.documents.texts import show
from docbus.limits import MAX_FILES

if TYPE_CHECKING:
    from docbus.edxml.model import EdXMLDocument
    from docbus.edxml.notes import Notes

EDXML_MEDIA_TYPE = "application/xml"
"""edXML has no media type of its own."""


def unreadable(edxml: EdXMLDocument) -> str | None:
    """Return in words why the attachments cannot stand for the file, or None if they can."""
    attachments = edxml.attachments
    if not attachments:
        return "there is no attachment"
    if len(attachments) > MAX_FILES:
        return f"there are {len(attachments):,} attachments, at most {MAX_FILES:,} are sent"
    lost = [each for each in attachments if each.content is None]
    if lost:
        return f"{len(lost)} of {len(attachments)} attachments cannot be read"
    return None


def attached_files(edxml: EdXMLDocument, notes: Notes) -> tuple[File, ...]:
    """Return the attachments as files; names that are not safe or not unique are changed, with a warning."""
    files: list[File] = []
    taken: set[str] = set()
    for position, attachment in enumerate(edxml.attachments, start=1):
        content = attachment.content
        if content is None:
            continue
        given = attachment.name or attachment.entry or ""
        name = safe_name(given, fallback=f"attachment-{position}", taken=taken)
        if given and same_name(name) != same_name(given):
            path = f"AttachmentEncoded.Attachment[{position}].AttachmentName"
            notes.add("M", path, f"{show(given)} is not safe or not unique; sent as {show(name)}")
        taken.add(same_name(name))
        files.append(File(name=name, media_type=media_type_of(name, content), content=content))
    return tuple(files)


def whole_file(edxml: EdXMLDocument, name: str) -> File:
    """Return the edXML file itself as the one file of the document.

    Raises:
        DocumentError: ``name`` is not safe.
    """
    return File(name=name, media_type=EDXML_MEDIA_TYPE, content=edxml.source)
