from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.cli.output import plain
from docbus.cli.status import _show
from docbus.client.status import DirectoryState
from docbus.documents.deadlines import Stage
from docbus.identity.snapshot import Freshness
from docbus.producers.journey import RefusedCopy
from docbus.producers.overdue import OverdueDocument, OverdueStage
from tests.support.outbox import ANNA, NOW_MS
from tests.support.status import empty_status

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize(
    ("age_ms", "freshness", "expected"),
    [
        (59_999, Freshness.FRESH, "less than a minute old"),
        (60_000, Freshness.FRESH, "1 minute old"),
        (17 * 60_000, Freshness.OLD, "17 minutes old; OLD: the registrar has stopped"),
        (HOUR_MS, Freshness.OLD, "1 hour old; OLD"),
        (25 * HOUR_MS, Freshness.STALE, "25 hours old; TOO OLD to believe anything under it"),
        (72 * HOUR_MS, Freshness.NOT_JUDGED, "3 days old; the registrar signs no heartbeats"),
    ],
)
def test_age_of_the_directory_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], age_ms: int, freshness: Freshness, expected: str
) -> None:
    """Whoever looks sees how old the directory is, and what that means."""
    directory = DirectoryState(position=7, head=bytes(32), made_at=NOW_MS - age_ms, age_ms=age_ms, freshness=freshness)

    _show(empty_status(tmp_path, directory=directory))

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("directory")]
    assert "entry 7 of 2026-11-2" in line
    assert expected in line
    assert ("fresh" == freshness) == line.endswith(" old")


def test_certificate_that_ends_soon_stands_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Within two months of its end the days that are left are counted."""
    _show(empty_status(tmp_path, certificate_expires_at=NOW_MS + 240 * HOUR_MS))
    _show(empty_status(tmp_path))

    soon, later = (line for line in capsys.readouterr().out.splitlines() if line.startswith("certificate"))
    assert soon.endswith("; SOON: 10 days are left")
    assert "SOON" not in later


def test_outbox_that_is_full_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How much is used stands beside the limit."""
    _show(empty_status(tmp_path, outbox_limit_bytes=5))

    assert " of 5; FULL: it refuses documents" in capsys.readouterr().out


def test_refused_documents_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What recipients did not take is there with the reason, without asking for a document by its id."""
    empty = empty_status(tmp_path)
    refused = replace(
        empty.outbox, refused=1, newest_refused=(RefusedCopy("a", 1, ANNA, "refused", "conflict", NOW_MS),)
    )

    _show(replace(empty, outbox=refused))

    assert ["a", "H37", "refused", "conflict", "2026-11-23T09:00:00Z"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
