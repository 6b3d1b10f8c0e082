"""What is said at a glance of the directory that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.identity.time_stamps.log import newest_stamp

if TYPE_CHECKING:
    from docbus.identity.freshness import Freshness
    from docbus.identity.snapshot import TrustSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryState:
    """The last entry of the directory that was read.

    Attributes:
        position: Its position.
        head: Its hash.
        made_at: Its time by the registrar's clock, in milliseconds since 1970-01-01T00:00:00Z.
        age_ms: Milliseconds since then.
        freshness: What that means, by the terms of the genesis.
        suspended_by: Entry by which the agency is suspended, so that it may sign nothing; None if it is not.
        suspension_reason: Why, in the registrar's words.
        revoked_by: Entry by which the agency's newest certificate was revoked, so that it has to rotate; None if not.
        revocation_reason: Why, likewise.
        stamped_entry: The newest entry that is time-stamped, as the log has it, unverified; None if none is.
        stamped_at: When, by the authority's clock.
        stamped_by: By whom.
    """

    position: int
    head: bytes
    made_at: int
    age_ms: int
    freshness: Freshness
    suspended_by: int | None = None
    suspension_reason: str | None = None
    revoked_by: int | None = None
    revocation_reason: str | None = None
    stamped_entry: int | None = None
    stamped_at: int | None = None
    stamped_by: str | None = None


def directory_state(snapshot: TrustSnapshot, agency: str | None, now_ms: int) -> DirectoryState:
    """Return what is said of a snapshot, and of one agency in it."""
    found = None if agency is None else snapshot.agency(agency)
    newest = None if found is None else snapshot.certificate(found.certificates[-1])
    carried = newest_stamp(snapshot)
    stamp = None if carried is None else carried.stamp
    return DirectoryState(
        position=snapshot.position,
        head=snapshot.head,
        made_at=snapshot.made_at,
        age_ms=snapshot.age_ms(now_ms),
        freshness=snapshot.freshness(now_ms),
        suspended_by=None if found is None else found.suspended_at,
        suspension_reason=None if found is None else found.suspension_reason,
        revoked_by=None if newest is None else newest.revoked_at,
        revocation_reason=None if newest is None else newest.reason,
        stamped_entry=None if carried is None else carried.position,
        stamped_at=None if stamp is None else stamp.time_ms,
        stamped_by=None if stamp is None else stamp.authority,
    )
