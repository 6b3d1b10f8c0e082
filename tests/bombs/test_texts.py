"""Rows 19 and 24 of the threats: names that lead away, and texts that take a terminal or a log over."""

from __future__ import annotations

import pytest

from tests.bombs import text_attacks
from tests.support.cost import cost_of

MAX_COST_BYTES = 100 * text_attacks.LONG
"""Bytes that names and texts of 256 KiB may cost, 25 MiB: each becomes up to eight characters for one, some times."""
MAX_CPU_SECONDS = 10.0
"""Seconds of a processor; a pattern that looks at a long text again for each of its characters takes hours."""


def test_a_name_leads_nowhere() -> None:
    """A hostile name is refused by sender and recipient, and the sink keeps even such a file in its folder."""
    cost = cost_of(text_attacks.names)

    given, to_sink = cost.outcome["given"]
    assert [given, given] == cost.outcome["refused"]
    assert to_sink == cost.outcome["files"]
    assert [] == cost.outcome["outside"] == cost.outcome["links"]
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


@pytest.mark.parametrize("where", ["terminal", "file"])
def test_a_text_controls_nothing(where: str) -> None:
    """Texts of peers, of brokers and of errors reach no terminal as controls, and no log as a line of their own."""
    cost = cost_of(text_attacks.texts, where)

    assert [] == cost.outcome["controls"]
    assert 0 == cost.outcome["forged"]
    assert len(text_attacks.TEXTS) - 1 == cost.outcome["refused"]
    if where == "file":
        assert cost.outcome["events"] == cost.outcome["lines"]
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS
