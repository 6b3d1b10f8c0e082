"""Canonical document ids."""

from __future__ import annotations

import pytest

from docbus.edxml.document_id import contradictions, join_number, make_document_id, split_document_id

CANONICAL = "000.00.00.G22,2015/09/30,7816/VPCP-TTĐT"


def test_split_and_make_are_inverse() -> None:
    """The parts of a canonical id make it again."""
    parts = split_document_id(CANONICAL)

    assert ("000.00.00.G22", "2015/09/30", "7816/VPCP-TTĐT") == parts
    assert parts is not None
    assert CANONICAL == make_document_id(*parts)


@pytest.mark.parametrize(
    "document_id", ["0f8fad5b-d9cb-469f-a165-70867728950e", "H37-2026-12/CV", "a,b,c", ",2015/09/30,1"]
)
def test_other_forms_have_no_parts(document_id: str) -> None:
    """A UUID or a sender's own form is not taken apart."""
    assert split_document_id(document_id) is None


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_id_needs_all_parts(missing: int) -> None:
    """With one part missing none is made up."""
    parts: list[str | None] = ["000.00.00.G22", "2015/09/30", "7816/VPCP"]
    parts[missing] = None

    assert make_document_id(*parts) is None


def test_number_and_notation() -> None:
    """Both with a stroke between, or the one that is there."""
    assert ("12/UBND", "12", "UBND", None) == (
        join_number("12", "UBND"),
        join_number("12", None),
        join_number(None, "UBND"),
        join_number(None, None),
    )


def test_no_contradiction() -> None:
    """An id that agrees with its fields, or stands alone, is fine."""
    assert [] == contradictions(CANONICAL, "000.00.00.G22", "2015/09/30", "7816/VPCP-TTĐT")
    assert [] == contradictions(CANONICAL, None, None, None)
    assert [] == contradictions("anything", "000.00.00.G22", "2015/09/30", "7816/VPCP-TTĐT")


def test_each_contradiction_is_told() -> None:
    """Agency, day, number, and a day that does not exist."""
    found = contradictions(CANONICAL.replace("09/30", "02/30"), "H26", "2015/09/30", "7817/VPCP-TTĐT")

    assert ["is not in the calendar", '"H26"', '"2015/09/30"', '"7817/VPCP-TTĐT"'] == [
        text.rsplit(" says ")[-1].removeprefix("says 2015/02/30, which ") for text in found
    ]
