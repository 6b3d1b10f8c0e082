"""What the directory lets a key do: C1.12, C1.19 and C1.20, which ask for positions in the log and not for bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.envelope.statement import DocumentBody
from docbus.identity.overlap import is_retired, was_retired
from docbus.verification import checks
from docbus.verification.checks import failed, undecided

if TYPE_CHECKING:
    from docbus.envelope.statement import Head, Statement
    from docbus.identity.grants import Agency, CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot


def check_delegation(statement: Statement, represented: str, snapshot: TrustSnapshot) -> None:
    """Run C1.12: at the directory position that is named, the sender might send this for the agency it represents.

    Raises:
        VerificationError: It might not.
        IndeterminateError: The directory is not known so far (C1.20).
    """
    head, body = statement.head, statement.body
    at = head.directory_position
    if at > snapshot.position:
        check_directory(at, head.directory_hash, snapshot)
    if not isinstance(body, DocumentBody):
        failed(checks.DELEGATION, f"receipts and statuses are {head.sender}'s own, not {represented}'s")
    held = snapshot.delegation(represented, head.sender, at)
    agency = snapshot.agency(represented, at)
    if held is None or held.ended_at is not None or agency is None or agency.closed_at is not None:
        failed(checks.DELEGATION, f"{head.sender} holds no delegation from {represented} under entry {at}")
    if held.kinds and body.kind not in held.kinds:
        failed(checks.DELEGATION, f"a {body.kind}, where the delegation is for {', '.join(held.kinds)}")
    if not held.not_before_ms <= head.made_at <= held.not_after_ms:
        failed(checks.DELEGATION, "made outside the time of the delegation")


def check_live_authority(grant: CertificateGrant, head: Head, snapshot: TrustSnapshot, now_ms: int) -> None:
    """Run C1.19 as a recipient: the key may sign now.

    Raises:
        VerificationError: It may not.
        IndeterminateError: The agency was suspended after it made the statement, and may be reinstated.
    """
    if grant.revoked_at is not None:
        failed(checks.AUTHORITY, f"revoked by directory entry {grant.revoked_at}", code=checks.REVOKED)
    retired = is_retired(grant, now_ms)
    if retired is not None:
        failed(checks.AUTHORITY, retired, code=checks.RETIRED)
    if not grant.not_before_ms <= now_ms <= grant.not_after_ms:
        failed(checks.AUTHORITY, "outside the certificate's validity", code=checks.EXPIRED)
    if grant.closed_at is not None:
        failed(checks.AUTHORITY, f"{grant.agency} is closed by entry {grant.closed_at}", code=checks.CLOSED)
    if head.on_behalf_of is not None:
        _live_delegation(head.on_behalf_of, head, snapshot, now_ms)
    _not_suspended(grant.agency, head.directory_position, snapshot)


def _live_delegation(represented: str, head: Head, snapshot: TrustSnapshot, now_ms: int) -> None:
    held = snapshot.delegation(represented, head.sender)
    ended = "the delegation is gone" if held is None else None
    if held is not None and held.ended_at is not None:
        ended = f"the delegation was ended by directory entry {held.ended_at}"
    elif held is not None and not held.not_before_ms <= now_ms <= held.not_after_ms:
        ended = "outside the time of the delegation"
    agency = snapshot.agency(represented)
    if agency is None or agency.closed_at is not None:
        ended = f"{represented} is closed"
    if ended is not None:
        failed(checks.AUTHORITY, ended, code=checks.DELEGATION_ENDED)
    _not_suspended(represented, head.directory_position, snapshot)


def _not_suspended(agency_id: str, position: int, snapshot: TrustSnapshot) -> None:
    agency = snapshot.agency(agency_id)
    if agency is None or not agency.suspensions:
        return
    _check_suspension(agency, position, snapshot)
    if agency.suspended_at is not None:
        undecided(
            checks.AUTHORITY,
            f"{agency_id} is suspended by directory entry {agency.suspended_at}",
            code=checks.SUSPENDED_LATER,
        )


def _check_suspension(agency: Agency, position: int, snapshot: TrustSnapshot) -> None:
    # What an entry says that is not known yet may end a suspension; C1.20 has the word then.
    since = agency.suspension_at(position) if position <= snapshot.position else None
    if since is not None:
        failed(
            checks.AUTHORITY,
            f"made while {agency.id} was suspended by directory entry {since}",
            code=checks.SUSPENDED,
        )


def check_recorded_authority(grant: CertificateGrant, snapshot: TrustSnapshot, *, position: int, made_at: int) -> None:
    """Run C1.19 as an auditor: the key could sign at the directory position that is named.

    Raises:
        VerificationError: It could not.
        IndeterminateError: It was revoked later, and nothing tells which came first.
    """
    at = position
    if at < grant.granted_at:
        failed(checks.AUTHORITY, f"made under entry {at}, granted by entry {grant.granted_at}")
    retired = was_retired(grant, snapshot, position=at, made_at=made_at)
    if retired is not None:
        failed(checks.AUTHORITY, retired, code=checks.RETIRED)
    if not grant.not_before_ms <= made_at <= grant.not_after_ms:
        failed(checks.AUTHORITY, "made outside the certificate's validity", code=checks.EXPIRED)
    if grant.closed_at is not None and at >= grant.closed_at:
        failed(checks.AUTHORITY, f"{grant.agency} is closed by entry {grant.closed_at}", code=checks.CLOSED)
    agency = snapshot.agency(grant.agency)
    if agency is not None:
        _check_suspension(agency, at, snapshot)
    if grant.revoked_at is not None:
        if at >= grant.revoked_at:
            failed(checks.AUTHORITY, f"revoked by directory entry {grant.revoked_at}", code=checks.REVOKED)
        undecided(
            checks.AUTHORITY,
            f"revoked by directory entry {grant.revoked_at}, and nothing anchors the statement before it",
            code=checks.REVOKED_LATER,
        )


def check_directory(position: int, entry_hash: bytes, snapshot: TrustSnapshot) -> bool:
    """Run C1.20; tell whether the entry at the position is the one that is named.

    Raises:
        IndeterminateError: The directory is not known so far.
    """
    if position > snapshot.position:
        undecided(checks.DIRECTORY, f"made under entry {position}, the directory is known to {snapshot.position}")
    return snapshot.hash_at(position) == entry_hash
