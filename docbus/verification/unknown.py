"""C1.04 for an auditor: a certificate that the directory at hand does not know, and may know later (ADR 0029).

A directory that ends before the entry which a statement names was not read to its end as far as that statement goes:
the grant may stand behind it. Everything that can be asked without the certificate is asked first, and nothing is
proven of a statement that is left undecided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import DocumentBody, decode_statement
from docbus.errors import IndeterminateError, MalformedError
from docbus.verification import checks
from docbus.verification.belonging import check_addressed, check_package, check_wraps
from docbus.verification.checks import failed
from docbus.wire.profiles import PROFILES
from docbus.wire.tree import HASH_BYTES, path_length

if TYPE_CHECKING:
    from docbus.envelope.envelope import Envelope
    from docbus.envelope.statement import Statement
    from docbus.identity.snapshot import TrustSnapshot

NEED_THE_CERTIFICATE = frozenset(
    {
        checks.CERTIFICATE,
        checks.PROFILE,
        checks.SIGNATURE_COUNT,
        checks.SIGNATURE,
        checks.SENDER,
        checks.DELEGATION,
        checks.DIRECTORY,
        checks.AUTHORITY,
        checks.PATH,
    }
)
"""The checks that nobody can decide who does not know the certificate, or whose directory ends before it."""


def check_unknown(value: bytes, key: bytes | None, recipient: str | None, snapshot: TrustSnapshot) -> None:
    """Return if the certificate of an envelope is unknown for good, as far as the directory at hand tells.

    Args:
        value: The record's value, which has passed C1.01 to C1.03.
        key: The record's key, or None without a record.
        recipient: Owner of the inbox, or None where it is not known.
        snapshot: The directory, which does not know the certificate.

    Raises:
        VerificationError: The statement names an entry behind the end, and a check failed that needs no certificate.
        IndeterminateError: It names such an entry, and nothing else is wrong (C1.04).
    """
    envelope = decode_envelope(value)
    try:
        statement = decode_statement(envelope.payload_type, envelope.statement)
    except MalformedError:
        return  # It names no entry, so no later directory is asked for.
    named = statement.head.directory_position
    if named <= snapshot.position:
        return
    _check_blocks(envelope)
    check_proof(envelope)
    _check_names(envelope, statement, snapshot)
    check_addressed(statement, key, recipient)
    check_wraps(envelope, statement)
    check_package(envelope, statement)
    raise IndeterminateError(
        checks.NOT_KNOWN_YET,
        f"the directory given ends at entry {snapshot.position}; the statement names entry {named}: get a later one",
        step=checks.CERTIFICATE.number,
        hint="`docbus export trust` writes the directory as it is now.",
    )


def _check_blocks(envelope: Envelope) -> None:
    """C1.05 and C1.06: the signature blocks are of one certificate and one profile, as many as that has."""
    first = envelope.signatures[0]
    terms = PROFILES.get(first.profile)
    if terms is None:
        failed(checks.PROFILE, f"profile {first.profile} is none of this version")
    for block in envelope.signatures:
        if (block.profile, block.certificate) != (first.profile, first.certificate):
            failed(checks.PROFILE, "the signature blocks name different profiles or certificates")
    if len(envelope.signatures) != terms.signatures:
        failed(checks.SIGNATURE_COUNT, f"{len(envelope.signatures)} signatures, the profile demands {terms.signatures}")


def check_proof(envelope: Envelope) -> None:
    """Run C1.07 as far as it needs no hashing: index, tree size and length of the path fit together.

    Raises:
        VerificationError: They do not.
    """
    tree_size, index, path = envelope.proof
    if not 0 <= index < tree_size:
        failed(checks.PROOF, f"index {index} in a tree of {tree_size}")
    expected = path_length(index, tree_size)
    if len(path) != HASH_BYTES * expected:
        failed(checks.PROOF, f"{len(path) // HASH_BYTES} hashes, index {index} of {tree_size} has {expected}")


def _check_names(envelope: Envelope, statement: Statement, snapshot: TrustSnapshot) -> None:
    """C1.10, C1.12, C1.13 and C1.19, as far as the directory that is known decides them for good.

    No entry that comes later opens an agency again, or gives its code to another one.
    """
    head = statement.head
    if head.certificate != envelope.signatures[0].certificate:
        failed(checks.SAME_CERTIFICATE, "the statement names another certificate than the one that signed")
    if head.on_behalf_of is not None:
        if not isinstance(statement.body, DocumentBody):
            failed(checks.DELEGATION, f"receipts and statuses are {head.sender}'s own, not {head.on_behalf_of}'s")
        represented = snapshot.agency(head.on_behalf_of)
        if represented is not None and represented.closed_at is not None:
            failed(checks.DELEGATION, f"{represented.id} is closed by entry {represented.closed_at}")
    if head.environment != snapshot.environment:
        failed(checks.ENVIRONMENT, f"made for {head.environment!r}, this is {snapshot.environment!r}")
    sender = snapshot.agency(head.sender)
    if sender is not None and sender.closed_at is not None:
        failed(checks.AUTHORITY, f"{sender.id} is closed by entry {sender.closed_at}", code=checks.CLOSED)
