from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.cli.output import plain
from docbus.cli.status import _show
from docbus.documents.deadlines import Stage
from docbus.producers.overdue import OverdueDocument, OverdueStage
from tests.support.outbox import ANNA, NOW_MS
from tests.support.status import empty_status

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HOUR_MS = 60 * 60 * 1000
LATE = OverdueStage(
    stage=Stage.RECEIVED,
    count=1200,
    due_at=NOW_MS - HOUR_MS,
    first=(OverdueDocument("a", 1, ANNA, False, NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS),),
)


def test_overdue_stands_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number, since when, and the first documents with recipient and deadline are there at a glance."""
    _show(empty_status(tmp_path, overdue=(LATE,)))

    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["OVERDUE,", "not", "received", "1,200,", "the", "first", "since", "2026-11-23T08:00:00Z"] in printed
    assert ["a", "H37", "not", "received", "2026-11-23T08:00:00Z"] in printed


def test_nothing_is_said_of_what_is_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is overdue the word does not appear."""
    _show(empty_status(tmp_path))

    assert "overdue" not in capsys.readouterr().out.lower()


def test_programs_get_times_and_stages(tmp_path: Path) -> None:
    """In JSON each stage has its number, and its documents with times as RFC 3339."""
    (found,) = plain(empty_status(tmp_path, overdue=(LATE,)))["overdue"]

    assert ("received", 1200, "2026-11-23T08:00:00.000Z") == (found["stage"], found["count"], found["due_at"])
    assert [("a", ANNA, "2026-11-23T07:00:00.000Z")] == [
        (one["document_id"], one["recipient"], one["since"]) for one in found["first"]
    ]
