"""The trust snapshot, and the replay of the directory log that makes it (design D7).

The replay takes record values in order. For each it asks, before anything in the entry is believed:

1. Is it a directory record of bounded size, of the right payload type?
2. Is it the pinned genesis (position 0), or signed by enough registrar keys (all others,
   :mod:`docbus.identity.registrar_terms`)?
3. Is it of a version this software reads, of this environment, at the next position, and does it name the hash before?
4. Does the change keep the rules (:mod:`docbus.identity.changes`)?

The genesis must be signed by its own keys too. Whatever fails leaves everything as it was. The names of all rules
are in :mod:`docbus.identity.rules`.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docbus.errors import DirectoryError, IdentityError, MalformedError, UnknownAgencyError
from docbus.identity import entries
from docbus.identity.agency import AgencyId
from docbus.identity.authorities import authorities_at
from docbus.identity.chain import check_chain, decode_entry, decode_record
from docbus.identity.changes import apply_change, apply_genesis
from docbus.identity.checked import NOTHING_CHECKED, CheckedSigning
from docbus.identity.freshness import Freshness
from docbus.identity.nearest import nearest
from docbus.identity.registrar_terms import terms_of, verify_registrar
from docbus.identity.rules import refusal
from docbus.identity.standing import delegation_key, parent_of
from docbus.identity.state import DirectoryState
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.wire.pae import DIRECTORY_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.grants import Agency, CertificateGrant, DelegationGrant
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.identity.shelf import Shelf


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
        return found[0] if found is not None and found[1] <= self.position else None

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


class DirectoryReplay:
    """Builds the state of the directory from its records; one thread writes.

    Args:
        genesis: The pinned hash of the genesis entry, 32 bytes.
        shelf: Where keys and certificates lie until they are asked for; in memory without one.
    """

    def __init__(self, genesis: bytes, shelf: Shelf | None = None) -> None:
        self.genesis = genesis
        self._shelf = shelf
        self._state = DirectoryState(shelf)
        # Machine words, not Python's integers: heartbeats make a hundred thousand in a year.
        self._sizes = array("q")

    @property
    def position(self) -> int:
        """Position of the last entry applied; -1 before the genesis."""
        return len(self._sizes) - 1

    def hash_at(self, position: int) -> bytes | None:
        """Return the hash of the entry at a position, or None if there is none yet."""
        return self._state.hash_at(position)

    def superseded(self, record_value: bytes) -> int | None:
        """Return the position of a genuine entry that came too late: another one took its place, or it came twice.

        Two registrar processes at once make such entries, and so does an append that was repeated. The order of the
        log decides; what lost is without effect. None for everything else that cannot be applied.
        """
        try:
            record = entries.decode_record(record_value)
            entry = entries.decode_entry(record.entry)
            self._verify_registrar(entry.position, record, entry.change)
        except (MalformedError, IdentityError):
            return None
        if record.payload_type != DIRECTORY_TYPE.decode() or entry.environment != self._state.environment:
            return None
        if not 0 <= entry.position <= self.position:
            return None
        if entry.position == 0:
            return 0 if record.hash == self.genesis else None
        genuine = entry.previous == self._state.hash_at(entry.position - 1)
        return entry.position if genuine else None

    def apply(self, record_value: bytes) -> entries.DirectoryEntry:
        """Apply the next record and return its entry.

        Raises:
            DirectoryError: It breaks a rule; the text names position and rule, and nothing has changed.
        """
        position = self.position + 1
        record = decode_record(position, record_value)
        found_hash = record.hash
        if position == 0 and found_hash != self.genesis:
            shown = f"{found_hash.hex()}, pinned is {self.genesis.hex()}"
            raise refusal(0, "genesis_pinned", f"the first entry's hash is {shown}")
        try:
            entry = decode_entry(position, record.entry)
        except DirectoryError:
            # Whether it is the registrar's at all says more than that it cannot be read.
            if position:
                self._check_signatures(position, record, None)
            raise
        if position:
            self._check_signatures(position, record, entry.change)
        self._write(position, record, found_hash, entry)
        return entry

    def apply_kept(self, record_value: bytes, checked: bytes) -> None:
        """Apply the next record, which was applied before and has been kept where nobody else can write.

        Neither its signatures nor its certificates are checked once more; that it follows the entry before is.

        Args:
            record_value: As it was read.
            checked: What :attr:`checked` was when it was applied.

        Raises:
            DirectoryError: It does not follow, or is no record.
            MalformedError: What is kept beside it is not what was.
        """
        position = self.position + 1
        if position == 0:
            self.apply(record_value)
            return
        record = decode_record(position, record_value)
        entry = decode_entry(position, record.entry)
        known = None if checked == NOTHING_CHECKED else CheckedSigning.decode(checked)
        self._state.was_applied = True
        try:
            self._write(position, record, record.hash, entry, known)
        finally:
            self._state.was_applied = False

    @property
    def checked(self) -> bytes:
        """What checking the last entry's certificates came to, to be kept beside the record."""
        found = self._state.checked_signing
        return NOTHING_CHECKED if found is None else found.encode()

    def _write(
        self,
        position: int,
        record: entries.DirectoryRecord,
        found_hash: bytes,
        entry: entries.DirectoryEntry,
        known: CheckedSigning | None = None,
    ) -> None:
        check_chain(self._state, position, entry)
        self._state.known_signing, self._state.checked_signing = known, None
        self._state.applied_at = entry.made_at
        if position:
            apply_change(self._state, position, entry.change)
        else:
            self._begin(entry, record)
        self._state.hashes += found_hash
        self._state.made_at.append(entry.made_at)
        self._sizes.append(len(self._state.order))

    def snapshot(self, position: int | None = None) -> TrustSnapshot:
        """Return what the directory says now, or said at an earlier position; costs the same for any.

        Raises:
            DirectoryError: There is no entry at that position yet.
        """
        at = self.position if position is None else position
        head = self._state.hash_at(at)
        genesis = self._state.genesis
        if self.position < 0:
            raise DirectoryError(
                "the directory is empty: it has no entry 0",
                hint="Check the address of the bus, or ask the registrar who took the entries away.",
            )
        if head is None or genesis is None:
            raise DirectoryError(f"the directory has no entry {at}, its last one is {self.position}")
        return TrustSnapshot(
            environment=self._state.environment,
            genesis=self.genesis,
            position=at,
            head=head,
            made_at=self._state.made_at[at],
            freshness_limit_ms=genesis.freshness_limit,
            freshness_alarm_ms=genesis.freshness_alarm,
            size=self._sizes[at],
            has_heartbeat=self._state.first_heartbeat is not None and self._state.first_heartbeat <= at,
            _state=self._state,
        )

    def position_at(self, time_ms: int) -> int:
        """Return the position of the last entry that was made by a time, by the registrar's clock.

        Raises:
            DirectoryError: Even the genesis entry was made later.
        """
        for position in range(self.position, -1, -1):
            if self._state.made_at[position] <= time_ms:
                return position
        raise DirectoryError("the directory begins later than that", hint="`docbus registrar show` has its entries.")

    def copy(self) -> DirectoryReplay:
        """Return another replay at the same position, to try an entry before it is published."""
        made = DirectoryReplay(self.genesis)
        made._state = self._state.copy()
        made._sizes = self._sizes[:]
        return made

    def _check_signatures(self, position: int, record: entries.DirectoryRecord, change: entries.Change | None) -> None:
        try:
            self._verify_registrar(position, record, change)
        except DirectoryError:
            raise
        except IdentityError as error:
            raise refusal(position, "signatures", error.text) from error

    def _verify_registrar(self, position: int, record: entries.DirectoryRecord, change: entries.Change | None) -> None:
        """Ask whose signatures an entry needs, and whether it has them.

        Raises:
            IdentityError: It has not.
        """
        terms = self._state.terms_for(position)
        if terms is None:
            raise IdentityError("no registrar is known yet")
        named = None
        if isinstance(change, entries.RegistrarRotation):
            try:
                named = terms_of(change)
            except IdentityError as error:
                raise refusal(position, "registrar_terms", error.text) from error
        verify_registrar(record, change, terms, named)

    def _begin(self, entry: entries.DirectoryEntry, record: entries.DirectoryRecord) -> None:
        if not isinstance(entry.change, entries.Genesis):
            raise refusal(0, "genesis_first", f"it is a {type(entry.change).__name__}")
        fresh = DirectoryState(self._shelf)
        fresh.environment = entry.environment
        apply_genesis(fresh, entry.change)
        self._state = fresh
        try:
            self._check_signatures(0, record, entry.change)
        except DirectoryError:
            self._state = DirectoryState(self._shelf)
            raise
