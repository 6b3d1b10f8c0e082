"""What the age of a trust snapshot means."""

from __future__ import annotations

from enum import StrEnum


class Freshness(StrEnum):
    """What the age of a trust snapshot means, by the terms of the genesis."""

    NOT_JUDGED = "not judged"
    """The registrar has never signed a heartbeat, so silence says nothing."""
    FRESH = "fresh"
    OLD = "old"
    """Older than a living registrar would let it become: somebody should look."""
    STALE = "stale"
    """So old that a revocation may be missing: nothing is believed under it."""
