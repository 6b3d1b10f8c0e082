"""From an envelope to the digest under which its signed batch is time-stamped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import MalformedError
from docbus.identity.time_stamps.stamped import signed_batch_digest
from docbus.wire.pae import leaf_digest
from docbus.wire.tree import root_from_path

if TYPE_CHECKING:
    from docbus.envelope.envelope import Envelope


def batch_digest_of(envelope: Envelope) -> bytes:
    """Return the digest of the signed batch that an envelope belongs to, 32 bytes; nothing is verified.

    Raises:
        MalformedError: Its path leads to no root.
    """
    proof = envelope.proof
    leaf = leaf_digest(envelope.payload_type.encode(), envelope.statement)
    root = root_from_path(leaf, proof.index, proof.tree_size, proof.path)
    if root is None:
        raise MalformedError("the path of the envelope has not the length that index and tree size demand")
    return signed_batch_digest(proof.tree_size, root, envelope.signatures)
