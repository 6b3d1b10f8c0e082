"""The keys of a folder, each with what the directory says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from docbus.client.connect import (
    agency_id,
    keys_of_settings,
    next_signer_of_settings,
    read_certificate,
    signer_of_settings,
)
from docbus.identity.certificates import end_of
from docbus.identity.encryption import open_decrypter
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

SUITE_NAME = "MLKEM768-X25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """One key; times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        use: ``signing``, ``next signing`` or ``decryption``.
        profile: What it signs or decrypts with.
        fingerprint: SHA-256 of the certificate, or of the public encryption key, in hex.
        state: What the directory says: ``in force``, ``in force until …``, ``retired by entry …``, ``not granted``.
        since: When the directory got it; None if it has not, or cannot be read.
        retires_at: When it ends by an overlap.
        expires_at: When its certificate ends; None for an encryption key.
        last_used_at: When this folder last sealed with it; None if that is not known, as of all decryption keys.
        uri: Where it lies.
    """

    use: str
    profile: str
    fingerprint: str
    state: str
    since: int | None
    retires_at: int | None
    expires_at: int | None
    last_used_at: int | None
    uri: str


def listed_keys(
    settings: Settings, snapshot: TrustSnapshot | None, sealed: Mapping[bytes, int] | None = None
) -> list[ListedKey]:
    """Return all keys that the settings name, signing keys first.

    Args:
        settings: The folder's.
        snapshot: The directory; None if it cannot be read.
        sealed: Certificates under which the outbox has sealed, and when last.

    Raises:
        ConfigurationError: The folder is not an agency's.
        KeyFileError: A key cannot be used.
    """
    own, keys = agency_id(settings), keys_of_settings(settings)
    found = [_signing("signing", signer_of_settings(settings), keys.signing, settings.path(keys.certificate), snapshot)]
    following = next_signer_of_settings(settings)
    if following is not None and keys.next_signing is not None and keys.next_certificate is not None:
        path = settings.path(keys.next_certificate)
        found.append(_signing("next signing", following, keys.next_signing, path, snapshot))
    found = [replace(one, last_used_at=(sealed or {}).get(bytes.fromhex(one.fingerprint))) for one in found]
    return [*found, *(_decryption(settings, uri, own, snapshot) for uri in keys.encryption)]


def _signing(use: str, signer: Signer, uri: str, certificate: Path, snapshot: TrustSnapshot | None) -> ListedKey:
    grant = None if snapshot is None else snapshot.certificate(signer.certificate)
    state, since, retires_at = "not known: the directory cannot be read", None, None
    if snapshot is not None:
        state = "not granted"
    if snapshot is not None and grant is not None:
        since, retires_at = snapshot.time_at(grant.granted_at), grant.retires_at_ms
        ends = {"revoked": grant.revoked_at, "retired": grant.retired_at, "closed": grant.closed_at}
        lasting = "in force" if retires_at is None else f"ends by entry {grant.overlap_at}"
        state = next((f"{word} by entry {at}" for word, at in ends.items() if at is not None), lasting)
    return ListedKey(
        use=use,
        profile=PROFILES[signer.profile].name,
        fingerprint=signer.certificate.hex(),
        state=state,
        since=since,
        retires_at=retires_at,
        expires_at=end_of(read_certificate(certificate)),
        last_used_at=None,
        uri=uri,
    )


def _decryption(settings: Settings, uri: str, own: str, snapshot: TrustSnapshot | None) -> ListedKey:
    digest = open_decrypter(settings.key_uri(uri)).digest
    agency = None if snapshot is None else snapshot.agency(own)
    state, since = "not known: the directory cannot be read", None
    if snapshot is not None:
        state = "not granted"
    for encrypter, granted_at, retired_at in () if agency is None else agency.encrypters:
        if snapshot is not None and encrypter.digest == digest:
            since = snapshot.time_at(granted_at)
            state = "in force" if retired_at is None else f"retired by entry {retired_at}, opens what was sent before"
    return ListedKey(
        use="decryption",
        profile=SUITE_NAME,
        fingerprint=digest.hex(),
        state=state,
        since=since,
        retires_at=None,
        expires_at=None,
        last_used_at=None,
        uri=uri,
    )
