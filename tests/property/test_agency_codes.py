"""Agency codes: the scheme follows from the shape, and the hierarchy is a tree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from docbus.errors import AgencyCodeError
from docbus.identity.agency import AgencyId, parse_canonical
from docbus.identity.schemes import SCHEMES
from docbus.transport.topics import inbox, owner_of

LEVEL_1 = st.from_regex(r"[A-Y][0-9]{2}", fullmatch=True)
VN = st.builds(
    lambda first, groups: ".".join([first, *groups])[:35].rstrip("."),
    LEVEL_1,
    st.lists(st.from_regex(r"[0-9A-Z]{1,6}", fullmatch=True), max_size=6),
)
VN2016 = st.from_regex(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Y][0-9]{2}", fullmatch=True)
ZEROS_2016 = st.builds(
    lambda v, z, y, m: f"{v:03}.{z:02}.{y:02}.{m}",
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 1),
    LEVEL_1,
)
LEGACY = st.builds(
    lambda groups, first: ".".join([*groups, first]),
    st.lists(st.from_regex(r"[0-9]{2,3}", fullmatch=True), min_size=2, max_size=3),
    LEVEL_1,
).filter(lambda code: not SCHEMES["vn2016"].shape.fullmatch(code))
CODES = st.one_of(VN, VN2016, ZEROS_2016, LEGACY)
NEAR_CODES = st.one_of(CODES, st.text(alphabet="0123456789.AGHYZ", max_size=40))


def _parse(text: str) -> tuple[AgencyId | None, AgencyCodeError | None]:
    try:
        return AgencyId.parse(text), None
    except AgencyCodeError as error:
        return None, error


@given(NEAR_CODES)
def test_a_code_has_at_most_one_scheme(text: str) -> None:
    """No text has the shape of two schemes, so a bare code is never ambiguous."""
    fitting = [s.name for s in SCHEMES.values() if s.bare and s.shape.fullmatch(text)]

    assert len(fitting) <= 1
    if fitting:
        assert f"{fitting[0]}:{text}" == str(AgencyId.parse(text))


@given(VN, VN2016, LEGACY)
def test_each_form_is_its_scheme(vn: str, vn2016: str, legacy: str) -> None:
    """Codes built after each source's rule are read as that source's."""
    assert ["vn", "vn2016", "vnlegacy"] == [AgencyId.parse(code).scheme for code in (vn, vn2016, legacy)]


@given(CODES)
def test_canonical_id_reads_back(code: str) -> None:
    """A code's canonical id names the same agency, and its inbox belongs to it."""
    found = AgencyId.parse(code)

    assert found == AgencyId.parse(str(found)) == parse_canonical(str(found))
    assert hash(found) == hash(parse_canonical(str(found)))
    assert str(found) == owner_of(inbox(str(found)))
    assert inbox(str(found)).endswith(f".{found.topic_value}")


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_an_error(text: str) -> None:
    """Whatever is typed, the answer is an id or an error that says what to do."""
    found, refused = _parse(text)

    if refused is None:
        assert text in {found.code, str(found)}  # type: ignore[union-attr] # one of the two is there
    else:
        assert refused.hint
        assert refused.text.isprintable()


@given(CODES, st.data())
def test_one_character_that_is_not_plain_is_always_refused(code: str, data: st.DataObject) -> None:
    """Wherever an invisible or foreign character stands in a code, it is refused and named."""
    at = data.draw(st.integers(0, len(code)))
    strange = data.draw(st.characters(exclude_characters="".join(map(chr, range(0x21, 0x7F)))))

    _, refused = _parse(code[:at] + strange + code[at:])

    assert refused is not None
    assert f"U+{ord(strange):04X}" in refused.text
    assert f"at position {at + 1}" in refused.text


@given(CODES)
def test_superiors_end_at_level_1(code: str) -> None:
    """Going up always ends, each step at a lower level and before its subordinate in the order."""
    below = AgencyId.parse(code)

    for above in below.ancestors:
        assert above.scheme == below.scheme
        assert (above.level or 0) < (below.level or 0)
        assert above < below
        below = above
    assert below.parent is None
    assert below.level in {1, None}


@given(st.lists(st.one_of(VN, ZEROS_2016), max_size=12))
def test_order_keeps_subtrees_together(codes: list[str]) -> None:
    """In the order, what is below an agency follows it without anything else between."""
    ids = {AgencyId.parse(code) for code in codes}
    ids |= {ancestor for found in ids for ancestor in found.ancestors}
    ordered = sorted(ids)

    for at, agency in enumerate(ordered):
        below = [number for number, other in enumerate(ordered) if agency in other.ancestors]
        assert list(range(at + 1, at + 1 + len(below))) == below


@given(CODES, CODES)
def test_order_is_total_and_agrees_with_equality(one: str, other: str) -> None:
    """Of two ids exactly one comes first, unless they are the same."""
    a, b = AgencyId.parse(one), AgencyId.parse(other)

    assert 1 == sum([a < b, a == b, a > b])
