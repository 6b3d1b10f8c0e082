"""edXML documents as docbus's fields."""

from __future__ import annotations

from hashlib import sha256

import pytest

from docbus.documents.document import DocumentReference, Urgency
from docbus.edxml import DocumentFields, to_document
from docbus.errors import DocumentError, EdXMLError, UnknownAgencyError
from tests.support.edxml import NEW, codes, encoded, example, read_document, with_attachment

KNOWN = {
    "000.00.00.H53": "vn:H53",
    "000.00.02.H53": "vn:H53.02",
    "000.00.32.H53": "vn:H53.32",
    "000.21.32.H53": "vn:H53.32.21",
    "H26": "vn:H26",
    "H53": "vn:H53",
}
THREE_ID = "000.00.00.H53,2026/11/02,1207/UBND-KT"


def _resolve(code: str) -> str:
    if code not in KNOWN:
        raise UnknownAgencyError(f"{code} is not in the directory")
    return KNOWN[code]


def _fields(name: str = NEW, *changes: tuple[str, str]) -> DocumentFields:
    return to_document(read_document(example(name, *changes)))


def test_a_new_document() -> None:
    """Every field has its place."""
    fields = _fields("new-three-attachments.edxml")

    assert ("000.00.00.H53", THREE_ID) == (fields.sender, fields.document_id)
    assert ("1207/UBND-KT", "Công văn") == (fields.number, fields.type)
    assert ("V/v rà soát điện mặt trời mái nhà trên địa bàn tỉnh", None) == (fields.title, fields.summary)
    assert (Urgency.URGENT, "document", ()) == (fields.urgency, fields.kind, fields.concerns)
    assert ("000.00.02.H53",) == fields.recipients
    assert [
        ("1207-UBND-KT.pdf", "application/pdf"),
        ("Phụ lục 1 - Biểu mẫu.csv", "text/csv"),
        ("Hướng dẫn.txt", "text/plain"),
    ] == [(file.name, file.media_type) for file in fields.files]


def test_it_becomes_a_document() -> None:
    """With resolved codes it is ready to be published."""
    document = _fields("new-one-to-many.edxml").document(sender="vn:H53", resolve=_resolve)

    assert ("vn:H53.02", "vn:H53.32", "vn:H53.32.21", "vn:H26") == document.recipients
    assert (Urgency.FLASH, "15/CĐ-UBND") == (document.urgency, document.number)


def test_every_letter_survives() -> None:
    """Title and file name have every Vietnamese letter, as in the file."""
    fields = _fields("new-every-letter.edxml")
    letters = set("aàảãáạăằẳẵắặâầẩẫấậeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụưừửữứựyỳỷỹýỵđ")

    assert letters <= set(fields.title)
    assert {letter.upper() for letter in letters} <= set(fields.title)
    assert letters <= set(fields.files[0].name)
    assert letters <= set(fields.files[0].content.decode())


def test_other_recipients_can_be_given() -> None:
    """The user may send the file to others than it names."""
    document = _fields().document(sender="vn:H53.32", resolve=_resolve, recipients=["H26"])

    assert ("vn:H26",) == document.recipients


def test_two_codes_of_one_agency_are_one_recipient() -> None:
    """Old and new code of one agency lead to one copy."""
    document = _fields().document(sender="vn:H26", resolve=_resolve, recipients=["H53", "000.00.00.H53"])

    assert ("vn:H53",) == document.recipients


def test_a_recipient_that_is_there_twice_is_sent_once() -> None:
    """A repeated To is one recipient."""
    fields = _fields("new-one-to-many.edxml", ("000.00.32.H53</edXML:OrganId>", "000.00.02.H53</edXML:OrganId>"))

    assert ("000.00.02.H53", "000.21.32.H53", "H26") == fields.recipients


def test_an_unknown_recipient_is_an_error() -> None:
    """A document is never sent to some of its recipients only."""
    fields = _fields(
        NEW, ("<edXML:To>\n          <edXML:OrganId>000.00.00.H53", "<edXML:To>\n          <edXML:OrganId>H99")
    )

    with pytest.raises(UnknownAgencyError, match="H99"):
        fields.document(sender="vn:H53.32", resolve=_resolve)


