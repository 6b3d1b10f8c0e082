"""Receipts about one stream: believed, waiting, wrong, contradicting."""

from __future__ import annotations

import pytest

from docbus.audit.receipts import Answer, Contradiction, Receipt, Receipts, contradictions
from docbus.audit.streams import Stream
from docbus.envelope.statement import FIRST_PREVIOUS, Refusal
from docbus.wire.tree import root_of
from tests.support.audit_readings import digest_of


def digest(sequence: int) -> bytes:
    """Return the digest of the statement at a position."""
    return digest_of(str(sequence))


def stream_of(*sequences: int) -> Stream:
    """Return a stream that holds these positions."""
    stream = Stream()
    for sequence in sequences:
        previous = FIRST_PREVIOUS if sequence == 1 else digest(sequence - 1)
        stream.add(sequence, digest(sequence), previous, sequence, undecided=False, old=False)
    return stream


def receipt(
    first: int, last: int, *, root: bytes | None = None, refused: tuple[Refusal, ...] = (), at: int = 1
) -> Receipt:
    """Return a receipt for these positions, which stands at position ``at`` of stream 0."""
    found = root_of([digest(sequence) for sequence in range(first, last + 1)]) if root is None else root
    return Receipt(last, first, found, refused, 0, at, digest_of(f"receipt {at}"))


def test_a_receipt_over_read_statements_is_believed() -> None:
    """Its range is filed but for what it refuses."""
    receipts = Receipts()

    believed = receipts.take(
        receipt(1, 5, refused=(Refusal(2, "expired"), Refusal(5, "invalid"))), stream_of(1, 2, 3, 4, 5)
    )

    assert believed
    assert receipts.filed() == [(1, 1), (3, 4)]
    assert receipts.answers() == {2: [Answer(0, 1, "expired")], 5: [Answer(0, 1, "invalid")]}


def test_a_receipt_waits_for_its_statements() -> None:
    """It is believed once they have been read."""
    receipts = Receipts()

    assert not receipts.take(receipt(1, 3), None)
    assert not receipts.retry(stream_of(1, 2))
    assert receipts.filed() == []
    assert receipts.retry(stream_of(1, 2, 3))
    assert receipts.filed() == [(1, 3)]


def test_a_late_filled_hole_is_looked_at_once_more() -> None:
    """A receipt over a hole is believed at the end if the hole was filled."""
    receipts = Receipts()
    receipts.take(receipt(1, 3), None)
    receipts.retry(stream_of(1, 3))

    left = receipts.finish(stream_of(1, 2, 3))

    assert left == ([], [], [])
    assert receipts.filed() == [(1, 3)]


def test_another_root_is_wrong() -> None:
    """A root that the read statements do not have is kept as wrong, and files nothing."""
    receipts = Receipts()
    wrong = receipt(1, 2, root=digest_of("else"))
    receipts.take(wrong, stream_of(1, 2))

    assert receipts.finish(stream_of(1, 2)) == ([wrong], [], [])
    assert receipts.filed() == []


def test_what_was_never_read_is_missing() -> None:
    """A receipt over a hole, or over an unknown stream, cannot be recomputed."""
    receipts = Receipts()
    over_hole, beyond = receipt(1, 3), receipt(3, 4, at=2)
    receipts.take(over_hole, stream_of(1, 3))
    receipts.take(beyond, stream_of(1, 3))

    assert receipts.finish(stream_of(1, 3)) == ([], [], [over_hole, beyond])
    assert receipts.finish(None).missing == [over_hole, beyond]


def test_finishing_again_says_the_same() -> None:
    """A report may be made twice."""
    receipts = Receipts()
    receipts.take(receipt(1, 2, root=digest_of("else")), stream_of(1, 2))

    assert receipts.finish(stream_of(1, 2)) == receipts.finish(stream_of(1, 2))


def test_answers_bring_together_what_was_filed_and_refused() -> None:
    """A refused statement's answers are all receipts that cover it."""
    receipts = Receipts()
    stream = stream_of(1, 2, 3)
    receipts.take(receipt(1, 2, refused=(Refusal(2, "invalid"),)), stream)
    receipts.take(receipt(2, 3, at=2), stream)

    assert receipts.answers() == {2: [Answer(0, 1, "invalid"), Answer(0, 2, None)]}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([Answer(0, 1, "a"), Answer(0, 2, None)], [], id="refused, then filed"),
        pytest.param(
            [Answer(0, 1, None), Answer(0, 2, "a")],
            [Contradiction(7, Answer(0, 1, None), Answer(0, 2, "a"))],
            id="filed, then refused",
        ),
        pytest.param(
            [Answer(0, 1, "a"), Answer(0, 2, "b")],
            [Contradiction(7, Answer(0, 1, "a"), Answer(0, 2, "b"))],
            id="two reasons",
        ),
        pytest.param([Answer(0, 1, "a"), Answer(0, 1, "a"), Answer(0, 3, "a")], [], id="the same again"),
        pytest.param([Answer(0, 2, None), Answer(0, 1, "a")], [], id="delayed by the broker"),
        pytest.param(
            [Answer(0, 5, None), Answer(1, 1, "a")],
            [Contradiction(7, Answer(0, 5, None), Answer(1, 1, "a"))],
            id="in two epochs, by place",
        ),
        pytest.param([Answer(1, 1, "a"), Answer(0, 5, None)], [], id="in two epochs, the other way round"),
    ],
)
def test_only_a_later_refusal_contradicts(answers: list[Answer], expected: list[Contradiction]) -> None:
    """Refused may become filed; anything else that differs contradicts. Places follow the order of the answers."""
    places = {answer: place for place, answer in enumerate(answers)}

    assert list(contradictions({7: answers}, places.__getitem__)) == expected


def test_answers_that_are_compared_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many answers to one statement the first are compared with each other, and with no others."""
    monkeypatch.setattr("docbus.audit.receipts.MAX_ANSWERS", 2)
    answers = [Answer(0, number, "a" if number < 3 else "b") for number in range(1, 9)]

    assert [] == list(contradictions({7: answers}, lambda answer: answer.sequence))
    assert [7] == [one.statement for one in contradictions({7: answers[1:]}, lambda answer: answer.sequence)]
