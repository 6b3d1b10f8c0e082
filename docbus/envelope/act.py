"""Acts: what an operator decided about a record that was set aside, signed like any batch (``specification/acts.md``).

An act is the statement of an envelope without package and keys. Its payload type is in every leaf of the batch's tree,
so that no signature over acts is one over statements, and no inbox takes an act for one (C1.03).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from docbus.envelope.ledger_batch import seal_for_ledger
from docbus.errors import MalformedError
from docbus.limits import (
    MAX_ACT_REASON_BYTES,
    MAX_AGENCY_ID_BYTES,
    MAX_DOCUMENT_ID_BYTES,
    MAX_ENVIRONMENT_BYTES,
    MAX_OPERATOR_BYTES,
    MAX_REASON_BYTES,
)
from docbus.wire.avro import Schema, definition_of
from docbus.wire.pae import ACT_TYPE, leaf_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import Signer

VERSION: Final = 1
"""Version of the acts that this software reads and writes."""
PAYLOAD_TYPE: Final = ACT_TYPE.decode()
NONCE_BYTES: Final = 16

Action = Literal["release", "redeliver", "reject"]
RELEASE: Final = "release"
REDELIVER: Final = "redeliver"
REJECT: Final = "reject"


class Act(NamedTuple):
    """One act; units as in ``schemas/act.avsc``, but ``topic`` as the topic is called."""

    version: int
    environment: str
    agency: str
    certificate: bytes
    directory_position: int
    directory_hash: bytes
    made_at: int
    operator: str
    action: Action
    topic: str
    number: int
    digest: bytes
    refused_for: str
    sender: str | None
    document_id: str | None
    revision: int | None
    reason: str
    nonce: bytes


_TOPICS: Final = {"quarantine": "quarantine", "dead-letter": "dead_letter"}
"""How topics are called, and as Avro may spell them."""
_NAMES: Final = {symbol: name for name, symbol in _TOPICS.items()}
_LIMITS: Final = {
    "environment": MAX_ENVIRONMENT_BYTES,
    "agency": MAX_AGENCY_ID_BYTES,
    "operator": MAX_OPERATOR_BYTES,
    "refused_for": MAX_REASON_BYTES,
    "sender": MAX_AGENCY_ID_BYTES,
    "document_id": MAX_DOCUMENT_ID_BYTES,
    "reason": MAX_ACT_REASON_BYTES,
}
_CODEC = Schema(definition_of("act"), {"Act": Act})


def encode_act(act: Act) -> bytes:
    """Return the bytes that are signed.

    Raises:
        MalformedError: A field is beyond its limit, or the topic is none.
    """
    _check(act)
    return _CODEC.encode(act._asdict() | {"topic": _TOPICS[act.topic]})


def decode_act(encoded: bytes) -> Act:
    """Return the act that signed bytes hold.

    Raises:
        MalformedError: They hold none that this version reads.
    """
    act: Act = _CODEC.decode(encoded)
    act = act._replace(topic=_NAMES[act.topic])
    _check(act)
    return act


def act_digest(encoded: bytes) -> bytes:
    """Return the digest by which an act is named: its leaf in the batch, 32 bytes."""
    return leaf_digest(ACT_TYPE, encoded)


def seal_acts(acts: Sequence[Act], signer: Signer) -> list[bytes]:
    """Return the envelopes of acts that are signed as one batch, in the order given.

    Args:
        acts: At least one, at most 2**20.
        signer: Its certificate is that of every act.

    Raises:
        MalformedError: A field is beyond its limit.
    """
    return seal_for_ledger(ACT_TYPE, [encode_act(act) for act in acts], signer)


def _check(act: Act) -> None:
    if act.version != VERSION:
        raise MalformedError(f"an act of version {act.version}, which this version cannot read")
    if act.topic not in _TOPICS:
        raise MalformedError(f"act: {act.topic!r} is no topic of records that were set aside")
    if act.number < 0 or act.directory_position < 0:
        raise MalformedError("act: a number below 0")
    for name, limit in _LIMITS.items():
        text = cast("str | None", getattr(act, name))
        if text is not None and len(text.encode()) > limit:
            raise MalformedError(f"act: {name} has more than {limit} bytes")
    if not act.operator or not act.reason:
        raise MalformedError("act: operator and reason must not be empty")
    if (act.document_id is None) != (act.revision is None) or (act.document_id is not None and act.sender is None):
        raise MalformedError("act: a document has sender, id and revision")
