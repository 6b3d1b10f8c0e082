"""Every rule of the directory log is broken by at least one entry that differs from a valid one by one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.certificates import make_certificate
from docbus.identity.changes import MAX_ROLES
from docbus.identity.encryption import MLKEM_BYTES, X25519_BYTES
from docbus.identity.overlap import MAX_OVERLAP_MS
from docbus.identity.pki.authorities import MAX_INTERMEDIATES
from docbus.identity.replay import DirectoryReplay
from docbus.identity.rules import RULES, refusal
from docbus.identity.signing import generate_signing_key, public_key_bytes
from docbus.identity.standing import MAX_KINDS, MAX_LEVELS
from docbus.limits import MAX_TIME_MS
from docbus.wire.profiles import Profile
from tests.support.directory import (
    NOW_MS,
    DirectoryBuilder,
    Keys,
    grant_of,
    make_keys,
    make_registrar_signer,
)
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.identity.signing import RegistrarSigner

ROOT = TestAuthority()
BELOW = TestAuthority(name="Issuing", above=ROOT, serial=2)
ALIAS = "vn2016:000.00.02.H37"


@dataclass(frozen=True, kw_only=True)
class Log:
    """A valid log: an agency with an alias, one whose first key was revoked, and one that is closed.

    The second is suspended and was moved under the first; a key of the registrar was retired.
    """

    builder: DirectoryBuilder
    open: Keys
    rotated: Keys
    revoked: Keys
    closed: Keys
    new: Keys
    retired: RegistrarSigner

    def value(self, change: entries.Change, **changed: object) -> bytes:
        """Return the next record."""
        return self.builder.value(change, **changed)  # type: ignore[arg-type] # fields of an entry, by name

    def granted(self, **changed: object) -> bytes:
        """Return the record of the new agency's grant, changed."""
        return self.value(grant_of(self.new, **changed))

    def rotation(self, **changed: object) -> bytes:
        """Return the record of a rotation of the open agency's encryption key, changed."""
        return self.value(
            replace(
                entries.KeyRotation(
                    agency=self.open.agency,
                    signing=None,
                    encryption=self.new.encryption,
                    retire_signing=(),
                    retire_encryption=(self.open.encryption_key.decrypter().digest,),
                ),
                **changed,  # type: ignore[arg-type] # fields of a rotation, by name
            )
        )

    def overlap(self, **changed: object) -> bytes:
        """Return the record of an overlap that ends the open agency's signing key, changed."""
        change = entries.KeyOverlap(
            agency=self.open.agency,
            signing=self.certified(self.new.private_key, self.open.agency),
            encryption=None,
            retire_signing=(self.open.signer.certificate,),
            retire_encryption=(),
            retires_at=NOW_MS + MAX_OVERLAP_MS,
        )
        return self.value(replace(change, **changed))  # type: ignore[arg-type] # fields of an overlap, by name

    def registrar(self, **changed: object) -> bytes:
        """Return the record of a rotation of the registrar's keys to those it has, changed."""
        rotation = entries.RegistrarRotation(
            keys=tuple(signer.public_key for signer in self.builder.signers), threshold=2, heartbeat_keys=()
        )
        return self.value(replace(rotation, **changed))  # type: ignore[arg-type] # fields of a rotation, by name

    def delegation(self, **changed: object) -> bytes:
        """Return the record of a delegation from the open agency to the rotated one, changed."""
        delegation = entries.Delegation(
            agency=self.open.agency,
            delegate=self.rotated.agency,
            kinds=(),
            not_before=NOW_MS,
            not_after=NOW_MS,
            reason="leave",
        )
        return self.value(replace(delegation, **changed))  # type: ignore[arg-type] # fields of a delegation, by name

    def certified(self, private_key: object, agency: str | None = None) -> entries.SigningKey:
        """Return a signing key with a fresh certificate for the new agency, or for another."""
        certificate = make_certificate(private_key, agency or self.new.agency, now_ms=NOW_MS)  # type: ignore[arg-type] # a private key
        return entries.SigningKey(profile=Profile.ES256, certificates=(certificate,))


