"""Range receipts: which statements of a stream one receipt covers, and how it is encoded (step C4, design D5).

One receipt per stream and delivered batch in the normal case. A run of positions ends at a hole, at a position that is
not decided yet, and where a limit of the wire would be passed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.statement import ReceiptBody, Refusal, encode_receipt_body
from docbus.limits import KIB, MAX_RECEIPT_RANGE, MAX_REFUSALS
from docbus.wire.tree import root_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NONCE_BYTES = 16
MAX_REFUSED_BYTES = 48 * KIB
"""Bytes of all refusals of one receipt: with the longest codes, ``MAX_REFUSALS`` of them would not fit a statement."""
_REFUSAL_OVERHEAD_BYTES = 12
"""Bytes of a refusal beside its code: two variable-length integers at their longest."""


Decided = tuple[bytes, str | None]
"""Digest of a statement whose outcome is known, and None if it is filed, or the stable code of its refusal."""


class Range(NamedTuple):
    """Consecutive positions that one receipt covers."""

    first: int
    digests: tuple[bytes, ...]
    refused: tuple[Refusal, ...]

    @property
    def last(self) -> int:
        """Last position covered."""
        return self.first + len(self.digests) - 1


def ranges_of(positions: Mapping[int, Decided]) -> list[Range]:
    """Return the fewest ranges, in ascending order, that cover exactly these positions of one stream."""
    found: list[Range] = []
    digests: list[bytes] = []
    refused: list[Refusal] = []
    first = refused_bytes = 0
    for sequence in sorted(positions):
        digest, refusal = positions[sequence]
        more = _REFUSAL_OVERHEAD_BYTES + len(refusal) if refusal is not None else 0
        if digests and (
            sequence != first + len(digests)
            or len(digests) == MAX_RECEIPT_RANGE
            or (refusal is not None and len(refused) == MAX_REFUSALS)
            or refused_bytes + more > MAX_REFUSED_BYTES
        ):
            found.append(Range(first, tuple(digests), tuple(refused)))
            digests, refused, refused_bytes = [], [], 0
        if not digests:
            first = sequence
        digests.append(digest)
        if refusal is not None:
            refused.append(Refusal(sequence, refusal))
            refused_bytes += more
    if digests:
        found.append(Range(first, tuple(digests), tuple(refused)))
    return found


def encode_range(epoch: bytes, covered: Range) -> bytes:
    """Return the encoded body of a range's receipt.

    Args:
        epoch: Of the statements covered, 16 bytes.
        covered: The range.
    """
    body = ReceiptBody(
        epoch, covered.first, covered.last, root_of(covered.digests), covered.refused, os.urandom(NONCE_BYTES)
    )
    return encode_receipt_body(body)
