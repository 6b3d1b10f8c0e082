"""Document types."""

from __future__ import annotations

import unicodedata

import pytest

from docbus.documents.types import COPIES, TYPES, type_by_abbreviation, type_by_name, type_by_number


def test_article_7_has_29_types() -> None:
    """Numbers run from 1 to 29, and names and abbreviations are unique."""
    abbreviations = [kind.abbreviation for kind in TYPES if kind.abbreviation]

    assert list(range(1, 30)) == [kind.number for kind in TYPES]
    assert 29 == len({kind.name for kind in TYPES})
    assert 28 == len(set(abbreviations)) == len(abbreviations)


@pytest.mark.parametrize(
    ("abbreviation", "name"),
    [
        ("QĐ", "Quyết định"),
        ("QyĐ", "Quy định"),
        ("ĐA", "Đề án"),
        ("DA", "Dự án"),
        ("CT", "Chỉ thị"),
        ("CTr", "Chương trình"),
        ("TC", "Thông cáo"),
        ("TTr", "Tờ trình"),
    ],
)
def test_abbreviations_that_differ_by_a_stroke(abbreviation: str, name: str) -> None:
    """Letter case and Đ against D tell types apart."""
    found = type_by_abbreviation(abbreviation)

    assert found is not None
    assert name == found.name


@pytest.mark.parametrize("abbreviation", ["qđ", "QYĐ", "QD", "", "XX"])
def test_what_is_no_abbreviation(abbreviation: str) -> None:
    """Nothing is guessed from another letter case."""
    assert type_by_abbreviation(abbreviation) is None


@pytest.mark.parametrize("name", ["Công văn", "CÔNG VĂN", "công  văn ", unicodedata.normalize("NFD", "Công văn")])
def test_a_name_in_any_form(name: str) -> None:
    """Letter case, spacing and composition do not matter in a name."""
    found = type_by_name(name)

    assert found is not None
    assert 18 == found.number


def test_individual_types() -> None:
    """The two that also exist as normative documents are found with and without the remark."""
    assert type_by_name("Nghị quyết") == type_by_name("Nghị quyết (cá biệt)") == TYPES[0]
    assert [1, 2] == [kind.number for kind in TYPES if kind.individual]


def test_numbers_outside_the_list() -> None:
    """There is no type 0 and none after 29."""
    assert (None, None, "Thư công") == (
        type_by_number(0),
        type_by_number(30),
        getattr(type_by_number(29), "name", None),
    )


def test_copies() -> None:
    """The three kinds of copies."""
    assert {"SY": "Sao y", "TrS": "Trích sao", "SL": "Sao lục"} == COPIES


def test_a_name_of_another_list() -> None:
    """A law is no administrative document."""
    assert type_by_name("Luật") is None
