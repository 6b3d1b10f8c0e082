"""What becomes of each record of a batch, before and after the sink was asked (steps C2 to C4). Pure.

A record is an :class:`Item`. :func:`sort_items` gives each the beginning of its fate:

===========  ==============================================================================
aside        not verified, or genuine and contradicting others: quarantine, no position
taken        a receipt, a status, a document that was decided before, or one refused here
repeated     a duplicate: the outcome of its position again
to file      for the sink
waiting      indeterminate, or behind another of its stream that waits
===========  ==============================================================================

:func:`decide` applies what the sink answered. An item is *resolved* when its outcome is known; only resolved ones with
no unresolved one before them in their stream are stored.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.consumers.aside import DEAD_LETTER, QUARANTINE, Aside
from docbus.consumers.inspection import Failed, Passed, Undecided
from docbus.consumers.ledger import StreamEntry
from docbus.consumers.parking import (
    BEHIND,
    INDETERMINATE,
    MAX_PARKED_BYTES,
    MAX_PARKED_RECORDS,
    RETRY,
    TOO_MANY,
    UNDECIDED_LIMIT_MS,
    Reason,
)
from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created, Delivery, Reject, Retry
from docbus.consumers.streams import EVIDENCE, Place, Stream
from docbus.documents.statuses import StatusCode
from docbus.envelope.statement import DocumentBody, StatusBody
from docbus.limits import MAX_OPEN_EPOCHS
from docbus.verification.verifier import concerns_sender

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from docbus.consumers.inspection import Inspected, StreamKey
    from docbus.consumers.ledger import Context, DocumentKey
    from docbus.consumers.parking import ParkedRecord, Waiting
    from docbus.consumers.sinks.port import Outcome
    from docbus.transport.port import Record

EQUIVOCATION = "equivocation"
"""The same document id and revision with another body: the sender says two things."""
CONFLICT = "conflict"
"""The DMS has something else under the document's name."""
FOREIGN_DOCUMENT = "concerns_foreign_document"
"""A recall, update or replacement of another agency's document."""
FOREIGN_STATUS = "status_foreign"
"""A status of a document that its issuer and this agency did not exchange."""
NOT_AFTER_PASSED = "not_after_passed"
"""The broker stored the document after the time until which its sender wanted it delivered."""
TOO_MANY_EPOCHS = "epochs_exceeded"
"""One more open epoch than are remembered of a sender."""
_BEHIND = Reason(BEHIND, BEHIND, "C2", "behind another statement of its stream")


class Item:
    """One record on its way through a batch; attributes are set as its fate becomes known.

    Defaults are the class's, because most items need few others, and one is made for every record.
    """

    parked: int | None = None
    since: int | None = None
    attempts = 0
    outcome: Outcome | None = None
    key: StreamKey | None = None
    place: Place | None = None
    document: DocumentKey | None = None
    body_digest = b""
    delivery: Delivery | None = None
    original: Item | None = None
    aside: Aside | None = None
    reason: Reason | None = None
    refusal: str | None = None
    reference: str | None = None
    text = ""
    findings: tuple[tuple[str, str], ...] = ()
    resolved = False
    settled = False

    def __init__(self, record: Record, inspected: Inspected, parked: ParkedRecord | None = None) -> None:
        self.record = record
        self.passed = inspected if type(inspected) is Passed else None
        if parked is not None:
            self.parked = parked.parked
            self.since = parked.since
            self.attempts = parked.attempts
            self.outcome = parked.outcome

    def refuse(self, code: str, where: str, step: str, detail: str) -> None:
        """Refuse the statement for good; it keeps its position."""
        self.refusal = code
        self.aside = Aside(where, code, step, detail)
        self.resolved = True

    def set_aside(self, code: str, step: str, detail: str) -> None:
        """Send the record to quarantine, without a position."""
        self.place = None
        self.aside = Aside(QUARANTINE, code, step, detail)
        self.resolved = True

    def wait(self, reason: Reason) -> None:
        """Park the record; the outcome that the sink may have given already is kept with it."""
        self.place = None
        self.findings = ()
        self.reason = reason
        self.resolved = True


