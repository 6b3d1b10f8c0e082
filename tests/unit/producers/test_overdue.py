from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.documents.deadlines import Deadlines, Stage
from docbus.envelope.statement import Reference
from docbus.producers.epochs import begin_epoch, requeue
from docbus.producers.outbox import fail_copies
from docbus.producers.overdue import _COUNT, MAX_OVERDUE, OverdueStage, overdue
from docbus.producers.receipts import match
from docbus.producers.statuses import note_processing, record_status
from docbus.producers.unsent import mark_sent
from docbus.wire.tree import root_of
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    SENDER,
    add_receipt,
    document,
    receipt,
    rows,
    seal_all,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS
# NOW_MS is Monday, 16:00 in Vietnam; the day after is a public holiday.
TODAY_17 = NOW_MS + HOUR_MS
WEDNESDAY_NOON = NOW_MS + DAY_MS + 20 * HOUR_MS
WEDNESDAY_17 = NOW_MS + 2 * DAY_MS + HOUR_MS


def look(database: Database, now_ms: int, rules: Deadlines | None = None) -> dict[str, OverdueStage]:
    found = database.read_now(lambda c: overdue(c, rules or Deadlines(), now_ms))
    return {one.stage.value: one for one in found}


def counts(database: Database, now_ms: int) -> tuple[int, ...]:
    return tuple(one.count for one in look(database, now_ms).values())


def send(database: Database) -> None:
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS))


def settle(database: Database, recipient: str, last: int, lane: str = "documents") -> None:
    body = receipt(database, recipient, 1, last)
    if lane != "documents":
        epoch, digest = rows(
            database,
            "SELECT e.identifier, c.digest FROM copy c JOIN stream s USING (stream) JOIN epoch e USING (epoch)"
            " WHERE c.lane = 1",
        )[0]
        body = body._replace(epoch=epoch, root=root_of([digest]))
    assert database.write_now(lambda c: match(c, receipt=body, issuer=recipient, at_ms=NOW_MS)) == []


def report(database: Database, name: str, recipient: str, code: int) -> None:
    reference = Reference(SENDER, name, 1)

    def write(connection: object) -> None:
        record_status(
            connection,  # type: ignore[arg-type] # as the database passes it
            reference=reference,
            recipient=recipient,
            issuer=recipient,
            code=code,
            at=NOW_MS,
            recorded_at=NOW_MS,
            statement=f"{name}{recipient}{code}".encode(),
        )
        note_processing(connection, reference, recipient, code)  # type: ignore[arg-type] # likewise

    database.write_now(write)


def test_nothing_is_overdue_in_an_empty_outbox(database: Database) -> None:
    """All three stages are looked at, and none of them has anything."""
    assert (0, 0, 0) == counts(database, NOW_MS)


def test_what_is_accepted_is_due_by_the_next_working_morning(database: Database) -> None:
    """A document waits from its acceptance, whether it is sealed or not, once for each recipient."""
    take_in(database, document("a", ANNA, BINH))
    seal_all(database)
    take_in(database, document("b"))

    assert (0, 0, 0) == counts(database, WEDNESDAY_NOON)
    late = look(database, WEDNESDAY_NOON + 1)["sent"]
    assert (3, WEDNESDAY_NOON) == (late.count, late.due_at)
    assert {("a", ANNA), ("a", BINH), ("b", ANNA)} == {(one.document_id, one.recipient) for one in late.first}
    assert {(1, False, NOW_MS, WEDNESDAY_NOON)} == {
        (one.revision, one.urgent, one.since, one.due_at) for one in late.first
    }


def test_what_is_sent_is_due_on_the_same_day(database: Database) -> None:
    """A document that is sent and not receipted is overdue when the working day ends."""
    take_in(database, document("a", ANNA, BINH))
    send(database)
    settle(database, BINH, 1)

    assert (0, 0, 0) == counts(database, TODAY_17)
    assert [("a", ANNA)] == [(o.document_id, o.recipient) for o in look(database, TODAY_17 + 1)["received"].first]


