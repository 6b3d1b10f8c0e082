"""Attachments: decoded, unpacked, or reported."""

from __future__ import annotations

import pytest

from docbus.edxml import attachments
from tests.support.edxml import NEW, codes, encoded, example, read_document, with_attachment, zip_of

PDF = b"%PDF-1.4\n1 0 obj\nendobj\n%%EOF\n"
CONTENT = "T.AttachmentEncoded.Attachment.ContentTransferEncoded"


def _content(source: bytes) -> tuple[bytes | None, list[str]]:
    document = read_document(source)
    return document.attachments[0].content, codes(document.warnings)


def test_three_attachments() -> None:
    """Names, types and contents, the second one unpacked."""
    read = read_document(example("new-three-attachments.edxml")).attachments

    assert ["1207-UBND-KT.pdf", "Phụ lục 1 - Biểu mẫu.csv", "Hướng dẫn.txt"] == [each.name for each in read]
    assert [b"%PDF", "Huyện".encode(), b"1. R"] == [
        (each.content or b"")[:length] for each, length in zip(read, (4, 7, 4), strict=True)
    ]
    assert [False, True, False] == [each.unzipped for each in read]


def test_a_plain_pdf() -> None:
    """A PDF that is sent as such is taken as such."""
    source = with_attachment(encoded(PDF), name="a.pdf", content_type="application/pdf")

    assert (PDF, []) == _content(source)


@pytest.mark.parametrize("content_type", ["application/pdf", "application/zip", "text/plain", ""])
def test_a_zipped_pdf_whatever_the_content_type(content_type: str) -> None:
    """What the Java SDK zips is unpacked by its bytes."""
    source = with_attachment(encoded(zip_of(("a.pdf", PDF))), name="a.pdf", content_type=content_type)

    content, warnings = _content(source)

    assert PDF == content
    assert CONTENT in warnings


def test_a_zip_that_was_attached_stays() -> None:
    """The sender's own zip is delivered byte for byte."""
    archive = zip_of(("a.pdf", PDF))

    assert (archive, []) == _content(
        with_attachment(encoded(archive), name="hồ sơ.zip", content_type="application/zip")
    )


def test_a_zip_that_was_zipped_again_is_unpacked_once() -> None:
    """The Java SDK zips a zip too; what comes out is the sender's."""
    inner = zip_of(("a.pdf", PDF))
    outer = zip_of(("hồ sơ.zip", inner))

    content, warnings = _content(with_attachment(encoded(outer), name="hồ sơ.zip", content_type="application/zip"))

    assert inner == content
    assert [CONTENT] == warnings


def test_lines_and_blanks_in_base64() -> None:
    """Base64 is broken into lines by some senders."""
    text = encoded(PDF)
    broken = "\n ".join(text[at : at + 8] for at in range(0, len(text), 8))

    assert PDF == _content(with_attachment(f"\r\n{broken}\t"))[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (encoded(PDF)[:-3], "cut"),
        (encoded(PDF)[:-1], "cut"),
        ("[BASE64 of 361100 characters removed]", "not base64"),
        (encoded(PDF + b"x") + "QUJD", "not base64"),
        ("QUJD-_==", "not base64"),
        ("Tây Ninh", "not base64"),
    ],
)
def test_damaged_base64_is_reported(text: str, reason: str) -> None:
    """The attachment is there without content, and the warning says what is wrong with it."""
    document = read_document(with_attachment(text))

    assert [None] == [each.content for each in document.attachments]
    assert [CONTENT] == codes(document.warnings)
    assert reason in document.warnings[0].text


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_attachment_is_reported(text: str) -> None:
    """No content is not the same as an empty file."""
    assert (None, ["N.AttachmentEncoded.Attachment.ContentTransferEncoded"]) == _content(with_attachment(text))


def test_an_empty_file_in_a_zip_is_reported() -> None:
    """What unpacks to nothing cannot be sent."""
    content, warnings = _content(with_attachment(encoded(zip_of(("302-UBND-VP.txt", b"")))))

    assert content is None
    assert "N.AttachmentEncoded.Attachment.ContentTransferEncoded" in warnings


