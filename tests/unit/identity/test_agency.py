"""Codes people type, and what is refused."""

from __future__ import annotations

import re

import pytest

from docbus.errors import AgencyCodeError
from docbus.identity.agency import AgencyId, parse_canonical
from docbus.identity.schemes import SCHEMES, Scheme


@pytest.mark.parametrize(
    ("text", "canonical", "level", "parent"),
    [
        ("H26", "vn:H26", 1, None),
        ("H37.02.02", "vn:H37.02.02", 3, "vn:H37.02"),
        ("G12.18", "vn:G12.18", 2, "vn:G12"),
        ("H37.DN.001", "vn:H37.DN.001", 3, "vn:H37.DN"),
        ("vn:H26", "vn:H26", 1, None),
        ("000.00.00.H53", "vn2016:000.00.00.H53", 1, None),
        ("000.00.32.H53", "vn2016:000.00.32.H53", 2, "vn2016:000.00.00.H53"),
        ("000.21.32.H53", "vn2016:000.21.32.H53", 3, "vn2016:000.00.32.H53"),
        ("001.01.07.H53", "vn2016:001.01.07.H53", 4, "vn2016:000.01.07.H53"),
        ("002.00.20.H13", "vn2016:002.00.20.H13", 4, "vn2016:000.00.20.H13"),
        ("28.22.H17", "vnlegacy:28.22.H17", None, None),
        ("00.22.W00", "vnlegacy:00.22.W00", None, None),
        ("99.99.99.G21", "vnlegacy:99.99.99.G21", None, None),
        ("01.02.G22", "vnlegacy:01.02.G22", None, None),
        ("999.010.01.H22", "vnlegacy:999.010.01.H22", None, None),
    ],
)
def test_code_is_read(text: str, canonical: str, level: int | None, parent: str | None) -> None:
    """A code's shape tells its scheme, level and superior."""
    found = AgencyId.parse(text)

    assert canonical == str(found)
    assert text.removeprefix("vn:") == found.code
    assert level == found.level
    assert parent == (None if found.parent is None else str(found.parent))
    assert found == AgencyId.parse(str(found)) == parse_canonical(str(found))


def test_ancestors_are_nearest_first() -> None:
    """All superiors follow from the code, in both forms."""
    assert ["vn:H37.02", "vn:H37"] == [str(a) for a in AgencyId.parse("H37.02.02").ancestors]
    assert ["vn2016:000.01.07.H53", "vn2016:000.00.07.H53", "vn2016:000.00.00.H53"] == [
        str(a) for a in AgencyId.parse("001.01.07.H53").ancestors
    ]


def test_order_is_by_hierarchy() -> None:
    """A superior comes right before everything below it, whichever end of the code it stands at."""
    ordered = [
        "vn:G12",
        "vn:H37",
        "vn:H37.02",
        "vn:H37.02.02",
        "vn:H37.1",
        "vn2016:000.00.00.H53",
        "vn2016:000.00.32.H53",
        "vn2016:000.21.32.H53",
        "vn2016:000.00.33.H53",
        "vnlegacy:28.22.H17",
    ]

    assert ordered == [str(a) for a in sorted(AgencyId.parse(text) for text in reversed(ordered))]


def test_other_things_are_not_ordered() -> None:
    """An id is not compared with text, which would be right only by chance."""
    with pytest.raises(TypeError):
        AgencyId.parse("H26") < "H27"  # noqa: B015 - comparing is the test


