"""What the log says of a directory that grows old."""

from __future__ import annotations

from structlog.testing import capture_logs

from docbus.identity import entries
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.registry.freshness import FreshnessLog
from tests.support.directory import DirectoryBuilder

ALARM = entries.DEFAULT_FRESHNESS_ALARM_MS + 1
LIMIT = entries.DEFAULT_FRESHNESS_LIMIT_MS + MAX_CLOCK_SKEW_MS + 1


def _said(*ages: int, beating: bool = True) -> list[tuple[str, str]]:
    """Return level and event of each line after looks at a directory of these ages, in milliseconds."""
    builder = DirectoryBuilder()
    if beating:
        builder.append(entries.Heartbeat())
    snapshot, log = builder.snapshot(), FreshnessLog()
    with capture_logs() as lines:
        for age in ages:
            log.look(snapshot, snapshot.made_at + age)
    return [(line["log_level"], line["event"]) for line in lines]


def test_each_state_is_said_once() -> None:
    """Old, too old and fresh again: a line when it begins, and none with every look."""
    assert [("warning", "directory_old"), ("warning", "directory_stale"), ("info", "directory_fresh")] == _said(
        0, ALARM, ALARM + 1, LIMIT, LIMIT + 1, 0, 1
    )


def test_fresh_directory_is_no_news() -> None:
    """As long as all is well nothing is said."""
    assert [] == _said(0, ALARM - 1)


def test_directory_that_never_had_a_heartbeat_is_not_judged() -> None:
    """Where the registrar does not beat, nobody is alarmed, however old the last entry is."""
    assert [] == _said(0, ALARM, LIMIT, beating=False)


def test_line_says_how_old_what_is() -> None:
    """Somebody who reads it can ask the registrar for its last entry and compare."""
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    snapshot = builder.snapshot()
    with capture_logs() as lines:
        FreshnessLog().look(snapshot, snapshot.made_at + 1_200_000)

    assert (1, snapshot.made_at, 1200, 86_400) == tuple(
        lines[0][name] for name in ("position", "made_at", "age_seconds", "limit_seconds")
    )
    assert "registrar" in lines[0]["hint"]
