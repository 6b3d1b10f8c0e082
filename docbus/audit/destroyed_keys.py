"""The decryption keys that agencies say they have destroyed, by their signed acts; no part of a replay's verdict.

That a document was opened after the only key it was encrypted to was destroyed cannot be told from the records: a
receipt is made again for a duplicate, long after the document was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.consumers.key_destructions import read_destructions
from docbus.errors import TransportError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.key_destructions import ReadDestruction
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Transport
    from docbus.verification.verifier import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedDestruction:
    """What a record of a ledger topic says of a destroyed key; time in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        agency: Whose ledger topic it lies in.
        offset: There.
        key: SHA-256 of the public key, in hex; None if the record cannot be read, as for the next four.
        retired_by: Directory entry that retired it.
        made_at: By the agency's clock.
        operator: Who decided.
        reason: Why.
        outcome: ``passed``, ``failed`` or ``indeterminate``.
        code: Why it did not pass, or what does not fit.
    """

    agency: str
    offset: int
    key: str | None
    retired_by: int | None
    made_at: int | None
    operator: str | None
    reason: str | None
    outcome: str
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyedKeys:
    """All of them, in the order of the agencies; and those agencies whose ledger cannot be read, and why."""

    records: tuple[AuditedDestruction, ...]
    unread: tuple[tuple[str, str], ...]


async def audit_destroyed_keys(
    transport: Transport, agencies: Sequence[str], snapshot: TrustSnapshot, verifier: Verifier
) -> DestroyedKeys:
    """Read what agencies say of destroyed keys; only of those that ever had a key retired a ledger is read.

    Args:
        transport: Started.
        agencies: Canonical ids.
        snapshot: The directory, read to its end.
        verifier: Of nobody else at the moment.
    """
    found: list[AuditedDestruction] = []
    unread: list[tuple[str, str]] = []
    for agency in agencies:
        known = snapshot.agency(agency)
        if known is None or all(retired_at is None for _, _, retired_at in known.encrypters):
            continue
        try:
            read = await read_destructions(transport, agency, snapshot, verifier)
        except (TransportError, WaitTimeoutError) as error:
            unread.append((agency, error.text))
        else:
            found += map(_audited, read)
    return DestroyedKeys(records=tuple(found), unread=tuple(unread))


def _audited(one: ReadDestruction) -> AuditedDestruction:
    said = one.destruction
    return AuditedDestruction(
        agency=one.agency,
        offset=one.offset,
        key=None if said is None else said.key.hex(),
        retired_by=None if said is None else said.retired_by,
        made_at=None if said is None else said.made_at,
        operator=None if said is None else said.operator,
        reason=None if said is None else said.reason,
        outcome=one.verdict,
        code=one.code or (", ".join(one.findings) or None),
    )
