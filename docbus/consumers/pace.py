"""How many documents a DMS is given at once, so that urgent ones never wait long behind others."""

from __future__ import annotations

PORTION_SECONDS = 2.0
"""Seconds that one call of the sink should take: between two calls what is urgent has its turn."""
FIRST_PORTION = 16
"""Documents that it is given while nothing is known of its pace: each may take seconds, or half a millisecond."""
WEIGHT = 0.3
"""Of the newest measurement, so that one slow call does not make a thousand small ones."""


class Pace:
    """Seconds that a DMS takes for a document, as far as is known."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def took(self, documents: int, seconds: float) -> None:
        """Take in how long a call took."""
        each = seconds / documents
        self._seconds = each if self._seconds is None else WEIGHT * each + (1 - WEIGHT) * self._seconds

    def portion(self, most: int) -> int:
        """Return how many documents to give, from 1 to ``most``."""
        if self._seconds is None:
            return min(most, FIRST_PORTION)
        if not self._seconds:
            return most
        return max(1, min(most, int(PORTION_SECONDS / self._seconds)))
