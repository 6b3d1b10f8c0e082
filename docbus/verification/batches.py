"""Batches whose signature has been verified, so that a batch costs one signature check (design D4).

The cache holds mathematical results only: that a signature covers a root, and which nodes of the tree under that root
are authentic. Whether the key may sign is asked of the trust snapshot each time. The verdict never depends on what is
cached: a proof is accepted only if every byte of its path is right.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.wire.tree import HASH_BYTES

if TYPE_CHECKING:
    from docbus.envelope.envelope import Signature
    from docbus.envelope.statement import Head

MAX_BATCHES = 1024
"""Verified roots kept: more than the batches of all senders that interleave in one fetch."""
MAX_NODES = 65_536
"""Authentic tree nodes kept over all batches, about 400 bytes each: 26 MiB."""
MAX_HEADS = 8
"""Decoded heads kept per batch: its lanes to this recipient, with and without a package."""


class Batch:
    """One root under a verified signature."""

    __slots__ = ("heads", "keeps_nodes", "nodes", "root")

    def __init__(self, root: bytes, *, keeps_nodes: bool = True) -> None:
        self.root = root
        self.keeps_nodes = keeps_nodes
        self.nodes: dict[int, tuple[bytes, bytes]] = {}
        self.heads: list[tuple[str, bytes, Head]] = []

    def holds(self, leaf: bytes, index: int, tree_size: int, path: bytes) -> bool:
        """Tell whether the path leads from the leaf to this root; its length is already known to fit.

        Walks up only to the first node that an earlier proof has shown to be authentic. Such a node is kept with the
        whole path above it, and that must be equal to what is left of this path: so a wrong hash is noticed at any
        level, cached or not.
        """
        nodes = self.nodes
        node, at, level, last, position = leaf, 0, 0, tree_size - 1, index
        walked: list[tuple[int, bytes, int]] = []
        while True:
            known = nodes.get(level << 32 | position)
            if known is not None:
                if known[0] != node or known[1] != path[at:]:
                    return False
                break
            walked.append((level << 32 | position, node, at))
            if not last:
                if node != self.root:
                    return False
                break
            if position & 1:
                node = sha256(b"\x01" + path[at : at + HASH_BYTES] + node).digest()
                at += HASH_BYTES
            elif position != last:
                node = sha256(b"\x01" + node + path[at : at + HASH_BYTES]).digest()
                at += HASH_BYTES
            position >>= 1
            last >>= 1
            level += 1
        if not self.keeps_nodes:
            return True
        for name, value, offset in walked[1:]:
            # The leaf itself is not kept: it is met once.
            nodes[name] = (value, path[offset:])
        return True


class Batches:
    """Verified batches by tree size and signature blocks; the oldest are forgotten.

    A batch is looked up before its root is computed. A signature that has been made to fit two roots finds the other
    batch here, does not hold in it, and is then verified in full like any first statement of a batch.
    """

    def __init__(self) -> None:
        self._batches: dict[tuple[int, tuple[Signature, ...]], Batch] = {}
        self._nodes = 0

    def get(self, tree_size: int, signatures: tuple[Signature, ...]) -> Batch | None:
        """Return a verified batch."""
        return self._batches.get((tree_size, signatures))

    def add(self, tree_size: int, signatures: tuple[Signature, ...], root: bytes) -> Batch:
        """Keep a batch whose signatures have just been verified over this root."""
        name = tree_size, signatures
        if len(self._batches) >= MAX_BATCHES and name not in self._batches:
            del self._batches[next(iter(self._batches))]
        # Two nodes a leaf is more than a whole batch can leave behind. One that would fill the cache alone keeps none,
        # so that a granted sender's batch of 2^20 leaves costs hashing, which is bounded, and no memory, which is not.
        keeps_nodes = 2 * tree_size <= MAX_NODES
        if keeps_nodes:
            self._nodes += 2 * tree_size
            if self._nodes > MAX_NODES:
                for kept in self._batches.values():
                    kept.nodes.clear()
                self._nodes = 2 * tree_size
        batch = self._batches[name] = Batch(root, keeps_nodes=keeps_nodes)
        return batch
