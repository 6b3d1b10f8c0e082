"""What waits for a time stamp, and for how long no authority has given one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from docbus.errors import DocbusError
    from docbus.identity.time_stamps.token import TimeStamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Attempts in vain, and no success since.

    Attributes:
        since: When the first one failed, milliseconds since 1970 UTC.
        attempts: How many have failed.
        tried_at: When the last one did.
        code: Stable code of its error.
        text: Its text.
    """

    since: int
    attempts: int
    tried_at: int
    code: str
    text: str

    @classmethod
    def after(cls, before: Gap | None, error: DocbusError, now_ms: int) -> Gap:
        """Return the gap with one failure more."""
        return cls(
            since=now_ms if before is None else before.since,
            attempts=1 if before is None else before.attempts + 1,
            tried_at=now_ms,
            code=error.code,
            text=error.text,
        )


class Unstamped(Protocol):
    """What is to be stamped next; whoever keeps it knows more of it than this."""

    @property
    def stamped(self) -> bytes:
        """The bytes to ask an authority about."""
        ...


class Waiting(Protocol):
    """What waits for time stamps, and where they are kept. Belongs to one task."""

    async def due(self, now_ms: int) -> Unstamped | None:
        """Return what is to be stamped now, or None if there is nothing yet."""
        ...

    async def keep(self, unstamped: Unstamped, stamp: TimeStamp) -> None:
        """Keep what was granted, on disk, and end the gap.

        Raises:
            StorageError: It could not be written, so it is due again.
        """
        ...

    async def fail(self, error: DocbusError, now_ms: int) -> None:
        """Record an attempt in vain.

        Raises:
            StorageError: It could not be written.
        """
        ...
