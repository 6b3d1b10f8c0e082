"""Applies a change of the directory to the state: every rule first, then the writing, so that nothing is half done."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.errors import AgencyCodeError, IdentityError
from docbus.identity import authorities, entries, standing
from docbus.identity.agency import parse_canonical
from docbus.identity.certificates import certificate_set_digest
from docbus.identity.checked import check_signing
from docbus.identity.encryption import SUITE_2026, Encrypter, check_encryption_key
from docbus.identity.grants import CertificateGrant, LazyKeys
from docbus.identity.lookups import checked_title, known_agency, open_agency
from docbus.identity.overlap import check_overlap, ended
from docbus.identity.registrar_terms import terms_of
from docbus.identity.rules import refusal
from docbus.identity.signing import public_key_bytes
from docbus.limits import MAX_PARTITIONS
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.identity.checked import CheckedSigning
    from docbus.identity.grants import Agency
    from docbus.identity.state import DirectoryState

MAX_ALIASES = 64
"""Aliases in one grant; an agency has as many as it has had codes."""
MAX_ROLES = 16
"""Roles of one agency."""
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def apply_change(state: DirectoryState, position: int, change: entries.Change) -> None:
    """Write a change, other than the genesis, into the state.

    Raises:
        DirectoryError: It breaks a rule, which the text names; the state is as before.
    """
    write = _WRITERS.get(type(change))
    if write is None:
        raise refusal(position, "genesis_first", "a second genesis entry")
    write(state, position, change)


def apply_genesis(state: DirectoryState, genesis: entries.Genesis) -> None:
    """Write the genesis into an empty state.

    Raises:
        DirectoryError: It breaks a rule, which the text names.
    """
    checked_title(0, genesis.registrar, "the registrar's name")
    try:
        terms = terms_of(genesis)
    except IdentityError as error:
        raise refusal(0, "genesis_terms", error.text) from error
    if not 0 < genesis.freshness_alarm <= genesis.freshness_limit:
        raise refusal(0, "genesis_terms", "the freshness limits are not 0 < alarm <= limit")
    state.registrar.append((0, terms))
    state.genesis = genesis


def _rename(state: DirectoryState, position: int, rename: entries.Rename) -> None:
    agency = open_agency(state, position, rename.agency)
    checked_title(position, rename.name, "the name")
    state.agencies.put(agency.id, position, replace(agency, name=rename.name))


def _beat(state: DirectoryState, position: int, heartbeat: entries.Heartbeat) -> None:
    # It says when it was made, as every entry does; from the first one on, that is held against the clock.
    if state.first_heartbeat is None:
        state.first_heartbeat = position
    # A token is no rule's business: whoever asks what time it was verifies it, against an anchor of his own.
    if heartbeat.time_stamp is not None:
        at = state.shelf.put(heartbeat.time_stamp)
        state.time_stamps.append((position, at, len(heartbeat.time_stamp)))


def _rotate_registrar(state: DirectoryState, position: int, rotation: entries.RegistrarRotation) -> None:
    before = state.terms_for(position)
    try:
        terms = terms_of(rotation)
    except IdentityError as error:
        raise refusal(position, "registrar_terms", error.text) from error
    named = terms.keys.keys() | terms.heartbeat_keys.keys()
    if named & state.retired_registrar_keys:
        raise refusal(position, "registrar_key_once", "a registrar key that was retired is named again")
    if before is not None:
        state.retired_registrar_keys |= (before.keys.keys() | before.heartbeat_keys.keys()) - named
    state.registrar.append((position, terms))


def _grant(state: DirectoryState, position: int, grant: entries.AgencyGrant) -> None:
    if not state.was_applied:
        check_form(position, grant)
    if grant.agency in state.agencies:
        raise refusal(
            position, "code_once", f"{grant.agency} was granted before; new keys are given to it by a rotation"
        )
    if grant.agency in state.aliases:
        raise refusal(position, "alias_unique", f"{grant.agency} is an alias of {state.aliases[grant.agency]}")
    for alias in grant.aliases:
        _free_alias(state, position, grant.agency, alias)
    certificate, checked = _signing(state, position, grant.agency, grant.signing)
    encryption = _encryption(position, grant.encryption)

    state.signing_keys.update(dict.fromkeys(checked.keys, grant.agency))
    state.encryption_keys.add(encryption)
    place = state.grants.put(state.entry, checked)
    state.certificates.place(certificate, place)
    state.aliases.update(dict.fromkeys(grant.aliases, grant.agency))
    state.agencies.place(grant.agency, place)
    state.order.append(grant.agency)


def check_form(position: int, grant: entries.AgencyGrant) -> None:
    """Return if a grant keeps the rules that ask nothing of the entries before it."""
    for agency_id in (grant.agency, *grant.aliases):
        _canonical(position, agency_id)
    checked_title(position, grant.name, "the name")
    if len(grant.aliases) > MAX_ALIASES or len(set(grant.aliases)) != len(grant.aliases):
        raise refusal(position, "alias_unique", f"more than {MAX_ALIASES} aliases, or one twice")
    _roles(position, grant.roles)
    if not 1 <= grant.partitions <= MAX_PARTITIONS:
        raise refusal(position, "partitions", f"{grant.partitions} partitions; 1 to {MAX_PARTITIONS} are allowed")


def _rotate(state: DirectoryState, position: int, rotation: entries.KeyRotation | entries.KeyOverlap) -> None:
    agency = open_agency(state, position, rotation.agency)
    if not (rotation.signing or rotation.encryption or rotation.retire_signing or rotation.retire_encryption):
        raise refusal(position, "rotation_changes", f"nothing is granted to {agency.id} or retired")
    held = {d: g for d in agency.certificates if (g := state.certificates.newest(d)) is not None and g.may_sign}
    open_keys = {encrypter.digest for encrypter, _, retired_at in agency.encrypters if retired_at is None}
    _held(position, agency.id, rotation.retire_signing, set(held))
    _held(position, agency.id, rotation.retire_encryption, open_keys)
    granted = _signing(state, position, agency.id, rotation.signing) if rotation.signing else None
    if rotation.encryption:
        _new_to(position, agency, _encryption(position, rotation.encryption))
    retires_at = rotation.retires_at if isinstance(rotation, entries.KeyOverlap) else None
    if isinstance(rotation, entries.KeyOverlap):
        check_overlap(position, rotation, state.applied_at, [held[digest] for digest in rotation.retire_signing])
    stays = any(g.retires_at_ms is None for digest, g in held.items() if digest not in rotation.retire_signing)
    if rotation.retire_signing and granted is None and not stays:
        raise refusal(position, "rotation_leaves_key", f"{agency.id} would have no signing key")
    if rotation.retire_encryption and rotation.encryption is None and len(rotation.retire_encryption) == len(open_keys):
        raise refusal(position, "rotation_leaves_key", f"{agency.id} would have no encryption key")

    for digest in rotation.retire_signing:
        state.certificates.put(digest, position, ended(held[digest], position, retires_at))
    if rotation.signing and granted is not None:
        certificate, checked = granted
        state.signing_keys.update(dict.fromkeys(checked.keys, agency.id))
        state.certificates.put(
            certificate,
            position,
            CertificateGrant(
                digest=certificate,
                agency=agency.id,
                profile=rotation.signing.profile,
                not_before_ms=checked.not_before_ms,
                not_after_ms=checked.not_after_ms,
                granted_at=position,
                keys=LazyKeys.put(rotation.signing.certificates, state.shelf),
            ),
        )
        agency = replace(agency, certificates=(*agency.certificates, certificate))
    encrypters = tuple(
        (known, granted_at, position if known.digest in rotation.retire_encryption else retired_at)
        for known, granted_at, retired_at in agency.encrypters
    )
    if rotation.encryption:
        encrypter = Encrypter(rotation.encryption.public_key, state.shelf)
        state.encryption_keys.add(encrypter.digest)
        encrypters = (*encrypters, (encrypter, position, None))
    state.agencies.put(agency.id, position, replace(agency, encrypters=encrypters))


def _revoke(state: DirectoryState, position: int, revocation: entries.Revocation) -> None:
    # A closed agency's certificate can be revoked too: its key may come to light later.
    agency = known_agency(state, position, revocation.agency)
    checked_title(position, revocation.reason, "the reason")
    grant = state.certificates.newest(revocation.certificate)
    shown = revocation.certificate.hex()[:16]
    if grant is None or grant.agency != agency.id:
        raise refusal(position, "revoked_key_held", f"{agency.id} was never granted the certificate {shown}…")
    if grant.revoked_at is not None:
        raise refusal(position, "revoked_key_held", f"{shown}… was revoked in entry {grant.revoked_at}")
    revoked = replace(grant, revoked_at=position, reason=revocation.reason, suspected_since=revocation.suspected_since)
    state.revoked_signing_keys.update(sha256(public_key_bytes(key)).digest() for key in grant.public_keys)
    state.certificates.put(grant.digest, position, revoked)


def _alias(state: DirectoryState, position: int, alias: entries.Alias) -> None:
    agency = open_agency(state, position, alias.agency)
    if len(agency.aliases) >= MAX_ALIASES:
        raise refusal(position, "alias_unique", f"{agency.id} would have more than {MAX_ALIASES} aliases")
    _canonical(position, alias.alias)
    _free_alias(state, position, agency.id, alias.alias)
    state.aliases[alias.alias] = agency.id
    state.agencies.put(agency.id, position, replace(agency, aliases=(*agency.aliases, alias.alias)))


def _close(state: DirectoryState, position: int, closure: entries.Closure) -> None:
    agency = open_agency(state, position, closure.agency)
    checked_title(position, closure.reason, "the reason")
    if closure.successor is not None:
        successor = state.agencies.newest(closure.successor)
        if successor is None or successor.closed_at is not None or successor.id == agency.id:
            raise refusal(position, "successor_open", f"{closure.successor} is not another agency that is open")
    # The keys end with the agency, so that a reader who asks only for the certificate gets the right answer.
    for digest in agency.certificates:
        grant = state.certificates.newest(digest)
        if grant is not None and grant.may_sign:
            state.certificates.put(digest, position, replace(grant, closed_at=position))
    encrypters = tuple(
        (encrypter, granted_at, position if retired_at is None else retired_at)
        for encrypter, granted_at, retired_at in agency.encrypters
    )
    closed = replace(
        agency,
        encrypters=encrypters,
        closed_at=position,
        successor=closure.successor,
        closing_reason=closure.reason,
    )
    state.agencies.put(agency.id, position, closed)


def _signing(
    state: DirectoryState, position: int, agency: str, signing: entries.SigningKey
) -> tuple[bytes, CheckedSigning]:
    """Return the digest of a new certificate, which may be granted, and what it says."""
    terms = PROFILES.get(signing.profile)
    if terms is None:
        raise refusal(position, "profile_known", f"signature profile {signing.profile} cannot be read by this version")
    try:
        checked = state.known_signing or check_signing(agency, signing)
    except IdentityError as error:
        raise refusal(position, "certificate_fit", f"{agency}: {error.text}") from error
    digest = certificate_set_digest([sha256(der).digest() for der in signing.certificates])
    if digest in state.certificates:
        raise refusal(position, "certificate_once", f"certificate {digest.hex()[:16]}… was granted before")
    for signing_key in checked.keys:
        if signing_key in state.revoked_signing_keys:
            raise refusal(position, "signing_key_not_revoked", f"{agency}: the certificate's key was revoked before")
        holder = state.signing_keys.get(signing_key, agency)
        if holder != agency:
            raise refusal(position, "signing_key_one_agency", f"{agency}: the key was granted to {holder}")
    state.checked_signing = checked
    return digest, checked


def _encryption(position: int, encryption: entries.EncryptionKey) -> bytes:
    """Return the digest of a new encryption key, which may be granted."""
    if encryption.suite != SUITE_2026:
        raise refusal(position, "suite_known", f"encryption suite {encryption.suite} cannot be read by this version")
    try:
        check_encryption_key(encryption.public_key)
    except IdentityError as error:
        raise refusal(position, "encryption_key_fit", error.text) from error
    return sha256(encryption.public_key).digest()


def _new_to(position: int, agency: Agency, encryption: bytes) -> None:
    """Return unless an agency has had an encryption key before, by its digest; another agency may have it in its grant.

    Nobody proves to have the private half, so that whoever was first with a public key must not keep its owner out
    (ADR 0032).
    """
    if any(known.digest == encryption for known, _, _ in agency.encrypters):
        shown = f"{encryption.hex()[:16]}…"
        raise refusal(position, "encryption_key_once", f"{shown} was granted to it before; a new one is needed")


def _canonical(position: int, agency_id: str) -> None:
    try:
        parse_canonical(agency_id)
    except AgencyCodeError as error:
        raise refusal(position, "canonical_id", error.text) from error


def _free_alias(state: DirectoryState, position: int, agency_id: str, alias: str) -> None:
    if alias == agency_id or alias in state.agencies:
        raise refusal(position, "alias_unique", f"{alias} is an agency's own code")
    if alias in state.aliases:
        raise refusal(position, "alias_unique", f"{alias} is an alias of {state.aliases[alias]}")


def _roles(position: int, roles: tuple[str, ...]) -> None:
    if len(roles) > MAX_ROLES or len(set(roles)) != len(roles) or not all(_ROLE.fullmatch(role) for role in roles):
        raise refusal(position, "roles", f"a role twice, more than {MAX_ROLES}, or not in small letters")


def _held(position: int, agency_id: str, retired: tuple[bytes, ...], held: set[bytes]) -> None:
    strange = [digest for digest in retired if digest not in held]
    if strange or len(set(retired)) != len(retired):
        shown = ", ".join(f"{digest.hex()[:16]}…" for digest in strange) or "one of them twice"
        raise refusal(position, "retired_key_held", f"{agency_id} holds no such key to retire: {shown}")


_WRITERS: dict[type, Callable[[DirectoryState, int, Any], None]] = {
    entries.AgencyGrant: _grant,
    entries.KeyRotation: _rotate,
    entries.KeyOverlap: _rotate,
    entries.Revocation: _revoke,
    entries.Alias: _alias,
    entries.Rename: _rename,
    entries.Closure: _close,
    entries.Heartbeat: _beat,
    entries.RegistrarRotation: _rotate_registrar,
    entries.Suspension: standing.suspend,
    entries.Reinstatement: standing.reinstate,
    entries.Move: standing.move,
    entries.Delegation: standing.delegate,
    entries.DelegationEnd: standing.end_delegation,
    entries.Authority: authorities.name_authority,
    entries.AuthorityEnd: authorities.end_authority,
}
"""What writes each kind of change into the state, the genesis apart."""