def test_no_recipient_is_an_error_only_when_it_is_published() -> None:
    """Without To the fields are there, and recipients can be given."""
    text = example().decode()
    start, end = text.index("<edXML:To>"), text.index("</edXML:To>") + len("</edXML:To>")
    fields = to_document(read_document((text[:start] + text[end:]).encode()))

    assert () == fields.recipients
    with pytest.raises(DocumentError, match=r"^recipients: "):
        fields.document(sender="vn:H53.32", resolve=_resolve)


def test_an_answer_refers() -> None:
    """ResponseFor becomes the reference, with the agency resolved."""
    document = _fields().document(sender="vn:H53.32", resolve=_resolve)

    assert document.in_reply_to == DocumentReference(sender="vn:H53", document_id="000.00.00.H53,2026/11/03,15/CĐ-UBND")


def test_an_answer_to_an_unknown_agency_is_sent_all_the_same() -> None:
    """The reference is dropped, and stays as text among the properties."""
    change = ("<edXML:ResponseFor>\n          <edXML:OrganId>000.00.00.H53", "<edXML:ResponseFor>\n<edXML:OrganId>H99")

    document = _fields(NEW, change).document(sender="vn:H53.32", resolve=_resolve)

    assert document.in_reply_to is None
    assert dict(document.properties)["edxml.ResponseFor"].startswith("H99")


def test_a_recall() -> None:
    """It concerns the document whose id it carries, and has an id of its own that follows from the file."""
    fields = _fields("recall.edxml")
    document = fields.document(sender="vn:H53", resolve=_resolve)
    digest = sha256(example("recall.edxml")).hexdigest()

    assert ("recall", f"edxml-recall-{digest[:32]}") == (document.kind, document.document_id)
    assert (DocumentReference(sender="vn:H53", document_id=THREE_ID),) == document.concerns
    assert THREE_ID == dict(document.properties)["edxml.DocumentId"]


def test_an_update() -> None:
    """It concerns the document that Bussiness names."""
    fields = _fields("update.edxml")

    assert ("update", (THREE_ID,)) == (fields.kind, fields.concerns)
    assert fields.document_id.startswith("edxml-update-")


def test_a_replacement() -> None:
    """It is a document with its own id, and concerns those that it replaces."""
    fields = _fields("replacement.edxml")

    assert ("replacement", "000.00.00.H53,2026/11/05,1215/UBND-KT") == (fields.kind, fields.document_id)
    assert (THREE_ID,) == fields.concerns


def test_a_replacement_of_nothing_is_refused() -> None:
    """What it replaces is not guessed."""
    with pytest.raises(EdXMLError, match="does not say of which"):
        _fields("replacement.edxml", (f"<edXML:DocumentId>{THREE_ID}</edXML:DocumentId>", ""))


def test_the_same_file_is_the_same_document() -> None:
    """Ids that are made up follow from the bytes: again the same, and another for another file."""
    again, other = _fields("recall.edxml"), _fields("recall.edxml", ("gửi nhầm", "gửi sai"))

    assert _fields("recall.edxml").document_id == again.document_id
    assert again.document_id != other.document_id


def test_a_missing_id_is_made_from_the_other_fields() -> None:
    """The canonical form of agency, date, number and notation."""
    fields = _fields(NEW, ("<edXML:DocumentId>000.00.32.H53,2026/11/06,302/UBND-VP</edXML:DocumentId>", ""))

    assert "000.00.32.H53,2026/11/06,302/UBND-VP" == fields.document_id
    assert 2 == codes(fields.warnings).count("N.MessageHeader.DocumentId")


@pytest.mark.parametrize("document_id", ["x" * 201, "a\nb"])
def test_an_id_that_cannot_be_used(document_id: str) -> None:
    """Too long or on two lines: the canonical form is taken instead, with the reason."""
    fields = _fields(NEW, ("000.00.32.H53,2026/11/06,302/UBND-VP<", f"{document_id}<"))

    assert "000.00.32.H53,2026/11/06,302/UBND-VP" == fields.document_id
    assert any("cannot be used" in warning.text for warning in fields.warnings)


