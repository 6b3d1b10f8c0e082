"""Fields of the header, each changed by one thing."""

from __future__ import annotations

import pytest

from docbus.documents.document import Urgency
from docbus.documents.statuses import StatusCode
from tests.support.edxml import NEW, STATUS, codes, example, read_document, read_status


def _removed(name: str, source: bytes | None = None) -> bytes:
    """Return the example without the first element of a name."""
    text = (source or example()).decode()
    start = text.index(f"<edXML:{name}>")
    return (text[:start] + text[text.index(f"</edXML:{name}>", start) + len(f"</edXML:{name}>") :]).encode()


def test_every_field_of_a_document() -> None:
    """What the example says is what is read."""
    document = read_document(example())

    assert ("000.00.32.H53", "UBND huyện Châu Thành") == (document.sender.organ_id, document.sender.name)
    assert ["000.00.00.H53"] == [to.organ_id for to in document.recipients]
    assert "000.00.32.H53,2026/11/06,302/UBND-VP" == document.document_id
    assert ("302", "UBND-VP") == (document.number, document.notation)
    assert ("Tây Ninh", "2026/11/06") == (document.place, document.promulgation_date)
    assert (2, 14, "Báo cáo") == (document.type_list, document.type_row, document.type_name)
    assert "Báo cáo kết quả ứng phó mưa lớn" == document.subject == document.content
    assert "Nguyễn Văn Ví Dụ" == document.signer_name
    assert (Urgency.NORMAL, 1, "0") == (document.urgency, document.pages, document.steering)
    assert ("- UBND tỉnh Tây Ninh", "- Lưu: VT") == document.to_places
    assert ["000.00.00.H53,2026/11/03,15/CĐ-UBND"] == [reply.document_id for reply in document.replies]
    assert ("document", "Văn bản điện tử mới", False) == (
        document.business.kind,
        document.business.reason,
        document.business.paper,
    )
    assert "Trần Thị Mẫu" == document.business.staff[0].name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("DocumentId", "N.MessageHeader.DocumentId"),
        ("Code", "N.MessageHeader.Code"),
        ("CodeNumber", "N.MessageHeader.Code.CodeNumber"),
        ("PromulgationInfo", "N.MessageHeader.PromulgationInfo"),
        ("PromulgationDate", "N.MessageHeader.PromulgationInfo.PromulgationDate"),
        ("DocumentType", "N.MessageHeader.DocumentType"),
        ("TypeName", "N.MessageHeader.DocumentType.TypeName"),
        ("Subject", "N.MessageHeader.Subject"),
        ("SignerInfo", "N.MessageHeader.SignerInfo"),
        ("From", "N.MessageHeader.From"),
        ("To", "N.MessageHeader.To"),
        ("OrganName", "N.MessageHeader.From.OrganName"),
        ("OrganId", "N.MessageHeader.From.OrganId"),
        ("TraceHeaderList", "N.TraceHeaderList"),
        ("TraceHeader", "N.TraceHeaderList.TraceHeader"),
        ("Bussiness", "N.TraceHeaderList.Bussiness"),
        ("BussinessDocType", "N.TraceHeaderList.Bussiness.BussinessDocType"),
    ],
)
def test_a_missing_element_is_a_warning(name: str, code: str) -> None:
    """Without any one element the rest is still read, and the one is named."""
    document = read_document(_removed(name))

    assert code in codes(document.warnings)
    assert document.attachments[0].content


