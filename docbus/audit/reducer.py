"""Takes in what was read, record by record, in any order; does no I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from docbus.audit.documents import Contents, Statuses
from docbus.audit.findings import DIRECTORY_HASH, FOREIGN_RECALL, FOREIGN_STATUS, MAX_FINDINGS
from docbus.audit.receipts import Answer, Receipt, Receipts
from docbus.audit.streams import Stream, StreamId
from docbus.envelope.statement import DocumentBody, ReceiptBody, StatusBody
from docbus.verification.verifier import DIRECTORY_HASH_FINDING

if TYPE_CHECKING:
    from docbus.audit.findings import Kind
    from docbus.audit.places import Inboxes
    from docbus.audit.reading import Reading
    from docbus.envelope.statement import Head, Statement
    from docbus.identity.snapshot import TrustSnapshot

RECEIPT_GRACE_MS = 24 * 60 * 60 * 1000
"""Milliseconds after which an outstanding receipt is overdue. Younger ones are only counted: a recipient may be closed
for the night, and a missing receipt proves nothing (design D5)."""
MAX_REJECTED = 1000
"""Records of one code that are listed; all are counted."""


class InboxCount:
    """What one partition held."""

    __slots__ = ("bytes", "failed", "indeterminate", "records", "valid")

    def __init__(self) -> None:
        self.records = self.bytes = self.valid = self.failed = self.indeterminate = 0


class SenderCount:
    """Statements of one sender by their kind, duplicates not counted."""

    __slots__ = ("documents", "receipts", "statuses")

    def __init__(self) -> None:
        self.documents = self.receipts = self.statuses = 0


class Rejected(NamedTuple):
    """A record that did not verify, or could not be decided."""

    place: int
    outcome: str
    code: str
    text: str


class Remark(NamedTuple):
    """Something wrong in one statement alone, which becomes a finding."""

    kind: Kind
    stream: int
    sequence: int
    digest: bytes
    text: str


class Reducer:
    """Keeps what the records say; see the package for how much memory that takes. For one thread at a time.

    Args:
        inboxes: Everything that will be read.
        snapshot: The directory, read to its end.
        as_of_ms: Time against which the age of statements is measured, milliseconds since 1970 UTC.

    Attributes:
        signed_with: Digest of a certificate to the number of statements that are valid under it, each counted once.
    """

    def __init__(self, inboxes: Inboxes, snapshot: TrustSnapshot, *, as_of_ms: int) -> None:
        self.inboxes = inboxes
        self.snapshot = snapshot
        self.as_of_ms = as_of_ms
        self._old_before = as_of_ms - RECEIPT_GRACE_MS
        self.numbers: dict[StreamId, int] = {}
        self.ids: list[StreamId] = []
        self.streams: list[Stream] = []
        self.receipts: dict[StreamId, Receipts] = {}
        self.contents = Contents()
        self.statuses = Statuses(snapshot)
        self.failed: Counter[str] = Counter()
        self.indeterminate: Counter[str] = Counter()
        self.rejected: list[Rejected] = []
        self.remarks: list[Remark] = []
        self.remarks_dropped: Counter[str] = Counter()
        self._remark_counts: Counter[str] = Counter()
        self.inbox_counts = [InboxCount() for _ in inboxes.all]
        self.sender_counts: dict[str, SenderCount] = {}
        self.signed_with: Counter[bytes] = Counter()
        self._waiting: set[StreamId] = set()
        self._grown: set[StreamId] = set()

    def add(self, reading: Reading, *, rank: int, offset: int, timestamp_ms: int, size: int) -> None:
        """Take in one record.

        Args:
            reading: What verification says of it.
            rank: Number of its inbox in ``inboxes``.
            offset: Its offset there.
            timestamp_ms: The broker's clock when it stored the record.
            size: Bytes of its value.
        """
        place = self.inboxes.pack(rank, offset)
        count = self.inbox_counts[rank]
        count.records += 1
        count.bytes += size
        if reading.outcome == "valid":
            count.valid += 1
        else:
            self._reject(reading, place, count)
        if reading.statement is not None:
            self._take(reading.statement, reading, place, old=timestamp_ms < self._old_before)

    def settle(self) -> None:
        """Compare waiting receipts with the statements that came since; call it now and then, it saves memory."""
        for name in self._grown:
            if self.receipts[name].retry(self.streams[self.numbers[name]]):
                self._waiting.discard(name)
        self._grown.clear()

    def _reject(self, reading: Reading, place: int, count: InboxCount) -> None:
        if reading.outcome == "failed":
            count.failed += 1
            counts = self.failed
        else:
            count.indeterminate += 1
            counts = self.indeterminate
        counts[reading.code] += 1
        if counts[reading.code] <= MAX_REJECTED:
            self.rejected.append(Rejected(place, reading.outcome, reading.code, reading.text))

    def _take(self, statement: Statement, reading: Reading, place: int, *, old: bool) -> None:
        head, position = statement.head, statement.position
        name = StreamId(head.sender, head.recipient, head.epoch)
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = len(self.streams)
            self.ids.append(name)
            self.streams.append(Stream())
            self.sender_counts.setdefault(head.sender, SenderCount())
        stream = self.streams[number]
        stream.lanes.add(head.lane)
        undecided = reading.outcome != "valid"
        new = stream.add(position.sequence, reading.digest, position.previous, place, undecided=undecided, old=old)
        if self._waiting and name in self._waiting:
            self._grown.add(name)
        if undecided:
            # It holds its position, and what it says waits for the decision.
            return
        if isinstance(statement.body, DocumentBody):
            self.contents.add(head.sender, statement.body, place)
        if new:
            self._listen(statement, number, reading)

    def _listen(self, statement: Statement, number: int, reading: Reading) -> None:
        """Take in what a statement says beyond its position, the first time it is met."""
        head, body, sequence = statement.head, statement.body, statement.position.sequence
        count = self.sender_counts[head.sender]
        self.signed_with[head.certificate] += 1

        def remark(kind: Kind, text: str) -> None:
            self._remark(Remark(kind, number, sequence, reading.digest, text))

        if DIRECTORY_HASH_FINDING in reading.findings:
            at = head.directory_position
            remark(DIRECTORY_HASH, f"{head.sender} signed under another directory entry {at} than this log has")
        if isinstance(body, ReceiptBody):
            count.receipts += 1
            self._receipt(head, body, Answer(number, sequence, None), reading.digest)
        elif isinstance(body, StatusBody):
            count.statuses += 1
            wrong = self.statuses.add(head, body, number, sequence)
            if wrong is not None:
                remark(FOREIGN_STATUS, f"status {body.code:02}: {wrong}")
        else:
            count.documents += 1
            foreign = self.statuses.add_change(head, body) if body.concerns else None
            if foreign is not None:
                remark(
                    FOREIGN_RECALL, f"{head.sender} sent a {body.kind} of a document of {foreign}: {body.document_id}"
                )

    def _receipt(self, head: Head, body: ReceiptBody, answer: Answer, digest: bytes) -> None:
        about = StreamId(head.recipient, head.sender, body.epoch)
        receipts = self.receipts.get(about)
        if receipts is None:
            receipts = self.receipts[about] = Receipts()
        covered = self.numbers.get(about)
        receipt = Receipt(body.last, body.first, body.root, body.refused, answer.stream, answer.sequence, digest)
        if not receipts.take(receipt, None if covered is None else self.streams[covered]):
            self._waiting.add(about)

    def _remark(self, remark: Remark) -> None:
        code = remark.kind.code
        self._remark_counts[code] += 1
        if self._remark_counts[code] <= MAX_FINDINGS:
            self.remarks.append(remark)
        else:
            self.remarks_dropped[code] += 1
