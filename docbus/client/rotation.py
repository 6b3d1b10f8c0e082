"""An agency's rotation to new keys, step by step; each step is found done or not, so that it can be gone on with.

1. New keys lie in a folder of their own.
2. The settings name them: the decryption key in front of those before, the signing key as the next one.
3. Where an authority issues the certificate, the request for it is written, and the settings name the certificate once
   it has come. Otherwise it was made with the keys.
4. The request for the registrar is written, after 2, so that nobody can encrypt to a key that is not in place.
5. The registrar publishes the rotation; running processes sign with the new key from then on.
6. The settings name the new signing key as the one and only, and the requests are gone.

Nothing but the settings and the directory says how far a rotation is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509

from docbus.client.certifying import remove_granted_request
from docbus.client.connect import (
    agency_id,
    keys_of_settings,
    next_signer_of_settings,
    read_certificates,
    signer_of_settings,
)
from docbus.client.key_folders import LOCK_NAME, mark_used, set_of, unused_or_new
from docbus.client.next_keys import (
    awaits_certificate,
    certification_path,
    check_new_decryption_key,
    next_set,
    remove_requests,
    request_path,
    take_certificate,
    write_certification_request,
    write_request,
)
from docbus.client.settings_file import edit_keys, put_first
from docbus.errors import ConfigurationError
from docbus.identity.join import fingerprint_of
from docbus.identity.pki.profile import is_issued
from docbus.settings import load_settings
from docbus.storage.locks import hold
from docbus.tokens.uri import is_token_uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

PAUSE_MS = 24 * 60 * 60 * 1000
"""Milliseconds after a rotation before another one begins without being asked for twice: the command that goes on with
one is the one that begins one."""
DEFAULT_OVERLAP_MS = 30 * 24 * 60 * 60 * 1000
"""Milliseconds for which the registrar is asked to let the old key sign beside the new one, unless told otherwise: the
slowest receipts are in by then."""
_MINUTE_MS = 60 * 1000

Step = Literal["none", "begun", "certifying", "requested", "granted", "overlapping", "complete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How far a folder's rotation is; digests in hex, times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        step: ``none``, ``begun`` (keys, and no request yet), ``certifying`` (an authority has to issue the
            certificate), ``requested`` (the registrar has to publish it), ``granted`` (the new key signs, and the
            settings name both), ``overlapping`` (done, and an old key has not ended), or ``complete`` (done within the
            last day).
        known: Whether the directory could be asked.
        certificate: Of the key that signs, or is the next to; None if that has none yet.
        before: Of the one before; None if there is none.
        retires_at: When that one ends; None if it has no end in time.
        overlap_ms: For how long the registrar is to let that one sign beside the new one; None if that is over, or the
            old key may not sign any more.
        certification: The file for the authority, if it is wanted.
        request: The file for the registrar, if it is wanted.
        fingerprint: Of that request, for the telephone.
        done: What was done now; nothing if it was only looked at.
    """

    step: Step
    known: bool
    certificate: str | None
    before: str | None = None
    retires_at: int | None = None
    overlap_ms: int | None = None
    certification: Path | None = None
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
    known, waits = snapshot is not None, awaits_certificate(settings)
    if following is None and not waits:
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
        "certificate": None if following is None else following.certificate.hex(),
        "before": current.certificate.hex(),
        "retires_at": None if old is None else old.retires_at_ms,
    }
    if snapshot is not None and following is not None and snapshot.certificate(following.certificate) is not None:
        return Rotation(step="granted", **told)
    if old is None or old.may_sign_at(now_ms):
        told["overlap_ms"] = _overlap_ms(settings)
    if waits:
        asked = certification_path(settings)
        if not asked.exists():
            return Rotation(step="begun", **told)
        return Rotation(step="certifying", certification=asked, **told)
    request = request_path(settings)
    if not request.exists():
        return Rotation(step="begun", **told)
    text = request.read_text("ascii")
    return Rotation(step="requested", request=request, fingerprint=fingerprint_of(text), **told)


