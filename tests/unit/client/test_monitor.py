from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from docbus.client.monitor import Monitor, OverdueLog, RefusedLog, StandingLog
from docbus.client.own_standing import OwnStanding
from docbus.clock import format_time
from docbus.documents.deadlines import Stage
from docbus.errors import StorageError
from docbus.identity.pki.verdict import Outcome
from docbus.producers.journey import RefusedCopy
from docbus.producers.overdue import OverdueDocument, OverdueStage
from tests.support.outbox import ANNA, NOW_MS, PATIENCE, SENDER, FakeClock
from tests.support.status import empty_status

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.status import AgencyStatus


def late(count: int) -> tuple[OverdueStage, ...]:
    first = (OverdueDocument("a", 1, ANNA, False, NOW_MS - 2, NOW_MS - 1),) if count else ()
    return (OverdueStage(stage=Stage.SENT, count=count, due_at=NOW_MS - 1 if count else None, first=first),)


def said(*counts: int) -> list[tuple[str, Any]]:
    log = OverdueLog()
    with capture_logs() as lines:
        for count in counts:
            log.look(SENDER, late(count))
    return [(line["event"], line.get("copies")) for line in lines]


def test_what_is_overdue_is_logged_once() -> None:
    """It is said when it begins, and when it is over; not with every look."""
    assert [("overdue", 3), ("nothing_overdue", None)] == said(0, 3, 3, 2, 4, 5, 0, 0)


def test_what_doubles_is_logged_again() -> None:
    """A thousand that wait are worth another line than one, and a growing number costs few lines."""
    assert [("overdue", 1), ("overdue", 2), ("overdue", 5)] == said(1, 2, 3, 5, 9)


def test_log_names_the_first_document() -> None:
    """The line says which document to look at, where it is stuck, since when, and when it was due."""
    with capture_logs() as lines:
        OverdueLog().look(SENDER, late(2))

    (line,) = lines
    assert ("a", ANNA, "sent", format_time(NOW_MS - 2), format_time(NOW_MS - 1)) == tuple(
        line[name] for name in ("document", "recipient", "stage", "since", "due")
    )


def test_a_revoked_agency_is_told_once_and_when_it_is_over() -> None:
    """Of a self-made certificate, and one that passes, nothing is said."""
    good = OwnStanding(Outcome.PASSED, None, "", None)
    unknown = OwnStanding(Outcome.INDETERMINATE, "revocation_unknown", "", None)
    revoked = OwnStanding(Outcome.FAILED, "revoked_by_authority", "was revoked", None)
    log = StandingLog()
    with capture_logs() as lines:
        for standing in (None, good, unknown, revoked, revoked, good, None):
            log.look(SENDER, standing)

    assert [
        ("own_certificate_not_known", "revocation_unknown"),
        ("own_certificate_refused", "revoked_by_authority"),
        ("own_certificate_passes", None),
    ] == [(line["event"], line.get("code")) for line in lines]


async def looks(read: Any, stop: asyncio.Event) -> list[Any]:
    monitor = Monitor(read=read, clock=FakeClock(), address=None, tick_seconds=0.001)
    with capture_logs() as lines:
        async with asyncio.timeout(PATIENCE):
            await monitor.run(stop)
    return lines


async def test_monitor_looks_until_it_is_stopped(tmp_path: Path) -> None:
    """It looks at once and again and again, and says what is overdue."""
    stop, seen = asyncio.Event(), []

    async def read() -> AgencyStatus:
        seen.append(1)
        if len(seen) == 3:
            stop.set()
        return empty_status(tmp_path, overdue=late(1))

    lines = await looks(read, stop)

    assert 3 == len(seen)
    assert ["overdue"] == [line["event"] for line in lines]


@pytest.mark.parametrize("error", [StorageError("locked"), TimeoutError()])
async def test_status_that_cannot_be_read_is_logged_and_tried_again(error: Exception) -> None:
    """Watching never ends what it watches."""
    stop, seen = asyncio.Event(), []

    async def read() -> AgencyStatus:
        seen.append(1)
        if len(seen) == 2:
            stop.set()
        raise error

    lines = await looks(read, stop)

    assert ["status_not_read"] * 2 == [line["event"] for line in lines]


async def test_looks_that_take_long_are_rare(tmp_path: Path) -> None:
    """Watching takes a twentieth of the time at most: after a look that took long, the next one comes later."""
    stop, clock, seen = asyncio.Event(), FakeClock(), []

    async def read() -> AgencyStatus:
        seen.append(1)
        clock.advance(100.0)
        asyncio.get_running_loop().call_soon(stop.set)
        return empty_status(tmp_path)

    monitor = Monitor(read=read, clock=clock, address=None, tick_seconds=0.0)
    async with asyncio.timeout(PATIENCE):
        await monitor.run(stop)

    assert [1] == seen


def test_what_recipients_refuse_is_logged_once(tmp_path: Path) -> None:
    """A refusal is said with document, recipient and reason; what was there before somebody looked is not."""
    empty = empty_status(tmp_path).outbox
    newest = (RefusedCopy("a", 1, ANNA, "refused", "conflict", NOW_MS),)
    log = RefusedLog()
    with capture_logs() as lines:
        for count in (2, 2, 4, 4):
            log.look(SENDER, replace(empty, refused=count, newest_refused=newest))

    (line,) = lines
    assert ("documents_refused", 2, "a", ANNA, "conflict") == tuple(
        line[name] for name in ("event", "copies", "document", "recipient", "reason")
    )
