from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from docbus.consumers.content_overview import awaited_content
from docbus.consumers.overview import AsideCount, MissingStatements, SinkState, overview
from docbus.storage.database import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

EPOCH = b"e" * 16


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """Open an empty ledger."""
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO inbox_partition (partition, begun_at, next_offset) VALUES (0, 0, 17)")
    streams = [(1, "vn:H26", EPOCH, None), (2, "vn:H26", b"f" * 16, None), (3, "vn:H53", EPOCH, 5)]
    connection.executemany("INSERT INTO incoming_stream VALUES (?, ?, ?, 'documents', 9, x'00', 0, 1, 1, ?)", streams)
    connection.executemany("INSERT INTO incoming_hole VALUES (1, ?, ?, ?)", [(1, 2, 0), (4, 6, 1), (8, 8, 1)])
    connection.executemany(
        "INSERT INTO incoming VALUES (1, ?, ?, 1, x'00', NULL, NULL)", [(3, None), (7, "expired"), (9, None)]
    )
    connection.execute("INSERT INTO incoming_document VALUES ('vn:H26', 'a', 1, x'00', 1, 3, 'ref')")
    connection.executemany(
        "INSERT INTO parked (sender, epoch, partition, at_offset, stored_at, size, parked_at, since, due_at, attempts,"
        " cause, code, detail, mark, headers, value)"
        " VALUES ('vn:H26', ?, 0, ?, 1, ?, ?, ?, ?, 1, ?, ?, 'd', x'00', '[]', x'00')",
        [
            (EPOCH, 5, 10, 100, 90, 200, "indeterminate", "directory_behind"),
            (EPOCH, 6, 20, 110, None, None, "behind", "stream_waits"),
        ],
    )
    connection.executemany(
        "INSERT INTO finding (at, code, sender, detail) VALUES (?, ?, 'vn:H26', 'd')",
        [(number, f"code_{number}") for number in range(12)],
    )
    connection.executemany(
        "INSERT INTO set_aside VALUES (?, ?, ?, ?)",
        [("dead-letter", "conflict", 1, 5), ("quarantine", "b", 1, 6), ("quarantine", "a", 3, 7)],
    )


def _want(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO wanted (sender, epoch, document_id, revision, body, attachment, urgent, sealed_size, size, root,"
        " digest, key, hints, made_at, stored_at, since)"
        " VALUES ('vn:H26', ?, ?, 1, x'00', 0, 0, 1, 1, x'00', x'00', x'00', '[]', 1, ?, 1)",
        [(EPOCH, f"d{number}", number) for number in range(3)],
    )


def test_empty_ledger_has_an_overview(ledger: Database) -> None:
    """Before anything was received there is nothing to see, and no error."""
    found = ledger.read_now(overview)

    assert ({}, 0, 0, 0, (), (), None) == (
        found.decided,
        found.streams,
        found.missing,
        found.parked,
        found.holes,
        found.set_aside,
        found.sink,
    )


def test_overview_counts_what_an_operator_must_see(ledger: Database) -> None:
    """Open streams, missing statements but not those before the start, what waits and why, and what was set aside."""
    ledger.write_now(_fill)

    found = ledger.read_now(overview)

    assert ({0: 17}, 2, 1) == (found.decided, found.streams, found.senders)
    assert (1, 1, 4) == (found.documents, found.refused, found.missing)
    assert (
        MissingStatements(sender="vn:H26", epoch=EPOCH, lane="documents", first=4, last=6),
        MissingStatements(sender="vn:H26", epoch=EPOCH, lane="documents", first=8, last=8),
    ) == found.holes
    assert [("quarantine", "a", 3), ("quarantine", "b", 1), ("dead-letter", "conflict", 1)] == [
        (one.topic, one.reason, one.count) for one in found.set_aside
    ]
    assert AsideCount(topic="quarantine", reason="a", count=3, at=7) == found.set_aside[0]


def test_waiting_stream_says_why_its_first_record_waits(ledger: Database) -> None:
    """Records behind another one do not hide the reason."""
    ledger.write_now(_fill)

    found = ledger.read_now(overview)

    assert (2, 1) == (found.parked, len(found.waiting))
    waiting = found.waiting[0]
    assert ("indeterminate", "directory_behind", 2, 30) == (waiting.cause, waiting.code, waiting.records, waiting.bytes)
    assert (90, 200) == (waiting.since, waiting.due_at)


def test_newest_findings_come_first(ledger: Database) -> None:
    """Ten findings are shown, the newest first; their number is not cut."""
    ledger.write_now(_fill)

    found = ledger.read_now(overview)

    assert (12, 10, "code_11") == (found.findings, len(found.newest_findings), found.newest_findings[0].code)


@pytest.mark.parametrize("available", [False, True])
def test_sink_is_shown_while_it_is_unavailable(ledger: Database, *, available: bool) -> None:
    """Since when the DMS takes nothing is shown until it takes something again."""
    state = {"available": available, "at": "1970-01-01T00:00:02.000Z"}
    if not available:
        state |= {"since": "1970-01-01T00:00:01.000Z", "attempts": 3, "error": "no space"}
    ledger.write_now(
        lambda connection: connection.execute("INSERT INTO ledger_state VALUES ('sink', ?)", (json.dumps(state),))
    )

    expected = None if available else SinkState(since=1_000, attempts=3, error="no space")
    assert expected == ledger.read_now(overview).sink


def test_lists_are_bounded_and_counts_are_not(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of holes and of streams that wait so many are listed; their numbers have all."""
    monkeypatch.setattr("docbus.consumers.overview.SHOWN_HOLES", 1)
    monkeypatch.setattr("docbus.consumers.overview.SHOWN_PARKED", 0)
    ledger.write_now(_fill)

    found = ledger.read_now(overview)

    assert (1, 0, 2) == (len(found.holes), len(found.waiting), found.parked)
    assert found.missing > 1


def test_awaited_documents_that_are_listed_are_bounded(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many documents wait for their content, the longest stored are listed, and all are counted."""
    monkeypatch.setattr("docbus.consumers.content_overview.SHOWN_DOCUMENTS", 2)
    ledger.write_now(_want)

    found = ledger.read_now(awaited_content)

    assert (3, ["d0", "d1"]) == (found.documents, [one.document_id for one in found.oldest])
