"""Documents: a valid one, and each of its fields changed by one thing."""

from __future__ import annotations

from typing import Any

import pytest

from docbus.documents.document import KINDS, Document, DocumentReference, Urgency
from docbus.documents.file import File
from docbus.errors import DocumentError

FILE = File(name="a.pdf", media_type="application/pdf", content=b"%PDF-")
OTHER = DocumentReference(sender="vn:H26", document_id="7816/VPCP-TTĐT")


def _make(**changes: Any) -> Document:
    valid: dict[str, Any] = {
        "document_id": "000.00.00.H53,2026/11/02,1207/UBND-KT",
        "title": "V/v rà soát điện mặt trời",
        "files": (FILE,),
        "recipients": ("vn2016:000.00.02.H53", "vn:H26"),
    }
    return Document(**(valid | changes))


def _file(name: str) -> File:
    return File(name=name, media_type="text/plain", content=b"x")


def test_only_four_fields_are_needed() -> None:
    """Everything else has the value that an ordinary document has."""
    document = _make()

    assert (1, "document", Urgency.NORMAL, None, (), ()) == (
        document.revision,
        document.kind,
        document.urgency,
        document.number,
        document.concerns,
        document.properties,
    )


def test_numbers_and_lists_are_brought_into_shape() -> None:
    """A plain number becomes an urgency, a list a tuple: the document cannot be changed through what it was made of."""
    recipients = ["vn:H26"]

    document = _make(urgency=3, recipients=recipients)
    recipients.append("vn:H53")

    assert (Urgency.FLASH, ("vn:H26",)) == (document.urgency, document.recipients)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("document_id", {"document_id": ""}),
        ("document_id", {"document_id": "x" * 201}),
        ("document_id", {"document_id": "ộ" * 67}),
        ("document_id", {"document_id": "a\x00b"}),
        ("document_id", {"document_id": "a\nb"}),
        ("document_id", {"document_id": "a "}),
        ("document_id", {"document_id": "a\ud800"}),
        ("revision", {"revision": 0}),
        ("revision", {"revision": 2**31}),
        ("kind", {"kind": "letter"}),
        ("urgency", {"urgency": 5}),
        ("urgency", {"urgency": -1}),
        ("title", {"title": ""}),
        ("title", {"title": "  "}),
        ("title", {"title": "a\x1b[2Jb"}),
        ("title", {"title": "x" * 8193}),
        ("number", {"number": ""}),
        ("number", {"number": "a\nb"}),
        ("type", {"type": "x" * 8193}),
        ("summary", {"summary": "a\x00"}),
        ("summary", {"summary": "x" * 8193}),
        ("files", {"files": ()}),
        ("files", {"files": (), "kind": "replacement", "concerns": (OTHER,)}),
        ("files", {"files": tuple(_file(f"{n}") for n in range(1025))}),
        ("files", {"files": (_file("a.txt"), _file("a.txt"))}),
        ("files", {"files": (_file("Phụ lục.txt"), _file("phụ lục.TXT"))}),
        ("recipients", {"recipients": ()}),
        ("recipients", {"recipients": "vn:H26"}),
        ("recipients", {"recipients": ("vn:H26", "")}),
        ("recipients", {"recipients": ("vn:H26", "vn:H\n26")}),
        ("recipients", {"recipients": ("vn:" + "H" * 62,)}),
        ("recipients", {"recipients": ("vn:H26", "vn:H53", "vn:H26")}),
        ("recipients", {"recipients": tuple(f"vn:H26.{n}" for n in range(4097))}),
        ("concerns", {"kind": "recall"}),
        ("concerns", {"kind": "update"}),
        ("concerns", {"kind": "replacement"}),
        ("concerns", {"concerns": (OTHER,)}),
        ("concerns", {"kind": "recall", "concerns": (OTHER, OTHER)}),
        (
            "concerns",
            {
                "kind": "recall",
                "concerns": tuple(DocumentReference(sender="vn:H26", document_id=f"{n}") for n in range(1025)),
            },
        ),
        ("created", {"created": -1}),
        ("created", {"created": 2**63}),
        ("not_after", {"created": 1_000, "not_after": 999}),
        ("not_after", {"not_after": -1}),
        ("properties", {"properties": (("", "x"),)}),
        ("properties", {"properties": (("a", "x"), ("a", "y"))}),
        ("properties", {"properties": (("a", "x\x01y"),)}),
        ("properties", {"properties": tuple((f"{n}", "x") for n in range(129))}),
    ],
)
def test_one_wrong_field_is_named(field: str, changes: dict[str, Any]) -> None:
    """A document that differs from a valid one in one field is refused, and the error begins with that field."""
    with pytest.raises(DocumentError, match=rf"^{field}\b"):
        _make(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"document_id": "x" * 200},
        {"document_id": "ộ" * 66},
        {"title": "x" * 8192},
        {"summary": "dòng 1\n\tdòng 2\r\n"},
        {"summary": ""},
        {"recipients": tuple(f"vn:H26.{n}" for n in range(4096))},
        {"files": tuple(_file(f"{n}") for n in range(1024))},
        {"kind": "recall", "concerns": (OTHER,), "files": ()},
        {"kind": "update", "concerns": (OTHER,), "files": ()},
        {"created": 1_000, "not_after": 1_000},
        {"not_after": 0},
        {"in_reply_to": OTHER},
        {"properties": (("edxml.DueDate", "2026/02/30"), ("x", ""))},
        {"revision": 2**31 - 1},
    ],
)
def test_what_is_just_allowed(changes: dict[str, Any]) -> None:
    """The largest and the emptiest valid values pass."""
    document = _make(**changes)

    assert changes == {name: getattr(document, name) for name in changes}


def test_the_repeated_recipient_is_named() -> None:
    """With hundreds of recipients the user learns which one is there twice."""
    with pytest.raises(DocumentError, match=r"vn:H26.7"):
        _make(recipients=(*(f"vn:H26.{n}" for n in range(40)), "vn:H26.7"))


@pytest.mark.parametrize(
    ("field", "changes"),
    [("sender", {"sender": ""}), ("document_id", {"document_id": "a\n"}), ("revision", {"revision": 0})],
)
def test_a_reference_to_nothing_is_refused(field: str, changes: dict[str, Any]) -> None:
    """A reference checks its fields as a document does."""
    with pytest.raises(DocumentError, match=f"^{field}: "):
        DocumentReference(**({"sender": "vn:H26", "document_id": "x"} | changes))


def test_kinds_are_numbered_as_in_edxml() -> None:
    """The place of a kind is its BussinessDocType."""
    assert ("document", "recall", "update", "replacement") == KINDS


def test_every_urgency_has_its_name() -> None:
    """The names of Decree 30/2020, and the fifth that only messages have."""
    assert ["Thường", "Khẩn", "Thượng khẩn", "Hỏa tốc", "Hỏa tốc hẹn giờ"] == [u.vietnamese for u in Urgency]
