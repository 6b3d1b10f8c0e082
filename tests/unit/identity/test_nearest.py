"""Similar codes."""

from __future__ import annotations

import pytest

from docbus.identity.nearest import nearest


def _known(*ids: str) -> dict[str, str]:
    return {agency_id: agency_id for agency_id in ids}


@pytest.mark.parametrize("asked", ["vn:H37.03", "vn:H37.2", "vn:H37.022", "vn:H73.02", "vn:G37.02", "vn:H37.0.2"])
def test_one_keystroke_is_found(asked: str) -> None:
    """A wrong, missing, additional or swapped character leads to the code that was meant."""
    known = _known("vn:H37.02")

    assert [("H37.02", "vn:H37.02")] == nearest(asked, known.get)


def test_at_most_three_are_named() -> None:
    """A hint stays readable."""
    known = _known(*(f"vn:H37.0{digit}" for digit in range(9)))

    assert 3 == len(nearest("vn:H37.09", known.get))


def test_superior_is_named_where_nothing_is_similar() -> None:
    """For an unknown subordinate the nearest known superior is named."""
    assert [("H37", "vn:H37")] == nearest("vn:H37.88.99", _known("vn:H37").get)


def test_alias_names_its_agency() -> None:
    """A similar alias is shown as typed, with the agency behind it."""
    assert [("000.00.00.H53", "vn:H53")] == nearest("vn2016:000.00.00.H54", {"vn2016:000.00.00.H53": "vn:H53"}.get)


def test_nothing_is_named_where_nothing_is_known() -> None:
    """An empty directory gives no hints."""
    assert [] == nearest("vn:H37", _known().get)
