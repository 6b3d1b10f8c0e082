"""Entries of the directory log: what they say, and the bytes that are signed (design D7).

The signed bytes are the plain Avro encoding of a DirectoryEntry; its hash, by which the next entry names it, is the
leaf digest of those bytes. A record in ``docbus.directory`` is those bytes with the registrar's signatures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

from docbus.errors import MalformedError
from docbus.wire.avro import load_schema
from docbus.wire.pae import DIRECTORY_TYPE, leaf_digest, pae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import RegistrarSigner

VERSION = 1
"""Version of the entries that this software reads and writes."""
GENESIS_PREVIOUS = bytes(32)
"""What `previous` holds in the genesis entry."""
MAX_RECORD_BYTES = 64 * 1024
"""Bytes of one directory record; a grant with RSA-8192 and 64 aliases has about 10 KiB."""
MAX_SIGNATURES = 16
"""Registrar signatures on one entry, and keys that the registrar has."""

DEFAULT_FRESHNESS_LIMIT_MS = 24 * 60 * 60 * 1000
"""Milliseconds after which a snapshot is too old to decide (design D7)."""
DEFAULT_FRESHNESS_ALARM_MS = 15 * 60 * 1000
"""Milliseconds after which a snapshot's age raises an alarm (design D7)."""

_NAMESPACE = "docbus.v1."
_ENTRY = "directory-entry"
_RECORD = "directory-record"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A signing key by its certificate, DER; two certificates only for a hybrid profile."""

    profile: int
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A raw public encryption key of a numbered suite."""

    suite: int
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """The first entry: who the registrar is, how many of its keys must sign, how old a snapshot may be (ms)."""

    registrar: str
    keys: tuple[bytes, ...]
    threshold: int
    freshness_limit: int
    freshness_alarm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyGrant:
    """A code is given to an agency, with its first keys; aliases are canonical ids too."""

    agency: str
    name: str
    aliases: tuple[str, ...]
    signing: SigningKey
    encryption: EncryptionKey
    roles: tuple[str, ...]
    partitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """New keys; those that are retired can no longer sign, or be encrypted to. Retired keys are named by digest."""

    agency: str
    signing: SigningKey | None
    encryption: EncryptionKey | None
    retire_signing: tuple[bytes, ...]
    retire_encryption: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A certificate may no longer sign, from this position on; ``suspected_since`` (ms) only makes findings (D13)."""

    agency: str
    certificate: bytes
    reason: str
    suspected_since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another code by which people may name the agency; never on the wire."""

    agency: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """The agency has another name; its code stays."""

    agency: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The code is closed and never used again; a merged agency points to its successor."""

    agency: str
    successor: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The registrar is there, and nothing has changed; the two fields are room for what ties the order down (D13).

    Attributes:
        checkpoints: Root over the checkpoints that the registrar has seen, 32 bytes; None as long as there are none.
        time_stamp: RFC 3161 token; None as long as there is none.
    """

    checkpoints: bytes | None = None
    time_stamp: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarRotation:
    """The registrar has these keys from the next entry on: all of them are named, not only new ones.

    Signed by as many of the keys before as were asked for, and by ``threshold`` of these.

    Attributes:
        keys: SubjectPublicKeyInfo, DER.
        threshold: How many of them an entry needs.
        heartbeat_keys: SubjectPublicKeyInfo, DER, of keys of which one alone may sign heartbeats, and nothing else.
    """

    keys: tuple[bytes, ...]
    threshold: int
    heartbeat_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """The agency may not sign until it is reinstated; its keys stay its own, and others may send to it."""

    agency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstatement:
    """A suspended agency may sign again."""

    agency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The agency belongs to another one in the hierarchy, or to none; its code stays."""

    agency: str
    parent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """``delegate`` may send documents for ``agency``; another delegation of the two takes the place of this one.

    Attributes:
        kinds: Kinds of documents, such as ``document``; none for all.
        not_before: Milliseconds since 1970 UTC from which on, by the clock of whoever verifies.
        not_after: Until then.
    """

    agency: str
    delegate: str
    kinds: tuple[str, ...]
    not_before: int
    not_after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationEnd:
    """``delegate`` may not send for ``agency`` any more."""

    agency: str
    delegate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOverlap:
    """New keys beside old ones: the old certificates may sign until a time, and others encrypt to the new key at once.

    Attributes:
        retire_signing: Digests of certificates that may sign until ``retires_at``.
        retire_encryption: Digests of encryption keys that nobody encrypts to from this entry on.
        retires_at: Milliseconds since 1970 UTC, by the clock of whoever verifies.
    """

    agency: str
    signing: SigningKey | None
    encryption: EncryptionKey | None
    retire_signing: tuple[bytes, ...]
    retire_encryption: tuple[bytes, ...]
    retires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Agencies' certificates that this authority, or one below it, has issued are judged by path and standing.

    Named again it has the new name and intermediates.

    Attributes:
        name: For people.
        certificate: Of the trust anchor, DER.
        intermediates: Of authorities below it, DER.
    """

    name: str
    certificate: bytes
    intermediates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityEnd:
    """The trust anchor with this SHA-256 of its certificate is none any more."""

    authority: bytes
    reason: str


