"""Contents and statuses of documents, across inboxes."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from docbus.audit.documents import Contents, Statuses
from docbus.envelope.statement import Reference
from tests.support.audit_readings import A, B, C, Log, document, status


def statuses(**successors: str) -> Statuses:
    """Return an empty record of statuses; successors are given by the last letter of the merged agency's code."""
    merged = {f"vn:H0{number}": successor for number, successor in successors.items()}
    snapshot: Any = SimpleNamespace(agency=lambda agency: SimpleNamespace(successor=merged.get(agency)))
    return Statuses(snapshot)


def report(found: Statuses, *steps: tuple[str, str, int]) -> list[str | None]:
    """Report statuses about A's document ``d`` by (from, to, code)."""
    log = Log()
    answers = []
    for sender, recipient, code in steps:
        statement = log.post(sender, recipient, status(A, "d", code)).statement
        assert statement is not None
        answers.append(found.add(statement.head, status(A, "d", code), 0, statement.position.sequence))
    return answers


def impossible(found: Statuses, *, visible: bool = True) -> list[tuple[int, ...]]:
    """Return the flagged reports of all journeys, in the order of their sequence."""
    journeys = found.journeys(lambda report: report.sequence, visible=lambda _agency: visible)
    return [journey.impossible for journey in journeys]


def test_the_same_body_to_many_is_one_document() -> None:
    """Copies are counted once and are no equivocation."""
    contents = Contents()
    for place in range(3):
        contents.add(A, document("d"), place)

    assert len(contents) == 1
    assert contents.equivocations == {}


def test_another_body_under_the_same_id_is_equivocation() -> None:
    """Each body is kept with the first place it was seen at, in whatever order they come."""
    for order in permutations([(7, ""), (3, "x"), (5, "")]):
        contents = Contents()
        for place, content in order:
            contents.add(A, document("d", content=content), place)

        (reference, bodies), *rest = contents.equivocations.items()

        assert (reference, sorted(bodies.values()), rest) == (Reference(A, "d", 1), [3, 5], [])


def test_ids_belong_to_their_sender() -> None:
    """Two agencies may use the same document id."""
    contents = Contents()
    contents.add(A, document("d"), 1)
    contents.add(B, document("d", content="x"), 2)

    assert contents.equivocations == {}
    assert len(contents) == 2


def test_a_usual_journey_has_nothing_impossible() -> None:
    """Arrived, registered, processing, finished."""
    found = statuses()

    assert report(found, (B, A, 1), (B, A, 3), (B, A, 5), (B, A, 6)) == [None] * 4
    assert impossible(found) == [()]


def test_a_skipped_stage_is_flagged() -> None:
    """Finished without having been registered cannot follow."""
    found = statuses()
    report(found, (B, A, 1), (B, A, 6))

    assert impossible(found) == [(1,)]


def test_an_unknown_code_is_flagged() -> None:
    """A code that nobody uses cannot follow anything."""
    found = statuses()
    report(found, (B, A, 7))

    assert impossible(found) == [(0,)]


def test_an_answer_needs_a_request() -> None:
    """15 without 13 is flagged; with one in the recipient's inbox it is not, wherever that was read."""
    alone, asked = statuses(), statuses()
    report(alone, (B, A, 15))
    report(asked, (B, A, 15), (A, B, 13))

    assert impossible(alone) == [(0,)]
    assert impossible(asked) == [()]


def test_requests_that_were_not_read_are_assumed() -> None:
    """If the recipient's inbox was not read, an answer to a request is not flagged."""
    found = statuses()
    report(found, (B, A, 16), (B, A, 15))

    assert impossible(found, visible=False) == [()]


def test_a_recall_is_a_request() -> None:
    """The answer to a recall is possible."""
    found = statuses()
    log = Log()
    body = document("r", kind="recall", concerns=[Reference(A, "d", 1)])
    statement = log.post(A, B, body).statement
    assert statement is not None
    assert found.add_change(statement.head, body) is None
    report(found, (B, A, 15))

    assert impossible(found) == [()]


@pytest.mark.parametrize(
    ("sender", "recipient", "code"),
    [(B, C, 3), (B, A, 13), (B, C, 13)],
    ids=["to a third", "by the recipient", "by a third"],
)
def test_a_status_of_somebody_without_a_part_is_named(sender: str, recipient: str, code: int) -> None:
    """Statuses go to the document's sender; only that one asks for it back."""
    found = statuses()

    (answer,) = report(found, (sender, recipient, code))

    assert answer is not None
    assert A in answer
    assert impossible(found) == []


def test_a_successor_speaks_for_the_merged_agency() -> None:
    """The agency that A was merged into, over two mergers, may ask its documents back and be told of them."""
    found = statuses(**{"1": B, "2": C})

    assert report(found, (C, B, 13), (B, C, 15)) == [None, None]
    assert not found.speaks_for("vn:H04", A)


def test_mergers_in_a_circle_end() -> None:
    """A directory that leads round in circles is not followed for ever."""
    assert not statuses(**{"1": B, "2": A}).speaks_for(C, A)


def test_a_recall_of_another_agencys_document_is_named() -> None:
    """It says whose document it is; a plain document may refer to anybody's."""
    found = statuses()
    log = Log()
    recall = document("r", kind="recall", concerns=[Reference(A, "d", 1)])
    plain = document("p", concerns=[Reference(A, "d", 1)])
    statement = log.post(B, C, recall).statement
    assert statement is not None

    assert found.add_change(statement.head, recall) == A
    assert found.add_change(statement.head, plain) is None


def test_mergers_are_followed_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a longer line of mergers than any history has is not followed to its end."""
    monkeypatch.setattr("docbus.audit.documents.MAX_SUCCESSORS", 2)

    assert statuses(**{"1": B, "2": C}).speaks_for(B, A)
    assert not statuses(**{"1": B, "2": C}).speaks_for(C, A)


def test_order_of_brokers_is_nobodys_fault() -> None:
    """Two reports of one stream that are stored the other way round are taken in the order that was signed."""
    found = statuses()
    report(found, (B, A, 16), (B, A, 15))

    (journey,) = found.journeys(lambda report: -report.sequence, visible=lambda _agency: False)

    assert ((), [16, 15]) == (journey.impossible, [one.code for one in journey.reports])
