"""Judges all receipts, once everything has been read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from docbus.audit import findings as kinds
from docbus.audit import ranges
from docbus.audit.receipts import contradictions
from docbus.audit.report import RefusedStatement
from docbus.audit.scope import called

if TYPE_CHECKING:
    from docbus.audit.findings import Findings
    from docbus.audit.ranges import Range
    from docbus.audit.receipts import Answer, Receipt, Receipts
    from docbus.audit.reducer import Reducer
    from docbus.audit.scope import Scope
    from docbus.audit.streams import Stream, StreamId

MAX_REFUSED = 10_000
"""Refused statements that are listed; all are counted."""
MAX_RANGES = 100
"""Ranges that one finding names."""
MAX_WITNESSES = 16
"""Records that one finding names."""


class ReceiptAudit:
    """Says of each stream what is filed and what refused, and adds what is wrong with the receipts to the findings."""

    def __init__(self, reducer: Reducer, scope: Scope, findings: Findings) -> None:
        self._reducer = reducer
        self._scope = scope
        self._findings = findings
        self.reasons: Counter[str] = Counter()
        self.refused: list[RefusedStatement] = []

    def judge(self, name: StreamId, stream: Stream) -> tuple[list[Range], list[int]]:
        """Return the filed ranges of a stream, and the positions that are refused for good."""
        receipts = self._reducer.receipts.get(name)
        if receipts is None:
            return [], []
        unresolved = receipts.finish(stream)
        for receipt in unresolved.wrong:
            self._about(kinds.WRONG_ROOT, name, receipt, "has another root than the statements in the inbox")
        for receipt in unresolved.undecidable:
            self._about(kinds.RECEIPT_UNDECIDABLE, name, receipt, "fits no tried choice of the forked statements")
        self._missing(name, stream, unresolved.missing)
        answers = receipts.answers()
        self._contradictions(name, answers)
        return receipts.filed(), self._refusals(name, answers)

    def judge_unseen(self, name: StreamId, receipts: Receipts) -> None:
        """Judge receipts about a stream of which no statement was read."""
        self._missing(name, None, receipts.finish(None).missing)

    def _about(self, kind: kinds.Kind, name: StreamId, receipt: Receipt, text: str) -> None:
        against = name.recipient if kind.weight == "misbehaviour" else None
        whole = f"the receipt for statements {receipt.first} to {receipt.last} of {called(name)} {text}"
        self._findings.add(kind, against, whole, (self._scope.receipt_witness(receipt),))

    def _refusals(self, name: StreamId, answers: dict[int, list[Answer]]) -> list[int]:
        refused = [statement for statement, found in answers.items() if all(a.reason is not None for a in found)]
        for statement in refused:
            last = max(answers[statement], key=lambda answer: (self._scope.answer_place(answer), answer.reason or ""))
            reason = last.reason or ""
            self.reasons[reason] += 1
            if len(self.refused) < MAX_REFUSED:
                epoch = name.epoch.hex()
                self.refused.append(
                    RefusedStatement(
                        sender=name.sender, recipient=name.recipient, epoch=epoch, sequence=statement, reason=reason
                    )
                )
        return refused

    def _contradictions(self, name: StreamId, answers: dict[int, list[Answer]]) -> None:
        for statement, earlier, later in contradictions(answers, self._scope.answer_place):
            said = "filed" if earlier.reason is None else f"refused ({earlier.reason})"
            self._findings.add(
                kinds.RECEIPT_CONTRADICTION,
                name.recipient,
                f"statement {statement} of {called(name)} was {said}, and later refused ({later.reason})",
                tuple(self._scope.witness(self._scope.answer_place(answer)) for answer in (earlier, later)),
            )

    def _missing(self, name: StreamId, stream: Stream | None, receipts: list[Receipt]) -> None:
        """Judge receipts for what was not read: whether they agree, and whether it should have been there."""
        self._different_roots(name, receipts)
        if not self._scope.fully_read(name.recipient):
            return
        held = [] if stream is None else stream.held()
        gone: list[Range] = []
        named: list[Receipt] = []
        for receipt in receipts:
            first, last = self._expected(name, stream, receipt)
            left = ranges.subtract([(first, last)], held) if first <= last else []
            if left:
                gone += left
                named.append(receipt)
        if gone:
            self._findings.add(
                kinds.RECEIPTED_MISSING,
                None,
                f"statements {ranges.text(ranges.merge(gone)[:MAX_RANGES])} of {called(name)} were receipted by "
                f"{name.recipient} and are not in its inbox",
                tuple(sorted(self._scope.receipt_witness(receipt) for receipt in named)[:MAX_WITNESSES]),
            )

    def _expected(self, name: StreamId, stream: Stream | None, receipt: Receipt) -> Range:
        """Return which of a receipt's statements must lie in what was read."""
        first, last = receipt.first, receipt.last
        if not self._scope.whole(name.recipient):
            # What lies before the first statement that was read may have been left out on purpose, or deleted by age.
            first = last + 1 if stream is None else max(first, stream.first)
        if not self._scope.settled(receipt):
            # It is so young that the statements may have come after the inbox was bounded.
            last = 0 if stream is None else min(last, stream.last)
        return first, last

    def _different_roots(self, name: StreamId, receipts: list[Receipt]) -> None:
        by_range: dict[Range, dict[bytes, Receipt]] = {}
        for receipt in receipts:
            by_range.setdefault((receipt.first, receipt.last), {}).setdefault(receipt.root, receipt)
        for (first, last), roots in sorted(by_range.items()):
            if len(roots) > 1:
                self._findings.add(
                    kinds.RECEIPT_CONTRADICTION,
                    name.recipient,
                    f"{len(roots)} receipts with different roots for statements {first} to {last} of {called(name)}",
                    tuple(sorted(self._scope.receipt_witness(receipt) for receipt in roots.values())[:MAX_WITNESSES]),
                )