Change = (
    Genesis
    | AgencyGrant
    | KeyRotation
    | Revocation
    | Alias
    | Rename
    | Closure
    | Heartbeat
    | RegistrarRotation
    | Suspension
    | Reinstatement
    | Move
    | Delegation
    | DelegationEnd
    | KeyOverlap
    | Authority
    | AuthorityEnd
)
CHANGES: dict[str, type[Change]] = {_NAMESPACE + made.__name__: made for made in get_args(Change)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One entry; positions count from 0, the genesis, without holes; ``made_at`` in milliseconds is a claim."""

    version: int
    environment: str
    position: int
    previous: bytes
    made_at: int
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarSignature:
    """One registrar's signature over PAE(payload type, entry); ``key`` is the SHA-256 of its SubjectPublicKeyInfo."""

    key: bytes
    profile: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRecord:
    """What stands in the topic: the exact signed bytes and their signatures."""

    entry: bytes
    payload_type: str
    signatures: tuple[RegistrarSignature, ...]

    @property
    def hash(self) -> bytes:
        """The entry's hash, 32 bytes, which signatures are no part of."""
        return entry_hash(self.entry)


def entry_hash(entry: bytes) -> bytes:
    """Return the hash by which the next entry, statements and configurations name an encoded entry."""
    return leaf_digest(DIRECTORY_TYPE, entry)


def encode_entry(entry: DirectoryEntry) -> bytes:
    """Return the bytes that are signed."""
    values = _as_dict(entry)
    values["change"] = (_NAMESPACE + type(entry.change).__name__, _as_dict(entry.change))
    return load_schema(_ENTRY).encode(values)


def decode_entry(encoded: bytes) -> DirectoryEntry:
    """Return the entry that signed bytes hold.

    Raises:
        MalformedError: They hold none that this version reads.
    """
    values = load_schema(_ENTRY).decode(encoded)
    name, change = values["change"]
    if change.get("signing") is not None:
        change["signing"] = SigningKey(**change["signing"])
    if change.get("encryption") is not None:
        change["encryption"] = EncryptionKey(**change["encryption"])
    values["change"] = CHANGES[name](**change)
    return DirectoryEntry(**values)


def sign_entry(entry: bytes, signers: Sequence[RegistrarSigner]) -> bytes:
    """Return the record value of an encoded entry, signed by each of these registrar keys."""
    tbs = pae(DIRECTORY_TYPE, entry)
    return encode_record(
        DirectoryRecord(
            entry=entry,
            payload_type=DIRECTORY_TYPE.decode(),
            signatures=tuple(
                RegistrarSignature(key=signer.key, profile=signer.profile, signature=signer.sign(tbs))
                for signer in signers
            ),
        )
    )


def encode_record(record: DirectoryRecord) -> bytes:
    """Return the record value, in Avro single-object encoding."""
    values = _as_dict(record)
    values["signatures"] = [_as_dict(signature) for signature in record.signatures]
    return load_schema(_RECORD).encode_single(values)


def decode_record(value: bytes) -> DirectoryRecord:
    """Return what a record value holds; nothing in it has been verified.

    Raises:
        MalformedError: Too large, or not a directory record.
    """
    if len(value) > MAX_RECORD_BYTES:
        raise MalformedError(f"a directory record of {len(value)} bytes; {MAX_RECORD_BYTES} are allowed")
    values = load_schema(_RECORD).decode_single(value)
    values["signatures"] = tuple(RegistrarSignature(**signature) for signature in values["signatures"])
    return DirectoryRecord(**values)


def _as_dict(value: Any) -> dict[str, Any]:
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    for name in ("signing", "encryption"):
        if found.get(name) is not None:
            found[name] = _as_dict(found[name])
    return found
