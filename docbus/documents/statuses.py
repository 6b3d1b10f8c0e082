"""Business statuses, as Vietnamese agencies number them, and their soft state machine (design section 4).

The state of a (document, sender, recipient) has two independent parts:

- *processing*, told by the recipient: (none) → 01 → 02, the end, or 01 → 03 → [04] → 05 → 06;
- *change*, asked for by the sender with 13 or with a recall, update or replacement, answered by the recipient:
  13 → 15, the end unless it was an update, or 13 → 16, after which the sender may ask again, or the recipient agree
  after all: an operator who redelivers a recall that was refused lets it take effect, and only a later 15 tells the
  sender so.

Nothing is ever dropped. Of processing the state is the *set* of what was reported, so that a repeated status changes
nothing and late ones lead to the same state in any order: 01 follows from a receipt, and receipts come in a stream of
their own. A jump that skips a stage, goes on after an end, or contradicts what was said is applied and flagged; a
skipped stage that is reported later closes the gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Party = Literal["sender", "recipient"]


class StatusCode(IntEnum):
    """Codes of edXML's StatusCode, of which 07 to 12 and 14 are used by nobody, and one of docbus's own."""

    ARRIVED = 1
    REFUSED = 2
    REGISTERED = 3
    ASSIGNED = 4
    PROCESSING = 5
    FINISHED = 6
    TAKE_BACK = 13
    CHANGE_AGREED = 15
    CHANGE_REFUSED = 16
    CONTENT_UNAVAILABLE = 50
    """Large content could not be had, so the document is not filed; far from edXML's numbers, and no processing: once
    the content is sent again, 01 and 03 follow as if nothing had been."""

    @property
    def text(self) -> str:
        """Two digits, as written in edXML and on screens."""
        return f"{self:02d}"

    @property
    def vietnamese(self) -> str:
        """Name in Vietnamese."""
        return _NAMES[self][0]

    @property
    def english(self) -> str:
        """Name in English."""
        return _NAMES[self][1]

    @property
    def sent_by(self) -> Party:
        """Who may say so: the document's recipient, but only its sender can ask for it back."""
        return "sender" if self is StatusCode.TAKE_BACK else "recipient"

    @property
    def needs_reason(self) -> bool:
        """Whether agencies' rules demand a reason."""
        return self in _WITH_REASON

    @property
    def of_edxml(self) -> bool:
        """Whether edXML has this code."""
        return self is not StatusCode.CONTENT_UNAVAILABLE

    @property
    def reportable(self) -> bool:
        """Whether somebody may report it; the others follow from what docbus does itself."""
        return self not in _AUTOMATIC


_NAMES = {
    StatusCode.ARRIVED: ("Đã đến", "arrived"),
    StatusCode.REFUSED: ("Từ chối tiếp nhận", "refused"),
    StatusCode.REGISTERED: ("Đã tiếp nhận, vào sổ văn bản đến", "accepted and registered"),
    StatusCode.ASSIGNED: ("Đã phân công xử lý", "assigned"),
    StatusCode.PROCESSING: ("Đang xử lý", "processing"),
    StatusCode.FINISHED: ("Hoàn thành xử lý", "finished"),
    StatusCode.TAKE_BACK: ("Yêu cầu lấy lại văn bản", "asked back"),
    StatusCode.CHANGE_AGREED: ("Đồng ý yêu cầu cập nhật, lấy lại", "change agreed"),
    StatusCode.CHANGE_REFUSED: ("Từ chối yêu cầu cập nhật, lấy lại", "change refused"),
    StatusCode.CONTENT_UNAVAILABLE: ("Không tải được nội dung tệp đính kèm", "large content unavailable"),
}
_AUTOMATIC = frozenset({StatusCode.ARRIVED, StatusCode.CONTENT_UNAVAILABLE})
_WITH_REASON = frozenset({StatusCode.REFUSED, StatusCode.TAKE_BACK})

