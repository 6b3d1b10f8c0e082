"""Files as they are met: which are documents, which are statuses, and what is odd about them as XML."""

from __future__ import annotations

import pytest

from docbus.edxml import EdXMLDocument, EdXMLStatus, read
from docbus.edxml.reader import NAMESPACE, OTHER_NAMESPACES
from docbus.errors import EdXMLError
from tests.support.edxml import NEW, STATUS, codes, example, read_document

PREFIXED = "<edXML:"


def test_a_tidy_document() -> None:
    """The plainest example has no warning, and its own bytes stay with it."""
    document = read(example())

    assert isinstance(document, EdXMLDocument)
    assert [] == codes(document.warnings)
    assert example() == document.source


def test_a_tidy_status() -> None:
    """A status is told by its StatusCode."""
    status = read(example(STATUS))

    assert isinstance(status, EdXMLStatus)
    assert [] == codes(status.warnings)


def test_a_document_that_mentions_a_status_stays_a_document() -> None:
    """With a subject it is a document, whatever else it has."""
    source = example(NEW, ("<edXML:SteeringType>0<", "<edXML:StatusCode>03</edXML:StatusCode><edXML:SteeringType>0<"))

    assert ["M.MessageHeader.StatusCode"] == codes(read_document(source).warnings)


@pytest.mark.parametrize("namespace", OTHER_NAMESPACES)
def test_other_namespaces_are_read(namespace: str) -> None:
    """The two other namespaces that are met make one warning and no difference."""
    document = read_document(example(NEW, (NAMESPACE, namespace)))

    assert ["M.edXML"] == codes(document.warnings)
    assert namespace in document.warnings[0].text
    assert "302" == document.number


def test_no_namespace_is_read() -> None:
    """Without namespace and prefix the same is understood."""
    bare = (
        example()
        .decode()
        .replace(f' xmlns:edXML="{NAMESPACE}"', "")
        .replace(f' xmlns="{NAMESPACE}"', "")
        .replace("edXML:", "")
    )

    document = read_document(bare.encode())

    assert ["M.edXML"] == codes(document.warnings)
    assert ("302", 1) == (document.number, len(document.attachments))


def test_the_first_generation_is_read() -> None:
    """Envelope, Header and Body of the un-namespaced form."""
    old = example().decode()
    for name, was in (("edXMLEnvelope", "Envelope"), ("edXMLHeader", "Header"), ("edXMLBody", "Body")):
        old = old.replace(name, was)
    old = old.replace(f'<edXML xmlns="{NAMESPACE}">', "").replace("</edXML>", "")
    start = old.index("<AttachmentEncoded>")
    encoded = old[start : old.index("</AttachmentEncoded>") + len("</AttachmentEncoded>")]
    old = old.replace(encoded, "").replace("</edXML:Envelope>", encoded + "</edXML:Envelope>")

    document = read_document(old.encode())

    assert ["T.edXML"] == codes(document.warnings)
    assert document.attachments[0].content


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("<?xml", "1212<?xml"), "T.edXML"),
        (('encoding="UTF-8"', 'encoding="windows-1258"'), "T.edXML"),
    ],
)
def test_odd_beginnings(change: tuple[str, str], code: str) -> None:
    """Stray bytes and a wrong declaration are read over, with a warning."""
    document = read_document(example(NEW, change))

    assert [code] == codes(document.warnings)
    assert "302" == document.number


def test_white_space_before_the_declaration_is_no_oddity() -> None:
    """Only bytes that can be seen are worth a warning."""
    assert [] == codes(read_document(b"\n" + example()).warnings)


def test_utf16_is_read_with_a_warning() -> None:
    """A .NET writer's UTF-16 is understood."""
    document = read_document(example().decode().encode("utf-16"))

    assert ["T.edXML"] == codes(document.warnings)
    assert "Báo cáo kết quả ứng phó mưa lớn" == document.subject


def test_a_byte_order_mark_is_no_oddity() -> None:
    """XML allows it."""
    assert [] == codes(read_document(b"\xef\xbb\xbf" + example()).warnings)


def _reversed_children(source: bytes, parent: str) -> bytes:
    lines = source.decode().splitlines()
    start = next(at for at, line in enumerate(lines) if line.strip() == f"<edXML:{parent}>")
    end = next(at for at, line in enumerate(lines) if line.strip() == f"</edXML:{parent}>")
    blocks: list[list[str]] = []
    depth = len(lines[start]) - len(lines[start].lstrip()) + 2
    for line in lines[start + 1 : end]:
        indent = len(line) - len(line.lstrip())
        if indent == depth and not line.lstrip().startswith("</"):
            blocks.append([])
        blocks[-1].append(line)
    inner = [line for block in reversed(blocks) for line in block]
    return "\n".join([*lines[: start + 1], *inner, *lines[end:]]).encode()


@pytest.mark.parametrize("parent", ["MessageHeader", "TraceHeaderList", "From", "Code", "Bussiness"])
def test_the_order_of_children_does_not_matter(parent: str) -> None:
    """The same fields in the opposite order are the same document."""
    changed = _reversed_children(example(), parent)

    before, after = read_document(example()), read_document(changed)

    assert changed != example()
    assert [] == codes(after.warnings)
    for name in ("sender", "recipients", "document_id", "number", "notation", "subject", "traces", "business"):
        assert getattr(before, name) == getattr(after, name)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"<html/>", '"html", not edXML'),
        (b"<edXML/>", "no MessageHeader"),
        (b"<edXML><Signature><MessageHeader/></Signature></edXML>", "no MessageHeader"),
        (b"<a><edXML><MessageHeader/></edXML></a>", '"a", not edXML'),
        (b"", "does not begin like XML"),
    ],
)
def test_what_is_no_edxml(source: bytes, problem: str) -> None:
    """The error says what was found instead, and what to do."""
    with pytest.raises(EdXMLError, match=problem) as caught:
        read(source)

    assert caught.value.hint


def test_an_empty_header_is_all_warnings() -> None:
    """Everything that should be there is named, and nothing else happens."""
    document = read_document(f"<edXML xmlns='{NAMESPACE}'><MessageHeader/></edXML>".encode())

    assert [
        "N.MessageHeader.Code",
        "N.MessageHeader.DocumentId",
        "N.MessageHeader.DocumentType",
        "N.MessageHeader.From",
        "N.MessageHeader.PromulgationInfo",
        "N.MessageHeader.SignerInfo",
        "N.MessageHeader.Subject",
        "N.MessageHeader.To",
        "N.TraceHeaderList",
        "N.TraceHeaderList.Bussiness",
    ] == sorted(codes(document.warnings))