@pytest.fixture(scope="module")
def log() -> Log:
    """Return the log; tests only read it."""
    retired, *signers = (make_registrar_signer() for _ in range(3))
    builder = DirectoryBuilder(signers=(retired, *signers), threshold=2)
    builder.append(entries.RegistrarRotation(keys=tuple(s.public_key for s in signers), threshold=2, heartbeat_keys=()))
    builder.signers = tuple(signers)
    opened = builder.grant("vn:H37.02", aliases=(ALIAS,))
    revoked = builder.grant("vn:H37.03")
    rotated = make_keys("vn:H37.03")
    builder.append(
        entries.KeyRotation(
            agency="vn:H37.03", signing=rotated.signing, encryption=None, retire_signing=(), retire_encryption=()
        )
    )
    builder.append(
        entries.Revocation(
            agency="vn:H37.03", certificate=revoked.signer.certificate, reason="stolen", suspected_since=None
        )
    )
    closed = builder.grant("vn:H37.04")
    builder.append(entries.Closure(agency="vn:H37.04", successor="vn:H37.02", reason="merged"))
    builder.append(entries.Suspension(agency="vn:H37.03", reason="under investigation"))
    builder.append(entries.Move(agency="vn:H37.03", parent="vn:H37.02"))
    return Log(
        builder=builder,
        open=opened,
        rotated=rotated,
        revoked=revoked,
        closed=closed,
        new=make_keys("vn:H37.05"),
        retired=retired,
    )


def _record(value: bytes, **changed: object) -> bytes:
    return entries.encode_record(replace(entries.decode_record(value), **changed))  # type: ignore[arg-type] # by name


def _signature(log: Log, **changed: object) -> bytes:
    """Return the valid next record with its second signature changed."""
    record = entries.decode_record(log.granted())
    first, second = record.signatures
    return _record(log.granted(), signatures=(first, replace(second, **changed)))  # type: ignore[arg-type] # by name


def _unknown_kind(log: Log) -> bytes:
    """Return an entry whose change has the number of a kind that this version does not have."""
    valid = entries.decode_record(log.granted()).entry
    branch = valid.index(b"\x02" + bytes((len(log.new.agency) << 1,)) + log.new.agency.encode())
    return entries.sign_entry(valid[:branch] + b"\x1e" + valid[branch + 1 :], log.builder.signers)


def _stranger_key(log: Log) -> bytes:
    return log.value(grant_of(log.new), signers=(log.builder.signers[0], make_registrar_signer()))


RSA = generate_signing_key(Profile.RSA_PSS_SHA256)
P521 = ec.generate_private_key(ec.SECP521R1())
LOW_ORDER = bytes(X25519_BYTES)