def test_what_is_received_is_due_by_the_end_of_the_next_working_day(database: Database) -> None:
    """A document that is received is overdue until its recipient says what becomes of it."""
    take_in(database, document("a", ANNA, BINH, CHI))
    send(database)
    for recipient in (ANNA, BINH, CHI):
        settle(database, recipient, 1)
    report(database, "a", BINH, 3)

    assert (0, 0, 0) == counts(database, WEDNESDAY_17)
    assert {ANNA, CHI} == {one.recipient for one in look(database, WEDNESDAY_17 + 1)["processed"].first}


@pytest.mark.parametrize(("code", "done"), [(1, 0), (2, 1), (3, 1), (5, 1), (6, 1), (13, 0), (15, 0), (50, 0)])
def test_only_a_word_about_processing_ends_it(database: Database, code: int, done: int) -> None:
    """02 to 06 say what becomes of a document; that it arrived, or is asked back, does not."""
    take_in(database, document("a"))
    send(database)
    settle(database, ANNA, 1)

    report(database, "a", ANNA, code)

    assert (0, 0, 1 - done) == counts(database, WEDNESDAY_17 + 1)


def test_status_may_come_before_the_receipt(database: Database) -> None:
    """Statuses and receipts come in streams of their own: in either order nothing is overdue that is processed."""
    take_in(database, document("a"))
    send(database)
    report(database, "a", ANNA, 3)

    settle(database, ANNA, 1)

    assert (0, 0, 0) == counts(database, WEDNESDAY_17 + 1)


def test_urgent_documents_are_due_at_once(database: Database) -> None:
    """Each stage of an urgent document is overdue after half an hour, on any day and at any hour."""
    half = NOW_MS + HOUR_MS // 2
    take_in(database, document("a", urgency=3, lane="urgent"))
    assert (0, 0, 0) == counts(database, half)
    assert (1, 0, 0) == counts(database, half + 1)
    send(database)
    assert (0, 1, 0) == counts(database, half + 1)
    settle(database, ANNA, 1, lane="urgent")
    assert (0, 0, 1) == counts(database, half + 1)
    assert look(database, half + 1)["processed"].first[0].urgent


def test_only_documents_are_overdue(database: Database) -> None:
    """Receipts have no deadline of their own, and recalls are answered, not processed."""
    add_receipt(database, ANNA)
    take_in(database, document("a", kind="recall"))
    send(database)
    settle(database, ANNA, 1)

    assert (0, 0, 0) == counts(database, NOW_MS + 30 * DAY_MS)


def test_what_has_ended_is_not_overdue(database: Database) -> None:
    """What failed or was superseded waits for nothing; the copy that goes out again does."""
    take_in(database, document("a", ANNA, BINH))
    send(database)
    take_in(database, document("b", BINH))
    database.write_now(lambda c: begin_epoch(c, "documents", "test", at_ms=NOW_MS))
    database.write_now(lambda c: requeue(c, 1, at_ms=NOW_MS))
    database.write_now(lambda c: fail_copies(c, [(2, 0, "agency_closed")], at_ms=NOW_MS))

    assert (1, 1, 0) == counts(database, NOW_MS + 30 * DAY_MS)


def test_stages_that_are_not_looked_at_are_left_out(database: Database) -> None:
    """An agency whose partners report nothing leaves processing out."""
    assert ["sent", "received"] == list(
        look(database, NOW_MS, Deadlines(stages=frozenset({Stage.SENT, Stage.RECEIVED})))
    )


def test_list_is_cut_and_the_number_is_not(database: Database) -> None:
    """However many are overdue, the first are listed and all are counted."""
    take_in(database, *(document(f"d{n:03}") for n in range(3 * MAX_OVERDUE)))

    late = look(database, NOW_MS + 30 * DAY_MS)["sent"]

    assert (3 * MAX_OVERDUE, MAX_OVERDUE) == (late.count, len(late.first))


@pytest.mark.parametrize("stage", Stage)
def test_counting_reads_by_index(database: Database, stage: Stage) -> None:
    """No query looks at copies that are settled: each goes by an index that holds only what waits."""
    plan = database.read_now(
        lambda c: c.execute(f"EXPLAIN QUERY PLAN {_COUNT[stage]}", {"lane": 0, "before": NOW_MS}).fetchall()
    )

    assert not [line for *_, line in plan if line.startswith("SCAN c") or line == "SCAN copy"]
