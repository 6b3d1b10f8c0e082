"""Destroying an old decryption key on purpose: what was encrypted to it, and is not opened yet, opens never again.

The order is such that a process may die anywhere: first it is noted what is to be destroyed, with the signed act that
says so; then the act goes into the agency's ledger topic; then the settings name the key no more, so that nobody needs
the file; and then the file is overwritten and taken away. Given again, the command goes on from the note: the same act
may be stored twice then, and counts once.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from docbus.client.connect import agency_id
from docbus.client.folder_keys import FolderKeys
from docbus.client.key_folders import LOCK_NAME
from docbus.client.settings_file import edit_keys
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.key_destruction import (
    NONCE_BYTES,
    VERSION,
    KeyDestruction,
    destruction_digest,
    seal_destruction,
)
from docbus.errors import ConfigurationError, IndeterminateError, KeyDestructionError, VerificationError
from docbus.identity.encryption import open_decrypter
from docbus.identity.keyfile import path_of
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_CLOCK_SKEW_MS, MAX_OPERATOR_BYTES
from docbus.settings import load_settings
from docbus.storage.content import sync_path
from docbus.storage.locks import hold
from docbus.transport.topics import CONTENT_RETENTION_MS, INBOX_RETENTION_MS
from docbus.verification.key_destructions import verify_destruction
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from docbus.clock import Clock
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.storage.database import Database

log = structlog.get_logger(__name__)

MIN_FINGERPRINT_DIGITS = 8
"""Hex digits by which a key is named at least: nobody has two keys of which they are the same."""
NEEDED_MS = max(INBOX_RETENTION_MS, CONTENT_RETENTION_MS)
"""Milliseconds for which an envelope, or large content that belongs to it, may wait on the brokers to be opened."""
_DESTROYED, _ACT = "destroyed:", "act-of-destroyed:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """A key that was destroyed, or is being; time in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        fingerprint: SHA-256 of the public key, in hex.
        path: Where its file lay.
        at: When it was decided.
        operator: Who decided.
        reason: Why, in the operator's words.
        retired_by: Directory entry from which on nobody encrypts to it.
        finished: Whether the file is gone.
        act: Digest of the signed act, in hex; None for one that was destroyed without, as that of a closed agency.
        signed: Whether the act is in the ledger topic.
    """

    fingerprint: str
    path: str
    at: int
    operator: str
    reason: str
    retired_by: int
    finished: bool = False
    act: str | None = None
    signed: bool = False


def destroy(
    folder: Path,
    fingerprint: str,
    *,
    reason: str,
    operator: str,
    snapshot: TrustSnapshot,
    database: Database,
    clock: Clock,
    append: Callable[[bytes], object],
    now: bool = False,
) -> Destruction:
    """Destroy a retired decryption key; blocks.

    Args:
        folder: The agency's.
        fingerprint: Of the key, in hex, or the beginning of it.
        reason: Why.
        operator: Who decides.
        snapshot: The directory as it is now.
        database: Where it is noted.
        clock: For the time until which the key is needed.
        append: Stores a record in the agency's ledger topic durably, or raises.
        now: Do not wait until nothing can come any more that needs it.

    Raises:
        KeyDestructionError: No such key, or one that is needed, or the act would not be believed; nothing was changed.
        DocbusError: The act could not be signed, and nothing was changed; or it could not be stored, and the key is
            there still: the command goes on when it is given again.
        ConfigurationError: The settings cannot be changed, or the file cannot be overwritten.
        StorageError: It could not be noted; nothing was changed.
        LockedError: Another process changes the keys of this folder.
    """
    _check_words(reason, operator)
    with hold(folder / LOCK_NAME, "changing keys", clock):
        return _destroy(folder, fingerprint, reason, operator, snapshot, database, clock, append, now=now)


def _destroy(  # noqa: PLR0917 - as its caller was told
    folder: Path,
    fingerprint: str,
    reason: str,
    operator: str,
    snapshot: TrustSnapshot,
    database: Database,
    clock: Clock,
    append: Callable[[bytes], object],
    *,
    now: bool,
) -> Destruction:
    settings = load_settings(folder)
    begun = _begun(database, fingerprint)
    if begun is not None and begun.finished:
        return begun
    if begun is None:
        digest, path = _named(settings, fingerprint)
        retired_by = _check(settings, snapshot, digest, clock.now_ms(), now=now)
        begun = Destruction(
            fingerprint=digest.hex(),
            path=str(path),
            at=clock.now_ms(),
            operator=operator,
            reason=reason,
            retired_by=retired_by,
        )
        value = _act(settings, begun, snapshot, clock)
        if value is not None:
            begun = replace(begun, act=destruction_digest(decode_envelope(value).statement).hex())
        noted = begun
        database.write_now(lambda connection: _note(connection, noted, value))
    if begun.act is not None and not begun.signed:
        append(database.read_now(partial(_noted_act, begun.fingerprint)))
        begun = replace(begun, signed=True)
        signed = begun
        database.write_now(lambda connection: _note(connection, signed))
    _forget(settings, Path(begun.path))
    _overwrite(Path(begun.path))
    finished = replace(begun, finished=True)
    database.write_now(lambda connection: _note(connection, finished))
    log.warning("key.destroyed", fingerprint=finished.fingerprint, operator=finished.operator, reason=finished.reason)
    return finished


def destructions(connection: sqlite3.Connection) -> list[Destruction]:
    """Return every key that was destroyed here, or is being, the oldest first."""
    found = connection.execute("SELECT value FROM outbox WHERE name GLOB ?", (_DESTROYED + "*",))
    return sorted((Destruction(**json.loads(value)) for (value,) in found), key=lambda one: one.at)


def _check_words(reason: str, operator: str) -> None:
    for what, text, limit in (("reason", reason, MAX_ACT_REASON_BYTES), ("operator", operator, MAX_OPERATOR_BYTES)):
        if not text.strip() or len(text.encode()) > limit:
            raise KeyDestructionError(
                f"the {what} has {len(text.strip().encode()):,} bytes, 1 to {limit:,} are kept",
                hint=f"Give it with --{what}.",
            )


def _act(settings: Settings, begun: Destruction, snapshot: TrustSnapshot, clock: Clock) -> bytes | None:
    """Return the signed act; None for a closed agency, which may sign nothing, and whose end the directory has."""
    own = agency_id(settings)
    agency = snapshot.agency(own)
    if agency is not None and agency.closed_at is not None:
        return None
    signer = FolderKeys(settings, clock).signer(snapshot)
    value = seal_destruction(
        KeyDestruction(
            version=VERSION,
            environment=settings.exchange.environment,
            agency=own,
            certificate=signer.certificate,
            directory_position=snapshot.position,
            directory_hash=snapshot.head,
            made_at=begun.at,
            operator=begun.operator,
            key=bytes.fromhex(begun.fingerprint),
            retired_by=begun.retired_by,
            reason=begun.reason,
            nonce=os.urandom(NONCE_BYTES),
        ),
        signer,
    )
    try:
        verify_destruction(Verifier(), value, agency=own, snapshot=snapshot)
    except (VerificationError, IndeterminateError) as error:
        raise KeyDestructionError(
            f"the act that says so would not be believed: {error.text}",
            hint="A key is destroyed under a signing key that is in force; see `docbus keys rotate --status`.",
        ) from error
    return value


def _note(connection: sqlite3.Connection, what: Destruction, act: bytes | None = None) -> None:
    rows: list[tuple[str, str | bytes]] = [
        (_DESTROYED + what.fingerprint, json.dumps(asdict(what), ensure_ascii=False))
    ]
    if act is not None:
        rows.append((_ACT + what.fingerprint, act))
    connection.executemany("INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)", rows)


def _noted_act(fingerprint: str, connection: sqlite3.Connection) -> bytes:
    (value,) = connection.execute("SELECT value FROM outbox WHERE name = ?", (_ACT + fingerprint,)).fetchone()
    return bytes(value)


def _begun(database: Database, fingerprint: str) -> Destruction | None:
    """Return the destruction of this key that a process has begun and not finished, or that is done already."""
    wanted = fingerprint.lower()
    found = [one for one in database.read_now(destructions) if one.fingerprint.startswith(wanted)]
    return found[0] if len(found) == 1 and len(wanted) >= MIN_FINGERPRINT_DIGITS else None


def _named(settings: Settings, fingerprint: str) -> tuple[bytes, Path]:
    """Return digest and file of the decryption key that a fingerprint names."""
    wanted = fingerprint.lower()
    uris = () if settings.keys is None else settings.keys.encryption
    held = [(open_decrypter(settings.key_uri(uri)).digest, settings.key_uri(uri)) for uri in uris]
    found = [(digest, uri) for digest, uri in held if digest.hex().startswith(wanted)]
    if len(wanted) < MIN_FINGERPRINT_DIGITS or len(found) != 1:
        raise KeyDestructionError(
            f"{fingerprint!r} names {len(found)} of the {len(held)} decryption keys of {agency_id(settings)}",
            hint=f"Give at least {MIN_FINGERPRINT_DIGITS} digits of a fingerprint that `docbus keys show` has.",
        )
    digest, uri = found[0]
    return digest, path_of(uri)


def _check(settings: Settings, snapshot: TrustSnapshot, digest: bytes, now_ms: int, *, now: bool) -> int:
    """Return the entry that retired a key, if it may be destroyed."""
    own = agency_id(settings)
    agency = snapshot.agency(own)
    ends = {} if agency is None else {encrypter.digest: retired for encrypter, _, retired in agency.encrypters}
    shown = f"{digest.hex()[:16]}…"
    retired_by = ends.get(digest)
    if retired_by is None:
        said = "others encrypt to it" if digest in ends else "the directory does not know it yet, and soon may"
        raise KeyDestructionError(
            f"the decryption key {shown} is needed: {said}",
            hint="Only a key that a rotation has retired is destroyed; see `docbus keys show`.",
        )
    retired_at = snapshot.time_at(retired_by) or now_ms
    needed_until = retired_at + snapshot.freshness_limit_ms + MAX_CLOCK_SKEW_MS + NEEDED_MS
    if now_ms <= needed_until and not now:
        days = -(-(needed_until - now_ms) // (24 * 60 * 60 * 1000))
        raise KeyDestructionError(
            f"the decryption key {shown} may be needed for {days} more days: entry {retired_by} has retired it,"
            " and envelopes from before wait on the brokers for so long",
            hint="Wait, or give --now: what was not opened by then cannot be opened any more.",
        )
    return retired_by


def _forget(settings: Settings, path: Path) -> None:
    """Let the settings name a file no more."""

    def without(keys: Any) -> None:
        listed = keys["encryption"]
        for uri in [str(one) for one in listed]:
            if settings.key_uri(uri).startswith("file:") and path_of(settings.key_uri(uri)) == path:
                listed.remove(uri)

    edit_keys(settings.folder, without)


def _overwrite(path: Path) -> None:
    """Overwrite a file with zeros, on the disk, and take it away."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be overwritten: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_path(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be overwritten: {error.strerror}") from error
