"""Types of administrative documents (Decree 30/2020/NĐ-CP article 7, abbreviations of its annex III)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """One of the 29 types.

    Args:
        number: Place in article 7, from 1. Not the row of edXML's TypeDetail: the two part ways at 21.
        name: As it stands on the document.
        abbreviation: Part of a document's notation; letter case and Đ against D are significant. None: it has none.
        individual: The type also exists as normative document, and here only the individual one («cá biệt») is meant.
    """

    number: int
    name: str
    abbreviation: str | None
    individual: bool = False


_ROWS: tuple[tuple[str, str | None], ...] = (
    ("Nghị quyết", "NQ"),
    ("Quyết định", "QĐ"),
    ("Chỉ thị", "CT"),
    ("Quy chế", "QC"),
    ("Quy định", "QyĐ"),
    ("Thông cáo", "TC"),
    ("Thông báo", "TB"),
    ("Hướng dẫn", "HD"),
    ("Chương trình", "CTr"),
    ("Kế hoạch", "KH"),
    ("Phương án", "PA"),
    ("Đề án", "ĐA"),
    ("Dự án", "DA"),
    ("Báo cáo", "BC"),
    ("Biên bản", "BB"),
    ("Tờ trình", "TTr"),
    ("Hợp đồng", "HĐ"),
    ("Công văn", "CV"),  # the annex has none; software writes CV
    ("Công điện", "CĐ"),
    ("Bản ghi nhớ", "BGN"),
    ("Bản thỏa thuận", "BTT"),
    ("Giấy ủy quyền", "GUQ"),
    ("Giấy mời", "GM"),
    ("Giấy giới thiệu", "GGT"),
    ("Giấy nghỉ phép", "GNP"),
    ("Phiếu gửi", "PG"),
    ("Phiếu chuyển", "PC"),
    ("Phiếu báo", "PB"),
    ("Thư công", None),
)
_INDIVIDUAL = frozenset({1, 2})

TYPES = tuple(
    DocumentType(number=number, name=name, abbreviation=abbreviation, individual=number in _INDIVIDUAL)
    for number, (name, abbreviation) in enumerate(_ROWS, start=1)
)
COPIES = {"SY": "Sao y", "TrS": "Trích sao", "SL": "Sao lục"}
"""Abbreviation and name of the three kinds of copies (Decree 30/2020/NĐ-CP article 25)."""

_BY_ABBREVIATION = {kind.abbreviation: kind for kind in TYPES if kind.abbreviation is not None}


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


_BY_NAME = {_plain(kind.name): kind for kind in TYPES} | {
    _plain(f"{kind.name} (cá biệt)"): kind for kind in TYPES if kind.individual
}


def type_by_number(number: int) -> DocumentType | None:
    """Return the type at a place in article 7."""
    return TYPES[number - 1] if 1 <= number <= len(TYPES) else None


def type_by_abbreviation(abbreviation: str) -> DocumentType | None:
    """Return the type of an abbreviation, letter case being significant."""
    return _BY_ABBREVIATION.get(unicodedata.normalize("NFC", abbreviation))


def type_by_name(name: str) -> DocumentType | None:
    """Return the type of a name, whatever its letter case and spacing, or None for one of another list."""
    return _BY_NAME.get(_plain(name))
