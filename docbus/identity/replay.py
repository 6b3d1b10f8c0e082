"""The replay of the directory log, which makes trust snapshots (design D7).

It takes record values in order. For each it asks, before anything in the entry is believed:

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
from typing import TYPE_CHECKING

from docbus.errors import DirectoryError, IdentityError, MalformedError
from docbus.identity import entries
from docbus.identity.chain import check_chain, decode_entry, decode_record
from docbus.identity.changes import apply_change, apply_genesis
from docbus.identity.checked import NOTHING_CHECKED, CheckedSigning
from docbus.identity.registrar_terms import terms_of, verify_registrar
from docbus.identity.rules import refusal
from docbus.identity.snapshot import TrustSnapshot
from docbus.identity.state import DirectoryState
from docbus.wire.pae import DIRECTORY_TYPE

if TYPE_CHECKING:
    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.identity.shelf import Shelf


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

    def apply_proven(self, record_value: bytes, checked: bytes, terms: RegistrarTerms) -> None:
        """Apply the next record, of which :func:`~docbus.identity.proving.prove` has said what it is by itself.

        Args:
            record_value: As it was read.
            checked: What was said.
            terms: Under which it was. If an entry has named others since, it is verified like any record.

        Raises:
            DirectoryError: It breaks a rule; the text names position and rule, and nothing has changed.
        """
        if self._state.terms_for(self.position + 1) is terms:
            self.apply_kept(record_value, checked)
        else:
            self.apply(record_value)

    @property
    def terms(self) -> RegistrarTerms | None:
        """Whose signatures the next entry needs; None before the genesis."""
        return self._state.terms_for(self.position + 1)

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
        self._state.entry, self._state.applied_at = record.entry, entry.made_at
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