class Sorter:
    """Sorts one batch, in the order given.

    Args:
        context: What the ledger knows; new streams are added to it, those it has are left as they are.
        agency: Canonical id of the recipient.
        waiting: Streams that wait already.
        starts: Tells of a partition whether what is first seen of an unknown stream is its start, not a hole.
        new_number: Numbers new streams.
        now_ms: Milliseconds since 1970-01-01T00:00:00Z.
    """

    def __init__(
        self,
        *,
        context: Context,
        agency: str,
        waiting: Collection[StreamKey],
        starts: Callable[[int], bool],
        new_number: Callable[[], int],
        now_ms: int,
    ) -> None:
        self._context = context
        self._agency = agency
        self._waiting = set(waiting)
        self._starts = starts
        self._new_number = new_number
        self._now_ms = now_ms
        self._streams: dict[StreamKey, StreamEntry] = {}
        self._positions: dict[tuple[StreamKey, int], Item] = {}
        self._documents: dict[DocumentKey, Item] = {}
        self._opened: dict[str, int] = {}
        self.closed: list[tuple[StreamKey, int]] = []

    def sort(self, items: Sequence[Item], inspected: Sequence[Inspected]) -> None:
        """Give every item the beginning of its fate."""
        for item, found in zip(items, inspected, strict=True):
            if type(found) is Passed:
                self._passed(item, found)
            elif type(found) is Undecided:
                self._undecided(item, found)
            elif isinstance(found, Failed):
                item.set_aside(found.code, found.step, found.detail)
                if found.sender is not None:
                    item.findings = ((found.code, f"{found.sender}: {found.detail}"),)

    def _undecided(self, item: Item, found: Undecided) -> None:
        item.key = found.key
        if found.key in self._waiting:
            item.wait(_BEHIND)
        elif item.since is not None and self._now_ms - item.since >= UNDECIDED_LIMIT_MS:
            item.set_aside(
                found.code, found.step, f"still undecided after {UNDECIDED_LIMIT_MS // 3_600_000} h: {found.detail}"
            )
        else:
            self._waiting.add(found.key)
            item.wait(Reason(INDETERMINATE, found.code, found.step, found.detail))

    def _passed(self, item: Item, passed: Passed) -> None:
        verified = passed.verified
        _, head, position, body = verified.statement
        key = head.sender, head.epoch
        item.key = key
        if key in self._waiting:
            item.wait(_BEHIND)
            return
        if verified.findings:
            item.findings = tuple((code, f"statement {position.sequence} of {key[0]}") for code in verified.findings)
        entry = self._streams.get(key)
        if entry is None:
            entry = self._enter(item, key, head.lane)
            if entry is None:
                return
        place = entry.stream.feed(position.sequence, position.previous, verified.digest)
        if place is not Place.NEW:
            self._unusual(item, place, position.sequence)
            if item.resolved or place is Place.DUPLICATE:
                return
        item.place = place
        self._positions[key, position.sequence] = item
        if type(body) is DocumentBody:
            self._document(item, passed, body)
        else:
            if type(body) is StatusBody:
                self._status(item, body)
            item.resolved = True

    def _enter(self, item: Item, key: StreamKey, lane: str) -> StreamEntry | None:
        """Return a working copy of the stream; one that is unknown or closed needs room. None: there is none."""
        entry = self._context.streams.get(key)
        if entry is None or not entry.open:
            if not self._make_room(key):
                what = f"{key[0]} has {MAX_OPEN_EPOCHS} open epochs, and none idle and receipted in full"
                item.set_aside(TOO_MANY_EPOCHS, "C2", what)
                item.findings = ((TOO_MANY_EPOCHS, f"{key[0]} opens epoch {key[1].hex()}"),)
                return None
            if entry is None:
                stream = Stream(starts=self._starts(item.record.partition))
                entry = StreamEntry(self._new_number(), key, lane, stream, used_at=self._now_ms, is_open=True)
                self._context.streams[key] = entry
            entry.open = True
        working = self._streams[key] = entry.copy()
        return working

    def _make_room(self, key: StreamKey) -> bool:
        sender = key[0]
        room = self._context.rooms[sender]
        opened = self._opened.get(sender, 0) + 1
        surplus = room.open + opened - MAX_OPEN_EPOCHS
        closable = [closing for closing in room.closable if closing[0] not in self._context.streams]
        if surplus > len(closable):
            return False
        if surplus > 0:
            self.closed.append(closable[surplus - 1])
        self._opened[sender] = opened
        return True

    def _unusual(self, item: Item, place: Place, sequence: int) -> None:
        if item.key is None:
            return
        sender, epoch = item.key
        if place is Place.DUPLICATE:
            item.place = place
            original = self._positions.get((item.key, sequence))
            if original is None:
                item.refusal = self._context.reasons.get((item.key, sequence))
                item.resolved = True
            elif original.resolved:
                _follow(item, original)
            else:
                item.original = original
            return
        where = f"statement {sequence} of {sender}, epoch {epoch.hex()}"
        if place in EVIDENCE:
            item.set_aside(place.value, "C2", where)
        if place in EVIDENCE or place in {Place.GAP, Place.FILLED}:
            item.findings = (*item.findings, (place.value, where))

    def _document(self, item: Item, passed: Passed, body: DocumentBody) -> None:
        verified, package = passed
        sender = verified.statement.head.sender
        item.document = document = sender, body.document_id, body.revision
        item.body_digest = body_digest(body)
        first = self._documents.get(document)
        known = self._context.documents.get(document)
        before = first.body_digest if first is not None else known.body_digest if known is not None else None
        if before is None:
            self._documents[document] = item
            if body.not_after is not None and item.record.timestamp_ms > body.not_after:
                item.refuse(
                    NOT_AFTER_PASSED, DEAD_LETTER, "C2", "stored after the time until which it was to be delivered"
                )
            elif body.concerns and not concerns_sender(verified.statement):
                item.refuse(FOREIGN_DOCUMENT, DEAD_LETTER, "C2", f"a {body.kind} of another agency's document")
            elif package is not None:
                item.delivery = Delivery(
                    verified.statement.head,
                    verified.statement.position,
                    body,
                    verified.digest,
                    verified.value,
                    package,
                    item.record.timestamp_ms,
                )
                if item.outcome is not None:
                    decide(item, item.outcome)
            return
        if before != item.body_digest:
            what = f"document {body.document_id} revision {body.revision} of {sender} came before with another body"
            item.refuse(EQUIVOCATION, QUARANTINE, "C2", what)
            item.findings = (*item.findings, (EQUIVOCATION, what))
            item.document = None
        elif first is None and known is not None:
            item.refusal, item.reference = known.reason, known.reference
            item.document = None
            item.resolved = True
        elif first is not None:
            item.document = None
            if first.resolved:
                _follow(item, first)
            else:
                item.original = first

    def _status(self, item: Item, body: StatusBody) -> None:
        sender = item.key[0] if item.key else ""
        about = body.document.sender
        # 13 is the sender's to say, all others the recipient's.
        if about != (sender if body.code == StatusCode.TAKE_BACK else self._agency):
            what = f"status {body.code} from {sender} about a document of {about}"
            item.refuse(FOREIGN_STATUS, QUARANTINE, "C2", what)
            item.findings = (*item.findings, (FOREIGN_STATUS, what))


