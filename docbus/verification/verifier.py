"""C1: is this record what it says, and may it be believed now?

The checklist, in order; see ``checks`` for the codes::

    C1.01 size                  C1.09 statement             C1.17 wrapped keys
    C1.02 envelope              C1.10 same certificate      C1.18 package
    C1.03 payload type          C1.11 sender                C1.19 authority
    C1.04 certificate           C1.12 delegation            C1.20 directory position
    C1.05 profile               C1.13 environment           C1.21 time
    C1.06 signature count       C1.14 recipient             C1.22 freshness
    C1.07 proof                 C1.15 record key           C1.23 path of an issued certificate
    C1.08 signature             C1.16 lane

What comes before C1.08 needs no cryptography; what comes after it is only said of proven senders. The caller still
owes C2 (``opening``) before a document is delivered, and the position in its stream afterwards. Whether a document is
past its ``not_after`` is not asked here: such a document is genuine, and its refusal belongs into a receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature

from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Envelope, Hint, Keys, decode_envelope
from docbus.envelope.statement import (
    SCHEMAS,
    DocumentBody,
    Statement,
    decode_head,
    decode_rest,
)
from docbus.errors import MalformedError, VerificationError
from docbus.identity.signing import verify_signatures
from docbus.limits import MAX_CLOCK_SKEW_MS, MAX_ENVELOPE_BYTES
from docbus.verification import checks
from docbus.verification.authority import (
    check_delegation,
    check_directory,
    check_live_authority,
    check_recorded_authority,
)
from docbus.verification.batches import MAX_HEADS, Batch, Batches
from docbus.verification.belonging import check_addressed, check_package, check_wraps
from docbus.verification.checks import failed, undecided
from docbus.verification.paths import Basis, Paths
from docbus.verification.unknown import check_proof, check_unknown
from docbus.wire.pae import leaf_digest
from docbus.wire.profiles import PROFILES
from docbus.wire.tree import root_from_path

if TYPE_CHECKING:
    from collections.abc import Container

    from docbus.identity.grants import CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot

_HOUR_MS = 60 * 60 * 1000
DIRECTORY_HASH_FINDING = "directory_hash_mismatch"
"""The statement was made under another directory log than ours: somebody is shown a fork (design D7)."""


class Verified(NamedTuple):
    """A statement that passed C1, with what was needed to say so."""

    statement: Statement
    digest: bytes
    value: bytes
    package: bytes | None
    keys: Keys | None
    grant: CertificateGrant
    findings: tuple[str, ...]
    hints: tuple[Hint, ...] = ()
    basis: Basis | None = None

    @property
    def sender(self) -> str:
        """The proven sender's canonical id."""
        return self.statement.head.sender


class Proven(NamedTuple):
    """Bytes whose signature is that of a granted key, and nothing more."""

    envelope: Envelope
    digest: bytes
    grant: CertificateGrant
    batch: Batch


