"""Business statuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from docbus.documents.statuses import NEW, StatusCode, StatusState, next_state, replay

ARRIVED, REFUSED, REGISTERED, ASSIGNED, PROCESSING, FINISHED, TAKE_BACK, AGREED, DECLINED, WANTING = StatusCode
WORK = (ARRIVED, REFUSED, REGISTERED, ASSIGNED, PROCESSING, FINISHED)


def _flags(*codes: StatusCode) -> tuple[int, ...]:
    return replay(codes)[1]


def test_codes_are_those_of_edxml() -> None:
    """Numbers, two digits, and both names; one code is docbus's own."""
    assert [1, 2, 3, 4, 5, 6, 13, 15, 16] == [code for code in StatusCode if code.of_edxml]
    assert [StatusCode.CONTENT_UNAVAILABLE] == [code for code in StatusCode if not code.of_edxml]
    assert ("03", "Đang xử lý", "refused") == (REGISTERED.text, PROCESSING.vietnamese, REFUSED.english)


def test_every_code_has_both_names() -> None:
    """No screen shows a bare number, and no two codes look alike."""
    assert (
        len(StatusCode) == len({code.vietnamese for code in StatusCode}) == len({code.english for code in StatusCode})
    )


def test_only_a_take_back_comes_from_the_sender() -> None:
    """Everything else is for the recipient to say."""
    assert [TAKE_BACK] == [code for code in StatusCode if code.sent_by == "sender"]


def test_refusal_and_take_back_need_a_reason() -> None:
    """As agencies' rules demand."""
    assert [REFUSED, TAKE_BACK] == [code for code in StatusCode if code.needs_reason]


@pytest.mark.parametrize(
    "codes",
    [
        (ARRIVED, REGISTERED, PROCESSING, FINISHED),
        (ARRIVED, REGISTERED, ASSIGNED, PROCESSING, FINISHED),
        (ARRIVED, REGISTERED, PROCESSING, ASSIGNED, FINISHED),
        (ARRIVED, REFUSED),
        (REFUSED, ARRIVED),
        (REGISTERED, ARRIVED, PROCESSING),
        (ARRIVED, REGISTERED, TAKE_BACK, AGREED),
        (ARRIVED, TAKE_BACK, DECLINED, TAKE_BACK, AGREED),
        (ARRIVED, REGISTERED, TAKE_BACK, DECLINED, AGREED),
        (ARRIVED, REGISTERED, TAKE_BACK, PROCESSING, DECLINED, FINISHED),
        (TAKE_BACK, AGREED, ARRIVED),
    ],
)
def test_paths_that_happen(codes: tuple[StatusCode, ...]) -> None:
    """Nothing on an ordinary path is flagged, even where 01 is overtaken."""
    assert () == _flags(*codes)


@pytest.mark.parametrize(
    ("codes", "flagged"),
    [
        ((PROCESSING,), (0,)),
        ((ASSIGNED,), (0,)),
        ((FINISHED,), (0,)),
        ((ARRIVED, FINISHED), (1,)),
        ((ARRIVED, REGISTERED, FINISHED), (2,)),
        ((REGISTERED, ASSIGNED, FINISHED), (2,)),
        ((ARRIVED, REFUSED, REGISTERED), (2,)),
        ((ARRIVED, REFUSED, FINISHED), (2,)),
        ((REGISTERED, REFUSED), (1,)),
        ((REGISTERED, PROCESSING, FINISHED, REFUSED), (3,)),
        ((ARRIVED, REFUSED, REGISTERED, PROCESSING), (2, 3)),
        ((AGREED,), (0,)),
        ((DECLINED,), (0,)),
        ((TAKE_BACK, AGREED, DECLINED), (2,)),
        ((TAKE_BACK, AGREED, TAKE_BACK), (2,)),
        ((REGISTERED, TAKE_BACK, AGREED, PROCESSING), (3,)),
    ],
)
def test_impossible_jumps_are_flagged(codes: tuple[StatusCode, ...], flagged: tuple[int, ...]) -> None:
    """A skipped stage, a step after an end and a contradiction are each flagged where they come."""
    assert flagged == _flags(*codes)


