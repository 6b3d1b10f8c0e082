"""A small authority's folder: its key, its certificate, and the journal of what it has issued and revoked.

The journal is a file of JSON lines that only grows. What it says is on disk before anybody is handed a certificate or a
list, so that no serial number and no list's number is ever given twice, and nothing that was revoked is forgotten. A
line that a crash has cut short was never answered for, and is taken off when the next one is written.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docbus.client.new_files import PRIVATE_MODE, PUBLIC_MODE, write_new
from docbus.errors import ConfigurationError, IdentityError, KeyFileError, LockedError
from docbus.identity.keyfile import read_private_keys
from docbus.identity.pki.crl import Revoked
from docbus.identity.pki.issuing import issue, make_authority, make_list, new_serial, read_request
from docbus.identity.pki.profile import MAX_ISSUED_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from docbus.clock import Clock

KEY, CERTIFICATE, JOURNAL = "authority.pem", "authority.crt.pem", "issued.jsonl"
MAX_JOURNAL_BYTES = 1024 * 1024 * 1024
"""Bytes of a journal; one entry has some 2,000, so that it holds half a million certificates."""


class Issued(NamedTuple):
    """A certificate that was issued; ``revoked`` says what became of it."""

    serial: int
    agency: str
    certificate: bytes
    revoked: Revoked | None


class Authority:
    """An authority's folder, opened; one process at a time writes.

    Args:
        folder: Made by :func:`found_authority`.
        clock: Times of certificates and lists.

    Raises:
        ConfigurationError: The folder is not an authority's.
        KeyFileError: Its key cannot be used.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        try:
            self.certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"{folder} is not an authority's folder: {CERTIFICATE} cannot be read ({error.strerror})",
                hint="`docbus -C FOLDER cert ca init --name NAME` makes one.",
            ) from error
        except ValueError as error:
            raise ConfigurationError(f"{folder / CERTIFICATE} is not a certificate in PEM") from error
        keys = read_private_keys(f"file:{folder / KEY}")
        if len(keys) != 1:
            raise KeyFileError(f"the key file {folder / KEY} holds {len(keys)} keys, expected 1")
        self._key = keys[0]

    def issue(self, request: bytes, *, days: int) -> Issued:
        """Issue a certificate for an agency.

        Args:
            request: A certification request, PEM.
            days: For which it is valid.

        Raises:
            MalformedError: Not a request.
            IdentityError: It cannot be granted, or for so long.
            LockedError: Another process issues at the moment.
        """
        asked = read_request(request)
        if not 1 <= days <= MAX_ISSUED_DAYS - 1:
            raise IdentityError(f"a certificate for {days} days; 1 to {MAX_ISSUED_DAYS - 1} are allowed")
        with self._journal() as journal:
            said = _read(journal)
            serial = new_serial()
            certificate = issue(
                asked,
                self.certificate,
                self._key,  # type: ignore[arg-type] # found_authority made it
                now_ms=self._clock.now_ms(),
                days=days,
                serial=serial,
                points=said[0].get("points", ()),
            )
            _append(
                journal,
                {
                    "event": "issued",
                    "serial": f"{serial:x}",
                    "agency": asked.agency,
                    "at": self._clock.now_ms(),
                    "certificate": certificate.hex(),
                },
            )
        return Issued(serial, asked.agency, certificate, None)

    def revoke(self, serial: int, reason: x509.ReasonFlags, *, compromised_at: int | None = None) -> Issued:
        """Revoke a certificate from now on; the next revocation list says so.

        Args:
            serial: Of the certificate.
            reason: Why.
            compromised_at: Since when its key may have been somebody else's, milliseconds since 1970 UTC.

        Raises:
            IdentityError: It was not issued here, or was revoked before.
            LockedError: Another process issues at the moment.
        """
        with self._journal() as journal:
            known = _issued(_read(journal)).get(serial)
            if known is None:
                raise IdentityError(f"no certificate with the serial number {serial:x} was issued here")
            if known.revoked is not None:
                raise IdentityError(f"the certificate {serial:x} of {known.agency} was revoked before")
            revoked = Revoked(self._clock.now_ms(), reason, compromised_at)
            _append(
                journal,
                {
                    "event": "revoked",
                    "serial": f"{serial:x}",
                    "at": revoked.revoked_at,
                    "reason": reason.value,
                    "compromised_at": compromised_at,
                },
            )
        return known._replace(revoked=revoked)

    def list_revocations(self, *, days: int) -> bytes:
        """Return a new revocation list, DER, that is current for so many days.

        Raises:
            LockedError: Another process issues at the moment.
        """
        with self._journal() as journal:
            said = _read(journal)
            number = 1 + sum(one["event"] == "list" for one in said)
            made = make_list(
                [(one.serial, one.revoked) for one in _issued(said).values() if one.revoked is not None],
                self.certificate,
                self._key,  # type: ignore[arg-type] # found_authority made it
                number=number,
                now_ms=self._clock.now_ms(),
                days=days,
            )
            _append(journal, {"event": "list", "number": number, "at": self._clock.now_ms()})
        return made

    def issued(self) -> list[Issued]:
        """Return all certificates, the oldest first."""
        with self._journal() as journal:
            return list(_issued(_read(journal)).values())

    @contextmanager
    def _journal(self) -> Iterator[BinaryIO]:
        path = self.folder / JOURNAL
        try:
            with path.open("r+b") as journal:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield journal
        except BlockingIOError as error:
            raise LockedError(f"another process writes in {path}", hint="Try again in a moment.") from error
        except OSError as error:
            raise ConfigurationError(f"the journal {path} cannot be used: {error.strerror}") from error


