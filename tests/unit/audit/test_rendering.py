"""The report for people, and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docbus.audit.destroyed_keys import AuditedDestruction, DestroyedKeys
from docbus.audit.rendering import MAX_ROWS, SHOWN_RANGES, tables, verdict_line
from docbus.audit.report import AuditReport, ReplayReport, Unreadable, verdict_of
from docbus.audit.time_stamps import DirectoryStamps
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.identity.pki.words import words_of
from tests.support.audit_readings import A, B, Log, digest_of, document
from tests.support.directory import NOW_MS
from tests.support.pki import TestAuthority, ms

NO_STAMPS = DirectoryStamps(
    tokens=0, passed=0, failed=0, indeterminate=0, entry=None, at=None, authority=None, reasons={}
)


def replayed(audit: AuditReport, **changed: Any) -> ReplayReport:
    """Return a replay's report around what the records say."""
    weights = frozenset(found.weight for found in audit.findings)
    unreadable = changed.get("unreadable", ())
    values = {
        "verdict": verdict_of(audit, weights, unreadable=bool(unreadable)),
        "environment": "test",
        "genesis": "00" * 32,
        "directory_position": 3,
        "directory_head": "ab" * 32,
        "as_of": NOW_MS,
        "seconds": 1.25,
        "time_stamps": changed.get("time_stamps", NO_STAMPS),
        "destroyed_keys": changed.get("destroyed_keys", DestroyedKeys(records=(), unread=())),
        "unreadable": unreadable,
        "words": changed.get("words", ()),
        "audit": audit,
    }
    return ReplayReport(**values)


def wrong() -> Log:
    """Return a log with a failure, a hole and a wrong receipt."""
    log = Log()
    log.receipt(B, [log.post(A, B, document("a"))], root=digest_of("else"))
    log.post(A, B, document("lost"), lost=True)
    log.post(A, B, document("c"))
    log.broken(B)
    return log


def test_a_clean_report_has_totals_and_senders_only() -> None:
    """Empty tables are left out."""
    log = Log()
    log.receipt(B, [log.post(A, B, document("a"))])
    report = replayed(log.report())

    assert [table.title for table in tables(report)] == ["Totals", "Senders"]
    assert verdict_line(report) == "valid: 2 records, 2 valid"


def test_everything_wrong_is_shown() -> None:
    """Failures, holes, findings and unreadable topics each have their table, and the verdict says why."""
    unreadable = (Unreadable(agency=A, topic="t", partition=0, offset=5, code="topic_missing", text="gone"),)
    report = replayed(wrong().report(), unreadable=unreadable)

    shown = {table.title: table.rows for table in tables(report)}

    assert shown["Streams with something wrong"] == (
        ("vn:H01 → vn:H02 (65656565)", "documents", "1 to 3", "1 missing: 2"),
    )
    assert shown["Could not be read"] == (("t", "5", "topic_missing", "gone"),)
    assert shown["Findings"][0][:2] == ("wrong_root", B)
    assert shown["Records that failed or could not be decided"][0][:3] == (
        "docbus.inbox.vn.H02/0@2",
        "failed",
        "signature_invalid",
    )
    assert verdict_line(report) == (
        "invalid: 4 records, 3 valid; 1 failed (signature_invalid); "
        "1 times a receipt for other statements than were sent; 1 statements missing; 1 topics not read to the end"
    )


def test_every_row_has_all_columns() -> None:
    """Tables are rectangles."""
    for table in tables(replayed(wrong().report())):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_long_tables_say_what_they_leave_out() -> None:
    """The rest is in the JSON report."""
    log = Log()
    for _ in range(MAX_ROWS + 7):
        log.broken(B)

    (table,) = [t for t in tables(replayed(log.report())) if t.title.startswith("Records that failed")]

    assert (len(table.rows), table.left_out) == (MAX_ROWS, 7)


def test_the_report_is_json() -> None:
    """Verdict and numbers stand at the top level, and everything in it is a JSON type."""
    report = replayed(wrong().report()).to_json()

    again = json.loads(json.dumps(report))

    assert (again["verdict"], again["records"], again["failed"]) == ("invalid", 4, {"signature_invalid": 1})
    assert again["streams"][0]["holes"] == [[2, 2]]
    assert again["findings"][0]["witnesses"][0]["topic"] == "docbus.inbox.vn.H01"


