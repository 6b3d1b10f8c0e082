"""The end that a rotation with an overlap gives to a signing key: a time, and not a place in the log.

Both keys may sign until then, so that nothing that is under way has to be signed again. Who verifies asks its own
clock, as for the end of a certificate; an auditor asks what the statement says of its time, and when the entry was made
that it names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.identity.rules import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.identity.entries import KeyOverlap
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot

MAX_OVERLAP_MS = 366 * 24 * 60 * 60 * 1000
"""Milliseconds from an overlap's entry to the end of the old key: a year; a key that lasts longer is not being left."""


def check_overlap(position: int, overlap: KeyOverlap, made_at: int, ending: Iterable[CertificateGrant]) -> None:
    """Return if an overlap gives an end to keys that have none, and one that is ahead and not far.

    Args:
        position: Of the entry.
        overlap: What it says.
        made_at: When it was made, by the registrar's clock.
        ending: The grants of the keys that are to end.

    Raises:
        DirectoryError: It does not.
    """
    if not overlap.retire_signing:
        raise refusal(position, "overlap_terms", "no certificate is named that would end")
    if not 0 < overlap.retires_at - made_at <= MAX_OVERLAP_MS:
        days = (overlap.retires_at - made_at) / (24 * 60 * 60 * 1000)
        raise refusal(
            position, "overlap_terms", f"the end is {days:.1f} days after the entry; it has to come within 366 days"
        )
    for grant in ending:
        if grant.retires_at_ms is not None:
            shown = f"{grant.digest.hex()[:16]}… was given its end in entry {grant.overlap_at}"
            raise refusal(position, "overlap_terms", shown)


def ended(grant: CertificateGrant, position: int, retires_at: int | None) -> CertificateGrant:
    """Return a grant that a rotation ends: at this position, or with an overlap at a time."""
    if retires_at is None:
        return replace(grant, retired_at=position)
    return replace(grant, overlap_at=position, retires_at_ms=retires_at)


def is_retired(grant: CertificateGrant, now_ms: int) -> str | None:
    """Return why a key may not sign now because a rotation ended it, or None."""
    if grant.retired_at is not None:
        return f"retired by directory entry {grant.retired_at}"
    if grant.retires_at_ms is not None and now_ms > grant.retires_at_ms:
        return f"retired at the end that directory entry {grant.overlap_at} gave it"
    return None


def was_retired(grant: CertificateGrant, snapshot: TrustSnapshot, *, position: int, made_at: int) -> str | None:
    """Return why a key might not sign at a position of the log because a rotation had ended it, or None.

    Args:
        grant: Of the key.
        snapshot: The directory as it is known.
        position: The entry that the statement names.
        made_at: When it says that it was made, in milliseconds since 1970 UTC.
    """
    if grant.retired_at is not None and position >= grant.retired_at:
        return f"retired by directory entry {grant.retired_at}"
    end, since = grant.retires_at_ms, grant.overlap_at
    if end is None or since is None or position < since:
        return None
    # Whoever has seen an entry that was made after the end, has signed after it, whatever the statement says.
    seen_at = snapshot.time_at(position)
    if made_at > end or (seen_at is not None and seen_at > end):
        return f"made after the end that directory entry {since} gave the key"
    return None
