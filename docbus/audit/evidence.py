"""Evidence that leaves the house: single envelopes and the directory, and their verification without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.audit.replay import BATCH_BYTES, BATCH_RECORDS, READ_ATTEMPTS, READ_SECONDS
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import DocumentBody, decode_statement
from docbus.errors import (
    AuditError,
    IndeterminateError,
    MalformedError,
    VerificationError,
)
from docbus.identity.bundle import dump_bundle, load_bundle
from docbus.identity.pki.material import NOTHING_KNOWN
from docbus.identity.pki.words import words_of
from docbus.registry.follow import fetch_directory
from docbus.transport import topics
from docbus.verification.outcomes import Manner
from docbus.verification.paths import Paths
from docbus.verification.report import report_of
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.pki.words import AuthorityWord
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Transport
    from docbus.verification.report import VerificationReport
    from docbus.verification.subject import Given


class Wanted(NamedTuple):
    """One copy of one document: by sender, id, revision and recipient."""

    sender: str
    document_id: str
    revision: int
    recipient: str


def export_envelope(wanted: Wanted, stored: Callable[[str, int, str], bytes | None]) -> bytes:
    """Return the exact envelope that the sender's outbox holds for one recipient.

    Args:
        wanted: Which copy.
        stored: Gives the envelope for (document id, revision, recipient), or None where the outbox has none: the
            document is not known, not to this recipient, or not signed yet.

    Raises:
        AuditError: There is none, or what is stored is another document's envelope.
    """
    value = stored(wanted.document_id, wanted.revision, wanted.recipient)
    if value is None:
        raise AuditError(
            f"there is no envelope of document {wanted.document_id}, revision {wanted.revision}, to {wanted.recipient}",
            hint="`docbus track` shows its recipients, and whether it has been signed yet.",
        )
    if not _is_wanted(value, wanted):
        raise AuditError(f"what is stored for document {wanted.document_id} to {wanted.recipient} is another envelope")
    return value


async def find_envelope(
    transport: Transport,
    wanted: Wanted,
    *,
    start: dict[int, int] | None = None,
    read_seconds: float = READ_SECONDS,
) -> bytes:
    """Return the first envelope of a document in its recipient's inbox that claims to be the wanted one, unverified.

    Args:
        transport: Started by the caller.
        wanted: Which copy.
        start: Offset to begin with by partition; None begins with the first record that is left.
        read_seconds: Seconds that one read waits.

    Raises:
        AuditError: It is not there.
        TransportError: The inbox cannot be read.
    """
    topic = topics.inbox(wanted.recipient)
    key = wanted.sender.encode()
    for partition, (first, end) in sorted((await transport.bounds(topic)).items()):
        offset = max(first, (start or {}).get(partition, first))
        attempts = 0
        while offset < end and attempts < READ_ATTEMPTS:
            batch = await transport.read(
                topic, partition, offset, max_records=BATCH_RECORDS, max_bytes=BATCH_BYTES, wait=read_seconds
            )
            attempts = 0 if batch else attempts + 1
            for record in batch:
                if record.key == key and record.value is not None and _is_wanted(record.value, wanted):
                    return record.value
                offset = record.offset + 1
    raise AuditError(
        f"document {wanted.document_id}, revision {wanted.revision}, of {wanted.sender} is not in the inbox of "
        f"{wanted.recipient}",
        hint="It may be older than what the inbox keeps; the sender's outbox has it.",
    )


async def export_trust(transport: Transport, genesis: bytes) -> bytes:
    """Return the whole directory log as a trust bundle.

    Raises:
        DirectoryError: The log breaks a rule, or does not begin with the pinned genesis entry.
        WaitTimeoutError: Its end was not reached in time.
        TransportError: It cannot be read.
    """
    snapshot, records = await fetch_directory(transport, genesis)
    return dump_bundle(snapshot, records)


def verify_file(
    envelope: bytes,
    bundle: bytes,
    *,
    genesis: bytes | None = None,
    recipient: str | None = None,
    material: ValidationMaterial = NOTHING_KNOWN,
    known_at_ms: int | None = None,
    now_ms: int = 0,
) -> VerificationReport:
    """Verify one envelope without a broker, as an auditor.

    Args:
        envelope: The exact bytes of the record's value.
        bundle: A trust bundle.
        genesis: The pinned hash of the directory's first entry; None takes the bundle's word for it, and the report
            says so.
        recipient: Code or id of the agency in whose inbox it was found, if that is known.
        material: What authorities say of the certificates that they have issued.
        known_at_ms: When the envelope was there for sure, milliseconds since 1970 UTC.
        now_ms: Milliseconds since 1970 UTC: the report says whether the key has ended since, for which the time of the
            directory's last entry counts if it is later, and which lists should have a later one by then.

    Raises:
        AuditError: Bundle or envelope cannot be read as such, so nothing can be said.
        DirectoryError: The bundle breaks a rule, or begins with another genesis entry than the pinned one.
        IdentityError: The recipient is no code, or not in the bundle.
    """
    snapshot = _trust(bundle, genesis)
    if not envelope:
        raise AuditError("the envelope file is empty", hint="`docbus export envelope` writes one.")
    owner = None if recipient is None else snapshot.resolve(recipient)
    words: tuple[AuthorityWord, ...] = ()
    result: Given
    try:
        result = Verifier(Paths(lambda: material)).verify_recorded(
            envelope, key=None, recipient=owner, snapshot=snapshot, known_at_ms=known_at_ms
        )
        if result.basis is not None:
            words = words_of(result.basis.rests_on, material, now_ms)
    except (VerificationError, IndeterminateError) as error:
        result = error
    notes = _trust_notes(snapshot, pinned=genesis is not None)
    manner = Manner(live=False, recipient=owner, record=False)
    report = report_of(result, envelope, manner, snapshot, notes=notes, words=words, now_ms=now_ms)
    return report.by_word(known_at_ms)


def _trust(bundle: bytes, genesis: bytes | None) -> TrustSnapshot:
    try:
        return load_bundle(bundle, genesis)
    except MalformedError as error:
        raise AuditError(error.text, hint=error.hint or "`docbus export trust` writes a bundle.") from error


def _trust_notes(snapshot: TrustSnapshot, *, pinned: bool) -> tuple[str, ...]:
    position = f"The directory of {snapshot.environment} is known up to entry {snapshot.position}."
    if pinned:
        return (position,)
    own = f"Trust rests on this bundle's own genesis {snapshot.genesis.hex()}; pin it with --genesis."
    return own, position


def _is_wanted(value: bytes, wanted: Wanted) -> bool:
    try:
        envelope = decode_envelope(value)
        statement = decode_statement(envelope.payload_type, envelope.statement)
    except (MalformedError, KeyError):
        return False
    head, body = statement.head, statement.body
    return isinstance(body, DocumentBody) and (head.sender, body.document_id, body.revision, head.recipient) == wanted
