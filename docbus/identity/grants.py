"""What the directory has granted: certificates and agencies, each as it was at some position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from docbus.errors import AgencyClosedError
from docbus.identity.certificates import load_certificate_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.encryption import Encrypter
    from docbus.identity.shelf import Shelf
    from docbus.identity.signing import PublicKey


class LazyKeys:
    """The certificates of a grant, and their public keys, parsed when first asked for; shared by all its versions.

    Args:
        places: Where each certificate lies on the shelf, DER, and its size; in the profile's order.
        shelf: The shelf.
    """

    __slots__ = ("_parsed", "_places", "_shelf")

    def __init__(self, places: Sequence[tuple[int, int]], shelf: Shelf) -> None:
        self._shelf = shelf
        self._places = tuple(places)
        self._parsed: tuple[PublicKey, ...] | None = None

    @classmethod
    def put(cls, certificates: Sequence[bytes], shelf: Shelf) -> Self:
        """Lay certificates on the shelf."""
        return cls([(shelf.put(der), len(der)) for der in certificates], shelf)

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates, DER, in the profile's order."""
        return tuple(self._shelf.get(at, size) for at, size in self._places)

    def public_keys(self) -> tuple[PublicKey, ...]:
        """Return the parsed keys, in the profile's order."""
        parsed = self._parsed
        if parsed is None:
            parsed = self._parsed = tuple(load_certificate_key(der) for der in self.certificates)
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateGrant:
    """A certificate as it stood at a snapshot's position; positions are those of the directory log.

    Attributes:
        digest: SHA-256 of the certificate, DER; of both hashes for a hybrid profile.
        agency: Canonical id of the one agency to which it was ever granted.
        profile: Number of the profile it signs under.
        not_before_ms: Beginning of the certificate's own validity, milliseconds since 1970 UTC; a cross-check.
        not_after_ms: End of it.
        granted_at: Position from which it may sign.
        retired_at: Position from which it may not, because a rotation retired it.
        overlap_at: Position of the overlap that gave it an end, in time.
        retires_at_ms: That end: the last millisecond since 1970 UTC in which it may sign.
        revoked_at: Position from which it may not, because it was revoked.
        closed_at: Position from which it may not, because its agency was closed.
        reason: Why it was revoked, as the registrar wrote it.
        suspected_since: Time in milliseconds since which the key may have been abused; makes findings only (D13).
    """

    digest: bytes
    agency: str
    profile: int
    not_before_ms: int
    not_after_ms: int
    granted_at: int
    retired_at: int | None = None
    overlap_at: int | None = None
    retires_at_ms: int | None = None
    revoked_at: int | None = None
    closed_at: int | None = None
    reason: str | None = None
    suspected_since: int | None = None
    keys: LazyKeys = field(repr=False, compare=False)

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        """The public keys, in the profile's order, parsed once."""
        return self.keys.public_keys()

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates themselves, DER, in the profile's order."""
        return self.keys.certificates

    @property
    def may_sign(self) -> bool:
        """Whether, at the snapshot's position, the key may sign; until its end in time, if an overlap gave it one."""
        return self.retired_at is None and self.revoked_at is None and self.closed_at is None

    def may_sign_at(self, time_ms: int) -> bool:
        """Return whether the key may sign at a time, as far as the directory is known; both ends are included."""
        ended = self.retires_at_ms is not None and time_ms > self.retires_at_ms
        return self.may_sign and not ended and self.not_before_ms <= time_ms <= self.not_after_ms

    def in_force_at(self, position: int) -> bool:
        """Return whether the key might sign at a position, entry ``position`` included, as far as is known."""
        ends = (self.retired_at, self.revoked_at, self.closed_at)
        return self.granted_at <= position and all(end is None or position < end for end in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency as it stood at a snapshot's position.

    Attributes:
        id: Canonical id.
        name: Its name, for people.
        aliases: Canonical ids by which people may name it too.
        roles: Such as ``auditor``.
        partitions: Partitions of its inbox.
        certificates: Digests of all certificates it was ever granted, the oldest first.
        encrypters: (key, granted at, retired at) of all encryption keys it was ever granted, the oldest first.
        granted_at: Position of its grant.
        closed_at: Position of its closure.
        successor: Canonical id of the agency it was merged into.
        parent: Canonical id of the agency it belongs to, if that is not the one its code says; empty for none.
        suspensions: (Suspended at, reinstated at or None) of each time it was suspended, the oldest first.
        suspension_reason: Why it is suspended; None if it is not.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    roles: tuple[str, ...]
    partitions: int
    certificates: tuple[bytes, ...]
    encrypters: tuple[tuple[Encrypter, int, int | None], ...]
    granted_at: int
    closed_at: int | None = None
    successor: str | None = None
    closing_reason: str | None = None
    parent: str | None = None
    suspensions: tuple[tuple[int, int | None], ...] = ()
    suspension_reason: str | None = None

    @property
    def suspended_at(self) -> int | None:
        """Position of the suspension that is in force; None if there is none."""
        return self.suspensions[-1][0] if self.suspensions and self.suspensions[-1][1] is None else None

    def suspension_at(self, position: int) -> int | None:
        """Return the position of the suspension that was in force at a position, entry ``position`` included."""
        for since, until in self.suspensions:
            if since <= position and (until is None or position < until):
                return since
        return None

    @property
    def encrypter(self) -> Encrypter:
        """The newest encryption key that is not retired; an open agency always has one.

        Raises:
            AgencyClosedError: The agency is closed; the hint names its successor.
        """
        for encrypter, _granted_at, retired_at in reversed(self.encrypters):
            if retired_at is None:
                return encrypter
        raise AgencyClosedError(
            f"{self.id} is closed since directory entry {self.closed_at}",
            hint=f"Its successor is {self.successor}." if self.successor else "It has no successor.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationGrant:
    """A delegation as it stood at a snapshot's position.

    Attributes:
        agency: Canonical id of the agency that is represented.
        delegate: Canonical id of the one that sends for it.
        kinds: Kinds of documents; none for all.
        not_before_ms: Beginning, milliseconds since 1970 UTC.
        not_after_ms: End.
        granted_at: Position from which it holds.
        ended_at: Position from which it does not.
    """

    agency: str
    delegate: str
    kinds: tuple[str, ...]
    not_before_ms: int
    not_after_ms: int
    granted_at: int
    ended_at: int | None = None
