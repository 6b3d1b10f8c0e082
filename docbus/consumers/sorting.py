"""What becomes of each record of a batch, before and after the sink was asked (steps C2 to C4). Pure.

A record is an :class:`~docbus.consumers.items.Item`. :class:`Sorter` gives each the beginning of its fate:

===========  ==============================================================================
aside        not verified, or genuine and contradicting others: quarantine, no position
taken        a receipt, a status, a document that was decided before, or one refused here
repeated     a duplicate: the outcome of its position again
to file      for the sink
waiting      indeterminate, or for large content, or behind another of its stream that waits
===========  ==============================================================================

:func:`docbus.consumers.items.decide` applies what the sink answered. An item is *resolved* when its outcome is known;
only resolved ones with no unresolved one before them in their stream are stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.consumers.aside import DEAD_LETTER, QUARANTINE
from docbus.consumers.inspection import Failed, Passed, Undecided
from docbus.consumers.items import BEHIND_ANOTHER, body_digest, decide, follow
from docbus.consumers.ledger import StreamEntry
from docbus.consumers.parking import CONTENT, INDETERMINATE, UNDECIDED_LIMIT_MS, Reason
from docbus.consumers.requests import only_noted
from docbus.consumers.sinks.port import NOTHING_FETCHED, Delivery
from docbus.consumers.streams import EVIDENCE, Place, Stream
from docbus.consumers.wanted import wanted_of
from docbus.documents.refusals import CONTENT_TOO_LARGE, RESENDABLE
from docbus.documents.statuses import StatusCode
from docbus.envelope.act import REJECT
from docbus.envelope.statement import DocumentBody, StatusBody
from docbus.limits import MAX_OPEN_EPOCHS
from docbus.verification.verifier import concerns_sender
from docbus.wire.parts import plain_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from docbus.consumers.inspection import Inspected, StreamKey
    from docbus.consumers.items import Item
    from docbus.consumers.ledger import Context, DocumentKey
    from docbus.consumers.wanted import Content, NewWanted

EQUIVOCATION = "equivocation"
"""The same document id and revision with another body: the sender says two things."""
FOREIGN_DOCUMENT = "concerns_foreign_document"
"""A recall, update or replacement of another agency's document."""
FOREIGN_STATUS = "status_foreign"
"""A status of a document that its issuer and this agency did not exchange."""
NOT_AFTER_PASSED = "not_after_passed"
"""The broker stored the document after the time until which its sender wanted it delivered."""
REJECTED_BY_OPERATOR = "rejected_by_operator"
"""An operator of the recipient decided that the document is refused for good; a status says why."""
TOO_MANY_EPOCHS = "epochs_exceeded"
"""One more open epoch than are remembered of a sender."""


