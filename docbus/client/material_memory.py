"""The revocation lists and OCSP responses that an agency knows: kept in its database, and ready for verification.

What is kept is the word of an authority of the directory, so that nobody can fill the disk, or put a list of their own
in the place of a newer one: a list is taken only if it is signed, and its number is not lower than that of one that is
known. An older one that a verdict rested on stays as long as the verdict, and one that alone says of a certificate in
force that it was revoked for good stays until that certificate has ended: what an authority has said it cannot take
back by forgetting it (ADR 0028).
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from docbus.client.issued import issued_in_force
from docbus.clock import format_time
from docbus.errors import DocbusError, IdentityError, StorageError
from docbus.identity.pki.forgetting import forgotten_by, is_final
from docbus.identity.pki.material import MAX_PIECES, NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.waiting import wait_for

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cryptography import x509

    from docbus.clock import Clock
    from docbus.identity.pki.crl import RevocationList
    from docbus.identity.pki.forgetting import Forgotten
    from docbus.identity.pki.material import Piece
    from docbus.identity.pki.ocsp import StatusResponse
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""Seconds after which it is looked whether another process, such as ``docbus cert import``, has kept something: two
numbers of a table with few rows."""
MAX_HELD_LISTS = 16
"""Older lists of one place that are kept because newer ones have forgotten what they say: an authority that has
forgotten more often keeps no lists, and up to 256 MiB of its former ones are enough to show that."""
MAX_ROUNDS = 10
"""Times that a list is looked at again because another process has kept one meanwhile; each time that one is newer."""


class MaterialMemory:
    """What is known of certificates' standing. Belongs to one event loop; :attr:`current` may be asked from any thread.

    Args:
        database: The agency's.
        clock: Says when something was kept.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen: tuple[int, int] = (0, 0)
        self._ready: dict[bytes, Piece] = {}
        self.current: ValidationMaterial = NOTHING_KNOWN
        """The newest of each place, and older ones that know more, frozen: another object once something was added."""

    async def load(self) -> None:
        """Read what is kept, if that has changed; a piece that was read before is not read again.

        Raises:
            StorageError: It cannot be read.
        """
        seen = await self._database.read(_state)
        if seen == self._seen:
            return
        newest, rows = await self._database.read(lambda connection: _read_newest(connection, self._ready.keys()))
        # A large list takes half a second, in which the event loop has other work.
        read = await asyncio.to_thread(lambda: {digest: read_piece(content) for digest, content in rows})
        known = self._ready | read
        self._ready = {digest: known[digest] for digest in newest if digest in known}
        self.current, self._seen = ValidationMaterial(self._ready.values()), seen

    async def keep_list(self, found: RevocationList, snapshot: TrustSnapshot) -> bool:
        """Keep a revocation list; tell whether it is new.

        What it has forgotten of certificates that the directory knows to be in force stays known by the older list, and
        is logged as a finding against the authority.

        Raises:
            IdentityError: No authority of the directory has signed it, a newer one of its kind is known, or it and
                those before have forgotten too much.
            StorageError: It cannot be kept.
        """
        authorities = snapshot.authorities()
        known = (*authorities.roots, *authorities.intermediates)
        if not await asyncio.to_thread(lambda: any(found.is_signed_by(one) for one in known)):
            raise IdentityError(
                f"revocation list {found.number} is signed by no authority of the directory that may sign lists",
                hint="The registrar names authorities: `docbus registrar authority list`.",
            )
        points = "\0".join(sorted(found.points)).encode()
        place = found.issuer + found.scope.encode() + b"\0" + points
        for _ in range(MAX_ROUNDS):
            await self.load()
            if found.digest in self.current.pieces:
                return False
            seen, older = self._seen, [one for one in self.current.lists(found.issuer) if one.place == found.place]
            _check_newer(found, older)
            forgotten = await asyncio.to_thread(
                forgotten_by, found, older, lambda: issued_in_force(snapshot), self._clock.now_ms()
            )
            added = await self._keep(found, place, held=_held(forgotten), seen=seen)
            if added is not None:
                for one in forgotten:
                    log.warning("revocation_forgotten", certificate=one.certificate.serial_number, finding=one.text)
                return added
        raise StorageError("other processes of this folder keep revocation lists at the same time", hint="Try again.")

    async def keep_response(
        self, found: StatusResponse, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> bool:
        """Keep an OCSP response about a certificate of an authority; tell whether it is new.

        A revocation is kept beside whatever comes later: no other answer takes it back, but for a hold.

        Raises:
            IdentityError: It is about another certificate, signed by nobody who may speak for the authority, says
                neither that the certificate is good nor that it is revoked, or is older than one that is known.
            StorageError: It cannot be kept.
        """
        if not found.speaks_of(certificate, issuer):
            raise IdentityError("an OCSP response that is not its authority's word on this certificate")
        final = found.revoked is not None and is_final(found.revoked)
        if not found.is_good and found.revoked is None:
            raise IdentityError("an OCSP response that knows nothing of the certificate, which is no word on it")
        await self.load()
        known = [one for one in self.current.responses(found.serial) if one.speaks_of(certificate, issuer)]
        newest = max((one.this_update_ms for one in known), default=found.this_update_ms)
        if not final and found.this_update_ms < newest:
            raise IdentityError(
                f"an OCSP response of {format_time(found.this_update_ms)}, older than that of {format_time(newest)},"
                " which is known",
                hint="Somebody rolls back, or hands out a forgotten answer: ask the authority's responder.",
            )
        kind = b"revoked" if final else b"response"
        place = certificate.issuer.public_bytes() + kind + certificate.serial_number.to_bytes(32, "big")
        return bool(await self._keep(found, place))

    async def contents(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return pieces by their digests, DER.

        Raises:
            StorageError: One is not there any more; the database was changed by hand.
        """
        found = dict(await self._database.read(lambda connection: _read_some(connection, digests)))
        missing = [digest for digest in digests if digest not in found]
        if missing:
            raise StorageError(f"the validation material {missing[0].hex()}, on which a verdict rests, is gone")
        return [found[digest] for digest in digests]

    async def follow(self, stop: asyncio.Event) -> None:
        """Notice what other processes of this folder keep, until ``stop`` is set."""
        while not await wait_for(stop, LOOK_SECONDS):
            try:
                await self.load()
            except DocbusError as error:
                log.warning("validation_material_unreadable", error=error.text)

    async def _keep(
        self,
        piece: Piece,
        place: bytes,
        *,
        held: Mapping[bytes, str] | None = None,
        seen: tuple[int, int] | None = None,
    ) -> bool | None:
        """Keep a piece; tell whether it is new, or None if what is kept is not what was seen any more."""
        row = piece.digest, sha256(place).digest(), self._clock.now_ms(), piece.content
        added = await self._database.write(lambda connection: _write(connection, row, held or {}, seen))
        await self.load()
        return added


