"""The canonical form of a DocumentId: ``<OrganId>,<yyyy/MM/dd>,<number>/<notation>`` (domain notes 1.4)."""

from __future__ import annotations

import re
from typing import NamedTuple

from docbus.documents.texts import show
from docbus.edxml.dates import day_of

_CANONICAL = re.compile(r"([^,]+),([0-9]{4}/[0-9]{2}/[0-9]{2}),(.+)", re.DOTALL)


class DocumentIdParts(NamedTuple):
    """Parts of a canonical id, as given."""

    organ_id: str
    day: str
    number: str


def split_document_id(document_id: str) -> DocumentIdParts | None:
    """Return the parts of a canonical id; None for a UUID or another form. A hint only, never used to match."""
    found = _CANONICAL.fullmatch(document_id)
    return DocumentIdParts(*found.groups()) if found else None


def make_document_id(organ_id: str | None, day: str | None, number: str | None) -> str | None:
    """Return the canonical id of these parts, or None if one is missing."""
    return f"{organ_id},{day},{number}" if organ_id and day and number else None


def join_number(number: str | None, notation: str | None) -> str | None:
    """Return ``number/notation``, or the one that is there."""
    return "/".join(part for part in (number, notation) if part) or None


def contradictions(document_id: str, organ_id: str | None, day: str | None, number: str | None) -> list[str]:
    """Return in words where a canonical id says other things than the fields beside it.

    Args:
        document_id: Any form; only a canonical one can contradict.
        organ_id: The agency's code beside it.
        day: The promulgation date beside it.
        number: Number and notation beside it.
    """
    parts = split_document_id(document_id)
    if parts is None:
        return []
    found = []
    if day_of(parts.day) is None:
        found.append(f"says {parts.day}, which is not in the calendar")
    for said, beside, what in (
        (parts.organ_id, organ_id, "OrganId"),
        (parts.day, day, "PromulgationDate"),
        (parts.number, number, "Code"),
    ):
        if beside and said != beside:
            found.append(f"says {show(said)}, {what} says {show(beside)}")
    return found
