"""One record on its way through a batch, and what the answers of a sink make of it (steps C2 to C4). Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.consumers.aside import DEAD_LETTER, QUARANTINE, Aside
from docbus.consumers.inspection import Passed
from docbus.consumers.parking import (
    BEHIND,
    CONTENT,
    MAX_PARKED_BYTES,
    MAX_PARKED_RECORDS,
    RETRY,
    TOO_MANY,
    Reason,
)
from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created, Reject, Retry
from docbus.envelope.statement import DocumentBody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docbus.consumers.inspection import Inspected, StreamKey
    from docbus.consumers.ledger import DocumentKey
    from docbus.consumers.parking import ParkedRecord, Waiting
    from docbus.consumers.requests import Request
    from docbus.consumers.sinks.port import Delivery, Outcome
    from docbus.consumers.streams import Place
    from docbus.consumers.wanted import BodyKey, NewWanted
    from docbus.envelope.statement import Body
    from docbus.transport.port import Record

CONFLICT = "conflict"
"""The DMS has something else under the document's name."""
BEHIND_ANOTHER = Reason(BEHIND, BEHIND, "C2", "behind another statement of its stream")


class Item:
    """One record on its way through a batch; attributes are set as its fate becomes known.

    Defaults are the class's, because most items need few others, and one is made for every record. ``request`` is what
    an operator requested of a record that was set aside, ``before`` the refusal that its position has already, and
    ``reread`` whether the record was decided before and is only read again.
    """

    parked: int | None = None
    since: int | None = None
    attempts = 0
    outcome: Outcome | None = None
    request: Request | None = None
    before: str | None = None
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
    wanted: Sequence[NewWanted] = ()
    resolved = False
    settled = False
    reread = False

    def __init__(self, record: Record, inspected: Inspected, parked: ParkedRecord | None = None) -> None:
        self.record = record
        self.passed = inspected if type(inspected) is Passed else None
        if parked is not None:
            self.parked = parked.parked
            self.since = parked.since
            self.attempts = parked.attempts
            self.outcome = parked.outcome
            self.reread = parked.reread

    @property
    def parks(self) -> bool:
        """Whether a record that has to wait is kept with its stream; one on request stays where it lies instead.

        Only large content needs a stream that waits for it.
        """
        return (
            self.request is None
            or self.parked is not None
            or (self.reason is not None and self.reason.cause == CONTENT)
        )

    def reopen(self, body: Body) -> bool:
        """Decide a document's position anew that was refused, if an operator requested that; tell whether it is so."""
        if self.request is None or self.refusal is None or type(body) is not DocumentBody:
            return False
        self.before, self.refusal, self.resolved = self.refusal, None, False
        return True

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
        item.text = outcome.text or code
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
            follow(item, original)
        if item.before is not None and not (item.reason is not None and item.parks):
            # Its position is taken already, so its turn does not matter.
            continue
        if item.key in held:
            if item.reason is None and item.aside is None:
                item.wait(BEHIND_ANOTHER)
            elif item.aside is not None and item.place is not None:
                # Decided, but not before the one in front of it: the outcome is kept, its consequences come then.
                item.aside, item.refusal, item.text = None, None, ""
                item.wait(BEHIND_ANOTHER)
        elif item.reason is not None:
            held.add(item.key)


def bound_parking(items: Sequence[Item], waiting: Mapping[StreamKey, Waiting]) -> None:
    """Send to quarantine what is too much for one sender to have parked."""
    fresh = [
        item for item in items if item.reason is not None and item.parked is None and item.parks and not item.settled
    ]
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


def follow(item: Item, original: Item) -> None:
    """Give the same document, or the same statement, the same answer."""
    if original.reason is not None:
        item.wait(Reason(RETRY, RETRY, "C3", "the same document waits already"))
        return
    item.refusal, item.reference = original.refusal, original.reference
    item.resolved = True


def ready_of(items: Sequence[Item]) -> list[Item]:
    """Return what can be stored: what is resolved, with nothing before it in its stream that is not."""
    held: set[StreamKey] = set()
    ready: list[Item] = []
    for item in items:
        if item.settled or item.key in held:
            continue
        if item.resolved:
            ready.append(item)
        elif item.key is not None:
            held.add(item.key)
    return ready


def needs_of(
    inspected: Sequence[Inspected],
) -> tuple[list[tuple[StreamKey, int]], list[DocumentKey], list[BodyKey]]:
    """Return the positions, documents, and bodies with large content that a batch asks the ledger for."""
    places: list[tuple[StreamKey, int]] = []
    documents: list[DocumentKey] = []
    bodies: list[BodyKey] = []
    for found in inspected:
        if type(found) is Passed:
            _, head, position, body = found.verified.statement
            places.append(((head.sender, head.epoch), position.sequence))
            if type(body) is DocumentBody:
                document = head.sender, body.document_id, body.revision
                documents.append(document)
                if body.attachments:
                    bodies.append((document, body_digest(body)))
    return places, documents, bodies
