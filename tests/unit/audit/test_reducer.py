"""What the records of several inboxes say together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docbus.audit.reducer import MAX_REJECTED, RECEIPT_GRACE_MS, Reducer
from docbus.audit.streams import StreamId
from docbus.envelope.statement import Reference
from docbus.transport import topics
from docbus.verification.verifier import DIRECTORY_HASH_FINDING
from tests.support.audit_readings import EPOCH, A, B, C, Log, digest_of, document, status
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    import pytest

    from docbus.audit.report import AuditReport, StreamSummary


def codes(report: AuditReport) -> list[tuple[str, str | None]]:
    """Return kind and accused of every finding."""
    return [(found.code, found.against) for found in report.findings]


def stream(report: AuditReport, sender: str, recipient: str, lane: str = "documents") -> StreamSummary:
    """Return the one stream between two agencies in a lane."""
    (found,) = [s for s in report.streams if (s.sender, s.recipient, s.lane) == (sender, recipient, lane)]
    return found


def sent(log: Log, count: int = 3, *, sender: str = A, recipient: str = B, **post: Any) -> list[Any]:
    """Post documents with ids of their own."""
    return [log.post(sender, recipient, document(f"{sender}{recipient}{number}"), **post) for number in range(count)]


def test_a_clean_exchange_has_no_findings() -> None:
    """Two senders, receipts for all, and nothing is missing or outstanding."""
    log = Log()
    log.receipt(B, sent(log))
    log.receipt(A, sent(log, 2, sender=C, recipient=A))

    report = log.report()

    assert (report.records, report.valid, report.documents) == (7, 7, 5)
    assert report.findings == ()
    assert [(s.filed, s.outstanding, s.missing) for s in report.streams if s.lane == "documents"] == [
        (3, 0, 0),
        (2, 0, 0),
    ]
    assert [(s.sender, s.documents, s.receipts, s.filed) for s in report.senders] == [
        (A, 3, 1, 3),
        (B, 0, 1, 0),
        (C, 2, 0, 2),
    ]


def test_a_failed_record_is_counted_by_code_and_takes_no_position() -> None:
    """Its place shows as a hole once something follows it."""
    log = Log()
    sent(log, 1)
    sent(log, 1, lost=True)
    log.broken(B, "package_mismatch")
    sent(log, 1)

    report = log.report()

    assert report.failed == {"package_mismatch": 1}
    assert stream(report, A, B).holes == ((2, 2),)
    assert [(r.offset, r.code) for r in report.rejected] == [(1, "package_mismatch")]


def test_only_the_first_failures_of_a_code_are_listed() -> None:
    """All are counted."""
    log = Log()
    for _ in range(MAX_REJECTED + 3):
        log.broken(B)

    report = log.report()

    assert report.failed == {"signature_invalid": MAX_REJECTED + 3}
    assert len(report.rejected) == MAX_REJECTED


def test_a_duplicate_is_counted_and_no_finding() -> None:
    """The same statement again changes nothing else."""
    log = Log()
    first, *_rest = sent(log)
    log.found(B, first)

    report = log.report()

    assert stream(report, A, B).duplicates == 1
    assert report.senders[0].documents == 3
    assert report.findings == ()


def test_a_fork_names_both_digests_and_offsets() -> None:
    """Two statements at one position accuse their sender."""
    log = Log()
    statements = sent(log)
    other = log.post(A, B, document("other"), sequence=2, previous=statements[0].digest)

    (found,) = log.report().findings

    assert (found.code, found.weight, found.against) == ("fork", "misbehaviour", A)
    assert [(w.offset, w.digest) for w in found.witnesses] == [(1, statements[1].digest.hex()), (3, other.digest.hex())]


def test_a_broken_chain_accuses_its_sender() -> None:
    """A statement that follows another than the one before it."""
    log = Log()
    sent(log, 1)
    log.post(A, B, document("x"), previous=digest_of("else"))

    assert codes(log.report()) == [("chain_break", A)]


def test_a_conflict_of_undecided_statements_accuses_nobody() -> None:
    """Where the key was revoked later, a thief may have signed."""
    log = Log()
    statements = sent(log)
    log.post(
        A, B, document("o"), sequence=2, previous=statements[0].digest, outcome="indeterminate", code="revoked_later"
    )

    report = log.report()

    assert codes(report) == [("undecided_conflict", None)]
    assert report.indeterminate == {"revoked_later": 1}


def test_an_undecided_statement_holds_its_position() -> None:
    """It is neither missing nor outstanding, and what it says is not believed."""
    log = Log()
    statements = sent(log)
    undecided = log.post(A, B, document("x"), outcome="indeterminate", code="revoked_later")
    log.receipt(B, statements, outcome="indeterminate", code="revoked_later")
    log.receipt(B, [undecided])

    found = stream(log.report(), A, B)

    assert (found.missing, found.undecided, found.filed, found.outstanding_ranges) == (0, 1, 1, ((1, 3),))


def test_a_wrong_root_accuses_the_recipient() -> None:
    """The receipt is for other statements than lie in the inbox."""
    log = Log()
    log.receipt(B, sent(log), root=digest_of("else"))

    report = log.report()

    assert codes(report) == [("wrong_root", B)]
    assert stream(report, A, B).outstanding == 3


def test_a_receipt_of_somebody_else_counts_for_nothing() -> None:
    """Only the recipient itself can acknowledge."""
    log = Log()
    log.receipt(C, sent(log))

    report = log.report()

    assert stream(report, A, B).filed == 0
    assert codes(report) == [("receipted_missing", None)]


def test_refusals_are_listed_with_their_reasons() -> None:
    """A refused statement is answered and not filed."""
    log = Log()
    log.receipt(B, sent(log), refused=[(2, "expired")])

    report = log.report()

    assert report.refusals == {"expired": 1}
    assert [(r.sender, r.recipient, r.sequence, r.reason) for r in report.refused] == [(A, B, 2, "expired")]
    assert (stream(report, A, B).filed, stream(report, A, B).refused, stream(report, A, B).outstanding) == (2, 1, 0)


def test_refused_may_become_filed() -> None:
    """A later receipt without the refusal files it."""
    log = Log()
    statements = sent(log)
    log.receipt(B, statements, refused=[(2, "expired")])
    log.receipt(B, statements[1:2])

    report = log.report()

    assert (report.refusals, stream(report, A, B).filed, report.findings) == ({}, 3, ())


def test_filed_may_not_become_refused() -> None:
    """A later refusal of what was filed contradicts the recipient itself."""
    log = Log()
    statements = sent(log)
    log.receipt(B, statements)
    log.receipt(B, statements[1:2], refused=[(2, "expired")])

    assert codes(log.report()) == [("receipt_contradiction", B)]


def test_two_roots_for_what_was_not_read_contradict() -> None:
    """Even without the statements, one of two receipts is wrong."""
    log = Log(agencies=(A, C))
    statements = sent(log, lost=True)
    log.receipt(B, statements)
    log.receipt(B, statements, root=digest_of("else"))

    assert codes(log.report()) == [("receipt_contradiction", B)]


def test_what_was_receipted_and_is_not_there_is_found() -> None:
    """The tail of an inbox was cut off: nothing in the stream itself tells."""
    log = Log()
    statements = sent(log, 2)
    log.receipt(B, statements + sent(log, 2, lost=True))

    report = log.report()

    assert codes(report) == [("receipted_missing", None)]
    assert "statements 3 to 4" in report.findings[0].text
    assert stream(report, A, B).missing == 0


def test_a_receipt_that_came_while_bounds_were_taken_is_no_proof() -> None:
    """What it covers may lie behind the end that was read to."""
    log = Log()
    log.receipt(B, sent(log, 2) + sent(log, 2, lost=True))

    assert log.report(inboxes=log.inboxes(settled=0)).findings == ()


def test_a_receipt_for_an_inbox_that_was_not_read_is_no_finding() -> None:
    """Nothing is missing that was not asked for, nor where reading failed."""
    log = Log()
    log.receipt(B, sent(log, lost=True))
    elsewhere = Log(agencies=(A, C))
    elsewhere.receipt(B, sent(elsewhere, lost=True))

    assert log.report(unread=frozenset({B})).findings == ()
    assert elsewhere.report().findings == ()


def test_reading_from_later_on_misses_nothing_before_it() -> None:
    """With a start, neither positions nor receipts before the first statement count as missing."""
    log = Log()
    early, late = sent(log, 2, lost=True), sent(log, 2)
    log.receipt(B, early + late)

    report = log.report(inboxes=log.inboxes(whole=False))

    assert (report.findings, stream(report, A, B).first, stream(report, A, B).missing) == ((), 3, 0)


def test_without_a_start_the_first_statement_is_number_one() -> None:
    """An inbox that was read from its first record begins each stream at 1."""
    log = Log()
    sent(log, 2, lost=True)
    sent(log, 2)

    assert stream(log.report(), A, B).holes == ((1, 2),)


def test_receipts_before_their_statements_are_believed_too() -> None:
    """The inbox of the receipts may be read first."""
    log = Log()
    log.receipt(B, sent(log))
    log.placed.reverse()

    report = log.report()

    assert (stream(report, A, B).filed, report.findings) == (3, ())


def test_a_waiting_receipt_is_settled_when_its_statements_have_come() -> None:
    """It does not wait in memory until the end of the replay."""
    log = Log()
    statements = sent(log)
    log.receipt(B, statements)
    inboxes = log.inboxes()
    snapshot: Any = SimpleNamespace(agency=lambda _agency: None)
    reducer = Reducer(inboxes, snapshot, as_of_ms=NOW_MS)
    for one in reversed(log.placed):
        rank = inboxes.rank(topics.inbox(one.agency), 0)
        reducer.add(one.reading, rank=rank, offset=one.offset, timestamp_ms=one.stored_ms, size=1)

    before = reducer.receipts[StreamId(A, B, EPOCH)].filed()
    reducer.settle()

    assert (before, reducer.receipts[StreamId(A, B, EPOCH)].filed()) == ([], [(1, 3)])


def test_young_outstanding_receipts_are_only_counted() -> None:
    """A recipient may be closed for the night."""
    log = Log()
    sent(log, stored_ms=NOW_MS - RECEIPT_GRACE_MS)

    report = log.report()

    assert (stream(report, A, B).outstanding, stream(report, A, B).overdue, report.findings) == (3, 0, ())


def test_outstanding_receipts_are_overdue_after_the_time_of_grace() -> None:
    """Older statements without a receipt make the audit incomplete, against nobody."""
    log = Log()
    sent(log, stored_ms=NOW_MS - RECEIPT_GRACE_MS - 1)

    report = log.report()

    assert stream(report, A, B).overdue == 3
    assert codes(report) == [("receipt_overdue", None)]


def test_receipts_are_not_overdue_where_they_were_not_read() -> None:
    """The sender's inbox, where they would lie, was not read to its end."""
    log = Log()
    sent(log, stored_ms=0)

    assert log.report(unread=frozenset({A})).findings == ()
    assert log.report(inboxes=log.inboxes(to_now=False)).findings == ()


