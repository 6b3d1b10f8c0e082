"""The lists that Type and TypeDetail point into."""

from __future__ import annotations

import pytest

from docbus.edxml.document_types import LISTS, type_of_list


def test_the_lists_have_13_and_32_rows() -> None:
    """Normative and administrative."""
    assert [13, 32] == [len(rows) for rows in LISTS.values()]


@pytest.mark.parametrize(
    ("type_list", "row", "name"),
    [(2, 18, "Công văn"), (1, 8, "Quyết định"), (2, 21, "Bản cam kết"), (2, 32, "Thư công"), (1, 1, "Hiến pháp")],
)
def test_a_row(type_list: int, row: int, name: str) -> None:
    """Rows count from 1; from 21 on list B is not the one of Decree 30/2020."""
    assert name == type_of_list(type_list, row)


@pytest.mark.parametrize(("type_list", "row"), [(None, 18), (2, None), (2, 0), (2, 33), (3, 1), (0, 1), (18, 18)])
def test_no_row(type_list: int | None, row: int | None) -> None:
    """Missing, zero and unknown numbers name nothing."""
    assert type_of_list(type_list, row) is None
