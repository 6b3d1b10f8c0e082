"""An agency's rotation to new keys, step by step; each step is found done or not, so that it can be gone on with.

1. New keys lie in a folder of their own.
2. The settings name them: the decryption key in front of those before, the signing key as the next one.
3. The request for the registrar is written, after 2, so that nobody can encrypt to a key that is not in place.
4. The registrar publishes the rotation; running processes sign with the new key from then on.
5. The settings name the new signing key as the one and only.

Nothing but the settings and the directory says how far a rotation is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from docbus.client.connect import (
    agency_id,
    keys_of_settings,
    next_signer_of_settings,
    read_certificate,
    signer_of_settings,
)
from docbus.client.key_folders import KeySet, mark_used, set_of, unused_or_new
from docbus.client.settings_file import edit_keys, put_first
from docbus.errors import ConfigurationError, MalformedError
from docbus.identity.agency import AgencyId
from docbus.identity.encryption import open_decrypter
from docbus.identity.join import fingerprint_of, make_join_request, read_join_request
from docbus.settings import load_settings
from docbus.storage.locks import hold
from docbus.storage.whole_files import write_whole
from docbus.tokens.uri import is_token_uri

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import KeySettings, Settings

LOCK_NAME = "keys.lock"
"""The lock file in the folder: one process at a time changes its keys."""
PAUSE_MS = 24 * 60 * 60 * 1000
"""Milliseconds after a rotation before another one begins without being asked for twice: the command that goes on with
one is the one that begins one."""

Step = Literal["none", "begun", "requested", "granted", "overlapping", "complete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How far a folder's rotation is; digests in hex, times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        step: ``none``, ``begun`` (keys, and no request yet), ``requested`` (the registrar has to publish it),
            ``granted`` (the new key signs, and the settings name both), ``overlapping`` (done, and an old key has not
            ended), or ``complete`` (done within the last day).
        known: Whether the directory could be asked.
        certificate: Of the key that signs, or is the next to.
        before: Of the one before; None if there is none.
        retires_at: When that one ends; None if it has no end in time.
        request: The file for the registrar, if it is wanted.
        fingerprint: Of that request, for the telephone.
        done: What was done now; nothing if it was only looked at.
    """

    step: Step
    known: bool
    certificate: str
    before: str | None = None
    retires_at: int | None = None
    request: Path | None = None
    fingerprint: str | None = None
    done: tuple[str, ...] = ()


def rotation_state(settings: Settings, snapshot: TrustSnapshot | None, now_ms: int) -> Rotation:
    """Return how far a rotation is, and change nothing.

    Args:
        settings: The folder's.
        snapshot: The directory; None if it cannot be read.
        now_ms: For the end of an old key.

    Raises:
        KeyFileError: A key that the settings name cannot be used.
    """
    current, following = signer_of_settings(settings), next_signer_of_settings(settings)
    known = snapshot is not None
    if following is None:
        # One that may not sign, because it was revoked, is no state to rest in.
        rests = _may_sign(snapshot, current, now_ms)
        before = _ending(snapshot, settings, now_ms) if snapshot is not None and rests else None
        over: Step = "complete" if rests and _was_just_now(snapshot, settings, now_ms) else "none"
        return Rotation(
            step=over if before is None else "overlapping",
            known=known,
            certificate=current.certificate.hex(),
            before=None if before is None else before.digest.hex(),
            retires_at=None if before is None else before.retires_at_ms,
        )
    old = None if snapshot is None else snapshot.certificate(current.certificate)
    told: dict[str, Any] = {
        "known": known,
        "certificate": following.certificate.hex(),
        "before": current.certificate.hex(),
        "retires_at": None if old is None else old.retires_at_ms,
    }
    if snapshot is not None and snapshot.certificate(following.certificate) is not None:
        return Rotation(step="granted", **told)
    request = _request_path(settings)
    if not request.exists():
        return Rotation(step="begun", **told)
    text = request.read_text("ascii")
    return Rotation(step="requested", request=request, fingerprint=fingerprint_of(text), **told)