def test_no_id_at_all() -> None:
    """Where nothing can be put together, the file's digest is the id."""
    source = example(
        NEW,
        ("<edXML:DocumentId>000.00.32.H53,2026/11/06,302/UBND-VP</edXML:DocumentId>", ""),
        ("<edXML:PromulgationDate>2026/11/06</edXML:PromulgationDate>", ""),
    )

    fields = to_document(read_document(source))

    assert f"edxml-document-{sha256(source).hexdigest()[:32]}" == fields.document_id


@pytest.mark.parametrize("kind", ["4", "x"])
def test_an_unknown_business_is_refused(kind: str) -> None:
    """What is to be done with the document is not guessed."""
    with pytest.raises(EdXMLError, match="BussinessDocType"):
        _fields(NEW, ("<edXML:BussinessDocType>0<", f"<edXML:BussinessDocType>{kind}<"))


def test_an_unreadable_attachment_makes_the_file_the_document() -> None:
    """The edXML bytes themselves are sent, and the warning says so."""
    source = with_attachment("[BASE64 of 361100 characters removed]")

    fields = to_document(read_document(source), name="cv-302.edxml")

    assert [("cv-302.edxml", source)] == [(file.name, file.content) for file in fields.files]
    assert "N.AttachmentEncoded" == fields.warnings[-1].code
    assert "the edXML file itself is the document" in fields.warnings[-1].text


def test_attachments_can_be_demanded() -> None:
    """Then one that cannot be read is an error."""
    with pytest.raises(EdXMLError, match="1 of 1 attachments cannot be read"):
        to_document(read_document(with_attachment("?")), contents="attachments")


def test_the_file_can_be_demanded() -> None:
    """Then readable attachments stay inside it, and nothing is warned of."""
    fields = to_document(read_document(example()), name="a.edxml", contents="file")

    assert ["a.edxml"] == [file.name for file in fields.files]
    assert () == fields.warnings


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ([("<edXML:Subject>Báo cáo kết quả ứng phó mưa lớn", "<edXML:Subject>Báo\n\tcáo   số 1")], "Báo cáo số 1"),
        ([("<edXML:Subject>Báo cáo kết quả ứng phó mưa lớn", "<edXML:Subject>")], "Báo cáo kết quả ứng phó mưa lớn"),
        ([("Báo cáo kết quả ứng phó mưa lớn", "")], "Báo cáo 302/UBND-VP"),
        (
            [
                ("Báo cáo kết quả ứng phó mưa lớn", ""),
                ("<edXML:TypeName>Báo cáo<", "<edXML:TypeName><"),
                ("<edXML:CodeNumber>302<", "<edXML:CodeNumber><"),
                ("<edXML:CodeNotation>UBND-VP<", "<edXML:CodeNotation><"),
            ],
            "(không có trích yếu)",
        ),
    ],
)
def test_titles(changes: list[tuple[str, str]], title: str) -> None:
    """Subject on one line, else Content, else type and number, else a text that says there is none."""
    assert title == _fields(NEW, *changes).title


def test_an_endless_subject_is_cut_for_the_title() -> None:
    """A document can always be sent, and the warning says what was cut."""
    fields = _fields(NEW, ("<edXML:Subject>Báo", f"<edXML:Subject>{'ộ' * 4_000}"))

    assert 8_192 >= len(fields.title.encode()) > 8_180
    assert any("cut" in warning.text for warning in fields.warnings)


def test_two_responses() -> None:
    """The first is the reference, all of them are properties."""
    text = example().decode()
    start, end = text.index("<edXML:ResponseFor>"), text.index("</edXML:ResponseFor>") + len("</edXML:ResponseFor>")
    second = text[start:end].replace("15/CĐ", "16/CĐ")

    fields = to_document(read_document((text[:end] + second + text[end:]).encode()))

    assert fields.reply == ("000.00.00.H53", "000.00.00.H53,2026/11/03,15/CĐ-UBND")
    assert 2 == len(dict(fields.properties)["edxml.ResponseFor"].splitlines())
    assert ["R.MessageHeader.ResponseFor"] == codes(fields.warnings)


def test_hostile_attachment_names() -> None:
    """A path becomes a plain name, with a warning."""
    fields = to_document(read_document(with_attachment(encoded(b"x"), name="../../etc/passwd")))

    assert ["passwd"] == [file.name for file in fields.files]
    assert "M.AttachmentEncoded.Attachment[1].AttachmentName" in codes(fields.warnings)
