"""What the directory holds, at every position at once.

Nothing is ever overwritten: a changed agency or certificate becomes a new version behind which the old one stays.
So a snapshot is a position and a reference, costs nothing to make, and one at a past position costs no more. Only
:class:`~docbus.identity.replay.DirectoryReplay` writes here; readers in other threads see a version either wholly
or not at all, because each change is one assignment.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from docbus.identity.shelf import MemoryShelf
from docbus.identity.shelved import ShelvedGrants
from docbus.identity.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.checked import CheckedSigning
    from docbus.identity.entries import Genesis
    from docbus.identity.grants import Agency, CertificateGrant, DelegationGrant
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.identity.shelf import Shelf

HASH_BYTES = 32


class DirectoryState:
    """All that entries have said so far."""

    __slots__ = (
        "agencies",
        "aliases",
        "applied_at",
        "authorities",
        "certificates",
        "checked_signing",
        "delegations",
        "encryption_keys",
        "entry",
        "environment",
        "first_heartbeat",
        "genesis",
        "grants",
        "hashes",
        "known_signing",
        "made_at",
        "order",
        "registrar",
        "retired_registrar_keys",
        "revoked_signing_keys",
        "shelf",
        "signing_keys",
        "time_stamps",
        "was_applied",
    )

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf: Shelf = MemoryShelf() if shelf is None else shelf
        """Where keys and certificates lie until they are asked for."""
        self.environment = ""
        self.genesis: Genesis | None = None
        self.first_heartbeat: int | None = None
        """Position from which on the age of the directory counts; None while the registrar has not begun to beat."""
        self.registrar: list[tuple[int, RegistrarTerms]] = []
        """Position of each entry that names registrar keys, the oldest first, and the terms it names."""
        self.retired_registrar_keys: set[bytes] = set()
        """SHA-256 of the SubjectPublicKeyInfo of keys that were the registrar's, and are not any more."""
        self.was_applied = False
        """Whether the next entry was applied before and kept: what it is by itself need not be checked once more."""
        self.known_signing: CheckedSigning | None = None
        """What the certificates of the next grant say, if that was checked earlier and kept."""
        self.checked_signing: CheckedSigning | None = None
        """What those of the last entry say; None if it grants no signing key."""
        self.entry = b""
        """The signed bytes of the next entry."""
        self.applied_at = 0
        """When the next entry was made, by the registrar's clock, in milliseconds since 1970 UTC."""
        # Machine words, not Python's integers: heartbeats make a hundred thousand in a year.
        self.made_at = array("q")
        """The same of all entries before it, by position."""
        self.hashes = bytearray()
        """Entry hashes by position, 32 bytes each."""
        self.grants = ShelvedGrants(self.shelf)
        """Agencies and certificates that have not changed since they were granted."""
        self.agencies: Versions[Agency] = Versions(self.grants.agency)
        self.certificates: Versions[CertificateGrant] = Versions(self.grants.certificate)
        self.delegations: Versions[DelegationGrant] = Versions()
        """By the ids of the agency and its delegate, with a blank in between."""
        self.authorities: list[tuple[int, Authorities]] = []
        """Position of each entry that names or ends an authority, the oldest first, and those in force from it on."""
        self.order: list[str] = []
        """Agency ids in the order of their grants."""
        self.aliases: dict[str, str] = {}
        """Alias to agency id; the agency says from which position on."""
        self.signing_keys: dict[bytes, str] = {}
        """SHA-256 of a signing key's SubjectPublicKeyInfo to the one agency that may ever hold it."""
        self.revoked_signing_keys: set[bytes] = set()
        self.encryption_keys: set[bytes] = set()
        """SHA-256 of every encryption key that was ever granted."""
        self.time_stamps: list[tuple[int, int, int]] = []
        """Position of each heartbeat with a time stamp token, and where on the shelf that lies: place and bytes."""

    def hash_at(self, position: int) -> bytes | None:
        """Return the hash of the entry at a position, or None if there is none."""
        if position < 0:
            return None
        found = bytes(self.hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES])
        return found or None

    def time_stamps_until(self, position: int) -> Iterator[tuple[int, bytes]]:
        """Yield position and token of each heartbeat with one up to a position, the newest first, unverified."""
        for carrier, at, size in reversed(self.time_stamps):
            if carrier <= position:
                yield carrier, self.shelf.get(at, size)

    def terms_for(self, position: int) -> RegistrarTerms | None:
        """Return the terms for an entry at a position, which are named before it; the genesis has its own."""
        for since, terms in reversed(self.registrar):
            if since < position or since == 0:
                return terms
        return None

    def copy(self) -> DirectoryState:
        """Return another one that says the same; some 20 ms for the national directory."""
        made = DirectoryState()
        for name in self.__slots__:
            value = getattr(self, name)
            copied = value[:] if isinstance(value, array) else value.copy() if hasattr(value, "copy") else value
            setattr(made, name, copied)
        return made
