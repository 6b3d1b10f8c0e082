"""Builds directory logs: valid ones, and entries that differ from a valid one by one thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from docbus.identity import entries
from docbus.identity.certificates import make_certificate
from docbus.identity.encryption import SUITE_2026, generate_encryption_key
from docbus.identity.join import make_join_request
from docbus.identity.replay import DirectoryReplay
from docbus.identity.signing import generate_signing_key, registrar_signer_of, signer_of
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.encryption import EncryptionPrivateKey
    from docbus.identity.signing import KeySigner, PrivateKey, RegistrarSigner
    from docbus.identity.snapshot import TrustSnapshot

NOW_MS = 1_795_424_400_000
"""2026-11-23T09:00:00Z, the one time of all tests."""
ENVIRONMENT = "test"


@dataclass(slots=False, kw_only=True)
class Keys:
    """One set of an agency's keys."""

    agency: str
    private_key: PrivateKey
    encryption_key: EncryptionPrivateKey
    certificate: bytes

    @cached_property
    def signer(self) -> KeySigner:
        """Signs with these keys."""
        return signer_of(self.private_key, self.certificate)

    @property
    def signing(self) -> entries.SigningKey:
        """The signing key as a grant has it."""
        return entries.SigningKey(profile=self.signer.profile, certificates=(self.certificate,))

    @property
    def encryption(self) -> entries.EncryptionKey:
        """The encryption key as a grant has it."""
        return entries.EncryptionKey(suite=SUITE_2026, public_key=self.encryption_key.public_key)

    def join_request(self, genesis: bytes, **changed: Any) -> str:
        """Return a join request for these keys."""
        values: dict[str, Any] = {
            "environment": ENVIRONMENT,
            "genesis": genesis,
            "agency": self.agency,
            "name": f"Agency {self.agency}",
            "certificates": [self.certificate],
            "encryption_key": self.encryption_key.public_key,
            "now_ms": NOW_MS,
        }
        return make_join_request(self.signer, **(values | changed))


def make_keys(agency: str, profile: int = Profile.ES256) -> Keys:
    """Return new keys for an agency's canonical id."""
    private_key = generate_signing_key(profile)
    return Keys(
        agency=agency,
        private_key=private_key,
        encryption_key=generate_encryption_key(),
        certificate=make_certificate(private_key, agency, now_ms=NOW_MS),
    )


def make_registrar_signer() -> RegistrarSigner:
    """Return a new registrar key."""
    return registrar_signer_of(generate_signing_key(Profile.ES256))


def grant_of(keys: Keys, **changed: Any) -> entries.AgencyGrant:
    """Return a valid grant, except for what is changed."""
    grant = entries.AgencyGrant(
        agency=keys.agency,
        name=f"Agency {keys.agency}",
        aliases=(),
        signing=keys.signing,
        encryption=keys.encryption,
        roles=(),
        partitions=1,
    )
    return replace(grant, **changed)


@dataclass(kw_only=True)
class DirectoryBuilder:
    """A directory log under construction; begins with its genesis entry."""

    environment: str = ENVIRONMENT
    signers: Sequence[RegistrarSigner] = field(default_factory=lambda: (make_registrar_signer(),))
    threshold: int = 1
    records: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Append the genesis."""
        self.append(
            entries.Genesis(
                registrar="Registrar",
                keys=tuple(signer.public_key for signer in self.signers),
                threshold=self.threshold,
                freshness_limit=entries.DEFAULT_FRESHNESS_LIMIT_MS,
                freshness_alarm=entries.DEFAULT_FRESHNESS_ALARM_MS,
            )
        )

    @property
    def genesis(self) -> bytes:
        """Hash of the genesis entry."""
        return self.hashes[0]

    def value(
        self, change: entries.Change, *, signers: Sequence[RegistrarSigner] | None = None, **changed: Any
    ) -> bytes:
        """Return the record value of the next entry, with fields changed, without appending it."""
        entry = entries.DirectoryEntry(
            version=entries.VERSION,
            environment=self.environment,
            position=len(self.records),
            previous=self.hashes[-1] if self.hashes else entries.GENESIS_PREVIOUS,
            made_at=NOW_MS + len(self.records),
            change=change,
        )
        encoded = entries.encode_entry(replace(entry, **changed))
        return entries.sign_entry(encoded, self.signers if signers is None else signers)

    def append(self, change: entries.Change) -> bytes:
        """Append a valid entry and return its record value."""
        value = self.value(change)
        self.records.append(value)
        self.hashes.append(entries.decode_record(value).hash)
        return value

    def grant(self, agency: str, **changed: Any) -> Keys:
        """Append the grant of an agency with new keys and return them."""
        keys = make_keys(agency)
        self.append(grant_of(keys, **changed))
        return keys

    def replay(self) -> DirectoryReplay:
        """Return a replay of all entries so far."""
        replay = DirectoryReplay(self.genesis)
        for value in self.records:
            replay.apply(value)
        return replay

    def snapshot(self) -> TrustSnapshot:
        """Return the trust snapshot at the end."""
        return self.replay().snapshot()
