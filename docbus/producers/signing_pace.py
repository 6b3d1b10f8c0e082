"""A slow signer gets larger batches: what a smart card signs five times a second may carry thousands of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.producers.outbox import MAX_BATCH_STATEMENTS

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.identity.signing import Signer

MAX_SLOW_BATCH_STATEMENTS = 2048
"""Statements sealed as one batch under a slow signer: four times as many, whose proofs have two hashes more. With 512
and five signatures a second 2,000 documents a second went out, with 2,048 more than twice as many (ADR 0020)."""
SLOW_SIGNATURE_SECONDS = 0.05
"""Seconds from which on a signature is slow: as long as everything else takes for a batch of 512."""


class TimedSigner:
    """A :class:`~docbus.identity.signing.Signer` that another is, and how long it took the last time.

    Args:
        signer: Signs.
        clock: Measures.
    """

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._seconds = 0.0

    @property
    def certificate(self) -> bytes:
        """See :class:`~docbus.identity.signing.Signer`."""
        return self._signer.certificate

    @property
    def profile(self) -> int:
        """See :class:`~docbus.identity.signing.Signer`."""
        return self._signer.profile

    @property
    def batch_statements(self) -> int:
        """How many statements the next batch may have."""
        return MAX_BATCH_STATEMENTS if self._seconds < SLOW_SIGNATURE_SECONDS else MAX_SLOW_BATCH_STATEMENTS

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`~docbus.identity.signing.Signer`."""
        return self.sign_all(tbs)[0]

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """See :class:`~docbus.identity.signing.Signer`."""
        begun = self._clock.monotonic()
        signatures = self._signer.sign_all(tbs)
        self._seconds = self._clock.monotonic() - begun
        return signatures
