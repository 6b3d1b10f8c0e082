"""The hardened parser: a small tree that is read, and attacks that are not."""

from __future__ import annotations

import pytest

from docbus.edxml import parser
from docbus.edxml.parser import MAX_DEPTH, MAX_STRAY_BYTES, parse
from docbus.errors import EdXMLError

SMALL = "<edXML xmlns='urn:a'><p:To xmlns:p='urn:b'>Tây Ninh</p:To><Empty/></edXML>"


def test_a_small_tree() -> None:
    """Prefixes are dropped, texts kept, namespaces listed."""
    tree = parse(SMALL.encode())

    assert ["To", "Empty"] == [child.name for child in tree.root.children]
    assert ["Tây Ninh", ""] == [child.text for child in tree.root.children]
    assert ("urn:a", "urn:b") == tree.namespaces
    assert (b"", False, None) == (tree.stray, tree.utf16, tree.declared)


def test_an_undeclared_prefix_is_read() -> None:
    """A sender that forgets to bind its prefix is understood."""
    assert "To" == parse(b"<edXML><edXML:To/></edXML>").root.children[0].name


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_no_content(mark: bytes) -> None:
    """UTF-8 with and without its mark is the same."""
    assert "edXML" == parse(mark + SMALL.encode()).root.name


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_read(encoding: str) -> None:
    """UTF-16 is read with its mark, and without where the first character shows it."""
    tree = parse(SMALL.encode(encoding))

    assert (True, "Tây Ninh") == (tree.utf16, tree.root.children[0].text)


def test_the_declared_encoding_is_told_and_not_followed() -> None:
    """Bytes are UTF-8 whatever the declaration says."""
    tree = parse(b"<?xml version='1.0' encoding='UTF-16'?>" + SMALL.encode())

    assert ("utf-16", "Tây Ninh") == (tree.declared, tree.root.children[0].text)


def test_stray_bytes_are_kept_apart() -> None:
    """What stands before the XML declaration is skipped and told."""
    assert b"1212" == parse(b"1212<?xml version='1.0'?>" + SMALL.encode()).stray


def test_text_is_joined_across_entities_and_sections() -> None:
    """The five entities of XML itself, character references and CDATA are text."""
    assert "a<b>&\u0110" == parse(b"<a>a&lt;b<![CDATA[>&]]>&#272;</a>").root.text


LAUGHS = "<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><a>&b;&b;&b;</a>"
QUADRATIC = f"<!DOCTYPE a [<!ENTITY a '{'x' * 50_000}'>]><a>{'&a;' * 50_000}</a>"
FILE = "<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><a>&a;</a>"
NETWORK = "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>"
PARAMETER = "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/hostname'> %p;]><a/>"


@pytest.mark.parametrize("attack", [LAUGHS, QUADRATIC, FILE, NETWORK, PARAMETER, "<!DOCTYPE a><a/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_no_doctype_in_any_encoding(attack: str, encoding: str) -> None:
    """Entity bombs, external entities and a harmless DOCTYPE are refused alike, before anything is expanded."""
    with pytest.raises(EdXMLError, match="DOCTYPE"):
        parse(attack.encode(encoding))


def test_a_doctype_after_stray_bytes_is_refused() -> None:
    """The tolerance for stray bytes opens no way round."""
    with pytest.raises(EdXMLError, match="DOCTYPE"):
        parse(b"1212" + LAUGHS.encode())


@pytest.mark.parametrize("name", ["&undeclared;", "&nbsp;"])
def test_no_entity_is_declared(name: str) -> None:
    """Without a DOCTYPE only XML's own entities exist."""
    with pytest.raises(EdXMLError, match="undefined entity"):
        parse(f"<a>{name}</a>".encode())


def test_the_last_allowed_depth() -> None:
    """The deepest allowed tree is read, one level more is not."""
    allowed = "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH

    assert "a" == parse(allowed.encode()).root.name
    with pytest.raises(EdXMLError, match="32 deep"):
        parse(f"<a>{allowed}</a>".encode())


def test_too_many_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements are counted while they are read."""
    monkeypatch.setattr(parser, "MAX_ELEMENTS", 10)

    assert 9 == len(parse(b"<a>" + b"<b/>" * 9 + b"</a>").root.children)
    with pytest.raises(EdXMLError, match="more than 10 elements"):
        parse(b"<a>" + b"<b/>" * 10 + b"</a>")


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size is checked before anything else."""
    monkeypatch.setattr(parser, "MAX_SOURCE_BYTES", 7)

    assert "a" == parse(b"<a></a>").root.name
    with pytest.raises(EdXMLError, match="8 bytes, at most 7"):
        parse(b"<a> </a>")


@pytest.mark.parametrize(
    "attack",
    [
        b"<a " + b" ".join(b"b%d=''" % at for at in range(60_000)) + b"/>",
        b"<a><!--" + b"x" * 400_000 + b"--></a>",
        b"<a><?b " + b"x" * 400_000 + b"?></a>",
        b"<" + b"a" * 400_000,
    ],
    ids=["attributes", "comment", "instruction", "name"],
)
def test_no_part_is_collected_without_end(attack: bytes) -> None:
    """A tag, comment or instruction must be whole before it is seen, and so its length is limited."""
    with pytest.raises(EdXMLError, match="longer than 131,072 bytes"):
        parse(attack)


def test_text_may_be_long() -> None:
    """The same limit does not hold for text, of which attachments consist."""
    assert 400_000 == len(parse(b"<a>" + b"QUJD" * 100_000 + b"</a>").root.text)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"   ",
        b"plain text",
        b"x" * 2_000 + b"<a/>",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>\x00",
        b"<a>\xff</a>",
        b"<a>\x00</a>",
        b"<a>&#0;</a>",
        b"<a>&#xD800;</a>",
        b"\xff\xfe<\x00a",
        b"\xff\xfe\x00\xd8",
        b"%PDF-1.7",
        b"PK\x03\x04",
    ],
)
def test_what_is_no_xml(source: bytes) -> None:
    """Damaged and foreign bytes get an error that says so, with a hint."""
    with pytest.raises(EdXMLError) as caught:
        parse(source)

    assert caught.value.hint or "longer" in caught.value.text


def test_namespaces_are_bounded() -> None:
    """Thousands of declarations do not become thousands of entries."""
    many = "".join(f"<a xmlns='urn:{at}'/>" for at in range(50))

    assert parser.MAX_NAMESPACES == len(parse(f"<r>{many}</r>".encode()).namespaces)


def test_stray_bytes_are_bounded() -> None:
    """As many bytes as are allowed are skipped; with one more it is no XML."""
    assert MAX_STRAY_BYTES == len(parse(b"1" * MAX_STRAY_BYTES + SMALL.encode()).stray)
    with pytest.raises(EdXMLError, match="does not begin like XML"):
        parse(b"1" * (MAX_STRAY_BYTES + 1) + SMALL.encode())
