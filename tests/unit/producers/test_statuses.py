from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.envelope.statement import Reference
from docbus.producers.statuses import record_status, statuses_of
from tests.support.outbox import ANNA, BINH, NOW_MS, SENDER

if TYPE_CHECKING:
    from docbus.producers.statuses import StatusRecord
    from docbus.storage.database import Database

DOCUMENT = Reference(SENDER, "a", 1)


def record(
    database: Database, code: int, recipient: str = ANNA, number: int | None = None, note: str | None = None
) -> bool:
    statement = f"{recipient}{code if number is None else number}".encode()
    return database.write_now(
        lambda c: record_status(
            c,
            reference=DOCUMENT,
            recipient=recipient,
            issuer=recipient,
            code=code,
            at=NOW_MS,
            recorded_at=NOW_MS + code,
            statement=statement,
            note=note,
        )
    )


def found(database: Database, revision: int = 1) -> list[StatusRecord]:
    return database.read_now(lambda c: statuses_of(c, sender=SENDER, document_id="a", revision=revision))


def test_possible_statuses_are_recorded_in_order(database: Database) -> None:
    """The usual course of a document raises no flag."""
    possible = [record(database, code) for code in (1, 3, 4, 5, 6)]

    assert possible == [True] * 5
    assert [(status.code, status.flagged) for status in found(database)] == [(code, False) for code in (1, 3, 4, 5, 6)]
    assert found(database, revision=2) == []


def test_impossible_status_is_recorded_and_flagged(database: Database) -> None:
    """A jump is never dropped."""
    possible = [record(database, code) for code in (3, 6)]

    assert possible == [True, False]
    assert [(status.code, status.flagged) for status in found(database)] == [(3, False), (6, True)]


def test_recipients_have_states_of_their_own(database: Database) -> None:
    """What one recipient reported makes nothing possible for another."""
    record(database, 3, ANNA)

    assert record(database, 5, ANNA)
    assert not record(database, 5, BINH)


def test_status_is_recorded_once(database: Database) -> None:
    """The same statement again is the same status, and gets the same answer."""
    first = [record(database, 6), record(database, 6)]

    assert first == [False, False]
    assert len(found(database)) == 1


def test_unknown_code_is_kept_and_flagged(database: Database) -> None:
    """Codes that nobody uses yet do not stop those that follow."""
    assert not record(database, 9)
    assert record(database, 3)
    assert [status.code for status in found(database)] == [9, 3]


@pytest.mark.parametrize("note", [None, "Sai thẩm quyền"])
def test_note_is_kept(database: Database, note: str | None) -> None:
    """The reason that came with a status is shown with it."""
    record(database, 2, note=note)

    assert [status.note for status in found(database)] == [note]
