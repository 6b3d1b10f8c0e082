"""Destructions: that an agency destroys a decryption key, signed like any batch (``specification/acts.md``).

As an act, it is the statement of an envelope without package and keys, and its payload type is in every leaf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from docbus.envelope.ledger_batch import seal_for_ledger
from docbus.errors import MalformedError
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_AGENCY_ID_BYTES, MAX_ENVIRONMENT_BYTES, MAX_OPERATOR_BYTES
from docbus.wire.avro import Schema, definition_of
from docbus.wire.pae import DESTRUCTION_TYPE, leaf_digest

if TYPE_CHECKING:
    from docbus.identity.signing import Signer

VERSION: Final = 1
"""Version of the destructions that this software reads and writes."""
PAYLOAD_TYPE: Final = DESTRUCTION_TYPE.decode()
NONCE_BYTES: Final = 16


class KeyDestruction(NamedTuple):
    """One destruction; units as in ``schemas/key-destruction.avsc``."""

    version: int
    environment: str
    agency: str
    certificate: bytes
    directory_position: int
    directory_hash: bytes
    made_at: int
    operator: str
    key: bytes
    retired_by: int
    reason: str
    nonce: bytes


_LIMITS: Final = {
    "environment": MAX_ENVIRONMENT_BYTES,
    "agency": MAX_AGENCY_ID_BYTES,
    "operator": MAX_OPERATOR_BYTES,
    "reason": MAX_ACT_REASON_BYTES,
}
_CODEC = Schema(definition_of("key-destruction"), {"KeyDestruction": KeyDestruction})


def encode_destruction(destruction: KeyDestruction) -> bytes:
    """Return the bytes that are signed.

    Raises:
        MalformedError: A field is beyond its limit.
    """
    _check(destruction)
    return _CODEC.encode(destruction._asdict())


def decode_destruction(encoded: bytes) -> KeyDestruction:
    """Return the destruction that signed bytes hold.

    Raises:
        MalformedError: They hold none that this version reads.
    """
    destruction: KeyDestruction = _CODEC.decode(encoded)
    _check(destruction)
    return destruction


def destruction_digest(encoded: bytes) -> bytes:
    """Return the digest by which a destruction is named: its leaf in the batch, 32 bytes."""
    return leaf_digest(DESTRUCTION_TYPE, encoded)


def seal_destruction(destruction: KeyDestruction, signer: Signer) -> bytes:
    """Return the envelope of a destruction, a batch of one; the signer's certificate is the one that it names.

    Raises:
        MalformedError: A field is beyond its limit.
    """
    return seal_for_ledger(DESTRUCTION_TYPE, [encode_destruction(destruction)], signer)[0]


def _check(destruction: KeyDestruction) -> None:
    if destruction.version != VERSION:
        raise MalformedError(f"a destruction of version {destruction.version}, which this version cannot read")
    if not 0 <= destruction.retired_by <= destruction.directory_position:
        raise MalformedError("destruction: the entry that retired the key is none, or behind the last one known")
    for name, limit in _LIMITS.items():
        if len(str(getattr(destruction, name)).encode()) > limit:
            raise MalformedError(f"destruction: {name} has more than {limit} bytes")
    if not destruction.operator or not destruction.reason:
        raise MalformedError("destruction: operator and reason must not be empty")
