"""One record and what verification says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import decode_statement
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification.checks import NOT_KNOWN_YET
from docbus.wire.pae import leaf_digest

if TYPE_CHECKING:
    from docbus.envelope.statement import Statement
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Verifier

Outcome = Literal["valid", "failed", "indeterminate"]


class Reading(NamedTuple):
    """What a record is worth.

    ``statement`` and its ``digest`` are there if the signature is proven: then the statement's place in its stream is
    known, and of an indeterminate one only whether its key still had authority is not. ``rests_on`` has the SHA-256 of
    each revocation list and response that a valid one needed.
    """

    outcome: Outcome
    statement: Statement | None
    digest: bytes
    findings: tuple[str, ...]
    code: str
    text: str
    rests_on: tuple[bytes, ...] = ()


def read_record(
    verifier: Verifier, value: bytes | None, *, key: bytes | None, recipient: str, snapshot: TrustSnapshot
) -> Reading:
    """Verify a record as an auditor; never raises for what is wrong with the record.

    Args:
        verifier: Of this thread.
        value: The record's value.
        key: The record's key; a record without one is compared like one with an empty key.
        recipient: Owner of the inbox.
        snapshot: The directory, read to its end.
    """
    try:
        # None would mean to the verifier that there is no record; here there is one, and it has no key.
        found = verifier.verify_recorded(value, key=key or b"", recipient=recipient, snapshot=snapshot)
    except VerificationError as error:
        return Reading("failed", None, b"", (), error.code, error.text)
    except IndeterminateError as error:
        if error.code == NOT_KNOWN_YET:
            # Anybody may have made it, so it takes no place in the stream of the sender that it names.
            return Reading("indeterminate", None, b"", (), error.code, error.text)
        envelope = decode_envelope(value or b"")
        statement = decode_statement(envelope.payload_type, envelope.statement)
        digest = leaf_digest(envelope.payload_type.encode(), envelope.statement)
        return Reading("indeterminate", statement, digest, (), error.code, error.text)
    rests_on = () if found.basis is None else found.basis.rests_on
    return Reading("valid", found.statement, found.digest, found.findings, "", "", rests_on)
