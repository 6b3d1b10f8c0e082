"""Fields that docbus has no place for."""

from __future__ import annotations

from docbus.edxml.notes import Notes
from docbus.edxml.properties import properties_of, summary_of, type_of
from docbus.limits import MAX_TEXT_BYTES
from tests.support.edxml import NEW, codes, example, read_document


def _properties(source: bytes) -> dict[str, str]:
    return dict(properties_of(read_document(source), "00ff", Notes()))


def test_the_rest_is_kept_by_its_path() -> None:
    """Signer, place, dates, places and hubs."""
    properties = _properties(example())

    assert "00ff" == properties["edxml.sha256"]
    assert "Nguyễn Văn Ví Dụ" == properties["edxml.SignerInfo.FullName"]
    assert "2026/11/06" == properties["edxml.PromulgationInfo.PromulgationDate"]
    assert "- UBND tỉnh Tây Ninh\n- Lưu: VT" == properties["edxml.ToPlaces"]
    assert "OrganId 000.00.32.H53; Timestamp 2026/11/06 08:30:00" == properties["edxml.TraceHeaderList"]
    assert "000.00.00.H53; 000.00.00.H53,2026/11/03,15/CĐ-UBND; 15/CĐ-UBND" == properties["edxml.ResponseFor"]
    assert "false" == properties["edxml.Bussiness.Paper"]


def test_what_is_missing_is_left_out() -> None:
    """There is no property without a value."""
    properties = _properties(example())

    assert "edxml.DueDate" not in properties
    assert all(properties.values())


def test_an_update_tells_its_receivers() -> None:
    """Which parts changed, and which receivers are new."""
    properties = _properties(example("update.edxml"))

    assert ("false", "true", "000.00.32.H53 0") == tuple(
        properties[f"edxml.Bussiness.{name}"] for name in ("DocumentInfo", "DocumentReceiver", "ReceiverList")
    )


def test_a_replacement_tells_what_for_whom() -> None:
    """The replaced document and its receivers on one line."""
    assert (
        "000.00.00.H53,2026/11/02,1207/UBND-KT: 000.00.02.H53"
        == _properties(example("replacement.edxml"))["edxml.Bussiness.ReplacementInfoList"]
    )


def test_a_long_field_is_cut_with_a_warning() -> None:
    """Thousands of hubs or places do not make the document impossible to send."""
    notes = Notes()
    document = read_document(example(NEW, ("- Lưu: VT", "ộ" * 5_000)))

    properties = dict(properties_of(document, "00ff", notes))

    assert MAX_TEXT_BYTES - 3 < len(properties["edxml.ToPlaces"].encode()) <= MAX_TEXT_BYTES
    assert ["R.ToPlaces"] == codes(notes.warnings())


def test_a_summary_that_says_more_than_the_subject() -> None:
    """Content is the summary, unless it only repeats Subject."""
    other = example(NEW, ("<edXML:Content>Báo cáo", "<edXML:Content>Tóm tắt: báo cáo"))

    assert summary_of(read_document(example()), Notes()) is None
    assert "Tóm tắt: báo cáo kết quả ứng phó mưa lớn" == summary_of(read_document(other), Notes())


def test_a_type_by_its_row() -> None:
    """Without TypeName the lists tell the name."""
    notes = Notes()
    document = read_document(example(NEW, ("<edXML:TypeName>Báo cáo</edXML:TypeName>", "")))

    assert "Báo cáo" == type_of(document, notes)
    assert ["N.MessageHeader.DocumentType.TypeName"] == codes(notes.warnings())
