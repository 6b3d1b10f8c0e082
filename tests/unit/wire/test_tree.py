"""The batch tree; the property tests compare it with the definition of RFC 9162."""

from __future__ import annotations

from hashlib import sha256

import pytest

from docbus.wire.tree import EMPTY_ROOT, levels, path_length, path_of, root_from_path, root_of

A, B, C = (sha256(name).digest() for name in (b"a", b"b", b"c"))


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def test_small_trees() -> None:
    """One leaf is its own root, two are a node, and an odd one is promoted."""
    assert A == root_of([A])
    assert _node(A, B) == root_of([A, B])
    assert _node(_node(A, B), C) == root_of([A, B, C])


def test_a_leaf_is_not_doubled() -> None:
    """Three leaves, and three with the last one twice, have different roots (CVE-2012-2459)."""
    assert root_of([A, B, C]) != root_of([A, B, C, C])


def test_no_leaves_have_the_hash_of_nothing() -> None:
    """The root without leaves is SHA-256 of nothing."""
    assert sha256(b"").digest() == EMPTY_ROOT == root_of([])


def test_paths_of_three() -> None:
    """The promoted leaf has a path of one hash."""
    tree = levels([A, B, C])

    assert [B + C, A + C, _node(A, B)] == [path_of(tree, index) for index in range(3)]
    assert [2, 2, 1] == [path_length(index, 3) for index in range(3)]


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (4, 3), (0, 0), (2**40, 3)])
def test_an_index_outside_the_tree_leads_nowhere(index: int, size: int) -> None:
    """There is no root for a leaf that the tree does not have."""
    assert None is root_from_path(A, index, size, B + C)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 63, 65, 96])
def test_a_path_of_another_length_leads_nowhere(length: int) -> None:
    """The path has exactly the hashes that index and size demand."""
    assert None is root_from_path(A, 0, 3, bytes(length))


def test_another_leaf_leads_to_another_root() -> None:
    """The path of a leaf is no path of another one."""
    tree = levels([A, B, C])

    assert root_of([A, B, C]) == root_from_path(A, 0, 3, path_of(tree, 0))
    assert root_of([A, B, C]) != root_from_path(B, 0, 3, path_of(tree, 0))
    assert root_of([A, B, C]) != root_from_path(A, 1, 3, path_of(tree, 0))


def test_a_million_leaves_have_twenty_hashes() -> None:
    """The longest path is 20 hashes, the limit on the wire."""
    assert 20 == path_length(0, 1 << 20) == path_length((1 << 20) - 1, 1 << 20)