def rotate(
    folder: Path, snapshot: TrustSnapshot | None, clock: Clock, *, profile: int | None = None, again: bool = False
) -> Rotation:
    """Begin a rotation, or go on with the one that is begun; run twice, it changes nothing more.

    Args:
        folder: The agency's.
        snapshot: The directory; None if it cannot be read, which is enough to begin.
        clock: For certificate and request.
        profile: Of the new signing key; that of the old one if left out.
        again: Begin another one although the last one was just now, or its old key has not ended.

    Raises:
        ConfigurationError: The folder is not an agency's, its settings cannot be changed, or keys cannot be written.
        KeyFileError: A key that the settings name cannot be used.
        LockedError: Another process changes the keys of this folder.
    """
    with hold(folder / LOCK_NAME, "changing keys", clock):
        return _go_on(folder, snapshot, clock, profile, again=again)


def _go_on(folder: Path, snapshot: TrustSnapshot | None, clock: Clock, profile: int | None, *, again: bool) -> Rotation:
    settings = load_settings(folder)
    found = rotation_state(settings, snapshot, clock.now_ms())
    if found.step == "granted":
        _finish(settings)
        settings = load_settings(folder)
        done: tuple[str, ...] = ("docbus.toml names the new signing key alone",)
        return replace(rotation_state(settings, snapshot, clock.now_ms()), done=done)
    if found.step in ("complete", "overlapping") and not again:
        return found
    if found.step in ("none", "complete", "overlapping"):
        if snapshot is None and not again and _has_rotated(settings):
            raise ConfigurationError(
                "the directory cannot be read, so it is not known whether the last rotation is over",
                hint="Give the command when the brokers answer again; `--again` begins another rotation all the same.",
            )
        done = _begin(settings, profile or signer_of_settings(settings).profile, clock)
    else:
        following = next_signer_of_settings(settings)
        if profile is not None and following is not None and profile != following.profile:
            raise ConfigurationError(
                "a rotation is under way already, to a key of another profile",
                hint="Finish it without --profile; then `docbus keys rotate --again --profile …` begins another one.",
            )
        done = ()
    settings = load_settings(folder)
    _keep_in_use(settings)
    _check_new_decryption_key(settings, snapshot)
    if _write_request(settings, clock):
        done = (*done, f"wrote {_request_path(settings).name}")
    return replace(rotation_state(settings, snapshot, clock.now_ms()), done=done)


def _keys(settings: Settings) -> KeySettings:
    agency_id(settings)
    return keys_of_settings(settings)


def _begin(settings: Settings, profile: int, clock: Clock) -> tuple[str, ...]:
    """Make the keys, and name them in the settings."""
    if is_token_uri(_keys(settings).signing):
        raise ConfigurationError(
            "the signing key is on a token, and new keys would be made in files",
            hint="Make a key on the token, and name it as next_signing with its next_certificate under [keys]; then"
            " `docbus keys rotate` goes on. See docs/how-to/keep-the-signing-key-on-a-token.md.",
        )
    made = unused_or_new(settings.folder, agency_id(settings), profile, clock)

    def name(keys: Any) -> None:
        put_first(keys, "encryption", made.encryption)
        keys["next_signing"], keys["next_certificate"] = made.signing, made.certificate

    edit_keys(settings.folder, name)
    mark_used(made)
    return f"made keys in {made.relative}/", "named them in docbus.toml"


def _finish(settings: Settings) -> None:
    """Let the settings name the new signing key alone; its decryption keys stay as they are."""

    def name(keys: Any) -> None:
        keys["signing"], keys["certificate"] = keys["next_signing"], keys["next_certificate"]
        del keys["next_signing"], keys["next_certificate"]

    edit_keys(settings.folder, name)


def _keep_in_use(settings: Settings) -> None:
    """Take the mark away that a process has left which died after it named the keys."""
    made = _next_set(settings)
    if made is not None:
        mark_used(made)