class Verifier:
    """Runs C1. Holds caches, and no verdict beyond its time; use one per thread.

    Args:
        paths: Judges certificates that authorities have issued; without one, nothing is known of how they stand.
    """

    def __init__(self, paths: Paths | None = None) -> None:
        self._batches = Batches()
        self.paths = paths or Paths()
        """Judges certificates that authorities have issued."""

    def another(self) -> Verifier:
        """Return one for another thread, which knows the same of certificates' standing."""
        return Verifier(Paths(lambda: self.paths.material))

    def verify(
        self, value: bytes | None, *, key: bytes | None, recipient: str, snapshot: TrustSnapshot, now_ms: int
    ) -> Verified:
        """Verify a record as its recipient, now.

        Args:
            value: The record's value.
            key: The record's key, which is a hint that must not differ.
            recipient: Canonical id of the agency that owns the inbox.
            snapshot: The directory as it is known now.
            now_ms: Milliseconds since 1970-01-01T00:00:00Z.

        Raises:
            VerificationError: A check failed.
            IndeterminateError: A check cannot be decided yet (C1.20 to C1.23).
        """
        verified = self._verify(value, key, recipient, snapshot)
        head = verified.statement.head
        check_live_authority(verified.grant, head, snapshot, now_ms)
        # What a recipient files, no auditor may call invalid: the statement must not date from before its authority.
        check_recorded_authority(verified.grant, snapshot, position=head.directory_position, made_at=head.made_at)
        verified = _directory(verified, snapshot)
        if head.made_at > now_ms + MAX_CLOCK_SKEW_MS:
            undecided(checks.TIME, f"made {(head.made_at - now_ms) / 1000:.0f} s in the future")
        if snapshot.is_stale(now_ms):
            hours = snapshot.age_ms(now_ms) / _HOUR_MS
            undecided(
                checks.FRESHNESS, f"directory entry {snapshot.position}, the last one known, is {hours:.1f} h old"
            )
        basis = self.paths.check_live(verified.grant, head, snapshot, now_ms)
        return verified if basis is None else verified._replace(basis=basis)

    def verify_recorded(
        self,
        value: bytes | None,
        *,
        key: bytes | None,
        recipient: str | None,
        snapshot: TrustSnapshot,
        known_at_ms: int | None = None,
    ) -> Verified:
        """Verify a record as an auditor, by the authority valid at the directory position the statement names.

        Order decides, not clocks (design D13): a statement under a key that was revoked later is indeterminate until
        something in the directory anchors it before the revocation. One whose certificate is not known is indeterminate
        if the directory that is given ends before the entry that the statement names (ADR 0029).

        Args:
            value: The record's value.
            key: The record's key, or None where a single envelope is verified without its record.
            recipient: Owner of the inbox it was found in, or None where it is not known.
            snapshot: The directory, as far as the auditor has it.
            known_at_ms: A time at which other evidence shows that the statement was there, for C1.23; milliseconds
                since 1970 UTC.

        Raises:
            VerificationError: A check failed.
            IndeterminateError: A check cannot be decided (C1.04, C1.19, C1.20, C1.23).
        """
        try:
            verified = self._verify(value, key, recipient, snapshot)
        except VerificationError as error:
            if error.step == checks.CERTIFICATE.number and value is not None:
                check_unknown(value, key, recipient, snapshot)
            raise
        verified = _directory(verified, snapshot)
        head = verified.statement.head
        check_recorded_authority(verified.grant, snapshot, position=head.directory_position, made_at=head.made_at)
        basis = self.paths.check_recorded(verified.grant, head, snapshot, known_at_ms)
        return verified if basis is None else verified._replace(basis=basis)

    def _verify(
        self, value: bytes | None, key: bytes | None, recipient: str | None, snapshot: TrustSnapshot
    ) -> Verified:
        envelope, digest, grant, batch = self.prove(value, SCHEMAS, snapshot)  # C1.01 to C1.08
        statement = _decode(envelope, batch)  # C1.09
        _named(statement, grant, snapshot)  # C1.10 to C1.13
        check_addressed(statement, key, recipient)  # C1.14 to C1.16
        check_wraps(envelope, statement)  # C1.17
        check_package(envelope, statement)  # C1.18
        return Verified(statement, digest, value or b"", envelope.package, envelope.keys, grant, (), envelope.hints)

    def prove(self, value: bytes | None, payload_types: Container[str], snapshot: TrustSnapshot) -> Proven:
        """Run C1.01 to C1.08: who signed these bytes, whatever they say.

        Raises:
            VerificationError: A check failed.
        """
        if not value:  # C1.01
            failed(checks.SIZE, "the record has no value")
        if len(value) > MAX_ENVELOPE_BYTES:
            failed(checks.SIZE, f"{len(value):,} bytes, at most {MAX_ENVELOPE_BYTES:,}")
        try:  # C1.02
            envelope = decode_envelope(value)
        except MalformedError as error:
            failed(checks.ENVELOPE, error.text)
        payload_type = envelope.payload_type
        if payload_type not in payload_types:  # C1.03
            failed(checks.PAYLOAD_TYPE, f"payload type {payload_type[:80]!r}")
        grant = _granted(envelope, snapshot)  # C1.04 to C1.06
        digest = leaf_digest(payload_type.encode(), envelope.statement)
        return Proven(envelope, digest, grant, self._signed(envelope, digest, grant))  # C1.07, C1.08

    def _signed(self, envelope: Envelope, digest: bytes, grant: CertificateGrant) -> Batch:
        """C1.07 and C1.08: the leaf belongs to a batch under the granted key's signature."""
        tree_size, index, path = envelope.proof
        check_proof(envelope)
        signatures = envelope.signatures
        batch = self._batches.get(tree_size, signatures)
        if batch is not None and batch.holds(digest, index, tree_size, path):
            return batch
        root = root_from_path(digest, index, tree_size, path)
        if root is None:
            failed(checks.PROOF, "the path does not fit")
        signed = batch_signed_bytes(grant.profile, grant.digest, tree_size, root)
        try:
            verify_signatures(grant.profile, grant.public_keys, [block.signature for block in signatures], signed)
        except InvalidSignature:
            failed(checks.SIGNATURE, f"not a signature of {grant.agency} over this statement's batch")
        batch = self._batches.add(tree_size, signatures, root)
        batch.holds(digest, index, tree_size, path)
        return batch


