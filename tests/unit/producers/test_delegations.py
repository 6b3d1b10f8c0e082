"""Whether an agency may send for another."""

from __future__ import annotations

import pytest

from docbus.identity import entries
from docbus.producers.delegations import delegation_error
from tests.support.directory import NOW_MS, DirectoryBuilder

HOUSE, UNIT = "vn:H26", "vn:H26.01"
DELEGATION = entries.Delegation(
    agency=HOUSE, delegate=UNIT, kinds=("document",), not_before=NOW_MS, not_after=NOW_MS + 1000, reason="leave"
)
END = entries.DelegationEnd(agency=HOUSE, delegate=UNIT, reason="back")
CLOSURE = entries.Closure(agency=HOUSE, successor=None, reason="dissolved")


@pytest.mark.parametrize(
    ("changes", "kind", "now_ms", "reason"),
    [
        ([DELEGATION], "document", NOW_MS, None),
        ([DELEGATION], "document", NOW_MS + 1000, None),
        ([], "document", NOW_MS, "holds no delegation"),
        ([DELEGATION, END], "document", NOW_MS, "holds no delegation"),
        ([DELEGATION, CLOSURE], "document", NOW_MS, "holds no delegation"),
        ([DELEGATION], "recall", NOW_MS, "is for document, and this is a recall"),
        ([DELEGATION], "document", NOW_MS - 1, "has not begun, or is over"),
        ([DELEGATION], "document", NOW_MS + 1001, "has not begun, or is over"),
    ],
)
def test_each_reason_is_named(changes: list[entries.Change], kind: str, now_ms: int, reason: str | None) -> None:
    """A delegation that is in force, for the kind and at the time, lets the unit send; anything else has its reason."""
    builder = DirectoryBuilder()
    builder.grant(HOUSE)
    builder.grant(UNIT)
    for change in changes:
        builder.append(change)

    error = delegation_error(HOUSE, UNIT, kind, builder.snapshot(), now_ms, step="P1")

    assert (reason is None) is (error is None)
    assert (reason or "") in ("" if error is None else error.text)