def test_receipts_need_no_receipts() -> None:
    """The receipts lane is never outstanding."""
    log = Log()
    log.receipt(B, sent(log), stored_ms=0)

    assert stream(log.report(), B, A, "receipts").outstanding == 0


def test_different_documents_under_one_id_accuse_their_sender() -> None:
    """Two recipients that compare see two contents."""
    log = Log()
    log.post(A, B, document("d"))
    log.post(A, C, document("d", content="other"))

    (found,) = log.report().findings

    assert (found.code, found.against) == ("equivocation", A)
    assert [w.topic for w in found.witnesses] == ["docbus.inbox.vn.H02", "docbus.inbox.vn.H03"]


def test_one_epoch_in_two_lanes_accuses_its_sender() -> None:
    """An epoch is one lane of one outbox."""
    log = Log()
    log.post(A, B, document("d"))
    log.post(A, B, document("e"), lane="urgent")

    assert codes(log.report()) == [("lane_mix", A)]


def test_another_directory_is_a_finding() -> None:
    """A statement made under another entry than the log has."""
    log = Log()
    log.post(A, B, document("d"), findings=(DIRECTORY_HASH_FINDING,))

    assert codes(log.report()) == [("directory_hash_mismatch", A)]


def test_a_recall_of_anothers_document_is_a_finding_unless_merged() -> None:
    """The successor of the original sender may recall."""
    log = Log()
    log.post(B, C, document("r", kind="recall", concerns=[Reference(A, "d", 1)]))

    assert codes(log.report()) == [("foreign_recall", B)]
    assert log.report(successors={A: B}).findings == ()