def _check_newer(found: RevocationList, older: Iterable[RevocationList]) -> None:
    """Return if no list of the same place has a higher number.

    Raises:
        IdentityError: One has.
    """
    highest = max((one.number for one in older), default=found.number)
    if found.number < highest:
        raise IdentityError(
            f"revocation list {found.number} is older than list {highest}, which is known",
            hint="Somebody rolls back, or hands out a forgotten file: get the authority's newest list.",
        )


def _held(forgotten: Iterable[Forgotten]) -> dict[bytes, str]:
    """Return the older lists that have to stay, and what is told of each.

    Raises:
        IdentityError: They are too many.
    """
    held: dict[bytes, str] = {}
    for one in forgotten:
        held[one.known.digest] = "\n".join(filter(None, (held.get(one.known.digest), one.text)))
        if len(held) > MAX_HELD_LISTS:
            raise IdentityError(
                f"revocation list {one.newer.number} and those before have forgotten revocations of more than"
                f" {MAX_HELD_LISTS} older lists",
                hint="Ask the authority for a list with all of them, and the registrar to revoke those certificates in"
                " the directory, or to end the authority.",
            )
    return held


def read_held(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what authorities have forgotten of certificates in force, a sentence about each."""
    rows = connection.execute("SELECT held FROM validation_material WHERE held IS NOT NULL ORDER BY rowid")
    return tuple(text for (held,) in rows for text in held.split("\n"))


def read_deciding(connection: sqlite3.Connection) -> list[bytes]:
    """Return what decides, DER: the newest of each place, and older ones that know what it has forgotten."""
    return [content for _, content in _read_newest(connection, ())[1]]


def read_contents(connection: sqlite3.Connection) -> list[bytes]:
    """Return all that is kept, DER, older pieces on which verdicts rest included."""
    return [row[0] for row in connection.execute("SELECT content FROM validation_material")]


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    row = connection.execute("SELECT count(*), coalesce(max(rowid), 0) FROM validation_material").fetchone()
    return int(row[0]), int(row[1])


def _read_newest(
    connection: sqlite3.Connection, known: Collection[bytes]
) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Return the digests of what decides, and those that are not known yet with their content.

    That is the newest piece of each place, and those that are held because it has forgotten what they say.
    """
    newest = [
        row[0]
        for row in connection.execute(
            "SELECT digest FROM validation_material WHERE held IS NOT NULL OR rowid IN"
            " (SELECT max(rowid) FROM validation_material GROUP BY place)"
            " ORDER BY held IS NULL, rowid DESC LIMIT ?",
            (MAX_PIECES,),
        )
    ]
    return newest, _read_some(connection, [digest for digest in newest if digest not in known])


def _read_some(connection: sqlite3.Connection, digests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    return [
        row
        for digest in digests
        for row in connection.execute("SELECT digest, content FROM validation_material WHERE digest = ?", (digest,))
    ]


def _write(
    connection: sqlite3.Connection,
    row: tuple[bytes, bytes, int, bytes],
    held: Mapping[bytes, str],
    seen: tuple[int, int] | None,
) -> bool | None:
    """Keep a piece, and let go of older ones of its place on which no verdict rests and that are not held."""
    if seen is not None and _state(connection) != seen:
        return None
    _, place, _, _ = row
    added = connection.execute(
        "INSERT INTO validation_material (digest, place, kept_at, content) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        row,
    ).rowcount
    if added:
        connection.execute("UPDATE validation_material SET held = NULL WHERE place = ? AND held IS NOT NULL", (place,))
        connection.executemany(
            "UPDATE validation_material SET held = ? WHERE digest = ?", [(text, one) for one, text in held.items()]
        )
        # The one before stays as well: a verdict that rests on it may be on its way into the ledger.
        connection.execute(
            "DELETE FROM validation_material WHERE place = ? AND used = 0 AND held IS NULL AND rowid NOT IN"
            " (SELECT rowid FROM validation_material WHERE place = ? ORDER BY rowid DESC LIMIT 2)",
            (place, place),
        )
    return bool(added)
