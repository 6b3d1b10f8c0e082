"""Any bytes into an edXML document or status (domain notes 1.6: what is met in the field)."""

from __future__ import annotations

from docbus.documents.texts import show
from docbus.edxml.attachments import read_attachments
from docbus.edxml.cursor import Cursor
from docbus.edxml.header import read_document_fields, read_status_fields
from docbus.edxml.model import EdXMLDocument, EdXMLStatus
from docbus.edxml.notes import Notes
from docbus.edxml.parser import Tree, parse
from docbus.errors import EdXMLError

NAMESPACE = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
OTHER_NAMESPACES = ("http://www.e-doc.vn/Schema/", "http://www.go.vn/eDoc")
"""Of an older hub, and of a provincial guide that was withdrawn; both are met."""

_ROOTS = frozenset({"edXML", "edXMLEnvelope", "Envelope"})
"""``Envelope`` is the root of the first, un-namespaced generation."""
_SEARCH_DEPTH = 5
"""Levels in which the big parts are looked for: senders differ in what they put inside what."""


def read(source: bytes) -> EdXMLDocument | EdXMLStatus:
    """Read an edXML file.

    Args:
        source: Any bytes.

    Returns:
        What the file says, with a warning for everything odd about it.

    Raises:
        EdXMLError: It is not XML that is safe to read, or has no MessageHeader.
    """
    tree = parse(source)
    if tree.root.name not in _ROOTS:
        raise EdXMLError(
            f"the file's outermost element is {show(tree.root.name)}, not edXML",
            hint="Give an edXML file, or publish this one as an ordinary file.",
        )
    notes = Notes()
    _note_form(tree, notes)
    header = _part(tree, "MessageHeader", notes)
    if not header.exists:
        raise EdXMLError("the file has no MessageHeader", hint="Ask the sender for the file again.")
    if header.has("StatusCode") and not header.has("Subject"):
        fields = read_status_fields(header)
        header.close()
        return EdXMLStatus(source=source, warnings=notes.warnings(), **fields)
    traces = _part(tree, "TraceHeaderList", notes)
    if not traces.exists:
        notes.add("N", "TraceHeaderList", "is missing")
    document = read_document_fields(header, traces, _part(tree, "Bussiness", notes, "TraceHeaderList.Bussiness"))
    header.close()
    attachments = read_attachments(
        _part(tree, "edXMLManifest", notes, "Manifest"), _part(tree, "AttachmentEncoded", notes)
    )
    return EdXMLDocument(source=source, attachments=attachments, warnings=notes.warnings(), **document)


def _note_form(tree: Tree, notes: Notes) -> None:
    """Report what is odd about the file as XML."""
    if tree.stray.strip():
        notes.add(
            "T", "edXML", f"{len(tree.stray)} stray bytes before the first element were skipped: {tree.stray[:16]!r}"
        )
    if tree.utf16:
        notes.add("T", "edXML", "is in UTF-16, the standard has UTF-8")
    elif tree.declared not in {None, "utf-8", "utf8", "us-ascii"}:
        notes.add("T", "edXML", f"declares the encoding {show(tree.declared or '')} and was read as UTF-8")
    if tree.root.name == "Envelope":
        notes.add("T", "edXML", "has the outermost element Envelope of the first generation")
    if NAMESPACE not in tree.namespaces:
        known = next((other for other in OTHER_NAMESPACES if other in tree.namespaces), None)
        notes.add("M", "edXML", f"is in the namespace {known or 'of no known edXML'}, not in {NAMESPACE}")


def _part(tree: Tree, name: str, notes: Notes, path: str = "") -> Cursor:
    """Find a part by its name, outermost first, outside the signature."""
    level = [tree.root]
    for _ in range(_SEARCH_DEPTH):
        found = next((element for element in level if element.name == name), None)
        if found:
            return Cursor(found, path or name, notes)
        level = [child for element in level if element.name != "Signature" for child in element.children]
    return Cursor(None, path or name, notes)