@pytest.mark.parametrize(
    ("weights", "unreadable", "expected", "code"),
    [
        (frozenset(), False, "valid", 0),
        (frozenset({"notice"}), False, "valid", 0),
        (frozenset({"incomplete"}), False, "incomplete", 3),
        (frozenset(), True, "incomplete", 3),
        (frozenset({"misbehaviour", "incomplete"}), True, "invalid", 1),
    ],
)
def test_the_gravest_decides(weights: frozenset[str], unreadable: bool, expected: str, code: int) -> None:
    """Misbehaviour outweighs what is missing, which outweighs notices."""
    audit = Log().report()

    verdict = verdict_of(audit, weights, unreadable=unreadable)

    assert verdict == expected
    assert replayed(audit).exit_code == 0
    assert {"valid": 0, "invalid": 1, "incomplete": 3}[verdict] == code


def test_a_row_names_the_first_holes_and_says_that_there_are_more() -> None:
    """A stream full of holes is still one line."""
    log = Log()
    for number in range(2 * (SHOWN_RANGES + 2) + 1):
        log.post(A, B, document(f"d{number}"), lost=bool(number % 2))

    (table,) = [t for t in tables(replayed(log.report())) if any("missing:" in cell for row in t.rows for cell in row)]

    (cell,) = [cell for row in table.rows for cell in row if "missing:" in cell]
    assert f"{SHOWN_RANGES + 2} missing" in cell
    assert cell.endswith("…")
    assert f"{2 * SHOWN_RANGES}" in cell
    assert f"{2 * SHOWN_RANGES + 2}" not in cell


def test_time_stamps_of_the_directory_are_told() -> None:
    """Up to where the directory is dated, by whom, and how many tokens prove nothing, in numbers."""
    stamps = DirectoryStamps(
        tokens=5,
        passed=3,
        failed=1,
        indeterminate=1,
        entry=12,
        at=NOW_MS,
        authority="CN=Authority",
        reasons={"authority_unknown": 1, "imprint_differs": 1},
    )
    report = replayed(Log().report(), time_stamps=stamps)

    rows = dict(tables(report)[0].rows)
    assert "12 existed at latest at 2026-11-23T09:00:00.000Z by CN=Authority" == rows["time-stamped to entry"]
    assert ("3", "1", "1") == tuple(
        rows[f"time stamps: {name}"] for name in ("passed", "authority_unknown", "imprint_differs")
    )
    assert 12 == report.to_json()["time_stamps"]["entry"]
    assert "valid" == report.verdict


def test_without_time_stamps_nothing_is_told() -> None:
    """An exchange that wishes none has no rows about them."""
    assert [] == [name for name, _ in tables(replayed(Log().report()))[0].rows if "stamp" in name]


def test_the_words_of_authorities_are_shown_and_change_no_verdict() -> None:
    """Each with its time; of those that should have a later one it is said, beside the verdict as well."""
    root = TestAuthority()
    material = ValidationMaterial([read_piece(root.revocations(ends=1)), read_piece(root.response(root.issue()))])
    for asked, note in ((ms(0), ""), (ms(1) + 1, "a later one should exist")):
        report = replayed(Log().report(), words=words_of(material.pieces, material, asked))
        (table,) = [one for one in tables(report) if one.title == "What authorities have said of certificates"]

        assert {
            ("list 1 of CN=Root", "2026-11-22T09:00:00.000Z", "2026-11-24T09:00:00.000Z", note),
            ("the response about certificate 1001", "2026-11-22T21:00:00.000Z", "2026-11-24T09:00:00.000Z", note),
        } == set(table.rows)
        assert bool(note) is ("2 lists or responses of authorities should have a later one" in verdict_line(report))
        assert verdict_line(report).startswith("valid")
        assert [1, None] == sorted((one["number"] for one in report.to_json()["rests_on"]), key=str)


def test_destroyed_keys_are_told() -> None:
    """Each with its outcome, also one that nobody can read, and the ledgers that could not be read beside them."""
    passed = AuditedDestruction(
        agency=A,
        offset=3,
        key="ab" * 32,
        retired_by=7,
        made_at=NOW_MS,
        operator="lan",
        reason="old",
        outcome="passed",
        code=None,
    )
    odd = AuditedDestruction(
        agency=A,
        offset=4,
        key=None,
        retired_by=None,
        made_at=None,
        operator=None,
        reason=None,
        outcome="failed",
        code="statement_malformed",
    )
    found = replayed(Log().report(), destroyed_keys=DestroyedKeys(records=(passed, odd), unread=((B, "not allowed"),)))

    keys, unread = [one for one in tables(found) if "estroyed" in one.title or "Ledgers" in one.title]

    assert ("abababababababab…", "7", "lan", "old", "passed") == tuple(keys.rows[0][at] for at in (1, 2, 4, 5, 6))
    assert ("", "failed (statement_malformed)") == (keys.rows[1][1], keys.rows[1][6])
    assert ((B, "not allowed"),) == unread.rows
    assert "valid" == found.verdict
