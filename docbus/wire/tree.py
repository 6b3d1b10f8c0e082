"""Merkle tree of RFC 9162 section 2.1 over leaf hashes that are already made."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162 section 2.1.1)."""


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the tree level by level, leaves first, root alone last.

    An odd node is promoted, not doubled: doubling is what made CVE-2012-2459.
    """
    level = list(leaves)
    tree = [level]
    while len(level) > 1:
        above = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) & 1:
            above.append(level[-1])
        tree.append(above)
        level = above
    return tree


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root hash, 32 bytes."""
    return levels(leaves)[-1][0] if leaves else EMPTY_ROOT


def path_of(tree: list[list[bytes]], index: int) -> bytes:
    """Return the inclusion path of leaf ``index``: sibling hashes, 32 bytes each, leaf upwards."""
    path = []
    for level in tree[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index >>= 1
    return b"".join(path)


def path_length(index: int, tree_size: int) -> int:
    """Return how many hashes the inclusion path of leaf ``index`` in a tree of ``tree_size`` has."""
    last = tree_size - 1
    inner = (index ^ last).bit_length()
    return inner + (index >> inner).bit_count()


def root_from_path(leaf: bytes, index: int, tree_size: int, path: bytes) -> bytes | None:
    """Return the root that the path leads to, or None if (index, tree_size, length of path) do not fit.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < tree_size or len(path) != HASH_BYTES * path_length(index, tree_size):
        return None
    node, last, at = leaf, tree_size - 1, 0
    while last:
        if index & 1 or index == last:
            if index & 1:
                node = sha256(b"\x01" + path[at : at + HASH_BYTES] + node).digest()
                at += HASH_BYTES
        else:
            node = sha256(b"\x01" + node + path[at : at + HASH_BYTES]).digest()
            at += HASH_BYTES
        index >>= 1
        last >>= 1
    return node