def test_impossible_statuses_are_notices() -> None:
    """They are flagged with the one before, and listed with the document."""
    log = Log()
    log.post(B, A, status(A, "d", 1))
    log.post(B, A, status(A, "d", 6))
    log.post(B, C, status(A, "d", 3))

    report = log.report()

    assert [(f.code, f.weight) for f in report.findings] == [
        ("foreign_status", "notice"),
        ("impossible_status", "notice"),
    ]
    assert "status 06 after 01" in report.findings[1].text
    assert report.statuses == {"01": 1, "03": 1, "06": 1}
    assert [(d.document_id, d.recipient, d.codes, d.impossible) for d in report.document_statuses] == [
        ("d", B, (1, 6), (1,))
    ]


def test_two_epochs_are_two_streams() -> None:
    """A restored outbox begins a new epoch at 1, and nothing is missing."""
    log = Log()
    sent(log)
    log.post(A, B, document("new"), epoch=b"f" * 16)

    report = log.report()

    assert [(s.epoch[:2], s.first, s.last, s.missing) for s in report.streams] == [("65", 1, 3, 0), ("66", 1, 1, 0)]
    assert report.findings == ()


def test_inboxes_are_added_up() -> None:
    """Records, bytes and outcomes by inbox."""
    log = Log()
    sent(log, 2)
    log.broken(B)
    log.post(A, B, document("x"), outcome="indeterminate", code="revoked_later")

    (inbox,) = [found for found in log.report().inboxes if found.agency == B]

    assert (inbox.records, inbox.bytes, inbox.valid, inbox.failed, inbox.indeterminate) == (4, 400, 2, 1, 1)


