"""Publishing an edXML file as the document that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docbus.documents.file import File, FileStream
from docbus.documents.media_types import media_type_of
from docbus.errors import EdXMLError
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.cli.session import Session
    from docbus.client.agency import Agency
    from docbus.documents.document import Document

BEGIN_BYTES = 4096
"""Bytes in which the namespace of an edXML file stands, if it is one."""
MAX_EDXML_BYTES = 256 * MIB
"""Bytes of an edXML file, which is read whole; attachments stand in it as base64."""
SHOWN_WARNINGS = 10
"""Warnings about one file that are shown; a bad one has dozens, all of one kind."""


def edxml_file(file: File | FileStream) -> File | None:
    """Return a file in memory if it is to be read as edXML: its name says so, or it begins like it; else None.

    Standard input is read as it is named, because it cannot be looked into and then read again.

    Raises:
        EdXMLError: It is edXML, and too large to be one.
        DocumentError: It is empty.
    """
    named = Path(file.name).suffix.lower() == ".edxml"
    if isinstance(file, File):
        return file if named or _begins_like_edxml(file.content) else None
    if file.size is None and not named:
        return None
    with file.opener() as stream:
        begin = stream.read(BEGIN_BYTES)
        if not named and not _begins_like_edxml(begin):
            return None
        content = begin + stream.read(MAX_EDXML_BYTES + 1 - len(begin))
    if len(content) > MAX_EDXML_BYTES:
        raise EdXMLError(
            f"{file.name} has more than {MAX_EDXML_BYTES:,} bytes, which no edXML file has",
            hint="Send it as a plain file with --as-file.",
            step="P1",
        )
    return File(name=file.name, media_type=media_type_of(file.name, content), content=content)


def _begins_like_edxml(content: bytes) -> bool:
    begin = content[:BEGIN_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    return begin.startswith(b"<") and (b"edXML" in begin or b"www.e-doc.vn" in begin)


def edxml_document(session: Session, agency: Agency, file: File, to: Sequence[str]) -> Document:
    """Return the document that an edXML file is, and tell the user what was odd about it.

    Raises:
        EdXMLError: It cannot be read, is a status, or names no recipient where none is given.
        IdentityError: A recipient's code cannot be resolved.
    """
    from docbus.edxml.mapping import to_document
    from docbus.edxml.model import EdXMLStatus
    from docbus.edxml.reader import read

    try:
        edxml = read(file.content)
    except EdXMLError as error:
        raise EdXMLError(
            f"{file.name} cannot be read as edXML: {error.text}",
            hint=" ".join(filter(None, [error.hint, "Or send it as a plain file with --as-file."])),
            step="P1",
        ) from error
    if isinstance(edxml, EdXMLStatus):
        raise EdXMLError(
            f"{file.name} is an edXML status, not a document",
            hint="Report a status with `docbus report`, or send the file as it is with --as-file.",
            step="P1",
        )
    fields = to_document(edxml, name=file.name)
    for warning in fields.warnings[:SHOWN_WARNINGS]:
        session.warn(f"{file.name}: {warning.line}")
    if len(fields.warnings) > SHOWN_WARNINGS:
        session.warn(f"{file.name}: and {len(fields.warnings) - SHOWN_WARNINGS} more")
    if fields.sender is not None and fields.sender not in {agency.id, agency.id.partition(":")[2]}:
        session.warn(f"{file.name}: its sender is {fields.sender}; it is published by {agency.id} all the same")
    if not to and not fields.recipients:
        raise EdXMLError(f"{file.name} names no recipient", hint="Name one with --to CODE.", step="P1")
    return fields.document(sender=agency.id, resolve=agency.snapshot.resolve, recipients=to or None)
