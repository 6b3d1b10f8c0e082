"""What an error about many records says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from docbus.client.redrive import SHOWN_REFUSED, _first


def test_records_that_an_error_names_are_bounded() -> None:
    """The first records are named with their reasons, and then how many more there are."""
    refused: list[Any] = [
        SimpleNamespace(listed=SimpleNamespace(topic="quarantine", number=number), why="no")
        for number in range(SHOWN_REFUSED + 3)
    ]

    assert "quarantine 0: no" == _first(refused[:1])
    assert SHOWN_REFUSED == _first(refused).count(": no")
    assert _first(refused).endswith("; and 3 more")
