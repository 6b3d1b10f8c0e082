from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.envelope.statement import FIRST_PREVIOUS
from docbus.errors import DiskFullError
from docbus.identity.grants import DelegationGrant
from docbus.producers import sealing as module
from docbus.producers.clock_guard import FIRST_TRIAL_SECONDS
from docbus.producers.sealing import Sealing
from docbus.transport.port import Stamp
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    SENDER,
    FakeAgency,
    FakeClock,
    FakeSealer,
    FakeSnapshot,
    add_receipt,
    begin,
    document,
    rows,
    seal_all,
    sealing,
    states,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database


def test_statements_are_numbered_and_chained_within_their_stream(database: Database) -> None:
    """Each stream counts from 1 without holes, over all its batches, and each statement names the one before."""
    take_in(database, *[document(f"{number:04}", ANNA, BINH) for number in range(400)])

    copies = seal_all(database)

    for recipient in (ANNA, BINH):
        stream = [copy for copy in copies if copy.recipient == recipient]
        previous = FIRST_PREVIOUS
        for copy in stream:
            previous = sha256(previous + copy.front).digest()
        assert [copy.sequence for copy in stream] == list(range(1, 401))
        assert rows(database, "SELECT sequence, previous FROM stream WHERE recipient = ?", recipient) == [
            (400, previous)
        ]


def test_batch_is_stored_before_it_is_returned(database: Database) -> None:
    """Positions, digests and the exact bytes are on disk; the package only once."""
    take_in(database, document("a", ANNA, BINH))

    copies = seal_all(database)

    stored = rows(database, "SELECT e.front, e.back FROM envelope e ORDER BY e.envelope")
    assert stored == [(copy.front, copy.back) for copy in copies]
    assert copies[0].value == copies[0].front + b"ciphertext" + copies[0].back
    assert states(database) == [("a", ANNA, 1), ("a", BINH, 1)]
    assert rows(database, "SELECT count(*) FROM copy WHERE length(digest) = 32 AND length(envelope_id) = 16") == [(2,)]


def test_lanes_have_streams_of_their_own(database: Database) -> None:
    """What is urgent does not share numbers with the rest."""
    take_in(database, document("a"), document("b", lane="urgent", urgency=1))
    add_receipt(database)

    copies = seal_all(database)

    assert [copy.sequence for copy in copies] == [1, 1, 1]
    assert len({copy.stream for copy in copies}) == 3


def test_nothing_waiting_seals_nothing(database: Database) -> None:
    """An empty outbox costs no signature."""
    begin(database)
    sealer = FakeSealer()

    assert sealing(database, sealer).seal_next() == ([], 0)
    assert sealer.batches == []


@pytest.mark.parametrize(
    ("agency", "reason"),
    [
        (None, "agency_unknown"),
        (FakeAgency(closed_at=7, successor=CHI), "agency_closed"),
        (FakeAgency(encrypters=((None, 1, 5),)), "agency_closed"),
    ],
)
def test_copy_to_a_closed_recipient_fails_and_others_go_on(
    database: Database, agency: FakeAgency | None, reason: str
) -> None:
    """A recipient that was closed after acceptance costs its own copy, with the reason."""
    take_in(database, document("a", ANNA, BINH), document("b", BINH))
    begin(database)
    snapshot = FakeSnapshot()
    del snapshot.agencies[ANNA]
    if agency is not None:
        snapshot.agencies[ANNA] = agency

    with capture_logs() as logs:
        batch = sealing(database, snapshot=snapshot).seal_next()

    assert [(copy.recipient, copy.sequence) for copy in batch.copies] == [(BINH, 1), (BINH, 2)]
    assert batch.failed == 1
    assert states(database) == [("a", ANNA, 5), ("a", BINH, 1), ("b", BINH, 1)]
    assert rows(database, "SELECT reason FROM copy WHERE state = 5") == [(reason,)]
    assert [(entry["event"], entry["recipient"], entry["code"]) for entry in logs] == [("statement.fail", ANNA, reason)]


def test_only_failures_make_no_batch(database: Database) -> None:
    """When every recipient is closed, nothing is signed and nothing waits any more."""
    take_in(database, document("a"))
    begin(database)
    snapshot = FakeSnapshot({})
    sealer = FakeSealer()

    batch = sealing(database, sealer, snapshot).seal_next()

    assert batch == ([], 1)
    assert sealer.batches == []
    assert sealing(database, sealer, snapshot).seal_next() == ([], 0)


