"""XML bytes into a small tree, with every limit checked before memory is spent (threat: XML bombs, external entities).

The parser is expat from the standard library, driven directly:

- Any DOCTYPE is refused before expat sees a byte. Without one no entity can be declared, so that neither entity
  expansion (billion laughs, quadratic blow-up) nor external entities exist. expat never opens a file or a connection.
- defusedxml would set the same guards as expat handlers, and has no limits of depth, count or size. lxml builds its
  tree first and lets us count afterwards, and adds libxml2 to what must be patched. Neither is needed.
- The bytes are fed in chunks and counted on the way, because expat goes on with what it was given after a handler
  has raised, and because a start tag or comment must be whole in memory before any handler sees it.

Prefixes are dropped and namespaces only listed: senders bind the right one, an older one, a wrong one or none.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from xml.parsers import expat

from docbus.errors import EdXMLError
from docbus.limits import KIB, MIB

MAX_SOURCE_BYTES = 64 * MIB
"""Bytes of one edXML file; third-party gateways stop at 50 MB a file (domain notes 4.3)."""
MAX_DEPTH = 32
"""Elements inside each other; edXML has 9 levels, its signature 9."""
MAX_ELEMENTS = 100_000
"""Elements of one file; 4,096 recipients of 9 elements each are 36,864."""
MAX_TAG_BYTES = 128 * KIB
"""Bytes of one start tag, comment or processing instruction; bounds attributes too, which edXML hardly has."""
MAX_STRAY_BYTES = 1 * KIB
"""Bytes before the first ``<`` that are skipped; four were met in the field."""
MAX_NAMESPACES = 16
"""Namespaces that are remembered; edXML needs two."""
_CHUNK_BYTES = 64 * KIB

_UTF16_STARTS = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}


@dataclass(slots=True)
class Element:
    """An element by its local name; ``text`` is its own character data, exactly as parsed."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A parsed file.

    Args:
        root: Outermost element.
        namespaces: In order of appearance, the signature's and xlink's included.
        stray: Bytes that were skipped before the first ``<``.
        utf16: The file was in UTF-16.
        declared: Encoding that the XML declaration names, in lower case, or None.
    """

    root: Element
    namespaces: tuple[str, ...]
    stray: bytes
    utf16: bool
    declared: str | None


def parse(source: bytes) -> Tree:
    """Parse a file.

    Args:
        source: Any bytes. UTF-8 whatever the declaration says, or UTF-16 with its mark.

    Raises:
        EdXMLError: Not well-formed, too large, too deep, too many elements, or with a DOCTYPE.
    """
    if len(source) > MAX_SOURCE_BYTES:
        raise EdXMLError(
            f"the file has {len(source):,} bytes, at most {MAX_SOURCE_BYTES:,} are read", hint="Send fewer attachments."
        )
    encoded, utf16 = _utf8(source)
    start = encoded.find(b"<", 0, MAX_STRAY_BYTES + 1)
    if start < 0:
        raise EdXMLError("the file does not begin like XML", hint="Give a file whose name ends with .edxml.")
    # The same bytes in a comment or a CDATA section are refused too: nobody writes them there without intent.
    if b"<!DOCTYPE" in encoded:
        raise EdXMLError(
            "the file has a DOCTYPE, which is never accepted", hint="Ask the sender for a file without it."
        )
    builder = _Builder()
    builder.feed(memoryview(encoded)[start:])
    return Tree(
        root=builder.root,
        namespaces=tuple(builder.namespaces),
        stray=encoded[:start],
        utf16=utf16,
        declared=builder.declared,
    )


def _utf8(source: bytes) -> tuple[bytes, bool]:
    """Return the file in UTF-8 without byte order mark, and whether it was in UTF-16."""
    encoding = _UTF16_STARTS.get(source[:2])
    if encoding is None:
        return source.removeprefix(codecs.BOM_UTF8), False
    try:
        return source.decode(encoding).encode(), True
    except UnicodeError:
        raise EdXMLError("the file begins like UTF-16 and is not", hint="Ask the sender for UTF-8.") from None


class _Builder:
    """Expat's handlers, and the limits they keep."""

    def __init__(self) -> None:
        self.namespaces: list[str] = []
        self.declared: str | None = None
        self._document = Element("", {})
        self._open = [self._document]
        self._texts: list[list[str]] = [[]]
        self._count = 0
        # The encoding given here wins over the declaration's: what was searched for a DOCTYPE is what is parsed.
        self._expat = expat.ParserCreate("utf-8")
        self._expat.buffer_text = True
        self._expat.buffer_size = _CHUNK_BYTES
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        self._expat.XmlDeclHandler = self._declaration

    @property
    def root(self) -> Element:
        return self._document.children[0]

    def feed(self, encoded: memoryview) -> None:
        try:
            for at in range(0, len(encoded), _CHUNK_BYTES):
                chunk = encoded[at : at + _CHUNK_BYTES]
                self._expat.Parse(chunk, False)  # noqa: FBT003 - expat takes no keywords
                if at + len(chunk) - self._expat.CurrentByteIndex > MAX_TAG_BYTES:
                    raise EdXMLError(f"a tag or comment is longer than {MAX_TAG_BYTES:,} bytes")
            self._expat.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            raise EdXMLError(
                f"not well-formed XML: {expat.ErrorString(error.code)}, line {error.lineno}, column {error.offset}",
                hint="Ask the sender for the file again; it may have been cut or changed on the way.",
            ) from error

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.declared = encoding.lower() if encoding else None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise EdXMLError(f"the file has more than {MAX_ELEMENTS:,} elements")
        if len(self._open) > MAX_DEPTH:
            raise EdXMLError(f"elements lie more than {MAX_DEPTH} deep")
        element = Element(_local(name), attributes)
        for attribute, value in attributes.items():
            if attribute.partition(":")[0] == "xmlns" and value not in self.namespaces:
                self.namespaces = [*self.namespaces, value][:MAX_NAMESPACES]
        self._open[-1].children.append(element)
        self._open.append(element)
        self._texts.append([])

    def _characters(self, text: str) -> None:
        self._texts[-1].append(text)

    def _end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())


def _local(name: str) -> str:
    return name.rpartition(":")[2]