def _granted(envelope: Envelope, snapshot: TrustSnapshot) -> CertificateGrant:
    """C1.04 to C1.06: who may have signed, with which profile and how many signatures."""
    first = envelope.signatures[0]
    grant = snapshot.certificate(first.certificate)
    if grant is None:
        text = f"certificate {first.certificate.hex()[:16]}… is not in the directory, known here to entry"
        failed(checks.CERTIFICATE, f"{text} {snapshot.position}")
    for block in envelope.signatures:
        if block.profile != grant.profile or block.certificate != grant.digest:
            failed(checks.PROFILE, f"profile {block.profile}, the granted key of {grant.agency} has {grant.profile}")
    demanded = PROFILES[grant.profile].signatures
    if len(envelope.signatures) != demanded:
        failed(checks.SIGNATURE_COUNT, f"{len(envelope.signatures)} signatures, the profile demands {demanded}")
    return grant


def _decode(envelope: Envelope, batch: Batch) -> Statement:
    """C1.09; heads of one batch are the same bytes and are decoded once."""
    payload_type, raw = envelope.payload_type, envelope.statement
    try:
        for known_type, encoded, known in batch.heads:
            if known_type == payload_type and raw.startswith(encoded):
                head, at = known, len(encoded)
                break
        else:
            head, at = decode_head(payload_type, raw)
            if len(batch.heads) < MAX_HEADS:
                batch.heads.append((payload_type, raw[:at], head))
        position, body = decode_rest(payload_type, raw, at)
    except MalformedError as error:
        failed(checks.STATEMENT, error.text)
    return Statement(payload_type, head, position, body)


def _named(statement: Statement, grant: CertificateGrant, snapshot: TrustSnapshot) -> None:
    """C1.10 to C1.13: the statement says of its sender and exchange what the directory says."""
    head = statement.head
    if head.certificate != grant.digest:
        failed(checks.SAME_CERTIFICATE, "the statement names another certificate than the one that signed")
    if head.sender != grant.agency:
        failed(checks.SENDER, f"the certificate is granted to {grant.agency}, the statement says {head.sender}")
    if head.on_behalf_of is not None:
        check_delegation(statement, head.on_behalf_of, snapshot)
    if head.environment != snapshot.environment:
        failed(checks.ENVIRONMENT, f"made for {head.environment!r}, this is {snapshot.environment!r}")


def _directory(verified: Verified, snapshot: TrustSnapshot) -> Verified:
    """C1.20: the directory is known up to the position the statement names; another hash there is a finding."""
    head = verified.statement.head
    if check_directory(head.directory_position, head.directory_hash, snapshot):
        return verified
    return verified._replace(findings=(*verified.findings, DIRECTORY_HASH_FINDING))


def concerns_sender(statement: Statement) -> bool:
    """Tell whether every document that a recall, update or replacement is about is the sender's own (design D3)."""
    body = statement.body
    return not isinstance(body, DocumentBody) or all(r.sender == statement.head.sender for r in body.concerns)
