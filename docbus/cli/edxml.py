"""Publishing an edXML file as the document that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.cli.session import Session
    from docbus.client.agency import Agency
    from docbus.documents.document import Document
    from docbus.documents.file import File

SHOWN_WARNINGS = 10
"""Warnings about one file that are shown; a bad one has dozens, all of one kind."""


def looks_like_edxml(file: File) -> bool:
    """Tell whether a file is to be read as edXML: its name says so, or it begins like it."""
    if Path(file.name).suffix.lower() == ".edxml":
        return True
    begin = file.content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
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
    from docbus.errors import EdXMLError

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
