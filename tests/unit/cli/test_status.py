from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.cli.output import plain
from docbus.cli.status import _show, _show_registrar
from docbus.client.directory_state import DirectoryState
from docbus.client.own_standing import OwnStanding
from docbus.client.registrar_status import RegistrarStatus
from docbus.documents.deadlines import Stage
from docbus.errors import TransportError
from docbus.identity.freshness import Freshness
from docbus.identity.pki.verdict import Outcome
from docbus.identity.time_stamps.gap import Gap
from docbus.producers.batch_stamps import StampCounts
from docbus.producers.journey import RefusedCopy
from docbus.producers.overdue import OverdueDocument, OverdueStage
from docbus.producers.signer_guard import SignerTrouble
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


def test_signer_that_is_away_stands_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Why nothing is signed, and since when, stands there and in JSON; nothing is said while all is well."""
    away = SignerTrouble("the token H26 is not there", "Put it back.", NOW_MS - HOUR_MS)
    _show(empty_status(tmp_path, signer_trouble=away))
    _show(empty_status(tmp_path))

    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "SIGNER" in line]
    assert "the token H26 is not there, since 2026-11-23T08:00:00Z; what is accepted waits for it" in shown
    told = plain(empty_status(tmp_path, signer_trouble=away))["signer_trouble"]
    assert {"text": away.text, "hint": away.hint, "since": "2026-11-23T08:00:00.000Z"} == told


def test_a_revoked_certificate_stands_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the authority says, that nobody asks it, and what it has forgotten; nothing of a self-made certificate."""
    standing = OwnStanding(Outcome.FAILED, "revoked_by_authority", "certificate 26 was revoked", "fetch = false")
    _show(empty_status(tmp_path, standing=standing, forgotten=("list 3 has forgotten it",)))
    shown = capsys.readouterr().out
    _show(empty_status(tmp_path))

    assert "NOT BELIEVED" in shown
    assert "revoked_by_authority: certificate 26 was revoked; others refuse what is signed under it" in shown
    assert "nobody asks about it: fetch = false" in shown
    assert "list 3 has forgotten it" in shown
    assert "revoked" not in capsys.readouterr().out


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


GAP = Gap(since=NOW_MS - 3 * HOUR_MS, attempts=14, tried_at=NOW_MS, code="time_stamp_refused", text="nobody there")


def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str], **changed: object) -> dict[str, str]:
    """Return what is shown, by name of the line."""
    _show(empty_status(tmp_path, **changed))
    return dict(row.strip().split("  ", 1) for row in capsys.readouterr().out.splitlines() if "  " in row.strip())


def test_time_stamps_that_wait_are_shown_with_their_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many batches wait, since when, and for how long nobody has stamped and why."""
    stamps = StampCounts(
        waiting=1200,
        waiting_since=NOW_MS - HOUR_MS,
        stamps=3,
        stamped_at=NOW_MS - 4 * HOUR_MS,
        authority="CN=A",
        gap=GAP,
    )

    found = printed(tmp_path, capsys, time_stamps=stamps)

    assert (
        "1,200 batches wait, the first since 2026-11-23T08:00:00Z; 3 so far, the last at 2026-11-23T05:00:00Z by CN=A"
        == found["time stamps"].strip()
    )
    assert "for 3 hours, since 2026-11-23T06:00:00Z, 14 attempts: nobody there" == found["MISSING"].strip()


def test_time_stamps_are_not_mentioned_where_nobody_wishes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agency without them sees nothing of them."""
    assert not {"time stamps", "MISSING", "time-stamped"} & printed(tmp_path, capsys).keys()


def test_first_time_stamp_is_awaited_without_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first hour is over there is none yet, and nothing is missing."""
    stamps = StampCounts(waiting=0, waiting_since=None, stamps=0, stamped_at=None, authority=None, gap=None)

    found = printed(tmp_path, capsys, time_stamps=stamps)

    assert "0 batches wait; none yet" == found["time stamps"].strip()
    assert "MISSING" not in found


def test_directory_says_up_to_where_it_is_stamped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Entry, time, authority and age of the newest time stamp in the directory stand below it."""
    found = printed(tmp_path, capsys, directory=STAMPED)

    assert "to entry 5, at 2026-11-23T07:00:00Z by CN=A, 2 hours ago" == found["time-stamped"].strip()


STAMPED = DirectoryState(
    position=7,
    head=bytes(32),
    made_at=NOW_MS,
    age_ms=0,
    freshness=Freshness.FRESH,
    stamped_entry=5,
    stamped_at=NOW_MS - 2 * HOUR_MS,
    stamped_by="CN=A",
)


@pytest.mark.parametrize("stamping", [True, False])
def test_registrar_sees_what_is_missing(stamping: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A registrar's status has the directory, whether it is time-stamped, and since when there is a gap."""
    found = RegistrarStatus(
        registrar="Registrar",
        environment="test",
        at=NOW_MS,
        directory=replace(STAMPED, stamped_entry=None, stamped_at=None, stamped_by=None),
        stamping=stamping,
        gap=GAP if stamping else None,
        trouble=None,
    )

    _show_registrar(found)

    shown = capsys.readouterr().out
    assert shown.startswith("registrar  Registrar  of test")
    assert stamping == ("no entry yet; `docbus registrar run` asks for time stamps" in shown)
    assert stamping == ("TIME STAMPS MISSING  for 3 hours, since" in shown)


def test_registrar_without_the_bus_sees_why(capsys: pytest.CaptureFixture[str]) -> None:
    """What the folder knows is shown all the same."""
    found = RegistrarStatus(
        registrar="Registrar",
        environment="test",
        at=NOW_MS,
        directory=None,
        stamping=True,
        gap=GAP,
        trouble=TransportError("no broker answers", hint="Start one."),
    )

    _show_registrar(found)

    shown = capsys.readouterr().out
    assert "trouble with the bus: no broker answers\n    Start one.\n" in shown
    assert "nobody there" in shown
