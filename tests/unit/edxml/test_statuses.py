"""edXML statuses as docbus's fields."""

from __future__ import annotations

import pytest

from docbus.documents.statuses import StatusCode
from docbus.edxml import StatusFields, to_status
from docbus.errors import EdXMLError
from tests.support.edxml import STATUS, codes, example, read_status

TAKE_BACK = "status-13-take-back.edxml"
THREE_ID = "000.00.00.H53,2026/11/02,1207/UBND-KT"


def _fields(name: str = STATUS, *changes: tuple[str, str]) -> StatusFields:
    return to_status(read_status(example(name, *changes)))


def test_a_status_of_the_recipient() -> None:
    """It is told to the document's sender."""
    fields = _fields()

    assert ("000.00.02.H53", "000.00.00.H53") == (fields.sender, fields.addressee)
    assert ("000.00.00.H53", THREE_ID) == (fields.document_sender, fields.document_id)
    assert (StatusCode.REGISTERED, "Tiếp nhận, vào sổ văn bản đến số 2315") == (fields.code, fields.note)
    assert ("Lê Văn Thử, Văn thư, vanthu2@example.gov.vn",) == fields.staff
    assert () == fields.warnings


def test_the_time_is_read_as_vietnamese() -> None:
    """14:05:09 there is 07:05:09 in UTC."""
    fields = _fields()

    assert ("2026/11/02 14:05:09", 1_793_603_109_000) == (fields.at_text, fields.at_ms)


def test_an_impossible_time_stays_text() -> None:
    """No time is made up."""
    fields = _fields(STATUS, ("2026/11/02 14:05:09", "2026/02/30 14:05:09"))

    assert ("2026/02/30 14:05:09", None) == (fields.at_text, fields.at_ms)


def test_a_take_back_comes_from_the_documents_sender() -> None:
    """ResponseFor names the recipient there, and the document is the sender's own."""
    fields = _fields(TAKE_BACK)

    assert ("000.00.00.H53", "000.00.02.H53") == (fields.sender, fields.addressee)
    assert ("000.00.00.H53", THREE_ID) == (fields.document_sender, fields.document_id)


@pytest.mark.parametrize("name", [STATUS, TAKE_BACK])
def test_a_missing_id_is_made_from_the_other_fields(name: str) -> None:
    """By the agency whose document it is, in both directions."""
    fields = _fields(name, (f"<edXML:DocumentId>{THREE_ID}</edXML:DocumentId>", ""))

    assert THREE_ID == fields.document_id
    assert 2 == codes(fields.warnings).count("N.MessageHeader.ResponseFor.DocumentId")


def test_a_missing_agency_is_taken_from_the_id() -> None:
    """The canonical id begins with the document's sender."""
    fields = _fields(
        STATUS, ("<edXML:ResponseFor>\n          <edXML:OrganId>000.00.00.H53</edXML:OrganId>", "<edXML:ResponseFor>")
    )

    assert "000.00.00.H53" == fields.addressee


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (STATUS, [("<edXML:StatusCode>03<", "<edXML:StatusCode>07<")]),
        (STATUS, [("<edXML:StatusCode>03<", "<edXML:StatusCode><")]),
        (STATUS, [("<edXML:OrganId>000.00.02.H53</edXML:OrganId>", "")]),
        (STATUS, [(THREE_ID, ""), ("1207/UBND-KT", "")]),
        (STATUS, [("<edXML:OrganId>000.00.00.H53</edXML:OrganId>", ""), (THREE_ID, "0f8fad5b")]),
        (TAKE_BACK, [("<edXML:OrganId>000.00.02.H53</edXML:OrganId>", "")]),
    ],
)
def test_what_cannot_be_told_is_refused(name: str, changes: list[tuple[str, str]]) -> None:
    """An unknown code, or a status that does not say who, to whom or about what, is never guessed at."""
    with pytest.raises(EdXMLError):
        _fields(name, *changes)


def test_a_refusal_without_reason_is_a_warning() -> None:
    """Agencies' rules demand one, the field does not always have it."""
    with_reason = _fields("status-02-refused.edxml")
    without = _fields("status-02-refused.edxml", ("Từ chối tiếp nhận: tệp không mở được, đề nghị gửi lại", ""))

    assert () == with_reason.warnings
    assert ["N.MessageHeader.Description"] == codes(without.warnings)