def rotate(
    folder: Path,
    snapshot: TrustSnapshot | None,
    clock: Clock,
    *,
    profile: int | None = None,
    authority: bool | None = None,
    overlap_ms: int | None = None,
    again: bool = False,
) -> Rotation:
    """Begin a rotation, or go on with the one that is begun; run twice, it changes nothing more.

    Args:
        folder: The agency's.
        snapshot: The directory; None if it cannot be read, which is enough to begin.
        clock: For certificate and request.
        profile: Of the new signing key; that of the old one if left out.
        authority: Whether an authority is to issue the certificate; as with the old one if left out.
        overlap_ms: For how long the registrar is to let the old key sign beside the new one, kept in the settings in
            minutes; 0 for not at all; what was said before, or else 30 days, if left out.
        again: Begin another one although the last one was just now, or its old key has not ended.

    Raises:
        ConfigurationError: The folder is not an agency's, its settings cannot be changed, or keys cannot be written.
        KeyFileError: A key that the settings name cannot be used.
        LockedError: Another process changes the keys of this folder.
    """
    with hold(folder / LOCK_NAME, "changing keys", clock):
        return _go_on(folder, snapshot, clock, profile, authority, overlap_ms, again=again)


def certify(folder: Path, given: Sequence[x509.Certificate], snapshot: TrustSnapshot | None, clock: Clock) -> Rotation:
    """Go on with a rotation that waits for a certificate, with the one that the authority has issued.

    Raises:
        ConfigurationError: No rotation is under way, or it has come further.
        KeyFileError: The certificate is another key's.
        IdentityError: It may not be granted to this agency; the text says why.
        LockedError: Another process changes the keys of this folder.
    """
    with hold(folder / LOCK_NAME, "changing keys", clock):
        settings = load_settings(folder)
        following = next_signer_of_settings(settings)
        if following is not None and (snapshot is None or snapshot.certificate(following.certificate) is not None):
            said = "the directory grants" if snapshot is not None else "the directory, which cannot be read, may grant"
            raise ConfigurationError(
                f"{said} the next signing key's certificate {following.certificate.hex()[:16]}…",
                hint="`docbus keys rotate` goes on with the rotation.",
            )
        path = take_certificate(settings, given, clock)
        found = _go_on(folder, snapshot, clock, None, None, None, again=False)
        named = f"named {path.relative_to(settings.folder)} in docbus.toml"
        return replace(found, done=(named, *found.done))


def _go_on(  # noqa: PLR0917 - as its caller was told
    folder: Path,
    snapshot: TrustSnapshot | None,
    clock: Clock,
    profile: int | None,
    authority: bool | None,  # noqa: FBT001 - likewise
    overlap_ms: int | None,
    *,
    again: bool,
) -> Rotation:
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
        done = _begin(settings, profile or signer_of_settings(settings).profile, authority, clock)
    else:
        _check_same(settings, profile, authority)
        done = ()
    if overlap_ms is not None and _keep_overlap(folder, overlap_ms):
        done = (*done, "noted the overlap in docbus.toml")
    settings = load_settings(folder)
    _keep_in_use(settings)
    check_new_decryption_key(settings, snapshot)
    current = signer_of_settings(settings).certificate
    if snapshot is not None and snapshot.certificate(current) is not None:
        remove_granted_request(settings, current)
    if awaits_certificate(settings):
        if write_certification_request(settings):
            done = (*done, f"wrote {certification_path(settings).name}")
    elif write_request(settings, clock):
        done = (*done, f"wrote {request_path(settings).name}")
    return replace(rotation_state(settings, snapshot, clock.now_ms()), done=done)


