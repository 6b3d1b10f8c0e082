"""What a replay covers, and where the records lie that its findings rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.audit.findings import witness

if TYPE_CHECKING:
    from docbus.audit.documents import Report
    from docbus.audit.findings import Witness
    from docbus.audit.receipts import Answer, Receipt
    from docbus.audit.reducer import Reducer
    from docbus.audit.streams import StreamId


class Scope:
    """Answers for a reducer into which everything has been added.

    Args:
        reducer: The reducer.
        unread: Agencies of whose inboxes something could not be read.
    """

    def __init__(self, reducer: Reducer, unread: frozenset[str]) -> None:
        self._streams = reducer.streams
        self._inboxes = reducer.inboxes
        self._unread = unread

    def whole(self, agency: str) -> bool:
        """Tell whether streams to an agency were read from their first statement on."""
        found = self._inboxes.of(agency)
        return bool(found) and all(inbox.whole for inbox in found)

    def fully_read(self, agency: str) -> bool:
        """Tell whether an agency's inbox was read to its end."""
        found = self._inboxes.of(agency)
        return bool(found) and agency not in self._unread and all(inbox.to_now for inbox in found)

    def settled(self, receipt: Receipt) -> bool:
        """Tell whether a receipt is so old that what it covers must have been read too."""
        return self._inboxes.settled(self.receipt_place(receipt))

    def receipt_place(self, receipt: Receipt) -> int:
        """Return where a receipt lies, packed."""
        return self._streams[receipt.stream].place(receipt.sequence, receipt.digest)

    def answer_place(self, answer: Answer) -> int:
        """Return where the receipt that gave an answer lies, packed."""
        return self._streams[answer.stream].place(answer.sequence)

    def report_place(self, report: Report) -> int:
        """Return where a status lies, packed."""
        return self._streams[report.stream].place(report.sequence)

    def statement_place(self, stream: int, sequence: int, digest: bytes) -> int:
        """Return where a statement lies, packed."""
        return self._streams[stream].place(sequence, digest)

    def witness(self, place: int, digest: bytes = b"") -> Witness:
        """Return a witness for a packed place."""
        return witness(self._inboxes.place(place), digest)

    def receipt_witness(self, receipt: Receipt) -> Witness:
        """Return a witness for a receipt."""
        return self.witness(self.receipt_place(receipt), receipt.digest)


def called(name: StreamId) -> str:
    """Return a stream's name for people."""
    return f"{name.sender} → {name.recipient}, epoch {name.epoch.hex()[:8]}"