def body_digest(body: DocumentBody) -> bytes:
    """Return SHA-256 over all fields of a body: those of fixed length, then the others as Python writes them.

    Half the price of encoding the body again; it never leaves this ledger.
    """
    _id, _revision, kind, urgency, created, not_after, package, attachments, recipients, reply, concerns, nonce = body
    fixed = b"".join((package.digest, package.commitment, recipients, nonce))
    rest = f"{kind}|{urgency}|{created}|{not_after}|{package.size}"
    if attachments or reply or concerns:
        rest += repr((attachments, reply, concerns))
    return sha256(fixed + rest.encode()).digest()


def decide(item: Item, outcome: Outcome) -> None:
    """Apply what the sink answered."""
    item.outcome = outcome
    if isinstance(outcome, Created | AlreadyThere):
        item.reference = outcome.reference
        item.resolved = True
    elif isinstance(outcome, Conflict):
        item.refuse(CONFLICT, QUARANTINE, "C3", f"{outcome.reference}: {outcome.found}")
        item.findings = (*item.findings, (CONFLICT, f"{outcome.reference}: {outcome.found}"))
    elif isinstance(outcome, Reject):
        code = outcome.usable_code()
        # The text is for the sender alone and travels encrypted; this detail lies in a topic in clear.
        item.refuse(code, DEAD_LETTER, "C3", "rejected by the receiving system")
        item.text = outcome.text
    elif isinstance(outcome, Retry):
        item.outcome = None
        item.wait(Reason(RETRY, RETRY, "C3", outcome.reason))


def close_ranks(items: Sequence[Item]) -> None:
    """Let every item that is resolved follow its original, and wait behind one of its stream that waits."""
    held: set[StreamKey] = set()
    for item in items:
        if item.settled or item.key is None:
            continue
        original = item.original
        if original is not None and not item.resolved and original.resolved:
            _follow(item, original)
        if item.key in held:
            if item.reason is None and item.aside is None:
                item.wait(_BEHIND)
            elif item.aside is not None and item.place is not None:
                # Decided, but not before the one in front of it: the outcome is kept, its consequences come then.
                item.aside, item.refusal, item.text = None, None, ""
                item.wait(_BEHIND)
        elif item.reason is not None:
            held.add(item.key)


def bound_parking(items: Sequence[Item], waiting: Mapping[StreamKey, Waiting]) -> None:
    """Send to quarantine what is too much for one sender to have parked."""
    fresh = [item for item in items if item.reason is not None and item.parked is None and not item.settled]
    if not fresh:
        return
    usage: dict[str, list[int]] = {}
    for (sender, _), parked in waiting.items():
        used = usage.setdefault(sender, [0, 0])
        used[0] += parked.records
        used[1] += parked.size
    for item in fresh:
        sender = item.key[0] if item.key else ""
        used = usage.setdefault(sender, [0, 0])
        if used[0] >= MAX_PARKED_RECORDS or used[1] >= MAX_PARKED_BYTES:
            item.reason = None
            item.set_aside(TOO_MANY, "C2", f"{used[0]} records with {used[1]} bytes of {sender} are parked already")
            item.findings = ((TOO_MANY, f"{used[0]} records"),)
        else:
            used[0] += 1
            used[1] += len(item.record.value or b"")


def _follow(item: Item, original: Item) -> None:
    """Give the same document, or the same statement, the same answer."""
    if original.reason is not None:
        item.wait(Reason(RETRY, RETRY, "C3", "the same document waits already"))
        return
    item.refusal, item.reference = original.refusal, original.reference
    item.resolved = True
