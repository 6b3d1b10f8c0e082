"""Whose turn it is to seal: from one batch to the next another key may sign (ADR 0023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from docbus.producers.certificates import end_certificates, ensure_certificate, leaving

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.envelope.batch import Sealer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database

log = structlog.get_logger(__name__)


class SealingKeys(Protocol):
    """The keys of an agency, of which another may sign from one batch to the next."""

    def choose(self, snapshot: TrustSnapshot) -> Sealer:
        """Return what seals with the key whose turn it is under a directory."""
        ...

    def check(self, sealer: Sealer, snapshot: TrustSnapshot) -> None:
        """Return if the directory lets its key sign.

        Raises:
            IdentityError: It does not.
        """
        ...


class Turns:
    """What seals for one outbox. One thread at a time.

    Args:
        database: The outbox.
        sealer: What seals, unless ``keys`` say otherwise.
        clock: For the end of a key.
        keys: Choose what seals, batch by batch.
    """

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, keys: SealingKeys | None) -> None:
        self.sealer = sealer
        """What seals the next batch."""
        self._database = database
        self._clock = clock
        self._keys = keys
        self._sealed_with: bytes | None = None
        self._leaving: list[bytes] = []

    def check(self, snapshot: TrustSnapshot) -> None:
        """Return if recipients would believe what is sealed now.

        Raises:
            IdentityError: The directory does not let the key sign.
        """
        if self._keys is not None:
            self._keys.check(self.sealer, snapshot)

    def attend(self, snapshot: TrustSnapshot) -> None:
        """Go over to the key whose turn it is, and send again what a key has signed that has ended since; blocks.

        Between two batches, and before anything else is done with an outbox: nothing of a key is sealed in an epoch of
        another one.

        Raises:
            StorageError: The database could not be read or written; it is as before.
        """
        if self._keys is not None:
            self.sealer = self._keys.choose(snapshot)
        if self.sealer.certificate != self._sealed_with:
            self._go_over(self.sealer.certificate, snapshot)
        ended = [other for other in self._leaving if not self._lasts(other, snapshot)]
        if ended and self._keys is not None:
            at_ms = self._clock.now_ms()
            again = self._database.write_now(lambda c: end_certificates(c, ended, at_ms=at_ms))
            log.warning("certificate.end", certificates=[other.hex() for other in ended], statements=again)
            self._leaving = [other for other in self._leaving if other not in ended]

    def _go_over(self, certificate: bytes, snapshot: TrustSnapshot) -> None:
        at_ms = self._clock.now_ms()
        again = self._database.write_now(
            lambda c: ensure_certificate(c, certificate, at_ms=at_ms, lasts=lambda one: self._lasts(one, snapshot))
        )
        if again is not None:
            log.warning("epoch.begin", lane="all", reason="the agency has another certificate", statements=again)
        self._leaving = self._database.read_now(leaving)
        self._sealed_with = certificate

    def _lasts(self, certificate: bytes, snapshot: TrustSnapshot) -> bool:
        """Tell whether what a certificate has signed is still believed."""
        if self._keys is None:
            return False
        grant = snapshot.certificate(certificate)
        return grant is not None and grant.may_sign_at(self._clock.now_ms())
