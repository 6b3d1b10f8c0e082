"""New keys of an agency, each set in a folder of its own below ``keys/``; nothing that exists is overwritten.

A set is made aside and moved into its place when it is complete. Until the settings name it a file marks it as unused:
a process that dies before leaves a set that the next one takes, and no second one.
"""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docbus.client.new_files import PRIVATE_MODE, PUBLIC_MODE, write_new
from docbus.errors import ConfigurationError, DiskFullError
from docbus.identity.encryption import generate_encryption_key
from docbus.identity.key_sets import certificates_pem, generate_key_set, key_set_pem, make_certificates
from docbus.storage.content import sync_path

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.clock import Clock

FOLDER_MODE = 0o700
LOCK_NAME = "keys.lock"
"""The lock file in the folder: one process at a time changes its keys."""
MAX_SETS_A_DAY = 99
"""Sets of keys that are made for one folder on one day: each has the day and a number in its name."""
_STAGING, _UNUSED = ".new", ".unused"
_SIGNING, _CERTIFICATE, _ENCRYPTION = "signing.pem", "certificate.pem", "encryption.pem"


@dataclass(frozen=True, slots=True)
class KeySet:
    """A set of keys in a folder."""

    folder: Path
    relative: str
    """The folder as seen from the agency's."""

    @property
    def signing(self) -> str:
        """URI of the signing key, as it stands in the settings."""
        return f"file:{self.relative}/{_SIGNING}"

    @property
    def certificate(self) -> str:
        """Path of its certificate, as it stands in the settings."""
        return f"{self.relative}/{_CERTIFICATE}"

    @property
    def encryption(self) -> str:
        """URI of the encryption key, as it stands in the settings."""
        return f"file:{self.relative}/{_ENCRYPTION}"


def unused_or_new(folder: Path, agency: str, profile: int, clock: Clock, *, certificate: bool = True) -> KeySet:
    """Return a set of keys that nothing names yet: one that an earlier run has made, or else a new one.

    Args:
        folder: The agency's.
        agency: Canonical id, for the certificate.
        profile: Of the signing key.
        clock: For the certificate's time and the folder's name.
        certificate: Whether a certificate is made, too; without, an authority will issue it.

    Raises:
        ConfigurationError: It cannot be written.
        DiskFullError: No space is left.
    """
    keys = folder / "keys"
    try:
        keys.mkdir(mode=FOLDER_MODE, exist_ok=True)
        for marked in sorted(keys.glob(f"*/{_UNUSED}")):
            if marked.parent.name != _STAGING and (marked.parent / _CERTIFICATE).exists() == certificate:
                return _set(folder, marked.parent)
        return _set(folder, _make(keys, agency, profile, clock, certificate=certificate))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(f"no space left for {keys}") from error
        raise ConfigurationError(
            f"{error.filename or keys} cannot be written: {error.strerror}",
            hint="Check owner and rights of the folder.",
        ) from error


def mark_used(key_set: KeySet) -> None:
    """Say that the settings name a set of keys; doing it again changes nothing."""
    (key_set.folder / _UNUSED).unlink(missing_ok=True)
    sync_path(key_set.folder)


def set_of(folder: Path, file: Path) -> KeySet | None:
    """Return the set to which a key or certificate belongs, by its path; None if it lies in no folder of its own."""
    below = folder / "keys"
    return _set(folder, file.parent) if file.parent.parent == below else None


def _set(folder: Path, made: Path) -> KeySet:
    return KeySet(made, made.relative_to(folder).as_posix())


def _make(keys: Path, agency: str, profile: int, clock: Clock, *, certificate: bool) -> Path:
    staging = keys / _STAGING
    # What a process that died has left here was never named by anything, nor shown to anybody.
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=FOLDER_MODE)
    signing, encryption = generate_key_set(profile), generate_encryption_key()
    files = [
        (_UNUSED, b"", PUBLIC_MODE),
        (_SIGNING, key_set_pem(signing), PRIVATE_MODE),
        (_ENCRYPTION, encryption.pem(), PRIVATE_MODE),
    ]
    if certificate:
        certificates = make_certificates(signing, agency, now_ms=clock.now_ms())
        files.append((_CERTIFICATE, certificates_pem(certificates), PUBLIC_MODE))
    made: list[Path] = []
    for name, content, mode in files:
        write_new(made, staging / name, content, mode)
    sync_path(staging)
    day = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date().isoformat()
    for number in range(1, MAX_SETS_A_DAY + 1):
        place = keys / (day if number == 1 else f"{day}-{number}")
        if not place.exists():
            staging.rename(place)
            sync_path(keys)
            return place
    raise ConfigurationError(
        f"{keys} has {MAX_SETS_A_DAY} sets of keys of {day}", hint="Take away those that nothing names."
    )
