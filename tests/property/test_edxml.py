"""Any bytes in: an edXML document or status, or EdXMLError; nothing else, ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docbus.documents.document import Document
from docbus.edxml import EdXMLDocument, EdXMLStatus, read, to_document, to_status
from docbus.edxml.archive import unpack
from docbus.errors import DocumentError, EdXMLError
from tests.support.edxml import EXAMPLES, encoded, example, with_attachment, zip_of

SOURCES = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.edxml"))]
VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "null", "0", "4", "2014/02/30", "../..", "\u202e", "9" * 400, "&#1;", "&x;", "]]>", "<a/>"]),
)
ELEMENTS = re.compile(rb"<(?:edXML:)?([A-Za-z]+)>([^<]*)</")


def _whole_way(source: bytes) -> None:
    """Read, map and make a document; only the errors that are promised may come out."""
    try:
        result = read(source)
    except EdXMLError:
        return
    assert all(warning.line.isprintable() for warning in result.warnings)
    if isinstance(result, EdXMLStatus):
        try:
            to_status(result)
        except EdXMLError:
            return
        return
    try:
        fields = to_document(result)
    except EdXMLError:
        return
    try:
        document = fields.document(sender="vn:H53", resolve=lambda code: code)
    except DocumentError as error:
        # Nothing that mapping fills in itself may be refused: only what agencies are called, and that there are any.
        if error.text.startswith("recipients: "):
            return
        raise
    assert isinstance(document, Document)


@given(st.binary(max_size=400))
def test_any_bytes(source: bytes) -> None:
    """Random bytes."""
    _whole_way(source)


@given(st.binary(max_size=200))
def test_any_bytes_after_a_beginning(rest: bytes) -> None:
    """Bytes that begin like a file."""
    _whole_way(SOURCES[0][:300] + rest)


@settings(max_examples=200)
@given(st.sampled_from(SOURCES), st.data())
def test_changed_bytes(source: bytes, data: st.DataObject) -> None:
    """An example with some bytes changed, removed or put in."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(source)))
        removed = data.draw(st.sampled_from([0, 1, 7, 500]))
        source = source[:at] + data.draw(st.binary(max_size=12)) + source[at + removed :]
    _whole_way(source)


@settings(max_examples=300)
@given(st.sampled_from(SOURCES), st.data())
def test_changed_values(source: bytes, data: st.DataObject) -> None:
    """An example with other texts in some of its elements."""
    for _ in range(data.draw(st.integers(1, 4))):
        found = data.draw(st.sampled_from(list(ELEMENTS.finditer(source))))
        value = data.draw(VALUES).encode(errors="replace")
        source = source[: found.start(2)] + value + source[found.end(2) :]
    _whole_way(source)


@given(st.data())
def test_removed_elements(data: st.DataObject) -> None:
    """An example without some of its lines: missing children, and tags that do not match."""
    lines = data.draw(st.sampled_from(SOURCES)).splitlines(keepends=True)
    gone = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=6))
    _whole_way(b"".join(line for at, line in enumerate(lines) if at not in gone))


@given(st.permutations(range(12)))
def test_any_order(order: list[int]) -> None:
    """The header's children in any order are the same document."""
    text = example().decode()
    start = text.index("<edXML:MessageHeader>") + len("<edXML:MessageHeader>")
    end = text.index("</edXML:MessageHeader>")
    children = re.findall(r"\n {8}<edXML:\w+>(?:.*?)(?=\n {8}<edXML|\s*$)", text[start:end], re.DOTALL)
    shuffled = [children[at] for at in order if at < len(children)] + children[len(order) :]
    result, plain = read((text[:start] + "".join(shuffled) + text[end:]).encode()), read(example())

    assert isinstance(result, EdXMLDocument)
    assert isinstance(plain, EdXMLDocument)
    assert to_document(plain, contents="attachments").title == to_document(result, contents="attachments").title
    assert (plain.sender, plain.recipients, plain.replies, ()) == (
        result.sender,
        result.recipients,
        result.replies,
        result.warnings,
    )


@given(st.binary(max_size=2_000), st.booleans(), st.sampled_from(["a.pdf", "a.docx", "văn bản.txt", "a"]))
def test_contents_survive(content: bytes, zipped: bool, name: str) -> None:
    """What a sender attaches, zipped by its software or not, is what the document has."""
    if not content or content.startswith(b"PK\x03\x04"):
        return
    packed = zip_of((name, content)) if zipped else content
    result = read(with_attachment(encoded(packed), name=name))

    assert isinstance(result, EdXMLDocument)
    assert content == result.attachments[0].content


@settings(max_examples=300)
@given(st.data())
def test_any_zip(data: st.DataObject) -> None:
    """A zip with some bytes changed is unpacked, kept, or reported; it never fails or grows."""
    content = data.draw(st.sampled_from([zip_of(("a.pdf", b"x" * 300)), zip_of(("a", b"1"), ("b", b"2"))]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(content) - 1))
        content = content[:at] + data.draw(st.binary(min_size=1, max_size=3)) + content[at + 1 :]

    result = unpack("a.pdf", content, budget=1_000)

    assert result.content is not None or result.problem
    assert len(result.content or b"") <= max(len(content), 1_000)


@pytest.mark.parametrize("source", SOURCES)
def test_any_cut(source: bytes) -> None:
    """A file that was cut anywhere is refused as not well-formed."""
    body = source.rstrip()
    for length in range(0, len(body), 97):
        with pytest.raises(EdXMLError):
            read(body[:length])