def test_particulars_are_listed_up_to_a_limit_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings, refusals, ranges, witnesses and documents beyond their limits are counted, and not listed."""
    monkeypatch.setattr("docbus.audit.findings.MAX_FINDINGS", 2)
    monkeypatch.setattr("docbus.audit.receipt_audit.MAX_REFUSED", 2)
    monkeypatch.setattr("docbus.audit.assembly.MAX_DOCUMENTS", 2)
    log = Log()
    statements = sent(log, 4)
    log.receipt(B, statements, refused=[(number, "expired") for number in range(1, 5)])
    for _ in range(3):
        log.post(A, C, document("x"), previous=digest_of("else"))
    for number in range(3):
        log.post(B, A, status(A, f"d{number}", 1))

    report = log.report()

    assert 2 == codes(report).count(("chain_break", A))
    assert 3 == report.finding_counts["chain_break"]
    assert (2, {"expired": 4}) == (len(report.refused), report.refusals)
    assert (2, {"01": 3}) == (len(report.document_statuses), report.statuses)


def test_a_finding_names_ranges_and_witnesses_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt over many holes, and a document under many bodies, make one finding of a bounded length."""
    monkeypatch.setattr("docbus.audit.assembly.MAX_RANGES", 2)
    monkeypatch.setattr("docbus.audit.assembly.MAX_WITNESSES", 2)
    log = Log()
    for _ in range(4):
        sent(log, 1)
        sent(log, 1, lost=True)
    sent(log, 1)
    for content in "abcd":
        log.post(A, C, document("one", content=content))

    report = log.report()

    assert (((2, 2), (4, 4)), 4) == (stream(report, A, B).holes, stream(report, A, B).missing)
    (found,) = [one for one in report.findings if one.code == "equivocation"]
    assert 2 == len(found.witnesses)
