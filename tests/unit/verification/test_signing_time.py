"""On what the time of a statement rests, and what is said of a key that has ended since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.envelope.envelope import encode_envelope
from docbus.identity import entries
from docbus.verification.outcomes import Manner
from docbus.verification.report import report_of
from docbus.verification.signing_time import KeyEnd, SigningTime, key_end
from docbus.verification.verifier import Verifier
from tests.support.directory import NOW_MS, DirectoryBuilder, make_keys
from tests.support.letters import seal, snapshot, world
from tests.vectors.building.letters import write_document
from tests.vectors.building.world import HANOI_ROTATED, NOW, TAY_NINH, made_at

if TYPE_CHECKING:
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot

AGENCY = "vn:H26"
DAY_MS = 24 * 60 * 60 * 1000
CLAIMED = SigningTime(rests_on="claimed", at_ms=NOW_MS)
RETIRED = KeyEnd(why="retired", at_ms=NOW_MS + DAY_MS, entry=7)


def grant_after(*changes: str) -> tuple[CertificateGrant, TrustSnapshot]:
    """Return the first grant of an agency, and the directory after these changes."""
    directory = DirectoryBuilder()
    keys = directory.grant(AGENCY)
    other = directory.grant("vn:H53")
    new = make_keys(AGENCY)
    rotated = {"signing": new.signing, "encryption": None, "retire_signing": (keys.signer.certificate,)}
    made: dict[str, entries.Change] = {
        "rotate": entries.KeyRotation(agency=AGENCY, retire_encryption=(), **rotated),
        "overlap": entries.KeyOverlap(agency=AGENCY, retire_encryption=(), retires_at=NOW_MS + DAY_MS, **rotated),
        "close": entries.Closure(agency=AGENCY, successor=other.agency, reason="merged"),
        "suspend": entries.Suspension(agency=AGENCY, reason="under investigation"),
        "reinstate": entries.Reinstatement(agency=AGENCY, reason="settled"),
        "beat": entries.Heartbeat(),
    }
    for change in changes:
        directory.append(made[change])
    known = directory.snapshot()
    grant = known.certificate(keys.signer.certificate)
    assert grant is not None
    return grant, known


@pytest.mark.parametrize(
    ("changes", "days", "expected"),
    [
        ((), 0, None),
        (("rotate",), 0, ("retired", 3)),
        (("overlap",), 1, None),
        (("overlap",), 2, ("overlap_ended", 3)),
        (("close",), 0, ("agency_closed", 3)),
        (("suspend",), 0, ("agency_suspended", 3)),
        (("suspend", "reinstate"), 0, None),
        ((), 800, ("expired", None)),
        (("overlap",), 800, ("overlap_ended", 3)),
        (("beat", "rotate"), 800, ("retired", 4)),
    ],
)
def test_what_ended_a_key_first_is_named(
    changes: tuple[str, ...], days: int, expected: tuple[str, int | None] | None
) -> None:
    """Rotation, the end of an overlap, closure, suspension or expiry, whichever came first; and nothing before it."""
    grant, known = grant_after(*changes)

    found = key_end(grant, known, NOW_MS + days * DAY_MS)

    assert expected == (None if found is None else (found.why, found.entry))


def test_the_directory_counts_where_no_clock_is_given() -> None:
    """Without a time, a key has ended if it had when the last entry was made."""
    grant, known = grant_after("overlap")

    assert key_end(grant, known, 0) is None
    assert key_end(grant, known, NOW_MS + DAY_MS + 1) == KeyEnd(why="overlap_ended", at_ms=NOW_MS + DAY_MS, entry=3)


def test_a_key_that_lasts_leaves_the_senders_word() -> None:
    """Nothing is said of an end that has not come."""
    assert CLAIMED.text == "2026-11-23T09:00:00.000Z by the sender's own word"
    assert (CLAIMED.before_the_end, CLAIMED.to_json()["rests_on"]) == (None, "claimed")


def test_a_key_that_has_ended_leaves_the_senders_word_alone() -> None:
    """The end is named, by time and entry, and what would prove more."""
    found = SigningTime(rests_on="claimed", at_ms=NOW_MS, key_ended=RETIRED)

    assert found.text == (
        "2026-11-23T09:00:00.000Z by the sender's own word; the key ended at 2026-11-24T09:00:00.000Z, when it was"
        " retired, by directory entry 7; that the statement was made before rests on the sender's word alone; a time"
        " stamp from before that end would prove it"
    )
    assert found.before_the_end is False


@pytest.mark.parametrize(("after_ms", "proven"), [(0, True), (DAY_MS, True), (DAY_MS + 1, False)])
def test_only_a_time_stamp_from_before_the_end_proves_it(after_ms: int, proven: bool) -> None:
    """The last millisecond of the key is proven, the one after it is the sender's word again."""
    found = SigningTime(rests_on="claimed", at_ms=NOW_MS, key_ended=RETIRED).by_time_stamp(NOW_MS + after_ms, "CN=TSA")

    assert (found.rests_on, found.authority, found.before_the_end) == ("time_stamp", "CN=TSA", proven)
    assert ("sender's word alone" in found.text) is not proven
    assert "by the time stamp of CN=TSA" in found.text


def test_a_time_stamp_from_after_the_end_does_not_replace_a_word_from_before() -> None:
    """What the reader believes about the time before the end stays what the verdict rests on."""
    given = SigningTime(rests_on="claimed", at_ms=NOW_MS, key_ended=RETIRED).by_word(NOW_MS + 1)

    assert given.by_time_stamp(NOW_MS + DAY_MS + 1, "CN=TSA") is given
    assert given.by_time_stamp(NOW_MS + DAY_MS, "CN=TSA").rests_on == "time_stamp"


def test_a_backdated_statement_of_a_retired_key_is_valid_and_said_to_be_claimed() -> None:
    """Made with the old key after its rotation, under an entry before: the verdict names the end of the key."""
    letter = write_document(world(), "backdated")
    value = encode_envelope(seal(letter)[0])
    known = snapshot(HANOI_ROTATED)
    verified = Verifier().verify_recorded(value, key=None, recipient=TAY_NINH, snapshot=known)

    report = report_of(verified, value, Manner(live=False, recipient=TAY_NINH, record=False), known, now_ms=NOW)

    assert report.verdict == "valid"
    assert report.signing_time is not None
    assert report.signing_time.key_ended == KeyEnd(why="retired", at_ms=made_at(HANOI_ROTATED), entry=HANOI_ROTATED)
    assert report.to_json()["signing_time"]["proven_before_key_ended"] is False
    assert report.by_word(None) is report
    assert report.by_word(NOW - 1) is report
    assert report.by_word(NOW).to_json()["signing_time"]["proven_before_key_ended"] is True
