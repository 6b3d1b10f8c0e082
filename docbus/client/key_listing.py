"""The keys of an agency that still matter, each with what the directory says of it and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.client.certifying import requesting_keys
from docbus.client.connect import (
    agency_id,
    keys_of_settings,
    next_signer_of_settings,
    read_certificates,
    signer_of_settings,
)
from docbus.errors import KeyFileError
from docbus.identity.certificates import certificate_set_digest, end_of
from docbus.identity.encryption import open_decrypter
from docbus.identity.key_sets import profile_of_set
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docbus.identity.grants import CertificateGrant
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

SUITE_NAME = "MLKEM768-X25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """One key; times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        use: ``signing``, ``next signing``, ``former signing`` (one that an overlap lets sign) or ``decryption``.
        profile: What it signs or decrypts with.
        fingerprint: SHA-256 of the certificate, or of the public encryption key, in hex; empty while there is no
            certificate.
        state: What the directory says: ``in force``, ``in force until …``, ``retired by entry …``, ``not granted``.
        since: When the directory got it; None if it has not, or cannot be read.
        retires_at: When it ends by an overlap.
        expires_at: When its certificate ends; None for an encryption key.
        last_used_at: When this folder last sealed with it; None if that is not known, as of all decryption keys.
        uri: Where it lies; None if that is not in this folder.
    """

    use: str
    profile: str
    fingerprint: str
    state: str
    since: int | None
    retires_at: int | None
    expires_at: int | None
    last_used_at: int | None
    uri: str | None


def listed_keys(
    settings: Settings,
    snapshot: TrustSnapshot | None,
    sealed: Mapping[bytes, int] | None = None,
    *,
    now_ms: int,
) -> list[ListedKey]:
    """Return all keys that the settings name, and those of the agency that still matter elsewhere; signing keys first.

    Those are certificates that may sign until an overlap's end, and encryption keys to which others encrypt.

    Args:
        settings: The folder's.
        snapshot: The directory; None if it cannot be read.
        sealed: Certificates under which the outbox has sealed, and when last.
        now_ms: For the end of an overlap.

    Raises:
        ConfigurationError: The folder is not an agency's.
        KeyFileError: A key cannot be used.
        SignerAwayError: The token of a key that waits for its certificate is not there.
    """
    keys = keys_of_settings(settings)
    found = [_signing("signing", signer_of_settings(settings), keys.signing, settings.path(keys.certificate), snapshot)]
    following = next_signer_of_settings(settings)
    if following is not None and keys.next_signing is not None and keys.next_certificate is not None:
        path = settings.path(keys.next_certificate)
        found.append(_signing("next signing", following, keys.next_signing, path, snapshot))
    elif keys.next_signing is not None:
        found.append(_waiting(settings, keys.next_signing))
    named = {one.fingerprint for one in found}
    found += [one for one in _former(settings, snapshot, now_ms) if one.fingerprint not in named]
    found = [replace(one, last_used_at=(sealed or {}).get(bytes.fromhex(one.fingerprint))) for one in found]
    return [*found, *_decryption(settings, snapshot)]


def _waiting(settings: Settings, uri: str) -> ListedKey:
    """Return the next signing key while an authority has not issued its certificate."""
    return ListedKey(
        use="next signing",
        profile=PROFILES[profile_of_set(requesting_keys(settings, uri))].name,
        fingerprint="",
        state="waits for the certificate of an authority",
        since=None,
        retires_at=None,
        expires_at=None,
        last_used_at=None,
        uri=uri,
    )


def _former(settings: Settings, snapshot: TrustSnapshot | None, now_ms: int) -> list[ListedKey]:
    """Return the agency's certificates that may sign, the newest first; the settings may name others."""
    agency = None if snapshot is None else snapshot.agency(agency_id(settings))
    if snapshot is None or agency is None:
        return []
    grants = [snapshot.certificate(digest) for digest in reversed(agency.certificates)]
    lasting = [grant for grant in grants if grant is not None and grant.may_sign_at(now_ms)]
    places = _places(settings) if len(lasting) > 1 else {}
    return [
        ListedKey(
            use="former signing",
            profile=PROFILES[grant.profile].name,
            fingerprint=grant.digest.hex(),
            state=_state(grant),
            since=snapshot.time_at(grant.granted_at),
            retires_at=grant.retires_at_ms,
            expires_at=grant.not_after_ms,
            last_used_at=None,
            uri=places.get(grant.digest),
        )
        for grant in lasting
    ]


def _places(settings: Settings) -> dict[bytes, str]:
    """Return where keys lie that this folder has made, by the digests of the certificates beside them."""
    found = {}
    for certificate in sorted((settings.folder / "keys").glob("**/certificate.pem")):
        key = certificate.with_name("signing.pem")
        if key.exists():
            try:
                certificates = read_certificates(certificate)
            except KeyFileError:
                continue  # It is shown as one of no known place.
            digest = certificate_set_digest([sha256(der).digest() for der in certificates])
            found[digest] = f"file:{key.relative_to(settings.folder).as_posix()}"
    return found


def _signing(use: str, signer: Signer, uri: str, certificate: Path, snapshot: TrustSnapshot | None) -> ListedKey:
    grant = None if snapshot is None else snapshot.certificate(signer.certificate)
    state, since, retires_at = "not known: the directory cannot be read", None, None
    if snapshot is not None:
        state = "not granted"
    if snapshot is not None and grant is not None:
        state, since, retires_at = _state(grant), snapshot.time_at(grant.granted_at), grant.retires_at_ms
    return ListedKey(
        use=use,
        profile=PROFILES[signer.profile].name,
        fingerprint=signer.certificate.hex(),
        state=state,
        since=since,
        retires_at=retires_at,
        expires_at=min(map(end_of, read_certificates(certificate))),
        last_used_at=None,
        uri=uri,
    )


def _state(grant: CertificateGrant) -> str:
    ends = {"revoked": grant.revoked_at, "retired": grant.retired_at, "closed": grant.closed_at}
    lasting = "in force" if grant.retires_at_ms is None else f"ends by entry {grant.overlap_at}"
    return next((f"{word} by entry {at}" for word, at in ends.items() if at is not None), lasting)


def _decryption(settings: Settings, snapshot: TrustSnapshot | None) -> list[ListedKey]:
    """Return the decryption keys of the settings in their order, and those of the directory that are not among them."""
    agency = None if snapshot is None else snapshot.agency(agency_id(settings))
    granted = {} if agency is None else {one.digest: (since, retired) for one, since, retired in agency.encrypters}
    uris = {open_decrypter(settings.key_uri(uri)).digest: uri for uri in keys_of_settings(settings).encryption}
    wanted = [digest for digest, (_, retired_at) in granted.items() if retired_at is None and digest not in uris]
    found = []
    for digest in (*uris, *wanted):
        state, since = "not granted" if snapshot is not None else "not known: the directory cannot be read", None
        if snapshot is not None and digest in granted:
            granted_at, retired_at = granted[digest]
            since = snapshot.time_at(granted_at)
            state = "in force" if retired_at is None else f"retired by entry {retired_at}, opens what was sent before"
        found.append(
            ListedKey(
                use="decryption",
                profile=SUITE_NAME,
                fingerprint=digest.hex(),
                state=state if digest in uris else "in force, and not in this folder",
                since=since,
                retires_at=None,
                expires_at=None,
                last_used_at=None,
                uri=uris.get(digest),
            )
        )
    return found
