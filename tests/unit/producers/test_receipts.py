from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from docbus.producers import receipts as module
from docbus.producers.epochs import RENEWAL_PAUSE_MS, current_epochs
from docbus.producers.receipts import match
from docbus.producers.unsent import mark_sent
from tests.support.outbox import (
    ANNA,
    BINH,
    NOW_MS,
    FakeTransport,
    add_receipt,
    document,
    make_drain,
    receipt,
    rows,
    seal_all,
    states,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database

RECEIVED, REFUSED, SENT, SUPERSEDED, WAITING = 3, 4, 2, 6, 0


@pytest.fixture
def sent(database: Database) -> Database:
    """Return an outbox that has sent ten documents to each of two agencies."""
    take_in(database, *[document(f"{number:02}", ANNA, BINH) for number in range(1, 11)])
    copies = seal_all(database)
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS + 1))
    return database


def take(database: Database, body: Any, issuer: str = ANNA, at_ms: int = NOW_MS + 2) -> list[str]:
    return database.write_now(lambda c: match(c, receipt=body, issuer=issuer, at_ms=at_ms))


def codes(findings: list[str]) -> list[str]:
    return [finding.partition(":")[0] for finding in findings]


def of(database: Database, recipient: str) -> list[int]:
    return [row[0] for row in rows(database, "SELECT state FROM copy WHERE recipient = ? ORDER BY outgoing", recipient)]


def test_receipt_marks_its_range_received(sent: Database) -> None:
    """Exactly the statements of the issuer's own stream in the range are received, with the time."""
    findings = take(sent, receipt(sent, ANNA, 3, 5))

    assert findings == []
    assert of(sent, ANNA) == [2, 2, 3, 3, 3, 2, 2, 2, 2, 2]
    assert set(of(sent, BINH)) == {SENT}
    assert rows(sent, "SELECT DISTINCT sent_at, settled_at FROM copy WHERE state = 3") == [(NOW_MS + 1, NOW_MS + 2)]


def test_receipt_again_changes_nothing(sent: Database) -> None:
    """Taking a receipt in twice is the same as once."""
    body = receipt(sent, ANNA, 1, 10, [(4, "sink_rejected")])
    take(sent, body)
    before = rows(sent, "SELECT * FROM copy")

    findings = take(sent, body, at_ms=NOW_MS + 99)

    assert findings == []
    assert rows(sent, "SELECT * FROM copy") == before


def test_refusal_is_marked_with_its_reason(sent: Database) -> None:
    """A refused statement inside a range is refused, all others are received."""
    findings = take(sent, receipt(sent, ANNA, 1, 4, [(2, "sink_rejected"), (4, "too_large")]))

    assert findings == []
    assert of(sent, ANNA)[:5] == [RECEIVED, REFUSED, RECEIVED, REFUSED, SENT]
    assert rows(sent, "SELECT reason FROM copy WHERE state = 4") == [("sink_rejected",), ("too_large",)]


def test_refused_may_be_filed_later(sent: Database) -> None:
    """A later receipt turns refused into received, and the reason goes."""
    take(sent, receipt(sent, ANNA, 2, 2, [(2, "sink_rejected")]))

    findings = take(sent, receipt(sent, ANNA, 2, 2), at_ms=NOW_MS + 9)

    assert findings == []
    assert rows(sent, "SELECT state, reason, settled_at FROM copy WHERE recipient = ? AND sequence = 2", ANNA) == [
        (RECEIVED, None, NOW_MS + 9)
    ]


def test_filed_cannot_be_refused_later(sent: Database) -> None:
    """What was receipted as filed stays so; the contradiction is a finding."""
    take(sent, receipt(sent, ANNA, 1, 3))

    findings = take(sent, receipt(sent, ANNA, 1, 3, [(2, "sink_rejected")]))

    assert codes(findings) == [module.CONTRADICTION]
    assert "statement 2" in findings[0]
    assert of(sent, ANNA)[:3] == [RECEIVED] * 3


def test_other_reason_is_a_finding(sent: Database) -> None:
    """A refusal keeps its first reason."""
    take(sent, receipt(sent, ANNA, 2, 2, [(2, "sink_rejected")]))

    findings = take(sent, receipt(sent, ANNA, 2, 2, [(2, "too_large")]))

    assert codes(findings) == [module.CONTRADICTION]
    assert rows(sent, "SELECT reason FROM copy WHERE state = 4") == [("sink_rejected",)]


def test_receipt_counts_only_from_the_recipient(sent: Database) -> None:
    """Another agency's receipt over the same statements moves nothing, whoever they were for."""
    body = receipt(sent, ANNA, 1, 3)

    findings = take(sent, body, issuer=BINH)

    assert module.OTHER_ROOT in codes(findings)
    assert RECEIVED not in of(sent, ANNA)
    assert RECEIVED not in of(sent, BINH)


def test_stranger_has_no_stream(sent: Database) -> None:
    """An agency that was sent nothing cannot receipt anything."""
    findings = take(sent, receipt(sent, ANNA, 1, 3), issuer="vn:H99")

    assert codes(findings)[0] == module.BEYOND
    assert set(of(sent, ANNA)) == {SENT}


