"""Whether an agency may send for another one now, asked at the door (P1) and again before it signs (P3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import DelegationError

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot


def delegation_error(
    represented: str, sender: str, kind: str, snapshot: TrustSnapshot, now_ms: int, *, step: str
) -> DelegationError | None:
    """Return why a sender may not send for another agency; None if it may. Recipients ask the same (C1.12, C1.19).

    Args:
        represented: Canonical id of the other agency.
        sender: Canonical id of the one that sends.
        kind: Kind of the document.
        snapshot: The directory as it is known now.
        now_ms: Milliseconds since 1970-01-01T00:00:00Z.
        step: Where it is asked.
    """
    held = snapshot.delegation(represented, sender)
    agency = snapshot.agency(represented)
    if held is None or held.ended_at is not None or agency is None or agency.closed_at is not None:
        reason = f"{sender} holds no delegation from {represented}"
    elif held.kinds and kind not in held.kinds:
        reason = f"the delegation from {represented} is for {', '.join(held.kinds)}, and this is a {kind}"
    elif not held.not_before_ms <= now_ms <= held.not_after_ms:
        reason = f"the delegation from {represented} has not begun, or is over"
    else:
        return None
    return DelegationError(reason, hint="The registrar gives one: `docbus registrar delegate`.", step=step)
