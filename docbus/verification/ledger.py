"""What every signed statement in an agency's ledger topic has to keep, whatever it says: acts, destructions of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from docbus.verification import checks
from docbus.verification.authority import check_directory, check_recorded_authority
from docbus.verification.checks import failed
from docbus.verification.verifier import DIRECTORY_HASH_FINDING

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Proven


class LedgerStatement(Protocol):
    """What such a statement says of itself; times in milliseconds since 1970 UTC."""

    @property
    def certificate(self) -> bytes:
        """Digest of the certificate that signed."""
        ...

    @property
    def agency(self) -> str:
        """Canonical id of the agency that says it."""
        ...

    @property
    def environment(self) -> str:
        """Name of the exchange."""
        ...

    @property
    def directory_position(self) -> int:
        """Directory entry under which it was made."""
        ...

    @property
    def directory_hash(self) -> bytes:
        """Hash of that entry."""
        ...

    @property
    def made_at(self) -> int:
        """When it was made, by the agency's clock."""
        ...


def check_ledger_statement(
    proven: Proven, said: LedgerStatement, kind: str, *, agency: str, snapshot: TrustSnapshot
) -> tuple[str, ...]:
    """Run C1.02 for what an envelope in a ledger must not have, C1.10, C1.11, C1.13, C1.19 and C1.20.

    Authority is asked as an auditor asks it, by the directory position that the statement names.

    Args:
        proven: The envelope, whose signature is proven.
        said: What is in it.
        kind: What it is, with its article, for errors.
        agency: Canonical id of the topic's owner.
        snapshot: The directory, read to its end.

    Returns:
        Findings that change nothing.

    Raises:
        VerificationError: A check failed.
        IndeterminateError: A check cannot be decided.
    """
    if proven.envelope.package is not None or proven.envelope.keys is not None or proven.envelope.hints:
        failed(checks.ENVELOPE, f"{kind} has no package, no keys and no hints")
    grant, the = proven.grant, f"the {kind.partition(' ')[2]}"
    if said.certificate != grant.digest:
        failed(checks.SAME_CERTIFICATE, f"{the} names another certificate than the one that signed")
    if said.agency != grant.agency:
        failed(checks.SENDER, f"the certificate is granted to {grant.agency}, {the} says {said.agency}")
    if said.agency != agency:
        failed(checks.SENDER, f"{kind} of {said.agency}, in the ledger of {agency}")
    if said.environment != snapshot.environment:
        failed(checks.ENVIRONMENT, f"made for {said.environment!r}, this is {snapshot.environment!r}")
    check_recorded_authority(grant, snapshot, position=said.directory_position, made_at=said.made_at)
    same = check_directory(said.directory_position, said.directory_hash, snapshot)
    return () if same else (DIRECTORY_HASH_FINDING,)