_NOTHING: frozenset[StatusCode] = frozenset()
_NEEDS: dict[StatusCode, frozenset[StatusCode]] = {
    StatusCode.ARRIVED: _NOTHING,
    StatusCode.REFUSED: _NOTHING,
    # 01 is not needed for 03: it follows from a receipt, which may come later through its own stream.
    StatusCode.REGISTERED: _NOTHING,
    StatusCode.ASSIGNED: frozenset({StatusCode.REGISTERED}),
    StatusCode.PROCESSING: frozenset({StatusCode.REGISTERED}),
    StatusCode.FINISHED: frozenset({StatusCode.REGISTERED, StatusCode.PROCESSING}),
}
"""Stages that must have been reached before this one."""
_AFTER_REGISTRATION = frozenset(
    {StatusCode.REGISTERED, StatusCode.ASSIGNED, StatusCode.PROCESSING, StatusCode.FINISHED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusState:
    """What is known of one document at one recipient.

    Args:
        reported: Every processing status that the recipient reported.
        change: 13, 15 or 16: what was last said about taking back or changing the document.
        amending: Whether an update asked for that, so that the document stands, is worked on and may be changed again.
    """

    reported: frozenset[StatusCode] = _NOTHING
    change: StatusCode | None = None
    amending: bool = False

    @property
    def processing(self) -> StatusCode | None:
        """The furthest stage that was reported."""
        return max(self.reported, default=None)

    @property
    def missing(self) -> frozenset[StatusCode]:
        """Stages that were skipped, as far as is known."""
        return frozenset().union(*(_NEEDS[code] for code in self.reported)) - self.reported

    @property
    def contradictory(self) -> bool:
        """Whether the recipient both refused the document and worked on it."""
        return StatusCode.REFUSED in self.reported and not self.reported.isdisjoint(_AFTER_REGISTRATION)


class Transition(NamedTuple):
    """The state after a status, whether the step to it is possible, and whether it changed anything."""

    state: StatusState
    possible: bool
    repeated: bool


NEW = StatusState()
"""Nothing has been reported."""


def next_state(current: StatusState, code: StatusCode, *, amends: bool = False) -> Transition:
    """Apply one status.

    A recall, update or replacement of the document counts as 13.

    Args:
        current: State so far; :data:`NEW` at first.
        code: What was reported or asked for.
        amends: Of 13: whether an update asks.
    """
    if code in _NEEDS:
        return _processed(current, code)
    if code is StatusCode.CONTENT_UNAVAILABLE:
        # Of delivery, not of processing: it changes nothing, and may be late, as streams have no order between them.
        return Transition(current, possible=True, repeated=True)
    return _changed(current, code, amends=amends)


def _processed(current: StatusState, code: StatusCode) -> Transition:
    if code in current.reported:
        return Transition(current, possible=True, repeated=True)
    state = replace(current, reported=current.reported | {code})
    possible = (
        _NEEDS[code] <= current.reported
        and not (state.contradictory and code is not StatusCode.ARRIVED)
        # What was given back is not worked on; 01 may still be under way in the receipts' stream.
        and not (current.change is StatusCode.CHANGE_AGREED and not current.amending and code is not StatusCode.ARRIVED)
    )
    return Transition(state, possible, repeated=False)


def _changed(current: StatusState, code: StatusCode, *, amends: bool) -> Transition:
    before = current.change
    amending = amends if code is StatusCode.TAKE_BACK else current.amending
    state = replace(current, change=code, amending=amending)
    if state == current:
        return Transition(current, possible=True, repeated=True)
    if code is StatusCode.TAKE_BACK:
        possible = before is not StatusCode.CHANGE_AGREED or current.amending
    elif code is StatusCode.CHANGE_AGREED:
        possible = before in {StatusCode.TAKE_BACK, StatusCode.CHANGE_REFUSED}
    else:
        possible = before is StatusCode.TAKE_BACK
    return Transition(state, possible, repeated=False)


def replay(codes: Iterable[StatusCode], amending: Collection[int] = frozenset()) -> tuple[StatusState, tuple[int, ...]]:
    """Apply statuses in turn; return the state and the indexes of those that were impossible when they came.

    Args:
        codes: What was said, in order.
        amending: Indexes of those among them that an update asked for.
    """
    state, flagged = NEW, []
    for index, code in enumerate(codes):
        state, possible, _ = next_state(state, code, amends=index in amending)
        if not possible:
            flagged.append(index)
    return state, tuple(flagged)