@pytest.mark.parametrize(
    ("codes", "updates", "flagged"),
    [
        ((REGISTERED, TAKE_BACK, AGREED, PROCESSING, FINISHED), {1}, ()),
        ((TAKE_BACK, AGREED, TAKE_BACK, AGREED), {0, 2}, ()),
        ((TAKE_BACK, AGREED, TAKE_BACK, AGREED), {0}, ()),
        ((TAKE_BACK, TAKE_BACK, AGREED, AGREED), {0}, ()),
        ((TAKE_BACK, AGREED, TAKE_BACK), {2}, (2,)),
        ((REGISTERED, TAKE_BACK, AGREED, TAKE_BACK, AGREED, PROCESSING), {1}, (5,)),
        ((REGISTERED, TAKE_BACK, TAKE_BACK, AGREED, PROCESSING), {1}, (4,)),
        ((TAKE_BACK, AGREED, DECLINED), {0}, (2,)),
    ],
)
def test_an_update_ends_nothing(codes: tuple[StatusCode, ...], updates: set[int], flagged: tuple[int, ...]) -> None:
    """A document that was updated is worked on and changed again; one that was recalled is not."""
    assert flagged == replay(codes, updates)[1]


def test_an_impossible_jump_is_applied() -> None:
    """Finished without processing shows as finished, and says what is missing."""
    state, possible, repeated = next_state(StatusState(reported=frozenset({ARRIVED})), FINISHED)

    assert (False, False) == (possible, repeated)
    assert FINISHED is state.processing
    assert {REGISTERED, PROCESSING} == state.missing


def test_a_late_stage_closes_the_gap() -> None:
    """What was skipped and comes later is possible, and nothing is missing any more."""
    state, flagged = replay((ARRIVED, PROCESSING, REGISTERED))

    assert ((1,), PROCESSING, frozenset()) == (flagged, state.processing, state.missing)


def test_a_repeated_status_changes_nothing() -> None:
    """The same status again is no jump, whatever came between."""
    state, _ = replay((ARRIVED, REGISTERED, PROCESSING, TAKE_BACK))

    for code in (ARRIVED, REGISTERED, PROCESSING, TAKE_BACK):
        assert (state, True, True) == next_state(state, code)


def test_a_contradiction_stays_visible() -> None:
    """Refused and registered at once is said to be contradictory in whichever order it came."""
    assert replay((REFUSED, REGISTERED))[0].contradictory
    assert replay((REGISTERED, REFUSED))[0].contradictory
    assert not replay((ARRIVED, REFUSED))[0].contradictory


@given(
    st.lists(st.sampled_from(WORK), max_size=12).flatmap(
        lambda codes: st.tuples(st.just(codes), st.permutations(codes))
    )
)
def test_processing_does_not_depend_on_order(case: tuple[list[StatusCode], list[StatusCode]]) -> None:
    """The same statuses lead to the same state in any order."""
    codes, shuffled = case

    assert replay(codes)[0] == replay(shuffled)[0]


class Journey(RuleBasedStateMachine):
    """Statuses in any order, against the plain list of what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.state = NEW
        self.said: list[StatusCode] = []

    @rule(code=st.sampled_from(StatusCode))
    def report(self, code: StatusCode) -> None:
        before = self.state
        self.state, possible, repeated = next_state(before, code)

        assert repeated == (self.state == before)
        assert possible or not repeated
        self.said.append(code)

    @rule()
    def repeat(self) -> None:
        if self.said:
            code = self.said[-1]
            assert (self.state, True, True) == next_state(self.state, code)

    @invariant()
    def nothing_is_dropped(self) -> None:
        assert {code for code in self.said if code in WORK} == self.state.reported
        assert next((code for code in reversed(self.said) if code not in (*WORK, WANTING)), None) is self.state.change

    @invariant()
    def flags_are_replayed(self) -> None:
        assert self.state == replay(self.said)[0]

    @invariant()
    def an_unflagged_past_is_sound(self) -> None:
        if not replay(self.said)[1]:
            assert not self.state.missing
            assert not self.state.contradictory


TestJourney = Journey.TestCase


@pytest.mark.parametrize("later", [(ARRIVED,), (REGISTERED, PROCESSING, FINISHED), (REFUSED,)])
def test_wanting_content_is_no_stage(later: tuple[StatusCode, ...]) -> None:
    """After content could not be had, everything is possible that was possible before."""
    assert replay(later)[1] == replay((WANTING, WANTING, *later))[1] == ()
    assert replay(later)[0] == replay((WANTING, *later))[0]