@pytest.mark.parametrize(
    "name", ["Content", "OtherInfo", "Priority", "ToPlaces", "ResponseFor", "OrganizationInCharge"]
)
def test_what_may_be_missing(name: str) -> None:
    """Optional elements leave no trace."""
    assert [] == codes(read_document(_removed(name)).warnings)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            (">2026/11/06</edXML:PromulgationDate>", ">2014/02/30</edXML:PromulgationDate>"),
            "M.MessageHeader.PromulgationInfo.PromulgationDate",
        ),
        (
            ("<edXML:SteeringType>", "<edXML:DueDate>20/11/2026</edXML:DueDate><edXML:SteeringType>"),
            "M.MessageHeader.DueDate",
        ),
        (("<edXML:Priority>0<", "<edXML:Priority>5<"), "R.MessageHeader.OtherInfo.Priority"),
        (("<edXML:Priority>0<", "<edXML:Priority>khẩn<"), "T.MessageHeader.OtherInfo.Priority"),
        (("<edXML:Type>2<", "<edXML:Type>hai<"), "T.MessageHeader.DocumentType.Type"),
        (("<edXML:PageAmount>1<", "<edXML:PageAmount>-1<"), "T.MessageHeader.OtherInfo.PageAmount"),
        (("<edXML:Paper>0<", "<edXML:Paper>không<"), "T.TraceHeaderList.Bussiness.Paper"),
        (("<edXML:BussinessDocType>0<", "<edXML:BussinessDocType>4<"), "R.TraceHeaderList.Bussiness.BussinessDocType"),
        (
            ("<edXML:BussinessDocType>0<", "<edXML:BussinessDocType>mới<"),
            "T.TraceHeaderList.Bussiness.BussinessDocType",
        ),
        (("<edXML:CodeNumber>302<", "<edXML:CodeNumber>303<"), "M.MessageHeader.DocumentId"),
        (("<edXML:DocumentId>000.00.32.H53,", "<edXML:DocumentId>000.00.33.H53,"), "M.MessageHeader.DocumentId"),
        (("15/CĐ-UBND</edXML:Code>", "16/CĐ-UBND</edXML:Code>"), "M.MessageHeader.ResponseFor.DocumentId"),
        (("<edXML:SteeringType>", "<edXML:Secret>1</edXML:Secret><edXML:SteeringType>"), "M.MessageHeader.Secret"),
        (("UBND huyện Châu", "UBND\u200b huyện Châu"), "M.MessageHeader.From.OrganName"),
        (("2026/11/06 08:30:00", "06/11/2026"), "M.TraceHeaderList.TraceHeader.Timestamp"),
        (("2026/11/06 08:30:00", "null"), "N.TraceHeaderList.TraceHeader.Timestamp"),
        (("<edXML:Subject>Báo cáo", f"<edXML:Subject>{'x' * 500}"), "R.MessageHeader.Subject"),
    ],
)
def test_one_odd_value_is_one_warning(change: tuple[str, str], code: str) -> None:
    """A value that is not as it should be is told by its code, and the rest is read."""
    document = read_document(example(NEW, change))

    assert code in codes(document.warnings)
    assert document.attachments[0].content


def test_an_impossible_date_is_kept_as_text() -> None:
    """What the sender wrote is not corrected."""
    change = (">2026/11/06</edXML:PromulgationDate>", ">2014/02/30</edXML:PromulgationDate>")

    assert "2014/02/30" == read_document(example(NEW, change)).promulgation_date


@pytest.mark.parametrize("number", range(5))
def test_priorities(number: int) -> None:
    """0 to 4 are degrees of urgency."""
    document = read_document(example(NEW, ("<edXML:Priority>0<", f"<edXML:Priority>{number}<")))

    assert (Urgency(number), []) == (document.urgency, codes(document.warnings))


@pytest.mark.parametrize("text", ["5", "-1", "khẩn", "99999999999"])
def test_another_priority_is_normal(text: str) -> None:
    """What is out of range counts as 0."""
    assert Urgency.NORMAL is read_document(example(NEW, ("<edXML:Priority>0<", f"<edXML:Priority>{text}<"))).urgency


@pytest.mark.parametrize("text", ["4", "mới", "-1"])
def test_an_unknown_business_is_not_guessed(text: str) -> None:
    """A recall that cannot be recognised must not pass for a new document."""
    change = ("<edXML:BussinessDocType>0<", f"<edXML:BussinessDocType>{text}<")

    assert read_document(example(NEW, change)).business.kind is None