def found_authority(folder: Path, *, name: str, clock: Clock, points: Sequence[str] = ()) -> Authority:
    """Make an authority's folder.

    Args:
        folder: New, or without an authority.
        name: Of the authority, as it stands in certificates.
        clock: For the certificate's validity.
        points: URIs from which its revocation list will be had; they stand in every certificate.

    Raises:
        ConfigurationError: There is an authority already, or the folder cannot be made.
    """
    key, certificate = make_authority(name, now_ms=clock.now_ms())
    pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    founded = _line({"event": "founded", "at": clock.now_ms(), "points": list(points)})
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The certificate comes last: a folder without one is no authority's yet.
        for file, content, mode in (
            (KEY, private, PRIVATE_MODE),
            (JOURNAL, founded, PRIVATE_MODE),
            (CERTIFICATE, pem, PUBLIC_MODE),
        ):
            write_new(made, folder / file, content, mode)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{error.filename} cannot be made: {error.strerror}", hint="Choose another folder; nothing is overwritten."
        ) from error
    return Authority(folder, clock)


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _read(journal: BinaryIO) -> list[dict[str, Any]]:
    """Return all entries, and leave the file where the next one is to be written."""
    journal.seek(0)
    content = journal.read(MAX_JOURNAL_BYTES + 1)
    if len(content) > MAX_JOURNAL_BYTES:
        raise ConfigurationError(f"the journal has more than {MAX_JOURNAL_BYTES:,} bytes")
    whole = content[: content.rfind(b"\n") + 1]
    entries: list[dict[str, Any]] = []
    try:
        entries = [json.loads(line) for line in whole.splitlines()]
        begun = bool(entries) and entries[0]["event"] == "founded"
    except (ValueError, KeyError, TypeError):
        begun = False
    if not begun:
        raise ConfigurationError(
            "the journal of issued certificates is damaged", hint="Restore it from a backup; do not issue without it."
        )
    journal.seek(len(whole))
    return entries


def _append(journal: BinaryIO, entry: dict[str, Any]) -> None:
    journal.truncate()
    journal.write(_line(entry))
    journal.flush()
    os.fsync(journal.fileno())


def _issued(entries: Sequence[dict[str, Any]]) -> dict[int, Issued]:
    found: dict[int, Issued] = {}
    for entry in entries:
        if entry["event"] == "issued":
            serial = int(entry["serial"], 16)
            found[serial] = Issued(serial, entry["agency"], bytes.fromhex(entry["certificate"]), None)
        elif entry["event"] == "revoked":
            serial = int(entry["serial"], 16)
            said = Revoked(entry["at"], x509.ReasonFlags(entry["reason"]), entry["compromised_at"])
            found[serial] = found[serial]._replace(revoked=said)
    return found
