"""Sealing what an agency records in its ledger topic: statements without package and keys, of one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.envelope.batch import sign_root
from docbus.envelope.envelope import Proof, put_back, put_front, put_payload_type
from docbus.wire.pae import leaf_digest
from docbus.wire.tree import levels, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import Signer


def seal_for_ledger(payload_type: bytes, statements: Sequence[bytes], signer: Signer) -> list[bytes]:
    """Return the envelopes of encoded statements that are signed as one batch, in the order given.

    Args:
        payload_type: Of all of them; it is in every leaf.
        statements: At least one, at most 2**20.
        signer: Its certificate is that of every statement.
    """
    leaves = [leaf_digest(payload_type, one) for one in statements]
    tree = levels(leaves)
    signatures = sign_root(signer, len(leaves), tree[-1][0])
    front, back = put_payload_type(payload_type.decode()), put_back(None)
    return [
        put_front(one, Proof(len(leaves), index, path_of(tree, index)), front, signatures, 0) + back
        for index, one in enumerate(statements)
    ]
