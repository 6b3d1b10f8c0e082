from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers.listed import Listed, Origin
from docbus.consumers.requests import RequestRow, RequestState
from docbus.consumers.selection import UNALTERABLE, Selection, judge

if TYPE_CHECKING:
    from docbus.envelope.act import Action

NOW = 1_000_000


def listed(**changed: Any) -> Listed:
    """Return a dead letter as it is listed."""
    values: dict[str, Any] = {
        "topic": "dead-letter",
        "number": 3,
        "mark": bytes(32),
        "set_aside_at": NOW,
        "step": "C3",
        "reason": "not_competent",
        "detail": "",
        "size": 1,
        "origin": Origin("inbox", 0, 0, NOW, "vn:H26"),
        "sender": "vn:H26",
        "document_id": "15/UBND",
        "revision": 1,
        "proven": True,
        "row": None,
    }
    return Listed(**(values | changed))


def row(action: str, state: RequestState, code: str | None = None) -> RequestRow:
    """Return an act in force."""
    return RequestRow("dead-letter", 3, bytes(32), action, "lan", "why", NOW, state, code, "", None)


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(everything=True), True),
        (Selection(numbers=(1, 3)), True),
        (Selection(numbers=(1,)), False),
        (Selection(documents=("15/UBND",), sender="vn:H26", refused_for="not_competent"), True),
        (Selection(documents=("15/UBND",), sender="vn:H53"), False),
        (Selection(refused_for="conflict"), False),
        (Selection(before_ms=NOW + 1, after_ms=NOW), True),
        (Selection(before_ms=NOW), False),
        (Selection(after_ms=NOW + 1), False),
    ],
)
def test_what_is_given_must_all_be_true(selection: Selection, meant: bool) -> None:
    """Selectors are and-ed."""
    assert meant == selection.holds(listed())


def test_nothing_given_is_nothing_meant() -> None:
    """An empty selection knows that it is one, and a single word is enough to be none."""
    assert Selection().empty
    assert not any(one.empty for one in (Selection(everything=True), Selection(numbers=(0,)), Selection(before_ms=0)))


@pytest.mark.parametrize(
    ("action", "state", "in_force", "verdict"),
    [
        ("redeliver", RequestState.REQUESTED, "redeliver", "already"),
        ("redeliver", RequestState.WAITING, "redeliver", "already"),
        ("redeliver", RequestState.DONE, "redeliver", "already"),
        ("redeliver", RequestState.IN_VAIN, "redeliver", "do"),
        ("redeliver", RequestState.REQUESTED, "reject", "already"),
        ("redeliver", RequestState.DONE, "reject", "refused"),
        ("reject", RequestState.REQUESTED, "redeliver", "do"),
        ("reject", RequestState.DONE, "redeliver", "refused"),
        ("reject", RequestState.DONE, "reject", "already"),
        ("reject", RequestState.IN_VAIN, "redeliver", "do"),
    ],
)
def test_nothing_is_done_twice(action: Action, state: RequestState, in_force: str, verdict: str) -> None:
    """What was decided before says what a new decision may do."""
    assert verdict == judge(action, listed(row=row(in_force, state, "filed"))).verdict


@pytest.mark.parametrize("reason", sorted(UNALTERABLE))
def test_evidence_can_only_be_rejected(reason: str) -> None:
    """What contradicts, comes too late or is another's can be refused for good, and nothing else."""
    one = listed(topic="quarantine", reason=reason)

    assert ("refused", "do") == (judge("release", one).verdict, judge("reject", one).verdict)


def test_only_conflicts_in_quarantine_can_be_redelivered() -> None:
    """What was never verified is released, not redelivered."""
    verdicts = [
        judge("redeliver", listed(topic="quarantine", reason=reason)).verdict
        for reason in ("conflict", "batch_key_unusable")
    ]

    assert ["do", "refused"] == verdicts