ATTACKS: dict[str, tuple[str, Callable[[Log], bytes]]] = {
    "random bytes": ("record_form", lambda _: b"\x00" * 100),
    "trailing byte": ("record_form", lambda log: log.granted() + b"\x00"),
    "too large": ("record_form", lambda log: _record(log.granted(), entry=bytes(entries.MAX_RECORD_BYTES))),
    "another payload type": ("payload_type", lambda log: _record(log.granted(), payload_type="application/json")),
    "signed by a stranger": ("signatures", _stranger_key),
    "signed by a stranger beside enough": (
        "signatures",
        lambda log: log.value(grant_of(log.new), signers=(*log.builder.signers, make_registrar_signer())),
    ),
    "not signed": ("signatures", lambda log: _record(log.granted(), signatures=())),
    "fewer than the threshold": (
        "signatures",
        lambda log: log.value(grant_of(log.new), signers=log.builder.signers[:1]),
    ),
    "one key twice": (
        "signatures",
        lambda log: log.value(grant_of(log.new), signers=(log.builder.signers[0], log.builder.signers[0])),
    ),
    "another profile": ("signatures", lambda log: _signature(log, profile=Profile.RSA_PSS_SHA256)),
    "signature of another key": ("signatures", lambda log: _signature(log, key=log.builder.signers[0].key)),
    "signature of the entry before": (
        "signatures",
        lambda log: _record(log.granted(), signatures=entries.decode_record(log.builder.records[-1]).signatures),
    ),
    "too many signatures": (
        "signatures",
        lambda log: log.value(grant_of(log.new), signers=[*log.builder.signers] * entries.MAX_SIGNATURES),
    ),
    "one bit of the entry": (
        "signatures",
        lambda log: _record(log.granted(), entry=entries.decode_record(log.granted()).entry[:-1] + b"\x04"),
    ),
    "version 2": ("entry_form", lambda log: log.value(grant_of(log.new), version=2)),
    "unknown kind of change": ("entry_form", _unknown_kind),
    "another environment": ("environment", lambda log: log.value(grant_of(log.new), environment="other")),
    "made before 1970": ("made_at", lambda log: log.value(grant_of(log.new), made_at=-1)),
    "made after the year 9999": ("made_at", lambda log: log.value(grant_of(log.new), made_at=MAX_TIME_MS + 1)),
    "position skipped": (
        "position",
        lambda log: log.value(grant_of(log.new), position=len(log.builder.records) + 1),
    ),
    "position of the entry before": (
        "position",
        lambda log: log.value(grant_of(log.new), position=len(log.builder.records) - 1),
    ),
    "the entry before again": ("position", lambda log: log.builder.records[-1]),
    "previous of the entry before": (
        "previous",
        lambda log: log.value(grant_of(log.new), previous=log.builder.hashes[-2]),
    ),
    "second genesis": (
        "genesis_first",
        lambda log: log.value(entries.decode_entry(entries.decode_record(log.builder.records[0]).entry).change),
    ),
    "bare code": ("canonical_id", lambda log: log.granted(agency="H37.05")),
    "lower case": ("canonical_id", lambda log: log.granted(agency="vn:h37.05")),
    "zero-width space in an alias": ("canonical_id", lambda log: log.granted(aliases=("vn:H37\u200b.06",))),
    "scheme nobody knows": ("canonical_id", lambda log: log.granted(agency="gov:H37.05")),
    "code granted to an open agency": ("code_once", lambda log: log.granted(agency=log.open.agency)),
    "code of a closed agency": ("code_once", lambda log: log.granted(agency=log.closed.agency)),
    "code that is an alias": ("alias_unique", lambda log: log.granted(agency=ALIAS)),
    "alias that is an alias": ("alias_unique", lambda log: log.granted(aliases=(ALIAS,))),
    "alias that is a code": ("alias_unique", lambda log: log.granted(aliases=(log.open.agency,))),
    "alias that is a closed code": ("alias_unique", lambda log: log.granted(aliases=(log.closed.agency,))),
    "alias that is its own code": ("alias_unique", lambda log: log.granted(aliases=(log.new.agency,))),
    "alias twice": ("alias_unique", lambda log: log.granted(aliases=("vn:H38", "vn:H38"))),
    "more aliases than allowed": (
        "alias_unique",
        lambda log: log.granted(aliases=tuple(f"vn:H38.{number}" for number in range(65))),
    ),
    "later alias that is an alias": (
        "alias_unique",
        lambda log: log.value(entries.Alias(agency=log.rotated.agency, alias=ALIAS)),
    ),
    "later alias that is a code": (
        "alias_unique",
        lambda log: log.value(entries.Alias(agency=log.rotated.agency, alias=log.open.agency)),
    ),
    "empty name": ("title", lambda log: log.granted(name="")),
    "bidirectional mark in a name": (
        "title",
        lambda log: log.value(entries.Rename(agency=log.open.agency, name="UBND \u202etest")),
    ),
    "name in pieces": ("title", lambda log: log.granted(name="Tây Ninh".replace("â", "a\u0302"))),
    "endless reason": (
        "title",
        lambda log: log.value(entries.Closure(agency=log.open.agency, successor=None, reason="x" * 1025)),
    ),
    "role in capitals": ("roles", lambda log: log.granted(roles=("AUDITOR",))),
    "too many roles": ("roles", lambda log: log.granted(roles=tuple(f"role-{n}" for n in range(MAX_ROLES + 1)))),
    "role twice": ("roles", lambda log: log.granted(roles=("auditor", "auditor"))),
    "no partition": ("partitions", lambda log: log.granted(partitions=0)),
    "too many partitions": ("partitions", lambda log: log.granted(partitions=65)),
    "profile of a later version": (
        "profile_known",
        lambda log: log.granted(signing=replace(log.new.signing, profile=5)),
    ),
    "two certificates": (
        "certificate_fit",
        lambda log: log.granted(signing=replace(log.new.signing, certificates=log.new.signing.certificates * 2)),
    ),
    "profile of another key type": (
        "certificate_fit",
        lambda log: log.granted(signing=replace(log.new.signing, profile=Profile.RSA_PSS_SHA256)),
    ),
    "certificate of another agency": (
        "certificate_fit",
        lambda log: log.granted(signing=log.certified(generate_signing_key(Profile.ES256), "vn:H37.06")),
    ),
    "key on another curve": ("certificate_fit", lambda log: log.granted(signing=log.certified(P521))),
    "certificate with a trailing byte": (
        "certificate_fit",
        lambda log: log.granted(signing=replace(log.new.signing, certificates=(log.new.certificate + b"\x00",))),
    ),
    "certificate granted to another agency": (
        "certificate_fit",
        lambda log: log.granted(signing=log.open.signing),
    ),
    "certificate granted again": (
        "certificate_once",
        lambda log: log.rotation(signing=log.open.signing),
    ),
    "key of another agency in an own certificate": (
        "signing_key_one_agency",
        lambda log: log.granted(signing=log.certified(log.open.private_key)),
    ),
    "key of a closed agency in an own certificate": (
        "signing_key_one_agency",
        lambda log: log.granted(signing=log.certified(log.closed.private_key)),
    ),
    "revoked key in a new certificate": (
        "signing_key_not_revoked",
        lambda log: log.value(
            entries.KeyRotation(
                agency=log.revoked.agency,
                signing=log.certified(log.revoked.private_key, log.revoked.agency),
                encryption=None,
                retire_signing=(),
                retire_encryption=(),
            )
        ),
    ),
    "unknown suite": (
        "suite_known",
        lambda log: log.granted(encryption=replace(log.new.encryption, suite=2)),
    ),
    "RSA key to encrypt to": (
        "encryption_key_fit",
        lambda log: log.granted(encryption=replace(log.new.encryption, public_key=public_key_bytes(RSA.public_key()))),
    ),
    "encryption key cut short": (
        "encryption_key_fit",
        lambda log: log.granted(encryption=replace(log.new.encryption, public_key=log.new.encryption.public_key[:-1])),
    ),
    "encryption key of small order": (
        "encryption_key_fit",
        lambda log: log.granted(
            encryption=replace(log.new.encryption, public_key=log.new.encryption.public_key[:MLKEM_BYTES] + LOW_ORDER)
        ),
    ),
    "encryption key granted again": (
        "encryption_key_once",
        lambda log: log.rotation(encryption=log.open.encryption, retire_encryption=()),
    ),
    "rename of nobody": ("agency_known", lambda log: log.value(entries.Rename(agency="vn:H99", name="x"))),
    "revocation for nobody": (
        "agency_known",
        lambda log: log.value(
            entries.Revocation(
                agency="vn:H99", certificate=log.open.signer.certificate, reason="lost", suspected_since=None
            )
        ),
    ),
    "rename of an alias": ("agency_known", lambda log: log.value(entries.Rename(agency=ALIAS, name="x"))),
    "rename of a closed agency": (
        "agency_open",
        lambda log: log.value(entries.Rename(agency=log.closed.agency, name="x")),
    ),
    "rotation of a closed agency": ("agency_open", lambda log: log.rotation(agency=log.closed.agency)),
    "alias of a closed agency": (
        "agency_open",
        lambda log: log.value(entries.Alias(agency=log.closed.agency, alias="vn:H38")),
    ),
    "closure of a closed agency": (
        "agency_open",
        lambda log: log.value(entries.Closure(agency=log.closed.agency, successor=None, reason="again")),
    ),
    "rotation of nothing": (
        "rotation_changes",
        lambda log: log.rotation(encryption=None, retire_encryption=()),
    ),
    "retires another agency's signing key": (
        "retired_key_held",
        lambda log: log.rotation(retire_signing=(log.rotated.signer.certificate,)),
    ),
    "retires another agency's encryption key": (
        "retired_key_held",
        lambda log: log.rotation(retire_encryption=(log.rotated.encryption_key.decrypter().digest,)),
    ),
    "retires a key twice": (
        "retired_key_held",
        lambda log: log.rotation(retire_encryption=(log.open.encryption_key.decrypter().digest,) * 2),
    ),
    "retires the last signing key": (
        "rotation_leaves_key",
        lambda log: log.rotation(retire_signing=(log.open.signer.certificate,)),
    ),
    "retires the last encryption key": ("rotation_leaves_key", lambda log: log.rotation(encryption=None)),
    "overlap that ends before it begins": (
        "overlap_terms",
        lambda log: log.overlap(retires_at=NOW_MS + len(log.builder.records)),
    ),
    "overlap that is too long": (
        "overlap_terms",
        lambda log: log.overlap(retires_at=NOW_MS + len(log.builder.records) + MAX_OVERLAP_MS + 1),
    ),
    "overlap that ends nothing": ("overlap_terms", lambda log: log.overlap(retire_signing=())),
    "overlap that ends the last signing key": ("rotation_leaves_key", lambda log: log.overlap(signing=None)),
    "overlap that ends another agency's key": (
        "retired_key_held",
        lambda log: log.overlap(retire_signing=(log.rotated.signer.certificate,)),
    ),
    "revokes another agency's certificate": (
        "revoked_key_held",
        lambda log: log.value(
            entries.Revocation(
                agency=log.open.agency,
                certificate=log.rotated.signer.certificate,
                reason="lost",
                suspected_since=None,
            )
        ),
    ),
    "revokes a revoked certificate": (
        "revoked_key_held",
        lambda log: log.value(
            entries.Revocation(
                agency=log.revoked.agency,
                certificate=log.revoked.signer.certificate,
                reason="lost",
                suspected_since=None,
            )
        ),
    ),
    "successor that is closed": (
        "successor_open",
        lambda log: log.value(entries.Closure(agency=log.open.agency, successor=log.closed.agency, reason="merged")),
    ),
    "successor that is nobody": (
        "successor_open",
        lambda log: log.value(entries.Closure(agency=log.open.agency, successor="vn:H99", reason="merged")),
    ),
    "successor of itself": (
        "successor_open",
        lambda log: log.value(entries.Closure(agency=log.open.agency, successor=log.open.agency, reason="merged")),
    ),
    "registrar without keys": ("registrar_terms", lambda log: log.registrar(keys=())),
    "threshold that the registrar's keys cannot meet": ("registrar_terms", lambda log: log.registrar(threshold=3)),
    "registrar key twice": (
        "registrar_terms",
        lambda log: log.registrar(keys=(log.builder.signers[0].public_key,) * 2),
    ),
    "registrar key that beats, too": (
        "registrar_terms",
        lambda log: log.registrar(heartbeat_keys=(log.builder.signers[0].public_key,)),
    ),
    "registrar key on another curve": (
        "registrar_terms",
        lambda log: log.registrar(heartbeat_keys=(public_key_bytes(P521.public_key()),)),
    ),
    "retired registrar key as a key": (
        "registrar_key_once",
        lambda log: log.registrar(
            keys=(*(s.public_key for s in log.builder.signers), log.retired.public_key),
        ),
    ),
    "retired registrar key for heartbeats": (
        "registrar_key_once",
        lambda log: log.registrar(heartbeat_keys=(log.retired.public_key,)),
    ),
    "suspends a suspended agency": (
        "suspension_changes",
        lambda log: log.value(entries.Suspension(agency=log.rotated.agency, reason="again")),
    ),
    "reinstates an agency that is not suspended": (
        "suspension_changes",
        lambda log: log.value(entries.Reinstatement(agency=log.open.agency, reason="settled")),
    ),
    "suspends a closed agency": (
        "agency_open",
        lambda log: log.value(entries.Suspension(agency=log.closed.agency, reason="late")),
    ),
    "suspends for no reason": (
        "title",
        lambda log: log.value(entries.Suspension(agency=log.open.agency, reason="")),
    ),
    "moves under a closed agency": (
        "parent_open",
        lambda log: log.value(entries.Move(agency=log.open.agency, parent=log.closed.agency)),
    ),
    "moves under nobody": (
        "parent_open",
        lambda log: log.value(entries.Move(agency=log.open.agency, parent="vn:H99")),
    ),
    "moves under itself": (
        "parent_open",
        lambda log: log.value(entries.Move(agency=log.open.agency, parent=log.open.agency)),
    ),
    "moves under one that was moved under it": (
        "parent_open",
        lambda log: log.value(entries.Move(agency=log.open.agency, parent=log.rotated.agency)),
    ),
    "delegates to itself": ("delegate_open", lambda log: log.delegation(delegate=log.open.agency)),
    "delegates to a closed agency": ("delegate_open", lambda log: log.delegation(delegate=log.closed.agency)),
    "delegates to nobody": ("delegate_open", lambda log: log.delegation(delegate="vn:H99")),
    "delegates for a closed agency": ("agency_open", lambda log: log.delegation(agency=log.closed.agency)),
    "delegation that ends before it begins": ("delegation_terms", lambda log: log.delegation(not_after=NOW_MS - 1)),
    "delegation of a kind twice": (
        "delegation_terms",
        lambda log: log.delegation(kinds=("document", "document")),
    ),
    "delegation of a kind in capitals": ("delegation_terms", lambda log: log.delegation(kinds=("DOCUMENT",))),
    "delegation of too many kinds": (
        "delegation_terms",
        lambda log: log.delegation(kinds=tuple(f"kind-{number}" for number in range(MAX_KINDS + 1))),
    ),
    "ends a delegation that is not there": (
        "delegation_held",
        lambda log: log.value(
            entries.DelegationEnd(agency=log.open.agency, delegate=log.rotated.agency, reason="never given")
        ),
    ),
    "names an agency's certificate as an authority": (
        "authority_fit",
        lambda log: log.value(entries.Authority(name="Root", certificate=log.open.certificate, intermediates=())),
    ),
    "names too many authorities below one": (
        "authority_fit",
        lambda log: log.value(
            entries.Authority(
                name="Root", certificate=ROOT.der, intermediates=tuple(BELOW.der for _ in range(MAX_INTERMEDIATES + 1))
            )
        ),
    ),
    "names an authority without a name": (
        "title",
        lambda log: log.value(entries.Authority(name="", certificate=ROOT.der, intermediates=())),
    ),
    "ends an authority that is none": (
        "authority_known",
        lambda log: log.value(entries.AuthorityEnd(authority=bytes(32), reason="never named")),
    ),
    "ends an authority for no reason": (
        "title",
        lambda log: log.value(entries.AuthorityEnd(authority=bytes(32), reason="")),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused(log: Log, attack: str) -> None:
    """An entry that breaks one rule is refused by position and rule, changes nothing, and the valid one still fits."""
    rule, make = ATTACKS[attack]
    replay = log.builder.replay()
    before = replay.snapshot()

    with pytest.raises(DirectoryError) as caught:
        replay.apply(make(log))

    assert (
        f"directory entry {len(log.builder.records)} breaks the rule {rule}: "
        == caught.value.text[: caught.value.text.index(": ") + 2]
    )
    assert before == replay.snapshot()
    replay.apply(log.granted())
    assert log.new.agency == replay.snapshot().resolve("H37.05")


GENESIS_ATTACKS: dict[str, tuple[str, dict[str, object]]] = {
    "no key": ("genesis_terms", {"keys": ()}),
    "no threshold": ("genesis_terms", {"threshold": 0}),
    "threshold beyond the keys": ("genesis_terms", {"threshold": 2}),
    "key on another curve": ("genesis_terms", {"keys": (public_key_bytes(P521.public_key()),)}),
    "key that is none": ("genesis_terms", {"keys": (b"key",)}),
    "alarm later than the limit": ("genesis_terms", {"freshness_alarm": 2, "freshness_limit": 1}),
    "no alarm": ("genesis_terms", {"freshness_alarm": 0}),
    "registrar without a name": ("title", {"registrar": ""}),
    "keys of somebody else": (
        "signatures",
        {"keys": (public_key_bytes(generate_signing_key(Profile.ES256).public_key()),)},
    ),
}


def _genesis(builder: DirectoryBuilder, **changed: object) -> bytes:
    valid = entries.decode_entry(entries.decode_record(builder.records[0]).entry)
    entry = replace(valid, change=replace(valid.change, **changed))  # type: ignore[arg-type] # by name
    return entries.sign_entry(entries.encode_entry(entry), builder.signers)


@pytest.mark.parametrize("attack", GENESIS_ATTACKS)
def test_genesis_attack_is_refused(attack: str) -> None:
    """A genesis with one wrong term is refused even where its hash is the pinned one."""
    rule, changed = GENESIS_ATTACKS[attack]
    value = _genesis(DirectoryBuilder(), **changed)
    replay = DirectoryReplay(entries.decode_record(value).hash)

    with pytest.raises(DirectoryError, match=f"entry 0 breaks the rule {rule}: "):
        replay.apply(value)

    assert -1 == replay.position


def test_genesis_with_a_key_twice_is_refused() -> None:
    """One key cannot stand for two of a threshold."""
    builder = DirectoryBuilder()
    key = builder.signers[0].public_key
    value = _genesis(builder, keys=(key, key), threshold=2)

    with pytest.raises(DirectoryError, match="genesis_terms: a registrar key stands twice"):
        DirectoryReplay(entries.decode_record(value).hash).apply(value)


def test_genesis_key_that_is_none_has_its_reason() -> None:
    """A key that cannot be read is not taken for one that stands twice."""
    value = _genesis(DirectoryBuilder(), keys=(b"key",))

    with pytest.raises(DirectoryError, match="genesis_terms: a registrar key is a public key that cannot be read"):
        DirectoryReplay(entries.decode_record(value).hash).apply(value)


def test_aliases_are_bounded_over_many_entries() -> None:
    """What one grant may not have cannot be had one by one either."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26", aliases=tuple(f"vn:H38.{number}" for number in range(64)))

    with pytest.raises(DirectoryError, match="alias_unique: vn:H26 would have more than 64 aliases"):
        builder.replay().apply(builder.value(entries.Alias(agency="vn:H26", alias="vn:H38")))


def test_hierarchy_is_bounded() -> None:
    """An agency has at most as many above it as any code could name, however it is moved."""
    builder = DirectoryBuilder()
    chain = [f"vn:H{number}" for number in range(10, 11 + MAX_LEVELS)]
    for code in (*chain, "vn:H99"):
        builder.grant(code)
    for above, below in pairwise(chain):
        builder.append(entries.Move(agency=below, parent=above))
    replay = builder.replay()

    with pytest.raises(DirectoryError, match=f"parent_open: {chain[-1]} has {MAX_LEVELS} agencies above it"):
        replay.apply(builder.value(entries.Move(agency="vn:H99", parent=chain[-1])))
    replay.apply(builder.value(entries.Move(agency="vn:H99", parent=chain[-2])))


def test_other_genesis_is_refused() -> None:
    """A log of another registrar is refused by the pinned hash, before anything in it is read."""
    pinned = DirectoryBuilder()

    with pytest.raises(DirectoryError, match="entry 0 breaks the rule genesis_pinned: "):
        DirectoryReplay(pinned.genesis).apply(DirectoryBuilder().records[0])


def test_log_that_begins_with_a_grant_is_refused() -> None:
    """The first entry is a genesis, even if another entry's hash were pinned."""
    builder = DirectoryBuilder()
    value = builder.value(grant_of(make_keys("vn:H26")), position=0, previous=entries.GENESIS_PREVIOUS)

    with pytest.raises(DirectoryError, match="entry 0 breaks the rule genesis_first: "):
        DirectoryReplay(entries.decode_record(value).hash).apply(value)


def test_genesis_of_a_nameless_environment_is_refused() -> None:
    """An environment has a name that fits into a topic, a file name and a log line."""
    builder = DirectoryBuilder()
    entry = replace(entries.decode_entry(entries.decode_record(builder.records[0]).entry), environment="a b")
    value = entries.sign_entry(entries.encode_entry(entry), builder.signers)

    with pytest.raises(DirectoryError, match="entry 0 breaks the rule environment: "):
        DirectoryReplay(entries.decode_record(value).hash).apply(value)


def test_swapped_order_is_refused(log: Log) -> None:
    """Two genuine entries in the wrong order are refused at the first of them."""
    replay = DirectoryReplay(log.builder.genesis)
    replay.apply(log.builder.records[0])

    with pytest.raises(DirectoryError, match="entry 1 breaks the rule position: it claims position 2"):
        replay.apply(log.builder.records[2])


def test_missing_entry_is_refused(log: Log) -> None:
    """A log from which one entry was left out is refused where it is missing."""
    replay = DirectoryReplay(log.builder.genesis)
    for value in log.builder.records[:2]:
        replay.apply(value)

    with pytest.raises(DirectoryError, match="entry 2 breaks the rule position: "):
        replay.apply(log.builder.records[3])


def test_every_rule_has_an_attack() -> None:
    """No rule is only written down."""
    attacked = {rule for rule, _ in (*ATTACKS.values(), *GENESIS_ATTACKS.values())}

    assert set(RULES) - {"genesis_pinned"} == attacked


def test_refusal_of_an_unknown_rule_is_a_mistake() -> None:
    """A rule that is not written down cannot be used."""
    with pytest.raises(KeyError):
        refusal(1, "no_such_rule", "text")


def test_rotation_under_attack_is_valid(log: Log) -> None:
    """The rotation that the attacks change is itself accepted."""
    replay = log.builder.replay()

    replay.apply(log.rotation())

    assert len(log.builder.records) == replay.position
