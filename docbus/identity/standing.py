"""Changes of an agency's standing: suspended or not, where it belongs, and who may send for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.identity.agency import AgencyId
from docbus.identity.grants import DelegationGrant
from docbus.identity.lookups import checked_title, open_agency
from docbus.identity.rules import refusal

if TYPE_CHECKING:
    from docbus.identity import entries
    from docbus.identity.grants import Agency
    from docbus.identity.state import DirectoryState

MAX_KINDS = 16
"""Kinds of documents that one delegation names; there are four."""
MAX_LEVELS = 16
"""Steps from an agency to the top of the hierarchy; codes have four levels."""
NO_PARENT = ""
"""Of an agency that was moved out of the hierarchy: its code would name a parent."""
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")


def suspend(state: DirectoryState, position: int, suspension: entries.Suspension) -> None:
    """Write a suspension."""
    agency = open_agency(state, position, suspension.agency)
    checked_title(position, suspension.reason, "the reason")
    if agency.suspended_at is not None:
        raise refusal(position, "suspension_changes", f"{agency.id} is suspended since entry {agency.suspended_at}")
    suspended = replace(
        agency, suspensions=(*agency.suspensions, (position, None)), suspension_reason=suspension.reason
    )
    state.agencies.put(agency.id, position, suspended)


def reinstate(state: DirectoryState, position: int, reinstatement: entries.Reinstatement) -> None:
    """Write the end of a suspension."""
    agency = open_agency(state, position, reinstatement.agency)
    checked_title(position, reinstatement.reason, "the reason")
    since = agency.suspended_at
    if since is None:
        raise refusal(position, "suspension_changes", f"{agency.id} is not suspended")
    again = replace(agency, suspensions=(*agency.suspensions[:-1], (since, position)), suspension_reason=None)
    state.agencies.put(agency.id, position, again)


def parent_of(agency: Agency) -> str | None:
    """Return the canonical id of the agency that one belongs to, by the directory or else by its code."""
    if agency.parent is not None:
        return agency.parent or None
    above = AgencyId.parse(agency.id).parent
    return None if above is None else str(above)


def move(state: DirectoryState, position: int, move: entries.Move) -> None:
    """Write where an agency belongs."""
    agency = open_agency(state, position, move.agency)
    above = move.parent
    if above is not None:
        parent = state.agencies.newest(above)
        if parent is None or parent.closed_at is not None:
            raise refusal(position, "parent_open", f"{above} is not an agency that is open")
        for _ in range(MAX_LEVELS):
            if above == agency.id:
                raise refusal(position, "parent_open", f"{move.parent} belongs to {agency.id} itself")
            found = state.agencies.newest(above)
            # A code names its parent whether that was granted or not.
            above = parent_of(found) if found is not None else _parent_of_code(above)
            if above is None:
                break
        else:
            raise refusal(position, "parent_open", f"{move.parent} has {MAX_LEVELS} agencies above it")
    state.agencies.put(agency.id, position, replace(agency, parent=move.parent or NO_PARENT))


def _parent_of_code(code: str) -> str | None:
    above = AgencyId.parse(code).parent
    return None if above is None else str(above)


def delegate(state: DirectoryState, position: int, delegation: entries.Delegation) -> None:
    """Write a delegation; it takes the place of an earlier one of the same two."""
    agency = open_agency(state, position, delegation.agency)
    other = state.agencies.newest(delegation.delegate)
    if other is None or other.closed_at is not None or other.id == agency.id:
        raise refusal(position, "delegate_open", f"{delegation.delegate} is not another agency that is open")
    checked_title(position, delegation.reason, "the reason")
    kinds = delegation.kinds
    if len(kinds) > MAX_KINDS or len(set(kinds)) != len(kinds) or not all(_KIND.fullmatch(kind) for kind in kinds):
        raise refusal(position, "delegation_terms", f"a kind twice, more than {MAX_KINDS}, or not in small letters")
    if not 0 <= delegation.not_before <= delegation.not_after:
        raise refusal(position, "delegation_terms", "it ends before it begins")
    granted = DelegationGrant(
        agency=agency.id,
        delegate=other.id,
        kinds=kinds,
        not_before_ms=delegation.not_before,
        not_after_ms=delegation.not_after,
        granted_at=position,
    )
    state.delegations.put(delegation_key(agency.id, other.id), position, granted)


def end_delegation(state: DirectoryState, position: int, end: entries.DelegationEnd) -> None:
    """Write the end of a delegation; that of a closed agency may be ended, too."""
    checked_title(position, end.reason, "the reason")
    key = delegation_key(end.agency, end.delegate)
    found = state.delegations.newest(key)
    if found is None or found.ended_at is not None:
        raise refusal(position, "delegation_held", f"{end.delegate} holds no delegation from {end.agency}")
    state.delegations.put(key, position, replace(found, ended_at=position))


def delegation_key(agency: str, delegate: str) -> str:
    """Return under what a delegation is kept; neither id has a blank."""
    return f"{agency} {delegate}"
