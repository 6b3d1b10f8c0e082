"""Is this destruction of a key what it says, and could the agency's key sign it? The checks of C1 that apply.

C1.01 to C1.11, C1.13, C1.19 and C1.20, with the same numbers and codes. Authority is asked as an auditor asks it, by
the directory position that the destruction names: it has to count for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from docbus.envelope.key_destruction import PAYLOAD_TYPE, KeyDestruction, decode_destruction
from docbus.errors import MalformedError
from docbus.verification import checks
from docbus.verification.checks import failed
from docbus.verification.ledger import check_ledger_statement

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Verifier

NOT_RETIRED: Final = "key_not_retired"
"""Finding: the entry that a destruction names has not retired that key of the agency."""


class VerifiedDestruction(NamedTuple):
    """A destruction that passed, its digest, and findings that do not change that."""

    destruction: KeyDestruction
    digest: bytes
    findings: tuple[str, ...]


def verify_destruction(
    verifier: Verifier, value: bytes | None, *, agency: str, snapshot: TrustSnapshot
) -> VerifiedDestruction:
    """Verify a record of an agency's ledger topic as a destruction of one of its keys.

    Args:
        verifier: Gives its cache of batches; verdicts do not depend on it.
        value: The record's value.
        agency: Canonical id of the topic's owner.
        snapshot: The directory, read to its end.

    Raises:
        VerificationError: A check failed.
        IndeterminateError: A check cannot be decided (C1.19, C1.20).
    """
    proven = verifier.prove(value, (PAYLOAD_TYPE,), snapshot)  # C1.01 to C1.08
    try:
        said = decode_destruction(proven.envelope.statement)
    except MalformedError as error:
        failed(checks.STATEMENT, error.text)
    findings = check_ledger_statement(proven, said, "a destruction", agency=agency, snapshot=snapshot)
    known = snapshot.agency(agency)
    ends = {} if known is None else {encrypter.digest: retired for encrypter, _, retired in known.encrypters}
    if ends.get(said.key) != said.retired_by:
        findings = (*findings, NOT_RETIRED)
    return VerifiedDestruction(said, proven.digest, findings)
