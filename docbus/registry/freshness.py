"""Says in the log that the directory grows old, long before it is too old to decide (design D7).

Nothing new is no news: the registrar signs a heartbeat every few minutes, so that a broker that withholds a revocation
has to withhold the heartbeats behind it as well, which everybody notices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from docbus.identity.freshness import Freshness

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

_log = structlog.get_logger(__name__)

_TROUBLE = {
    Freshness.OLD: (
        "directory_old",
        "Either the registrar has stopped, or the brokers withhold what it publishes: ask it for its last entry.",
    ),
    Freshness.STALE: (
        "directory_stale",
        "What arrives is parked until the directory goes on: a key may have been revoked that is not known to be.",
    ),
}


class FreshnessLog:
    """Says once that the directory is old, once that it is too old, and once that it is fresh again."""

    def __init__(self) -> None:
        self._said: Freshness | None = None

    def look(self, snapshot: TrustSnapshot, now_ms: int) -> None:
        """Log what has changed since the last look."""
        found = snapshot.freshness(now_ms)
        trouble = _TROUBLE.get(found)
        before, self._said = self._said, found if trouble else None
        if trouble is None:
            if before is not None:
                _log.info("directory_fresh", position=snapshot.position)
            return
        if before is found:
            return
        event, hint = trouble
        _log.warning(
            event,
            position=snapshot.position,
            made_at=snapshot.made_at,
            age_seconds=snapshot.age_ms(now_ms) // 1000,
            limit_seconds=snapshot.freshness_limit_ms // 1000,
            hint=hint,
        )