def _begin(settings: Settings, profile: int, authority: bool | None, clock: Clock) -> tuple[str, ...]:  # noqa: FBT001 - as its caller was told
    """Make the keys, and name them in the settings."""
    own, keys = agency_id(settings), keys_of_settings(settings)
    if is_token_uri(keys.signing):
        raise ConfigurationError(
            "the signing key is on a token, and new keys would be made in files",
            hint="Make a key on the token, and name it as next_signing under [keys], with its next_certificate unless"
            " an authority is to issue that; then `docbus keys rotate` goes on. See"
            " docs/how-to/keep-the-signing-key-on-a-token.md.",
        )
    certified = is_certified(settings, keys.certificate) if authority is None else authority
    made = unused_or_new(settings.folder, own, profile, clock, certificate=not certified)

    def name(table: Any) -> None:
        put_first(table, "encryption", made.encryption)
        table["next_signing"] = made.signing
        if not certified:
            table["next_certificate"] = made.certificate

    edit_keys(settings.folder, name)
    mark_used(made)
    return f"made keys in {made.relative}/", "named them in docbus.toml"


def is_certified(settings: Settings, certificate: Path) -> bool:
    """Tell whether somebody else has issued a certificate that settings name.

    Raises:
        KeyFileError: It cannot be read.
    """
    found = read_certificates(settings.path(certificate))
    return any(is_issued(x509.load_der_x509_certificate(der)) for der in found)


def _check_same(settings: Settings, profile: int | None, authority: bool | None) -> None:  # noqa: FBT001 - as its caller was told
    """Return unless a rotation is under way to another kind of key or certificate than is asked for now."""
    following, named = next_signer_of_settings(settings), keys_of_settings(settings).next_certificate
    if profile is not None and following is not None and profile != following.profile:
        raise ConfigurationError(
            "a rotation is under way already, to a key of another profile",
            hint="Finish it without --profile; then `docbus keys rotate --again --profile …` begins another one.",
        )
    certified = awaits_certificate(settings) or (named is not None and is_certified(settings, named))
    if authority is not None and authority != certified:
        made = "that an authority issues" if certified else "that was made here"
        raise ConfigurationError(
            f"a rotation is under way already, with a certificate {made}",
            hint="Finish it without --authority or --self-made; then begin another one with --again.",
        )


def _finish(settings: Settings) -> None:
    """Let the settings name the new signing key alone; its decryption keys stay as they are."""
    # The directory grants the keys, so that nobody needs the requests; the settings still say what they are called.
    remove_requests(settings)

    def name(keys: Any) -> None:
        keys["signing"], keys["certificate"] = keys["next_signing"], keys["next_certificate"]
        del keys["next_signing"], keys["next_certificate"]
        if "next_overlap_minutes" in keys:
            del keys["next_overlap_minutes"]

    edit_keys(settings.folder, name)


def _keep_overlap(folder: Path, overlap_ms: int) -> bool:
    """Note for how long the old key is to sign beside the new one; tell whether that was news."""

    def note(keys: Any) -> None:
        keys["next_overlap_minutes"] = -(-overlap_ms // _MINUTE_MS)

    return edit_keys(folder, note)


def _overlap_ms(settings: Settings) -> int | None:
    said = keys_of_settings(settings).next_overlap_minutes
    return DEFAULT_OVERLAP_MS if said is None else said * _MINUTE_MS or None


def _keep_in_use(settings: Settings) -> None:
    """Take the mark away that a process has left which died after it named the keys."""
    made = next_set(settings)
    if made is not None:
        mark_used(made)


def _ending(snapshot: TrustSnapshot, settings: Settings, now_ms: int) -> CertificateGrant | None:
    """Return the newest certificate of the agency that has an end which has not come, other than the settings' own."""
    agency = snapshot.agency(agency_id(settings))
    grants = [] if agency is None else [snapshot.certificate(digest) for digest in agency.certificates]
    ending = [one for one in grants if one is not None and one.retires_at_ms is not None and one.may_sign_at(now_ms)]
    return ending[-1] if ending else None


def _has_rotated(settings: Settings) -> bool:
    return set_of(settings.folder, settings.path(keys_of_settings(settings).certificate)) is not None


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