@pytest.mark.parametrize("empty", ["<edXML:ResponseFor/>", "<edXML:ResponseFor> </edXML:ResponseFor>"])
def test_an_empty_response_is_none(empty: str) -> None:
    """An empty ResponseFor is met in the field and says nothing."""
    source = _removed("ResponseFor").decode().replace("<edXML:SteeringType>", f"{empty}<edXML:SteeringType>").encode()

    document = read_document(source)

    assert () == document.replies
    assert ["N.MessageHeader.ResponseFor"] == codes(document.warnings)


def test_a_recipient_that_is_there_twice() -> None:
    """The second is named; both are kept as read."""
    source = example("new-one-to-many.edxml", ("000.00.32.H53</edXML:OrganId>", "000.00.02.H53</edXML:OrganId>"))

    document = read_document(source)

    assert "R.MessageHeader.To[2].OrganId" in codes(document.warnings)
    assert 4 == len(document.recipients)


def test_trace_headers_are_verbatim() -> None:
    """What hubs add is kept with its names, order, spaces and unknown children."""
    hub = (
        "<edXML:TraceHeader><edXML:Hub> 7 </edXML:Hub><edXML:OrganId>001.00.20.TT2</edXML:OrganId></edXML:TraceHeader>"
    )
    document = read_document(example(NEW, ("<edXML:Bussiness>", f"{hub}<edXML:Bussiness>")))

    assert (("Hub", " 7 "), ("OrganId", "001.00.20.TT2")) == document.traces[1].fields
    assert ["N.TraceHeaderList.TraceHeader[2].Timestamp"] == codes(document.warnings)


def test_a_business_beside_the_trace_headers() -> None:
    """It is found wherever a sender puts it."""
    text = example().decode()
    start, end = text.index("<edXML:Bussiness>"), text.index("</edXML:Bussiness>") + len("</edXML:Bussiness>")
    moved = text[:start] + text[end:].replace("</edXML:edXMLHeader>", text[start:end] + "</edXML:edXMLHeader>")

    assert "Văn bản điện tử mới" == read_document(moved.encode()).business.reason


def test_every_field_of_a_status() -> None:
    """What the example says is what is read."""
    status = read_status(example(STATUS))

    assert ("000.00.02.H53", StatusCode.REGISTERED, "03") == (status.sender.organ_id, status.code, status.code_text)
    assert "Tiếp nhận, vào sổ văn bản đến số 2315" == status.description
    assert "2026/11/02 14:05:09" == status.timestamp
    assert ["Lê Văn Thử"] == [staff.name for staff in status.staff]
    assert status.reply is not None
    assert ("000.00.00.H53", "000.00.00.H53,2026/11/02,1207/UBND-KT") == (
        status.reply.organ_id,
        status.reply.document_id,
    )


@pytest.mark.parametrize(("text", "code"), [("03", 3), ("3", 3), ("13", 13), ("07", None), ("003", None), ("xx", None)])
def test_status_codes(text: str, code: int | None) -> None:
    """One digit is as good as two; an unknown code stays unknown."""
    status = read_status(example(STATUS, ("<edXML:StatusCode>03<", f"<edXML:StatusCode>{text}<")))

    assert code == status.code
    assert text == status.code_text
    assert ([] if code else ["M.MessageHeader.StatusCode"]) == codes(status.warnings)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ResponseFor", "N.MessageHeader.ResponseFor"),
        ("Timestamp", "N.MessageHeader.Timestamp"),
        ("From", "N.MessageHeader.From"),
        ("OrganName", "N.MessageHeader.From.OrganName"),
        ("DocumentId", "N.MessageHeader.ResponseFor.DocumentId"),
    ],
)
def test_a_status_without_an_element(name: str, code: str) -> None:
    """A status is read without any one element but its code."""
    assert [code] == codes(read_status(_removed(name, example(STATUS))).warnings)


def test_a_status_of_an_impossible_time() -> None:
    """The time is kept as text."""
    status = read_status(example(STATUS, ("14:05:09", "25:05:09")))

    assert "2026/11/02 25:05:09" == status.timestamp
    assert ["M.MessageHeader.Timestamp"] == codes(status.warnings)
