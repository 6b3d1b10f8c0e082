"""Statements that were never signed, for the parts of an audit that come after verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docbus.audit.assembly import Assembly
from docbus.audit.places import Inbox, Inboxes
from docbus.audit.reading import Outcome, Reading
from docbus.audit.reducer import Reducer
from docbus.envelope.statement import (
    DOCUMENT_TYPE,
    FIRST_PREVIOUS,
    RECEIPT_TYPE,
    STATUS_TYPE,
    DocumentBody,
    Head,
    Position,
    ReceiptBody,
    Reference,
    Refusal,
    SealedPackage,
    Statement,
    StatusBody,
)
from docbus.transport import topics
from docbus.wire.tree import root_of
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docbus.audit.report import AuditReport
    from docbus.envelope.statement import Body

A, B, C = "vn:H01", "vn:H02", "vn:H03"
EPOCH = b"e" * 16
RECEIPTS_EPOCH = b"r" * 16


def digest_of(text: str) -> bytes:
    """Return 32 bytes that stand for a digest."""
    return sha256(text.encode()).digest()


def document(document_id: str, *, content: str = "", kind: str = "document", concerns: Sequence[Reference] = ()) -> Any:
    """Return a document's body; other content is another body."""
    return DocumentBody(
        document_id=document_id,
        revision=1,
        kind=kind,
        urgency=0,
        created=NOW_MS,
        not_after=None,
        package=SealedPackage(10, digest_of(document_id + content), bytes(32)),
        attachments=(),
        recipients_digest=bytes(32),
        in_reply_to=None,
        concerns=tuple(concerns),
        nonce=bytes(16),
    )


def status(sender: str, document_id: str, code: int) -> StatusBody:
    """Return a status about a document of ``sender``."""
    return StatusBody(Reference(sender, document_id, 1), code, NOW_MS, None, bytes(16))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A reading, and the inbox and offset it is found at."""

    reading: Reading
    agency: str
    offset: int
    stored_ms: int


@dataclass(kw_only=True)
class Log:
    """Inboxes of agencies to which readings are appended; stream positions follow by themselves."""

    agencies: Sequence[str] = (A, B, C)
    placed: list[Placed] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    heads: dict[tuple[str, str, bytes], tuple[int, bytes]] = field(default_factory=dict)

    def post(
        self,
        sender: str,
        recipient: str,
        body: Body,
        *,
        lane: str | None = None,
        epoch: bytes | None = None,
        sequence: int | None = None,
        previous: bytes | None = None,
        outcome: Outcome = "valid",
        code: str = "",
        findings: tuple[str, ...] = (),
        stored_ms: int = NOW_MS,
        lost: bool = False,
    ) -> Reading:
        """Append a statement behind the last one of its stream, or at a given position, or only count it if lost."""
        receipt = isinstance(body, ReceiptBody)
        epoch = epoch or (RECEIPTS_EPOCH if receipt else EPOCH)
        stream = sender, recipient, epoch
        last, last_digest = self.heads.get(stream, (0, FIRST_PREVIOUS))
        at = last + 1 if sequence is None else sequence
        head = Head(
            version=1,
            environment="test",
            sender=sender,
            on_behalf_of=None,
            certificate=bytes(32),
            recipient=recipient,
            lane=lane or ("receipts" if receipt else "documents"),
            epoch=epoch,
            directory_position=1,
            directory_hash=bytes(32),
            made_at=NOW_MS,
            suite=0,
            batch_key_digest=None,
        )
        position = Position(at, last_digest if previous is None else previous, bytes(16), None)
        types = {DocumentBody: DOCUMENT_TYPE, ReceiptBody: RECEIPT_TYPE, StatusBody: STATUS_TYPE}
        statement = Statement(types[type(body)], head, position, body)
        reading = Reading(outcome, statement, digest_of(repr(statement)), findings, code, "")
        if sequence is None:
            self.heads[stream] = at, reading.digest
        if not lost:
            self.found(recipient, reading, stored_ms)
        return reading

    def found(self, agency: str, reading: Reading, stored_ms: int = NOW_MS) -> None:
        """Append a reading to an inbox."""
        offset = self.offsets.get(agency, 0)
        self.offsets[agency] = offset + 1
        self.placed.append(Placed(reading=reading, agency=agency, offset=offset, stored_ms=stored_ms))

    def broken(self, agency: str, code: str = "signature_invalid") -> None:
        """Append a record that does not verify."""
        self.found(agency, Reading("failed", None, b"", (), code, "C1.08"))

    def receipt(
        self,
        recipient: str,
        covered: Sequence[Reading],
        *,
        root: bytes | None = None,
        refused: Iterable[tuple[int, str]] = (),
        **post: Any,
    ) -> Reading:
        """Let the recipient acknowledge statements, which are contiguous."""
        statements = [reading.statement for reading in covered if reading.statement is not None]
        body = ReceiptBody(
            statements[0].head.epoch,
            statements[0].position.sequence,
            statements[-1].position.sequence,
            root_of([reading.digest for reading in covered]) if root is None else root,
            tuple(Refusal(sequence, reason) for sequence, reason in refused),
            bytes(16),
        )
        return self.post(recipient, statements[0].head.sender, body, **post)

    def inboxes(self, **changed: Any) -> Inboxes:
        """Return the inboxes as read from the first record to the end, but for what is changed."""
        values = {"start": 0, "whole": True, "to_now": True} | changed
        return Inboxes(
            Inbox(
                agency=agency,
                topic=topics.inbox(agency),
                partition=0,
                **({"end": self.offsets.get(agency, 0), "settled": self.offsets.get(agency, 0)} | values),
            )
            for agency in self.agencies
        )

    def report(
        self,
        placed: Iterable[Placed] | None = None,
        *,
        inboxes: Inboxes | None = None,
        unread: frozenset[str] = frozenset(),
        successors: dict[str, str] | None = None,
        settle_every: int = 1,
    ) -> AuditReport:
        """Return the report on everything, fed in the order given."""
        merged = successors or {}
        snapshot: Any = SimpleNamespace(
            agency=lambda agency: SimpleNamespace(successor=merged.get(agency)), certificate=lambda _digest: None
        )
        found = inboxes or self.inboxes()
        reducer = Reducer(found, snapshot, as_of_ms=NOW_MS)
        for number, one in enumerate(self.placed if placed is None else placed):
            rank = found.rank(topics.inbox(one.agency), 0)
            reducer.add(one.reading, rank=rank, offset=one.offset, timestamp_ms=one.stored_ms, size=100)
            if number % settle_every == 0:
                reducer.settle()
        return Assembly(reducer, unread=unread).report()