def _next_set(settings: Settings) -> KeySet | None:
    named = _keys(settings).next_certificate
    return None if named is None else set_of(settings.folder, settings.path(named))


def _next_encryption(settings: Settings) -> str:
    """Return the URI of the decryption key that belongs to the next signing key: that of its set, or the newest."""
    listed, made = _keys(settings).encryption, _next_set(settings)
    return made.encryption if made is not None and made.encryption in listed else listed[0]


def _check_new_decryption_key(settings: Settings, snapshot: TrustSnapshot | None) -> None:
    """Return unless the key that the request is to name was granted before, which the registrar could not publish."""
    agency = None if snapshot is None else snapshot.agency(agency_id(settings))
    if agency is None:
        return
    digest = open_decrypter(settings.key_uri(_next_encryption(settings))).digest
    if any(encrypter.digest == digest for encrypter, _, _ in agency.encrypters):
        raise ConfigurationError(
            f"the decryption key {digest.hex()[:16]}… that would go with the next signing key was granted before",
            hint="Put a new one first in the list `encryption` under [keys], leave the old ones behind it, and give the"
            " command again.",
        )


def _request_path(settings: Settings) -> Path:
    made = _next_set(settings)
    label = "next" if made is None else made.folder.name
    return settings.folder / f"{AgencyId.parse(agency_id(settings)).code}-{label}.join"


def _write_request(settings: Settings, clock: Clock) -> bool:
    """Write the request, whole or not at all, unless it is there with these keys; tell whether it was written."""
    path = _request_path(settings)
    keys = _keys(settings)
    if keys.next_certificate is None or settings.agency is None:
        return False
    certificate = read_certificate(settings.path(keys.next_certificate))
    encryption_key = open_decrypter(settings.key_uri(_next_encryption(settings))).public_key
    if path.exists() and _names(path, certificate, encryption_key):
        return False
    following: Signer | None = next_signer_of_settings(settings)
    if following is None:
        return False
    text = make_join_request(
        following,
        environment=settings.exchange.environment,
        genesis=settings.exchange.genesis_bytes,
        agency=agency_id(settings),
        name=settings.agency.name,
        certificate=certificate,
        encryption_key=encryption_key,
        now_ms=clock.now_ms(),
    )
    try:
        write_whole(path, text.encode("ascii"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return True


def _names(path: Path, certificate: bytes, encryption_key: bytes) -> bool:
    """Return whether a request is for these keys; one that cannot be read is not."""
    try:
        request = read_join_request(path.read_text("ascii"))
    except (MalformedError, UnicodeDecodeError):
        return False
    return request.signing.certificates == (certificate,) and request.encryption.public_key == encryption_key


def _ending(snapshot: TrustSnapshot, settings: Settings, now_ms: int) -> CertificateGrant | None:
    """Return the newest certificate of the agency that has an end which has not come, other than the settings' own."""
    agency = snapshot.agency(agency_id(settings))
    grants = [] if agency is None else [snapshot.certificate(digest) for digest in agency.certificates]
    ending = [one for one in grants if one is not None and one.retires_at_ms is not None and one.may_sign_at(now_ms)]
    return ending[-1] if ending else None


def _has_rotated(settings: Settings) -> bool:
    return set_of(settings.folder, settings.path(_keys(settings).certificate)) is not None


def _may_sign(snapshot: TrustSnapshot | None, signer: Signer, now_ms: int) -> bool:
    grant = None if snapshot is None else snapshot.certificate(signer.certificate)
    return grant is not None and grant.may_sign_at(now_ms)


def _was_just_now(snapshot: TrustSnapshot | None, settings: Settings, now_ms: int) -> bool:
    """Tell whether the agency has got other keys within the pause."""
    agency = None if snapshot is None else snapshot.agency(agency_id(settings))
    if snapshot is None or agency is None or len(agency.certificates) == 1:
        return False
    newest = snapshot.certificate(agency.certificates[-1])
    granted = None if newest is None else snapshot.time_at(newest.granted_at)
    return granted is not None and now_ms - granted < PAUSE_MS
