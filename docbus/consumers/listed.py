"""A record that was set aside as it is listed: what it is, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from docbus.consumers.requests import RequestState

if TYPE_CHECKING:
    from docbus.consumers.requests import RequestRow

Kind = Literal["quarantine", "dead-letter"]
KINDS: Final[tuple[Kind, ...]] = ("dead-letter", "quarantine")
DONE: Final = {"release": "released", "redeliver": "redelivered", "reject": "rejected"}
"""What is true of a record once an action is done."""


class Origin(NamedTuple):
    """Where a record came from, as our headers say: hints."""

    topic: str
    partition: int | None
    offset: int | None
    stored_at: int | None
    key: str


class Listed(NamedTuple):
    """A record that was set aside, without its bytes.

    ``sender``, ``document_id`` and ``revision`` are proven if ``proven`` says so, and else what the record claims.
    ``row`` is the act in force about it.
    """

    topic: Kind
    number: int
    mark: bytes
    set_aside_at: int | None
    step: str
    reason: str
    detail: str
    size: int
    origin: Origin
    sender: str
    document_id: str | None
    revision: int | None
    proven: bool
    row: RequestRow | None

    @property
    def state(self) -> str:
        """``open``, or how far a decision about it has come."""
        if self.row is None or self.row.state is RequestState.IN_VAIN:
            return "open"
        return {
            RequestState.REQUESTED: f"{self.row.action} requested",
            RequestState.WAITING: f"{self.row.action} waits for content",
        }.get(self.row.state, DONE.get(self.row.action, "done"))

    @property
    def decided(self) -> bool:
        """Whether what somebody decided about it is done."""
        return self.row is not None and self.row.state is RequestState.DONE

    @property
    def open(self) -> bool:
        """Whether somebody has to decide about it."""
        return self.state == "open"
