"""Agencies as they were granted, made of the entries that granted them when somebody asks (ADR 0025).

Of a national directory's 123,265 agencies, a process has to do with some hundred. Of the others it holds what the rules
ask, ids and digests; everything else lies on the shelf as it was read.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.identity import entries
from docbus.identity.certificates import certificate_set_digest
from docbus.identity.checked import CheckedSigning
from docbus.identity.encryption import Encrypter
from docbus.identity.grants import Agency, CertificateGrant, LazyKeys

if TYPE_CHECKING:
    from docbus.identity.shelf import Shelf
    from docbus.identity.versions import Version

MAX_MADE = 4096
"""Agencies that are kept once they were made; more begin anew. Each has some 2 KB, and 9 KB once its keys were used."""
_CHECKED_BYTES = struct.Struct(">I")
"""In front on the shelf: bytes of what checking the certificates came to, which comes before the entry."""
_SIZE_BITS = 32
"""Bits of a place that say how many bytes lie there; the bits above say where."""


class Granted(NamedTuple):
    """What one entry has granted: an agency, and the certificate it begins with."""

    agency: Version[Agency]
    certificate: Version[CertificateGrant]


class ShelvedGrants:
    """Grants on a shelf. One thread puts, any thread gets."""

    __slots__ = ("_made", "_shelf")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        # Two threads that make the same at once make equals, and either may stay.
        self._made: dict[int, Granted] = {}

    def put(self, entry: bytes, checked: CheckedSigning) -> int:
        """Lay down a grant, and return its place: one number, of which a large directory has one for each agency.

        Args:
            entry: The signed bytes of an entry with an :class:`~docbus.identity.entries.AgencyGrant`, which keeps the
                rules.
            checked: What its certificates say.
        """
        kept = checked.encode()
        lying = _CHECKED_BYTES.pack(len(kept)) + kept + entry
        return self._shelf.put(lying) << _SIZE_BITS | len(lying)

    def agency(self, place: int) -> Version[Agency]:
        """Return the agency that was granted."""
        return self._get(place).agency

    def certificate(self, place: int) -> Version[CertificateGrant]:
        """Return the certificate that was granted with it."""
        return self._get(place).certificate

    def _get(self, place: int) -> Granted:
        found = self._made.get(place)
        if found is None:
            found = self._make(place >> _SIZE_BITS, place & (1 << _SIZE_BITS) - 1)
            if len(self._made) >= MAX_MADE:
                self._made.clear()
            self._made[place] = found
        return found

    def _make(self, at: int, size: int) -> Granted:
        lying = self._shelf.get(at, size)
        begin = _CHECKED_BYTES.size + _CHECKED_BYTES.unpack_from(lying)[0]
        checked = CheckedSigning.decode(lying[_CHECKED_BYTES.size : begin])
        entry = entries.decode_entry(lying[begin:])
        grant = entry.change
        assert isinstance(grant, entries.AgencyGrant)  # noqa: S101 - nothing else is put
        certificates, raw = grant.signing.certificates, grant.encryption.public_key
        # Certificates and key stay where they lie: later versions of the agency share them.
        certificate = CertificateGrant(
            digest=certificate_set_digest([sha256(der).digest() for der in certificates]),
            agency=grant.agency,
            profile=grant.signing.profile,
            not_before_ms=checked.not_before_ms,
            not_after_ms=checked.not_after_ms,
            granted_at=entry.position,
            keys=LazyKeys([(at + lying.index(der, begin), len(der)) for der in certificates], self._shelf),
        )
        encrypter = Encrypter(raw, self._shelf, at + lying.index(raw, begin))
        agency = Agency(
            id=grant.agency,
            name=grant.name,
            aliases=grant.aliases,
            roles=grant.roles,
            partitions=grant.partitions,
            certificates=(certificate.digest,),
            encrypters=((encrypter, entry.position, None),),
            granted_at=entry.position,
        )
        return Granted((entry.position, agency, None), (entry.position, certificate, None))
