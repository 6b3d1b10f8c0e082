"""Waits for a signer that is away, such as a token that was pulled: nothing is sealed meanwhile, nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.producers.pauses import Pause

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.errors import SignerAwayError

log = structlog.get_logger(__name__)


class SignerTrouble(NamedTuple):
    """Why nothing can be signed, what helps, and since when, in milliseconds since 1970-01-01T00:00:00Z, if known."""

    text: str
    hint: str | None
    since: int | None


class SignerGuard:
    """Decides whether the signer is asked now. One thread at a time.

    Args:
        clock: Of pauses, and of times.
        pause: How long the signer is left alone after it was away.
    """

    def __init__(self, clock: Clock, pause: Pause | None = None) -> None:
        self._clock = clock
        self._pause = pause or Pause()
        self.trouble: SignerTrouble | None = None
        """Replaced as a whole, as another thread reads it."""

    def wait(self) -> float | None:
        """Return the seconds for which the signer is not asked, as it was away just now; None if it may be asked."""
        left = self._pause.until - self._clock.monotonic()
        return left if left > 0 else None

    def away(self, error: SignerAwayError) -> None:
        """Note that it was asked in vain."""
        self._pause.fail(self._clock.monotonic())
        since = self._clock.now_ms() if self.trouble is None else self.trouble.since
        self.trouble = SignerTrouble(error.text, error.hint, since)
        if self._pause.worth_logging:
            log.error("signer.away", failures=self._pause.failures, reason=error.text, hint=error.hint)

    def back(self, *, signed: bool = True) -> None:
        """Note that it has signed, or that nothing waits any more to be signed."""
        if self.trouble is not None and signed:
            log.info("signer.back")
        self._pause.succeed()
        self.trouble = None
