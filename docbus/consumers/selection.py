"""Which records that were set aside an operator means, and what may be decided about each. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from docbus.clock import format_time
from docbus.consumers.items import CONFLICT
from docbus.consumers.listed import DONE
from docbus.consumers.requests import ELSEWHERE, RequestState
from docbus.consumers.sorting import EQUIVOCATION, FOREIGN_DOCUMENT, FOREIGN_STATUS, NOT_AFTER_PASSED
from docbus.consumers.streams import Place
from docbus.envelope.act import REDELIVER, REJECT
from docbus.errors import IdentityError

if TYPE_CHECKING:
    from docbus.consumers.listed import Listed
    from docbus.consumers.requests import RequestRow
    from docbus.envelope.act import Action
    from docbus.identity.snapshot import TrustSnapshot

MAX_SELECTED: Final = 10_000
"""Records that one command decides about: some 12 MB of acts. More take a second run."""

UNALTERABLE: Final = {
    Place.FORK.value: "it contradicts a statement that came before, and is evidence",
    Place.BREAK.value: "it contradicts its neighbours in the stream, and is evidence",
    Place.OUT_OF_RANGE.value: "no outbox reaches its position, so it is evidence",
    EQUIVOCATION: "it contradicts a document that came before under the same id, and is evidence",
    FOREIGN_STATUS: "its issuer may not say so, and it is evidence",
    FOREIGN_DOCUMENT: "it is about a document of another agency than its sender",
    NOT_AFTER_PASSED: "its sender signed until when it may be delivered, and that time has passed",
}
"""Codes with which a record stays refused, and why, as it reads after "cannot be released: "."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Records that were set aside; what is given must all be true of one.

    Args:
        numbers: Those that ``ls`` prints.
        documents: Ids of documents, as their senders gave them.
        sender: Canonical id, or code of the sender.
        refused_for: The code for which they were set aside.
        before_ms: Set aside before this time, milliseconds since 1970-01-01T00:00:00Z.
        after_ms: Set aside at this time or later.
        everything: Nothing else has to be given.
    """

    numbers: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()
    sender: str | None = None
    refused_for: str | None = None
    before_ms: int | None = None
    after_ms: int | None = None
    everything: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is given, so that nothing is meant."""
        given = (self.sender, self.refused_for, self.before_ms, self.after_ms)
        return not (self.everything or self.numbers or self.documents or any(one is not None for one in given))

    @property
    def named(self) -> bool:
        """Whether records are named one by one, so that it is an error if one of them cannot be meant."""
        return bool(self.numbers or self.documents)

    def holds(self, listed: Listed) -> bool:
        """Tell whether a record is meant."""
        return (
            (not self.numbers or listed.number in self.numbers)
            and (not self.documents or listed.document_id in self.documents)
            and (self.sender is None or self.sender == listed.sender)
            and (self.refused_for is None or self.refused_for == listed.reason)
            and (self.before_ms is None or (listed.set_aside_at or 0) < self.before_ms)
            and (self.after_ms is None or (listed.set_aside_at or 0) >= self.after_ms)
        )


Verdict = Literal["do", "already", "refused"]


class Candidate(NamedTuple):
    """A selected record, and what may come of an action: ``do``, ``already`` or ``refused``, and why."""

    listed: Listed
    verdict: Verdict
    why: str


def resolved(selection: Selection, snapshot: TrustSnapshot) -> Selection:
    """Return the selection with the sender's canonical id, if the directory knows one."""
    if selection.sender is None:
        return selection
    try:
        return replace(selection, sender=snapshot.resolve(selection.sender))
    except IdentityError:
        # What could not be verified may claim to be of somebody whom the directory does not know.
        return selection


def judge(action: Action, listed: Listed) -> Candidate:
    """Return whether an action is possible: nothing that was done is done twice, and what is rejected stays so."""
    row = listed.row
    if row is not None and row.state is not RequestState.IN_VAIN:
        verdict, why = _again(action, row)
        return Candidate(listed, verdict, why)
    if action != REJECT and listed.reason in UNALTERABLE:
        return Candidate(listed, "refused", UNALTERABLE[listed.reason])
    if action == REDELIVER and listed.topic == "quarantine" and listed.reason != CONFLICT:
        return Candidate(listed, "refused", "it was never verified, so it can be released, not redelivered")
    return Candidate(listed, "do", "")


def _again(action: Action, row: RequestRow) -> tuple[Verdict, str]:
    """Judge where there is an act in force already."""
    by = f"by {row.operator} at {format_time(row.made_at)}"
    if row.state is not RequestState.DONE:
        if action == REJECT and row.action != REJECT and row.state is RequestState.REQUESTED:
            return "do", ""
        waits = f"; it waits: {row.code}: {row.detail}" if row.code else ""
        return "already", f"{row.action} was requested {by}, and is not done yet{waits}"
    if row.code == ELSEWHERE and row.action != REJECT:
        return "do", ""
    if (row.action == REJECT) != (action == REJECT):
        return "refused", f"it was rejected {by}, for good" if row.action == REJECT else f"it was filed {by}"
    return "already", f"{DONE[row.action]} {by}: {row.code}{f' ({row.detail})' if row.detail else ''}"
