"""The tolerant view of an element."""

from __future__ import annotations

import pytest

from tests.support.edxml import codes, cursor


def test_order_does_not_matter() -> None:
    """A child is found wherever it stands, and white space around its text goes."""
    one, notes = cursor("<X><B> 2\n</B><A>1</A></X>")

    assert ("1", "2", None) == (one.text("A"), one.text("B"), one.text("C"))
    assert [] == codes(notes.warnings())


def test_missing_and_empty() -> None:
    """Only what is required is reported, and missing is told from empty."""
    one, notes = cursor("<X><B/></X>")

    assert (None, None) == (one.text("A", required=True), one.text("B", required=True))
    assert ["N.X.A: is missing", "N.X.B: is empty"] == [warning.line for warning in notes.warnings()]


def test_below_a_missing_element_nothing_more_is_missing() -> None:
    """One missing element is one warning, however many children it should have."""
    one, notes = cursor("<X/>")

    assert one.one("Code", required=True).text("CodeNumber", required=True) is None
    assert ["N.X.Code"] == codes(notes.warnings())


def test_a_second_element_is_reported() -> None:
    """The first is used."""
    one, notes = cursor("<X><A>1</A><A>2</A></X>")

    assert "1" == one.text("A")
    assert ["R.X.A"] == codes(notes.warnings())


def test_elements_of_one_name_are_counted_from_one() -> None:
    """A path names the very element; a single one needs no number."""
    one, _ = cursor("<X><To/><To/><From/></X>")

    assert ["X.To[1]", "X.To[2]"] == [each.path for each in one.many("To")]
    assert ["X.From"] == [each.path for each in one.many("From")]


def test_unknown_children_are_reported_once() -> None:
    """What nobody asked for does not vanish in silence."""
    one, notes = cursor("<X><A/><New/><New/></X>")
    one.text("A")
    one.close()

    assert ["M.X.New"] == codes(notes.warnings())


def test_invisible_characters_are_kept_and_shown() -> None:
    """The text stays as it is; the warning shows where the character is."""
    one, notes = cursor("<X><OrganName>huyện\u200b Tân Châu</OrganName></X>")

    assert "huyện\u200b Tân Châu" == one.text("OrganName")
    assert ['M.X.OrganName: has characters that cannot be seen: "huyện<U+200B> Tân Châu"'] == [
        warning.line for warning in notes.warnings()
    ]


def test_line_ends_are_seen() -> None:
    """A subject on two lines has nothing invisible."""
    one, notes = cursor("<X><Subject>a\n\tb</Subject></X>")

    assert "a\n\tb" == one.text("Subject")
    assert [] == codes(notes.warnings())


def test_longer_than_the_standard_is_kept() -> None:
    """The standard's lengths are its intent; real texts are longer."""
    one, notes = cursor(f"<X><CodeNumber>{'1' * 12}</CodeNumber></X>")

    assert "1" * 12 == one.text("CodeNumber")
    assert ["R.X.CodeNumber"] == codes(notes.warnings())


@pytest.mark.parametrize(("parent", "allowed"), [("PromulgationInfo", 50), ("ToPlaces", 150)])
def test_a_place_has_the_length_of_its_parent(parent: str, allowed: int) -> None:
    """Place means two things, with two lengths."""
    for length, expected in ((allowed, []), (allowed + 1, [f"R.{parent}.Place"])):
        one, notes = cursor(f"<X><Place>{'x' * length}</Place></X>", path=parent)
        one.text("Place")

        assert expected == codes(notes.warnings())


@pytest.mark.parametrize("text", ["0", "007", "4294967295"])
def test_numbers(text: str) -> None:
    """Leading zeros are allowed."""
    one, notes = cursor(f"<X><A>{text}</A></X>")

    assert int(text) == one.number("A")
    assert [] == codes(notes.warnings())


@pytest.mark.parametrize("text", ["x", "-1", "+1", "1_0", "1.0", "٣", "²", "9" * 5_000])
def test_what_is_no_number(text: str) -> None:
    """Signs, other scripts' digits and endless ones are a warning, not a crash."""
    one, notes = cursor(f"<X><A>{text}</A></X>")

    assert one.number("A") is None
    assert ["T.X.A"] == codes(notes.warnings())


@pytest.mark.parametrize(("text", "flag"), [("0", False), ("1", True), ("false", False), ("True", True), ("2", None)])
def test_flags(text: str, flag: bool | None) -> None:
    """Both spellings of a flag are read; anything else is a warning."""
    one, notes = cursor(f"<X><A>{text}</A></X>")

    assert flag is one.flag("A")
    assert ([] if flag is not None else ["T.X.A"]) == codes(notes.warnings())


@pytest.mark.parametrize(
    ("xml", "empty"), [("<X/>", True), ("<X> </X>", True), ("<X>1</X>", False), ("<X><A/></X>", False)]
)
def test_empty_is_without_children_and_text(xml: str, empty: bool) -> None:
    """White space alone is nothing."""
    assert empty is cursor(xml)[0].is_empty
