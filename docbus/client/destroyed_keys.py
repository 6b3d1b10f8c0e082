"""The decryption keys that an agency has destroyed: by the folder's own notes, and by the signed acts in its ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.client.connect import agency_id, started_transport
from docbus.consumers.key_destructions import read_destructions
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.client.destruction import Destruction
    from docbus.consumers.key_destructions import ReadDestruction
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyedKey:
    """A key that was destroyed, or is being; time in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        fingerprint: SHA-256 of the public key, in hex.
        at: When it was decided.
        operator: Who decided.
        reason: Why, in the operator's words.
        retired_by: Directory entry from which on nobody encrypts to it.
        path: Where its file lay in this folder; None if it was destroyed elsewhere, or its note is lost.
        finished: Whether that file is gone; None likewise.
        act: Digest of the signed act, in hex; None if there is none.
        offset: Of the act in the ledger topic; None if it is not known to be there.
    """

    fingerprint: str
    at: int
    operator: str
    reason: str
    retired_by: int
    path: str | None
    finished: bool | None
    act: str | None
    offset: int | None


async def append_to_ledger(settings: Settings, value: bytes) -> None:
    """Store a record in the agency's ledger topic, durably.

    Raises:
        TransportError: Nothing is known of it; whether it is stored shows reading the topic.
    """
    own = agency_id(settings)
    async with started_transport(settings) as transport:
        await transport.append([NewRecord(topic=topics.ledger(own), key=own.encode(), value=value)])


async def destructions_in_ledger(settings: Settings, snapshot: TrustSnapshot) -> list[ReadDestruction]:
    """Return the destructions in the agency's ledger topic, verified.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    async with started_transport(settings) as transport:
        return await read_destructions(transport, agency_id(settings), snapshot, Verifier())


def destroyed_keys(noted: Iterable[Destruction], read: Iterable[ReadDestruction]) -> list[DestroyedKey]:
    """Return every key once that a note of the folder or an act that passed says is destroyed, the oldest first.

    Args:
        noted: The folder's own notes.
        read: What is in the ledger topic.
    """
    passed = {one.digest.hex(): one for one in read if one.digest is not None and one.destruction is not None}
    found = [
        DestroyedKey(
            fingerprint=one.fingerprint,
            at=one.at,
            operator=one.operator,
            reason=one.reason,
            retired_by=one.retired_by,
            path=one.path,
            finished=one.finished,
            act=one.act,
            offset=passed[one.act].offset if one.act in passed else None,
        )
        for one in noted
    ]
    known = {one.fingerprint for one in found}
    for digest, one in passed.items():
        said = one.destruction
        if said is not None and said.key.hex() not in known:
            known.add(said.key.hex())
            found.append(
                DestroyedKey(
                    fingerprint=said.key.hex(),
                    at=said.made_at,
                    operator=said.operator,
                    reason=said.reason,
                    retired_by=said.retired_by,
                    path=None,
                    finished=None,
                    act=digest,
                    offset=one.offset,
                )
            )
    return sorted(found, key=lambda one: one.at)
