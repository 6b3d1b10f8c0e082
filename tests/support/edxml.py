"""edXML for tests: the project's own examples, changed by one thing."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.edxml import EdXMLDocument, EdXMLStatus, read
from docbus.edxml.cursor import Cursor
from docbus.edxml.notes import Notes
from docbus.edxml.parser import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.edxml import EdXMLWarning

EXAMPLES = Path(__file__).parents[2] / "examples" / "edxml"
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "edxml"
"""Vendor samples beside the repository, where they are; they are not part of it."""
NEW = "new-answer.edxml"
"""The plainest example: reads without a warning."""
STATUS = "status-03-registered.edxml"


def example(name: str = NEW, *changes: tuple[str, str]) -> bytes:
    """Return an example with parts replaced; each part must be there."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, f"{name} has no {before}"
        text = text.replace(before, after)
    return text.encode()


def read_document(source: bytes) -> EdXMLDocument:
    result = read(source)
    assert isinstance(result, EdXMLDocument)
    return result


def read_status(source: bytes) -> EdXMLStatus:
    result = read(source)
    assert isinstance(result, EdXMLStatus)
    return result


def codes(warnings: Iterable[EdXMLWarning]) -> list[str]:
    return [warning.code for warning in warnings]


def cursor(xml: str, path: str = "X") -> tuple[Cursor, Notes]:
    """Return a cursor on the outermost element, and where its warnings go."""
    notes = Notes()
    return Cursor(parse(xml.encode()).root, path, notes), notes


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def zip_of(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return target.getvalue()


def with_attachment(content: str, *, name: str = "302-UBND-VP.txt", content_type: str = "text/plain") -> bytes:
    """Return the plainest example with another attachment; ``content`` is put in as it is."""
    text = example(NEW, ("302-UBND-VP.txt", name), (">text/plain<", f">{content_type}<")).decode()
    start = text.index(">", text.index("<edXML:ContentTransferEncoded")) + 1
    end = text.index("</edXML:ContentTransferEncoded>")
    return (text[:start] + content + text[end:]).encode()