def test_receipt_still_goes_to_a_closed_agency(database: Database) -> None:
    """A closed agency may prove that its documents were filed."""
    add_receipt(database)
    begin(database)

    batch = sealing(database, snapshot=FakeSnapshot({ANNA: FakeAgency(closed_at=7)})).seal_next()

    assert [copy.recipient for copy in batch.copies] == [ANNA]


def test_full_disk_leaves_everything_waiting(database: Database) -> None:
    """A batch that cannot be stored is redone later, under the same numbers."""
    take_in(database, *[document(f"{number:03}") for number in range(200)])
    begin(database)
    pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    step = sealing(database)

    with pytest.raises(DiskFullError):
        step.seal_next()

    assert {state for _, _, state in states(database)} == {0}
    assert rows(database, "SELECT count(*) FROM stream") == [(0,)]
    database._writer.execute("PRAGMA max_page_count = 1000000")
    assert [copy.sequence for copy in step.seal_next().copies] == list(range(1, 201))


def test_ground_that_moves_every_time_ends_the_attempts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose epoch is replaced at every attempt is left waiting after so many, and nothing is lost."""
    take_in(database, document("a", ANNA))
    begin(database)
    tries: list[int] = []

    def moved(*_: object) -> object:
        tries.append(1)
        raise module._GroundMovedError

    monkeypatch.setattr(module._Storing, "store", moved)

    assert [] == sealing(database).seal_next().copies
    assert (module._ATTEMPTS, [("a", ANNA, 0)]) == (len(tries), states(database))


def test_suspended_agency_seals_nothing_and_says_so_once(database: Database) -> None:
    """What waits keeps its place until the reinstatement; the log has one line for each of the two."""
    take_in(database, document("a"))
    begin(database)
    snapshot = FakeSnapshot()
    snapshot.agencies[SENDER].suspended_at = 7
    sealer = FakeSealer()
    made = sealing(database, sealer, snapshot)

    with capture_logs() as logs:
        held = [made.seal_next(), made.seal_next()]
        snapshot.agencies[SENDER].suspended_at = None
        batch = made.seal_next()

    assert [([], 0)] * 2 == held
    assert (["vn:H37"], [1]) == ([copy.recipient for copy in batch.copies], sealer.batches)
    assert [("outbox.suspended", 7), ("outbox.reinstated", None)] == [
        (entry["event"], entry.get("entry")) for entry in logs
    ]


def test_copy_whose_delegation_has_ended_fails_and_others_go_on(database: Database) -> None:
    """What was accepted for another agency and is not signed yet is sent by nobody once that may not be."""
    take_in(database, document("a", on_behalf_of=BINH), document("b"), document("c", on_behalf_of=CHI))
    begin(database)
    snapshot = FakeSnapshot()
    snapshot.delegations[BINH, SENDER] = DelegationGrant(
        agency=BINH, delegate=SENDER, kinds=(), not_before_ms=0, not_after_ms=NOW_MS + 1000, granted_at=3
    )

    batch = sealing(database, snapshot=snapshot).seal_next()

    assert (2, 1) == (len(batch.copies), batch.failed)
    assert [("a", ANNA, 1), ("b", ANNA, 1), ("c", ANNA, 5)] == states(database)
    assert [("delegation_missing",)] == rows(database, "SELECT reason FROM copy WHERE state = 5")


def test_agency_whose_clock_is_ahead_seals_nothing_and_then_one_as_a_trial(database: Database) -> None:
    """What waits keeps its place; the trial is one statement, whatever waits."""
    take_in(database, *[document(f"{number:03}") for number in range(20)])
    begin(database)
    clock = FakeClock(ms=NOW_MS + 3_600_000)
    made = Sealing(
        database=database,
        sealer=FakeSealer(),  # type: ignore[arg-type] # as much as is used
        snapshot=FakeSnapshot,  # type: ignore[arg-type] # likewise
        clock=clock,
        stamp=lambda: Stamp(NOW_MS, 0.0),
    )

    held = made.seal_next()
    clock.advance(FIRST_TRIAL_SECONDS)
    trial = made.seal_next()

    assert (0, 1) == (len(held.copies), len(trial.copies))
    assert 19 == len(rows(database, "SELECT 1 FROM copy WHERE state = 0"))