def test_unknown_epoch_is_reported_and_ignored(sent: Database) -> None:
    """Another outbox of the same agency gets its receipts through the same inbox."""
    findings = take(sent, receipt(sent, ANNA, 1, 3, epoch=bytes(16)))

    assert codes(findings) == [module.UNKNOWN_EPOCH]
    assert set(of(sent, ANNA)) == {SENT}
    assert rows(sent, "SELECT count(*) FROM epoch") == [(3,)]


def test_receipts_are_never_receipted(database: Database) -> None:
    """A receipt about the receipts lane is a finding."""
    add_receipt(database)
    seal_all(database)
    epoch = database.read_now(current_epochs)["receipts"][1]

    findings = take(database, receipt(database, ANNA, 1, 1, epoch=epoch))

    assert codes(findings) == [module.NOT_RECEIPTED]


@pytest.mark.parametrize(("first", "last"), [(0, 3), (4, 3), (1, 4097)])
def test_range_out_of_bounds_is_a_finding(sent: Database, first: int, last: int) -> None:
    """Ranges that no verified receipt can have are refused here too."""
    findings = take(sent, receipt(sent, ANNA, 1, 3)._replace(first=first, last=last))

    assert codes(findings) == [module.OUT_OF_BOUNDS]


def test_receipt_may_overtake_the_mark(database: Database) -> None:
    """A receipt for what is sealed and not yet marked as sent counts; the late mark does not undo it."""
    take_in(database, document("a"))
    copies = seal_all(database)

    findings = take(database, receipt(database, ANNA, 1, 1))
    database.write_now(lambda c: mark_sent(c, copies, at_ms=NOW_MS + 50))

    assert findings == []
    assert rows(database, "SELECT state, sent_at, settled_at FROM copy") == [(RECEIVED, NOW_MS + 2, NOW_MS + 2)]
    assert rows(database, "SELECT sent FROM stream") == [(1,)]


def test_other_root_moves_nothing_and_begins_a_new_epoch(sent: Database) -> None:
    """A restored outbox learns so from a receipt, and what is not receipted goes out again."""
    take(sent, receipt(sent, ANNA, 1, 4))
    before = sent.read_now(current_epochs)["documents"][1]

    findings = take(sent, receipt(sent, ANNA, 5, 10, root=bytes(32)))

    assert codes(findings) == [module.OTHER_ROOT, "epoch_begun", "statements_requeued"]
    assert sent.read_now(current_epochs)["documents"][1] != before
    assert [state for _, name, state in states(sent) if name == ANNA] == [3] * 4 + [6, 0] * 6
    assert set(of(sent, BINH)) == {SENT}


def test_receipt_beyond_the_stream_begins_a_new_epoch(sent: Database) -> None:
    """Statements that this outbox never sent were sent by somebody with its epochs."""
    findings = take(sent, receipt(sent, ANNA, 1, 11))

    assert codes(findings) == [module.BEYOND, "epoch_begun", "statements_requeued"]


def test_old_epoch_is_still_receipted(sent: Database) -> None:
    """Late receipts for the ended epoch count: for other recipients, and for what went out again."""
    body = receipt(sent, ANNA, 1, 10)
    other = receipt(sent, BINH, 1, 10)
    take(sent, receipt(sent, ANNA, 1, 11))

    findings = take(sent, body) + take(sent, other, issuer=BINH)

    assert findings == []
    assert set(of(sent, BINH)) == {RECEIVED}
    assert sorted(of(sent, ANNA)) == [WAITING] * 10 + [RECEIVED] * 10


def test_second_recipient_of_the_ended_epoch_is_requeued_too(sent: Database) -> None:
    """Each recipient's contradiction lets its own statements go out again, in the epoch that has begun."""
    body = receipt(sent, BINH, 1, 11)
    take(sent, receipt(sent, ANNA, 1, 11))

    findings = take(sent, body, issuer=BINH)

    assert codes(findings) == [module.BEYOND, "statements_requeued"]
    assert rows(sent, "SELECT count(*) FROM epoch WHERE lane = 0") == [(2,)]


def test_epochs_are_not_used_up_by_wrong_receipts(sent: Database) -> None:
    """A recipient that always contradicts causes one epoch in an hour, and findings always."""
    take(sent, receipt(sent, ANNA, 1, 11))
    seal_all(sent)
    soon = take(sent, receipt(sent, ANNA, 1, 12), at_ms=NOW_MS + RENEWAL_PAUSE_MS)
    seal_all(sent)
    later = take(sent, receipt(sent, ANNA, 1, 12), at_ms=NOW_MS + 2 + RENEWAL_PAUSE_MS)

    assert codes(soon) == [module.BEYOND]
    assert codes(later) == [module.BEYOND, "epoch_begun", "statements_requeued"]


async def test_requeued_statements_reach_the_wire_in_the_new_epoch(
    sent: Database,
) -> None:
    """What goes out again has the same body, a new epoch, and numbers from one."""
    transport = FakeTransport()
    epoch = sent.read_now(current_epochs)["documents"][1].hex().encode()
    take(sent, receipt(sent, ANNA, 1, 11))

    await make_drain(sent, transport).drain()

    parts = [value.split(b"|") for value in transport.values(ANNA)]
    assert transport.sequences(ANNA) == list(range(1, 11))
    assert epoch not in {part[2] for part in parts}
    assert parts[0][4].startswith(b"01")