class Sorter:
    """Sorts one batch, in the order given.

    Args:
        context: What the ledger knows; new streams are added to it, those it has are left as they are.
        agency: Canonical id of the recipient.
        waiting: Streams that wait already.
        starts: Tells of a partition whether what is first seen of an unknown stream is its start, not a hole.
        new_number: Numbers new streams.
        now_ms: Milliseconds since 1970-01-01T00:00:00Z.
        max_content_bytes: The most large content that one document may have.
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
        max_content_bytes: int,
    ) -> None:
        self._max_content_bytes = max_content_bytes
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
            if item.request is not None and only_noted(item.request, found):
                item.resolved = True
            elif type(found) is Passed:
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
            item.wait(BEHIND_ANOTHER)
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
        large = body if type(body) is DocumentBody and body.attachments else None
        if key in self._waiting:
            item.wait(BEHIND_ANOTHER)
            # Fetched ahead, as far as there is room, so that it is there when its turn comes.
            item.wanted = () if large is None else self._wanted(item, passed, large)
            return
        if verified.findings:
            item.findings = tuple((code, f"statement {position.sequence} of {key[0]}") for code in verified.findings)
        entry = self._streams.get(key)
        if entry is None:
            entry = self._enter(item, key, head.lane)
            if entry is None:
                return
        if self._is_broken(item, head.sender, large):
            return
        place = entry.stream.feed(position.sequence, position.previous, verified.digest)
        if place is not Place.NEW:
            self._unusual(item, place, position.sequence)
            if not item.reopen(body) and (item.resolved or place is Place.DUPLICATE):
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
                follow(item, original)
            else:
                item.original = original
            return
        where = f"statement {sequence} of {sender}, epoch {epoch.hex()}"
        if place in EVIDENCE:
            item.set_aside(place.value, "C2", where)
        if place in EVIDENCE or place in {Place.GAP, Place.FILLED}:
            item.findings = (*item.findings, (place.value, where))

    def _document(self, item: Item, passed: Passed, body: DocumentBody) -> None:
        sender = passed.verified.statement.head.sender
        item.document = document = sender, body.document_id, body.revision
        item.body_digest = body_digest(body)
        first = self._documents.get(document)
        known = self._context.documents.get(document)
        anew = known is not None and (known.reason in RESENDABLE or (item.request is not None and known.reason))
        if anew and known is not None and known.body_digest == item.body_digest:
            # Refused for want of content alone, and this statement may bring it; or an operator wants it tried anew.
            known = None
        before = first.body_digest if first is not None else known.body_digest if known is not None else None
        if before is None:
            self._documents[document] = item
            self._new_document(item, passed, body)
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
                follow(item, first)
            else:
                item.original = first

    def _new_document(self, item: Item, passed: Passed, body: DocumentBody) -> None:
        """A document that was not decided before: refused for what it says, waiting for its content, or to be filed."""
        verified, package = passed
        request = item.request
        # On request it is delivered now, whenever it came: what the sender signed is not for an operator to change.
        stored_at = item.record.timestamp_ms if request is None else self._now_ms
        if request is not None and request.action == REJECT:
            item.refuse(REJECTED_BY_OPERATOR, DEAD_LETTER, "C3", "rejected by an operator of this agency")
            item.text = request.reason
        elif body.not_after is not None and stored_at > body.not_after:
            when = "stored" if request is None else "it would be delivered"
            item.refuse(
                NOT_AFTER_PASSED, DEAD_LETTER, "C2", f"{when} after the time until which it was to be delivered"
            )
        elif body.concerns and not concerns_sender(verified.statement):
            item.refuse(FOREIGN_DOCUMENT, DEAD_LETTER, "C2", f"a {body.kind} of another agency's document")
        elif package is not None and (not body.attachments or self._has_content(item, passed, body)):
            item.delivery = Delivery(
                verified.statement.head,
                verified.statement.position,
                body,
                verified.digest,
                verified.value,
                package,
                item.record.timestamp_ms,
                self._fetched(item),
            )
            if item.outcome is not None:
                decide(item, item.outcome)

    def _has_content(self, item: Item, passed: Passed, body: DocumentBody) -> bool:
        """Tell whether all large content of a document is there; if not, it waits for it, or is refused."""
        size = sum(plain_size(attachment.size) for attachment in body.attachments)
        if size > self._max_content_bytes:
            what = f"{size:,} bytes of large content, at most {self._max_content_bytes:,} are taken here"
            self._refuse_content(item, CONTENT_TOO_LARGE, "C2", what)
            return False
        content = self._content_of(item)
        if content is None:
            item.wanted = self._wanted(item, passed, body)
        elif content.failure is not None:
            self._refuse_content(item, *content.failure)
            return False
        elif not content.pending:
            return True
        item.wait(Reason(CONTENT, CONTENT, "C2", "its large content is being fetched"))
        if item.key is not None:
            # What follows in its stream waits behind it.
            self._waiting.add(item.key)
        return False

    def _fetched(self, item: Item) -> Mapping[int, Path]:
        content = self._content_of(item)
        return NOTHING_FETCHED if content is None else content.files

    def _content_of(self, item: Item) -> Content | None:
        return None if item.document is None else self._context.contents.get((item.document, item.body_digest))

    def _is_broken(self, item: Item, sender: str, body: DocumentBody | None) -> bool:
        """Set aside a document whose large content the sender signed, and which does not open (C2.11, C2.12).

        As with a package that does not open, the statement takes no position.
        """
        if body is None:
            return False
        content = self._context.contents.get(((sender, body.document_id, body.revision), body_digest(body)))
        if content is None or content.failure is None or content.failure.code in RESENDABLE:
            return False
        code, step, detail = content.failure
        item.set_aside(code, step, detail)
        item.findings = ((code, f"{sender}: {detail}"),)
        return True

    def _refuse_content(self, item: Item, code: str, step: str, detail: str) -> None:
        item.refuse(code, DEAD_LETTER, step, detail)
        item.text = f"{code}: {detail}"

    def _wanted(self, item: Item, passed: Passed, body: DocumentBody) -> Sequence[NewWanted]:
        size = sum(plain_size(attachment.size) for attachment in body.attachments)
        if size > self._max_content_bytes:
            return ()
        return wanted_of(passed, body, body_digest(body), item.record.timestamp_ms, self._now_ms)

    def _status(self, item: Item, body: StatusBody) -> None:
        sender = item.key[0] if item.key else ""
        about = body.document.sender
        # 13 is the sender's to say, all others the recipient's.
        if about != (sender if body.code == StatusCode.TAKE_BACK else self._agency):
            what = f"status {body.code} from {sender} about a document of {about}"
            item.refuse(FOREIGN_STATUS, QUARANTINE, "C2", what)
            item.findings = (*item.findings, (FOREIGN_STATUS, what))