@pytest.mark.parametrize(
    ("text", "shown", "meant"),
    [
        ("H37.0\u200b2", 'agency code "H37.0<U+200B>2" has U+200B ZERO WIDTH SPACE at position 6', "H37.02"),
        ("\ufeffH37", 'agency code "<U+FEFF>H37" has U+FEFF ZERO WIDTH NO-BREAK SPACE at position 1', "H37"),
        ("h37.02", 'agency code "h37.02" has U+0068 LATIN SMALL LETTER H at position 1', "H37.02"),
        ("H\uff137", 'agency code "H<U+FF13>7" has U+FF13 FULLWIDTH DIGIT THREE at position 2', "H37"),
        ("\u041d37", 'agency code "<U+041D>37" has U+041D CYRILLIC CAPITAL LETTER EN at position 1', "H37"),
        ("\u039737", 'agency code "<U+0397>37" has U+0397 GREEK CAPITAL LETTER ETA at position 1', "H37"),
        ("H37 ", 'agency code "H37<U+0020>" has U+0020 SPACE at position 4', "H37"),
        ("H37\x00", 'agency code "H37<U+0000>" has U+0000 (a control character) at position 4', "H37"),
        ("H37\n", 'agency code "H37<U+000A>" has U+000A (a control character) at position 4', "H37"),
    ],
)
def test_wrong_character_is_shown(text: str, shown: str, meant: str) -> None:
    """A code with a character that looks right is refused; the character is named, and the remedy."""
    with pytest.raises(AgencyCodeError) as caught:
        AgencyId.parse(text)

    assert shown == caught.value.text
    assert f"Write {meant}, if that is the code you mean; type it, do not copy it." == caught.value.hint


NO_CODES = [
    *("", ".", "Z26", "H2", "H266", "H26.", ".H26", "H26..01", "H26-01", "000.1137.H53", "001.00.20.TT2", "22.H17"),
    *("H26." + "1" * 32, "0000.00.00.H53", "000.00.00.Z53", "1.2.H17", "01.02.03.04.H17", "vxp.saas.03", "x" * 10_000),
]


@pytest.mark.parametrize("text", NO_CODES)
def test_what_is_no_code_is_refused(text: str) -> None:
    """What has no known shape is refused with a short error, however long it is."""
    with pytest.raises(AgencyCodeError) as caught:
        AgencyId.parse(text)

    assert caught.value.hint
    assert len(caught.value.text) < 500


@pytest.mark.parametrize(
    "text", ["VN:H26", "gov:H26", ":H26", "vn:", "vn:h26", "vn:000.21.32.H53", "vn2016:H26", "vnlegacy:000.21.32.H53"]
)
def test_scheme_and_value_must_agree(text: str) -> None:
    """An explicit scheme is spelled exactly, and its value has that scheme's shape."""
    with pytest.raises(AgencyCodeError):
        AgencyId.parse(text)


def test_bare_code_is_not_canonical() -> None:
    """Where only canonical ids may stand, nothing is completed."""
    with pytest.raises(AgencyCodeError, match="has no scheme in front"):
        parse_canonical("H26")


@pytest.mark.parametrize(("text", "word"), [("28.22.H17", "before 2016"), ("002.00.20.H13", "skips a level")])
def test_unusual_code_carries_a_warning(text: str, word: str) -> None:
    """An accepted but unusual code says what is unusual."""
    assert word in str(AgencyId.parse(text).warning)


@pytest.mark.parametrize("text", ["H37.02.02", "000.21.32.H53", "000.00.00.H53", "001.01.07.H53"])
def test_usual_code_carries_no_warning(text: str) -> None:
    """The usual forms are quiet."""
    assert None is AgencyId.parse(text).warning


def test_another_scheme_needs_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme with another alphabet is read everywhere once it stands in the one dict."""
    scheme = Scheme(
        name="xroad",
        title="X-Road",
        example="EE/GOV/70006317",
        shape=re.compile(r"[A-Z]{2}/[A-Z]+/[A-Za-z0-9]+"),
        bare=False,
        upper_case=False,
        path=lambda value: tuple(value.split("/")),
        parent=lambda _value: None,
        level=lambda _value: None,
        warning=lambda _value: None,
    )
    monkeypatch.setitem(SCHEMES, "xroad", scheme)

    assert "xroad:EE/GOV/abc1" == str(AgencyId.parse("xroad:EE/GOV/abc1"))
    assert "EE-2fGOV-2fabc1" == AgencyId.parse("xroad:EE/GOV/abc1").topic_value
    with pytest.raises(AgencyCodeError):
        AgencyId.parse("EE/GOV/abc1")


def test_topic_value_of_a_code_is_the_code() -> None:
    """Vietnamese codes need no escape."""
    assert "000.21.32.H53" == AgencyId.parse("000.21.32.H53").topic_value
