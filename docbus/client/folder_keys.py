"""The keys of a folder that is worked in: read again when ``docbus.toml`` has changed, without a restart (ADR 0023).

Two things make a rotation lose nothing. Whoever opens envelopes looks into the settings once more before it says that
no key fits: a key that was put there before anybody could encrypt to it is found. And whoever signs asks the directory
each time which of the folder's two signing keys it grants: the next one, as soon as it does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import structlog
from typing_extensions import override

from docbus.client.connect import (
    agency_id,
    check_granted,
    decrypters_of_settings,
    next_signer_of_settings,
    signer_of_settings,
)
from docbus.envelope.batch import Sealer
from docbus.errors import ConfigurationError
from docbus.identity.encryption import Decrypter
from docbus.producers.outbox import MAX_BATCH_STATEMENTS
from docbus.producers.signing_pace import TimedSigner
from docbus.settings import FILE_NAME, load_settings
from docbus.waiting import wait_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

log = structlog.get_logger(__name__)

WATCH_SECONDS = 2.0
"""Seconds between two looks at the settings' file: a look costs microseconds, and a person waits no longer."""


class LiveDecrypters(Sequence[Decrypter]):
    """The decryption keys of a folder, the newest first; going through all of them looks for new ones at the end.

    May be used from any thread.
    """

    def __init__(self, keys: tuple[Decrypter, ...], renew: Callable[[], object]) -> None:
        self.held = keys
        self._renew = renew

    @overload
    def __getitem__(self, at: int) -> Decrypter: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Decrypter, ...]: ...
    @override
    def __getitem__(self, at: int | slice) -> Decrypter | tuple[Decrypter, ...]:
        """Return those that are held now."""
        return self.held[at]

    @override
    def __len__(self) -> int:
        """Count those that are held now."""
        return len(self.held)

    @override
    def __iter__(self) -> Iterator[Decrypter]:
        """Yield those that are held, and then those that have come since; nobody gives up on a key that is there."""
        known = self.held
        yield from known
        self._renew()
        # Not whether they were read now: somebody else may have done so since this began.
        if self.held is not known:
            digests = {one.digest for one in known}
            yield from (one for one in self.held if one.digest not in digests)


class FolderKeys:
    """What signs and decrypts for the agency of a folder, as its settings are now.

    Args:
        settings: As they were read.
        clock: For the end of a key.

    Raises:
        KeyFileError: A key is missing, unreadable, or not its certificate's.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._path = settings.folder / FILE_NAME
        self._clock = clock
        self._lock = threading.Lock()
        # Asked for before the keys are read: what is written meanwhile is seen as another file.
        self._seen = _identity(self._path)
        self._sealers: dict[bytes, Sealer] = {}
        self._timed: TimedSigner | None = None
        self._settings = settings
        self._signer = signer_of_settings(settings)
        self._next = next_signer_of_settings(settings)
        self._before: Signer | None = None
        """What signed before the settings changed: it goes on if what they name now is not granted yet."""
        self.decrypters = LiveDecrypters(decrypters_of_settings(settings), self.renew)

    def renew(self) -> bool:
        """Read the keys again if the settings have changed; tell whether they were read.

        What cannot be read changes nothing, and is logged.
        """
        with self._lock:
            found = _identity(self._path)
            if found is None or found == self._seen:
                return False
            self._seen = found
            try:
                settings = load_settings(self._path.parent)
                signer, following = signer_of_settings(settings), next_signer_of_settings(settings)
                decrypters = decrypters_of_settings(settings)
            except ConfigurationError as error:
                log.warning("keys.keep", reason=error.text, hint=error.hint)
                return False
            if signer.certificate != self._signer.certificate:
                self._before = self._signer
            self._settings, self._signer, self._next = settings, signer, following
            self.decrypters.held = decrypters
            log.info(
                "keys.read",
                signing=signer.certificate.hex(),
                next=None if following is None else following.certificate.hex(),
                decryption=[one.digest.hex()[:16] for one in decrypters],
            )
            return True

    @property
    def settings(self) -> Settings:
        """The settings by which the keys were read last."""
        return self._settings

    def signer(self, snapshot: TrustSnapshot) -> Signer:
        """Return the signer whose turn it is: the next one as soon as the directory lets it sign.

        If none may sign, the settings are looked into once more: they may name another one by now.
        """
        ready = self._ready(snapshot)
        if ready is None:
            self.renew()
            ready = self._ready(snapshot)
        return ready or self._signer

    def _ready(self, snapshot: TrustSnapshot) -> Signer | None:
        now_ms = self._clock.now_ms()
        # Only while the directory does not know what the settings name: a process that begins now has no key before.
        before = self._before if snapshot.certificate(self._signer.certificate) is None else None
        for one in (self._next, self._signer, before):
            grant = None if one is None else snapshot.certificate(one.certificate)
            if grant is not None and grant.may_sign_at(now_ms):
                return one
        return None

    def ends_at(self, snapshot: TrustSnapshot) -> int | None:
        """Return when the key whose turn it is may sign no more, in milliseconds since 1970 UTC.

        That is its certificate's end, or the one that an overlap gave it; None if the directory does not know it.
        """
        grant = snapshot.certificate(self.signer(snapshot).certificate)
        if grant is None:
            return None
        return grant.not_after_ms if grant.retires_at_ms is None else min(grant.not_after_ms, grant.retires_at_ms)

    def choose(self, snapshot: TrustSnapshot) -> Sealer:
        """Return what seals with the signer whose turn it is."""
        signer = self.signer(snapshot)
        sealer = self._sealers.get(signer.certificate)
        if sealer is None:
            settings = self._settings
            self._timed = TimedSigner(signer, self._clock)
            sealer = Sealer(environment=settings.exchange.environment, sender=agency_id(settings), signer=self._timed)
            self._sealers = {signer.certificate: sealer}
        return sealer

    @property
    def batch_statements(self) -> int:
        """How many statements the next batch may have, by how long the last signature took."""
        return MAX_BATCH_STATEMENTS if self._timed is None else self._timed.batch_statements

    def check(self, sealer: Sealer, snapshot: TrustSnapshot) -> None:
        """Return if recipients would believe what is sealed so.

        Raises:
            IdentityError: The directory does not let the key sign.
        """
        check_granted(self._settings, sealer.certificate, snapshot, self._clock.now_ms())

    async def watch(self, stop: asyncio.Event) -> None:
        """Look at the settings again and again until ``stop`` is set."""
        while not await wait_for(stop, WATCH_SECONDS):
            self.renew()


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is put in another's place or written to; None if it cannot be asked."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
