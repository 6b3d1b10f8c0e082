"""The trust snapshot: what the directory said at one position of its log (design D7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docbus.errors import DirectoryError, UnknownAgencyError
from docbus.identity.agency import AgencyId
from docbus.identity.authorities import authorities_at
from docbus.identity.freshness import Freshness
from docbus.identity.nearest import nearest
from docbus.identity.standing import delegation_key, parent_of
from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.grants import Agency, CertificateGrant, DelegationGrant
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.identity.state import DirectoryState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSnapshot:
    """What the directory said at one position; never changes, may be used from any thread.

    Attributes:
        environment: Name of the environment; part of everything that is signed.
        genesis: Hash of the genesis entry.
        position: Position of the last entry it knows.
        head: Hash of that entry.
        made_at: Time of that entry by the registrar's clock, milliseconds since 1970 UTC.
        freshness_limit_ms: Age beyond which it decides nothing.
        freshness_alarm_ms: Age beyond which an operator should look.
        size: How many agencies it knows, closed ones included.
        has_heartbeat: Whether the registrar has ever signed a heartbeat, and age therefore counts.
    """

    environment: str
    genesis: bytes
    position: int
    head: bytes
    made_at: int
    freshness_limit_ms: int
    freshness_alarm_ms: int
    size: int
    has_heartbeat: bool
    _state: DirectoryState = field(repr=False, compare=False)

    def age_ms(self, now_ms: int) -> int:
        """Return milliseconds since the last entry was made, by two clocks: the registrar's and the reader's."""
        return max(0, now_ms - self.made_at)

    def is_stale(self, now_ms: int) -> bool:
        """Return whether it is too old to decide; the registrar's clock may be late by ``MAX_CLOCK_SKEW_MS``."""
        return self.has_heartbeat and now_ms - self.made_at > self.freshness_limit_ms + MAX_CLOCK_SKEW_MS

    def freshness(self, now_ms: int) -> Freshness:
        """Return what its age means at a time, in milliseconds since 1970 UTC."""
        if not self.has_heartbeat:
            return Freshness.NOT_JUDGED
        if self.is_stale(now_ms):
            return Freshness.STALE
        # One from the future is no sign of life now: one of the clocks is wrong, or somebody lies ahead.
        ahead = self.made_at > now_ms + MAX_CLOCK_SKEW_MS
        return Freshness.OLD if ahead or self.age_ms(now_ms) > self.freshness_alarm_ms else Freshness.FRESH

    def certificate(self, digest: bytes) -> CertificateGrant | None:
        """Return the grant of a certificate (SHA-256 of its DER), or None if there was none up to here."""
        return self._state.certificates.at(digest, self.position)

    def agency(self, agency_id: str, position: int | None = None) -> Agency | None:
        """Return the agency with this canonical id, closed or not, now or as it was at an earlier position.

        Aliases are not followed.
        """
        return self._state.agencies.at(agency_id, self._until(position))

    def _until(self, position: int | None) -> int:
        return self.position if position is None else min(position, self.position)

    def agencies(self) -> Iterator[Agency]:
        """Return all agencies, closed ones included, in the order of their grants."""
        for at in range(self.size):
            found = self.agency(self._state.order[at])
            if found is not None:
                yield found

    def has_encryption_key(self, digest: bytes) -> bool:
        """Tell whether an encryption key, by its digest, was granted to anybody, as far as the directory was read."""
        return digest in self._state.encryption_keys

    def alias(self, alias: str) -> str | None:
        """Return the canonical id of the agency that has this canonical id as an alias."""
        found = self._state.aliases.get(alias)
        agency = None if found is None else self.agency(found)
        return found if agency is not None and alias in agency.aliases else None

    def parent(self, agency_id: str) -> str | None:
        """Return the canonical id of the agency that one belongs to, granted or not; None at the top.

        Where the directory says nothing, the code does.
        """
        found = self.agency(agency_id)
        return None if found is None else parent_of(found)

    def delegation(self, agency_id: str, delegate: str, position: int | None = None) -> DelegationGrant | None:
        """Return the newest delegation from an agency to a delegate, ended or not; None if there was none.

        As it is now, or was at an earlier position.
        """
        return self._state.delegations.at(delegation_key(agency_id, delegate), self._until(position))

    def delegations(self, agency_id: str) -> list[DelegationGrant]:
        """Return the delegations in which an agency is either of the two, and that were not ended, oldest first."""
        found = [self._state.delegations.at(key, self.position) for key in self._state.delegations.keys()]  # noqa: SIM118 - not a dict
        return sorted(
            (one for one in found if one and one.ended_at is None and agency_id in (one.agency, one.delegate)),
            key=lambda one: one.granted_at,
        )

    def authorities(self, position: int | None = None) -> Authorities:
        """Return the authorities that issue agencies' certificates, now or as they were at an earlier position."""
        return authorities_at(self._state, self._until(position))

    @property
    def registrar(self) -> RegistrarTerms:
        """Whose signatures the next entry needs.

        Raises:
            DirectoryError: There is no genesis yet, which no snapshot is without.
        """
        terms = self._state.terms_for(self.position + 1)
        if terms is None:
            raise DirectoryError("the directory has no registrar")
        return terms

    def hash_at(self, position: int) -> bytes | None:
        """Return the hash of an entry, or None beyond this snapshot."""
        return self._state.hash_at(position) if position <= self.position else None

    def time_stamps(self) -> Iterator[tuple[int, bytes]]:
        """Yield position and token of each heartbeat that carries one, the newest first; nothing is verified."""
        return self._state.time_stamps_until(self.position)

    def time_at(self, position: int) -> int | None:
        """Return when an entry was made, by the registrar's clock, or None beyond this snapshot."""
        return self._state.made_at[position] if position <= self.position else None

    def resolve(self, code_or_id: str) -> str:
        """Return the canonical id of the agency that a code, an id or an alias names; it may be closed.

        Raises:
            AgencyCodeError: Not a code.
            UnknownAgencyError: A code that the directory does not have; the hint names similar ones.
        """
        asked = str(AgencyId.parse(code_or_id))
        if self.agency(asked) is not None:
            return asked
        found = self.alias(asked)
        if found is not None:
            return found
        known = nearest(asked, lambda text: text if self.agency(text) is not None else self.alias(text))
        named = ", ".join(f"{code} ({self._name_of(agency_id)})" for code, agency_id in known)
        raise UnknownAgencyError(
            f"the directory of {self.environment} has no agency {asked} (read up to entry {self.position})",
            hint=f"Similar codes that it has: {named}." if named else "`docbus agency list` shows those it has.",
        )

    def _name_of(self, agency_id: str) -> str:
        found = self.agency(agency_id)
        return found.name if found is not None else agency_id
