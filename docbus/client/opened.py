"""What an open agency has, for the parts of which :class:`~docbus.client.agency.Agency` is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from docbus.client.folder_keys import FolderKeys, LiveDecrypters
    from docbus.client.material_memory import MaterialMemory
    from docbus.clock import Clock
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.drain import Drain
    from docbus.producers.publisher import Publisher
    from docbus.registry.follow import DirectoryFollower
    from docbus.settings import Settings
    from docbus.storage.content import ContentFolder
    from docbus.storage.database import Database
    from docbus.transport.port import Transport


class OpenAgency:
    """Names and types only; never used by itself."""

    id: str
    settings: Settings
    transport: Transport
    database: Database
    content: ContentFolder
    _clock: Clock
    _drain: Drain
    _follower: DirectoryFollower
    _material: MaterialMemory
    _publisher: Publisher
    _keys: FolderKeys
    _in_hand: frozenset[tuple[str, str, int]] = frozenset()

    @property
    def name(self) -> str:
        """The agency's name in the directory."""
        agency = self.snapshot.agency(self.id)
        return self.id if agency is None else agency.name

    @property
    def directory_trouble(self) -> str | None:
        """Why the directory cannot be followed at the moment, None if it is."""
        failure = self._follower.failure or self._follower.trouble
        return None if failure is None else failure.text

    def _verifier(self) -> Verifier:
        """Return a new verifier, for one thread, that knows what this folder knows of certificates' standing."""
        return Verifier(Paths(lambda: self._material.current))

    @property
    def _decrypters(self) -> LiveDecrypters:
        """What opens what is encrypted to this agency."""
        return self._keys.decrypters

    @property
    def snapshot(self) -> TrustSnapshot:
        """The directory as it is known now."""
        raise NotImplementedError
