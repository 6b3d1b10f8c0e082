"""Is this act what it says, and could the agency's key make it? The checks of C1 that apply to acts.

C1.01 to C1.11, C1.13, C1.19, C1.20 and C1.23, with the same numbers and codes; the others are about letters between
agencies. Authority is asked as an auditor asks it, by the directory position and the time that the act names: an act
has to count for as long as the record it is about, under whatever key it was signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.act import PAYLOAD_TYPE, Act, decode_act
from docbus.errors import MalformedError
from docbus.verification import checks
from docbus.verification.checks import failed
from docbus.verification.ledger import check_ledger_statement

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Verifier


class VerifiedAct(NamedTuple):
    """An act that passed, its digest, and findings that do not change that."""

    act: Act
    digest: bytes
    findings: tuple[str, ...]


def verify_act(verifier: Verifier, value: bytes | None, *, agency: str, snapshot: TrustSnapshot) -> VerifiedAct:
    """Verify a record of an agency's ledger topic as an act of that agency.

    Args:
        verifier: Gives its cache of batches, on which verdicts do not depend, and what is known of certificates'
            standing.
        value: The record's value.
        agency: Canonical id of the topic's owner.
        snapshot: The directory, read to its end.

    Raises:
        VerificationError: A check failed.
        IndeterminateError: A check cannot be decided (C1.19, C1.20, C1.23).
    """
    proven = verifier.prove(value, (PAYLOAD_TYPE,), snapshot)  # C1.01 to C1.08
    try:
        act = decode_act(proven.envelope.statement)
    except MalformedError as error:
        failed(checks.STATEMENT, error.text)
    findings = check_ledger_statement(proven, act, "an act", agency=agency, snapshot=snapshot)
    verifier.paths.check_recorded(proven.grant, act, snapshot, None)
    return VerifiedAct(act, proven.digest, findings)