@pytest.mark.parametrize("length", [10, 60, 100])
def test_a_cut_zip_is_reported(length: int) -> None:
    """Base64 that was cut at a fourth character is valid; the zip in it is not."""
    cut = zip_of(("a.pdf", PDF))[:length]

    assert (None, [CONTENT]) == _content(with_attachment(encoded(cut), name="a.pdf", content_type="application/pdf"))


def test_a_cut_pdf_is_kept_with_a_warning() -> None:
    """A PDF without its end may still be read by somebody."""
    source = with_attachment(encoded(PDF[:-8]), name="a.pdf", content_type="application/pdf")

    assert (PDF[:-8], [CONTENT]) == _content(source)


def test_a_bomb_is_reported() -> None:
    """A zip bomb is an attachment that cannot be read."""
    bomb = encoded(zip_of(("a.pdf", bytes(20_000_000))))

    assert (None, [CONTENT]) == _content(with_attachment(bomb, name="a.pdf", content_type="application/pdf"))


def test_attachments_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one attachment has used up is not there for the next."""
    zipped = encoded(zip_of(("a.pdf", PDF)))
    text = with_attachment(zipped, name="a.pdf").decode()
    start, end = text.index("    <Attachment>"), text.index("  </AttachmentEncoded>")
    twice = (text[:end] + text[start:end] + text[end:]).encode()

    for budget, readable in ((2 * len(PDF), [True, True]), (2 * len(PDF) - 1, [True, False])):
        monkeypatch.setattr(attachments, "MAX_UNPACKED_TOTAL_BYTES", budget)
        assert readable == [each.content is not None for each in read_document(twice).attachments]


def test_content_types_that_disagree() -> None:
    """Manifest and attachment say different things: one warning, the attachment's is used."""
    source = example(NEW, ("      <ContentType>text/plain<", "      <ContentType>text/html<"))

    document = read_document(source)

    assert ["M.AttachmentEncoded.Attachment.ContentType"] == codes(document.warnings)
    assert "text/html" == document.attachments[0].content_type


def test_a_content_type_that_the_bytes_contradict() -> None:
    """A PDF that is called a text is reported."""
    source = with_attachment(encoded(PDF), name="a.pdf", content_type="text/plain")

    assert (PDF, ["M.AttachmentEncoded.Attachment.ContentType"]) == _content(source)


def test_names_that_disagree() -> None:
    """The attachment's name is used, the manifest's is told."""
    source = example(NEW, ("      <AttachmentName>302", "      <AttachmentName>303"))

    document = read_document(source)

    assert ["M.AttachmentEncoded.Attachment.AttachmentName"] == codes(document.warnings)
    assert "303-UBND-VP.txt" == document.attachments[0].name


@pytest.mark.parametrize("place", ["      <ContentId>cid:1<", "          <edXML:ContentId>cid:1<"])
def test_cid_is_optional_in_either_place(place: str) -> None:
    """With and without the scheme the same attachment is meant."""
    assert [] == codes(read_document(example(NEW, (place, place.replace("cid:", "")))).warnings)


def test_a_name_from_the_manifest() -> None:
    """What the attachment leaves out is taken from the manifest."""
    source = example(NEW, ("      <AttachmentName>302-UBND-VP.txt</AttachmentName>", ""))

    assert "302-UBND-VP.txt" == read_document(source).attachments[0].name


def test_an_attachment_that_the_manifest_forgot() -> None:
    """It is read all the same."""
    text = example().decode()
    start = text.index("<edXML:Reference>")
    source = text[:start] + text[text.index("</edXML:Reference>") + len("</edXML:Reference>") :]

    content, warnings = _content(source.encode())

    assert content
    assert ["N.AttachmentEncoded.Attachment"] == warnings


def test_an_attachment_that_is_only_in_the_manifest() -> None:
    """It is listed without content."""
    text = example().decode()
    source = text[: text.index("<AttachmentEncoded>")] + "</edXML>"

    document = read_document(source.encode())

    assert [("302-UBND-VP.txt", None)] == [(each.name, each.content) for each in document.attachments]
    assert ["N.Manifest.Reference"] == codes(document.warnings)
