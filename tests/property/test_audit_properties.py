"""The report is a function of what lies in the inboxes, not of the order in which they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from docbus.envelope.statement import Reference
from tests.support.audit_readings import A, B, C, Log, Placed, digest_of, document, status
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from docbus.audit.reading import Reading

AGENCIES = (A, B, C)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["document", "lost", "fork", "duplicate", "broken", "undecided", "receipt", "wrong", "status"]),
        st.sampled_from(AGENCIES),
        st.sampled_from(AGENCIES),
        st.integers(0, 5),
    ),
    max_size=40,
)


def exchange(steps: list[tuple[str, str, str, int]]) -> Log:
    """Return the inboxes that follow from a list of (what, from, to, number)."""
    log = Log()
    sent: dict[tuple[str, str], list[Reading]] = {}
    for number, (what, sender, recipient, choice) in enumerate(steps):
        before = sent.setdefault((sender, recipient), [])
        covered = sent.get((recipient, sender), [])[-choice - 1 :]
        if what in ("receipt", "wrong"):
            if covered:
                _acknowledge(log, sender, covered, wrong=what == "wrong", refuse=choice > 3)
        elif what in ("fork", "duplicate"):
            if before:
                _repeat(log, sender, recipient, before, choice, fork=what == "fork")
        elif what == "broken":
            log.broken(recipient)
        else:
            before += _post(log, what, sender, recipient, number=number, choice=choice)
    return log


def _acknowledge(log: Log, sender: str, covered: list[Reading], *, wrong: bool, refuse: bool) -> None:
    refused = [(reading.statement.position.sequence, "no") for reading in covered[:1] if reading.statement]
    root = digest_of("else") if wrong else None
    log.receipt(sender, covered, root=root, refused=refused if refuse else ())


def _repeat(log: Log, sender: str, recipient: str, before: list[Reading], choice: int, *, fork: bool) -> None:
    if fork:
        body = document(f"f{len(log.placed)}")
        log.post(sender, recipient, body, sequence=max(1, len(before) - choice))
    else:
        log.found(recipient, before[choice % len(before)])


def _post(log: Log, what: str, sender: str, recipient: str, *, number: int, choice: int) -> list[Reading]:
    # Some are old, so that receipts for them are overdue.
    stored_ms = number % 2 * NOW_MS
    if what == "document":
        # Few ids, so that some are used twice with other content.
        body = document(f"d{choice}", content=str(number % 2))
        return [log.post(sender, recipient, body, stored_ms=stored_ms)]
    if what == "lost":
        return [log.post(sender, recipient, document(f"l{number}"), lost=True)]
    if what == "undecided":
        return [log.post(sender, recipient, document(f"u{number}"), outcome="indeterminate", code="late")]
    code = (1, 3, 5, 6, 13, 15)[choice]
    said = status(sender if code == 13 else recipient, "d0", code)
    recall = document(f"r{number}", kind="recall", concerns=[Reference(A, "d0", 1)])
    return [log.post(sender, recipient, said, stored_ms=stored_ms), log.post(sender, recipient, recall)]


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[Log, list[Placed]]:
    """Return an exchange, and its records in an order that keeps the order within each inbox."""
    log = exchange(draw(STEPS))
    queues = {agency: [one for one in log.placed if one.agency == agency] for agency in AGENCIES}
    turns = draw(st.permutations([one.agency for one in log.placed]))
    return log, [queues[agency].pop(0) for agency in turns]


@settings(max_examples=150, deadline=None)
@given(interleaved(), st.integers(1, 7))
def test_any_interleaving_of_the_inboxes_gives_the_same_report(
    made: tuple[Log, list[Placed]], settle_every: int
) -> None:
    """Reading inboxes in turns, one after the other, or in any mixture says the same."""
    log, order = made

    assert log.report(order, settle_every=settle_every) == log.report()


@settings(max_examples=100, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_any_order_at_all_gives_the_same_report(steps: list[tuple[str, str, str, int]], random: Any) -> None:
    """Not even the order within an inbox matters to what the records prove, as their offsets tell it."""
    log = exchange(steps)
    order = list(log.placed)
    random.shuffle(order)

    assert log.report(order) == log.report()


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_positions_add_up(steps: list[tuple[str, str, str, int]]) -> None:
    """Every position up to the last is held or missing, and every held one is answered, outstanding or undecided."""
    for stream in exchange(steps).report().streams:
        assert stream.statements + stream.missing == stream.last
        if stream.lane == "documents" and not stream.forks:
            answered = stream.filed + stream.refused + stream.outstanding
            assert stream.statements - stream.undecided <= answered <= stream.statements
