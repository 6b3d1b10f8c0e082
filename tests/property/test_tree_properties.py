"""The batch tree against the recursive definition of RFC 9162 section 2.1."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from docbus.wire.tree import HASH_BYTES, levels, path_length, path_of, root_from_path, root_of

MAX_LEAVES = 130
LEAVES = [sha256(b"leaf %d" % number).digest() for number in range(MAX_LEAVES)]


def definition_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1 over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + definition_root(leaves[:split]) + definition_root(leaves[split:])).digest()


def definition_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 section 2.1.3.1 over leaf hashes."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*definition_path(index, leaves[:split]), definition_root(leaves[split:])]
    return [*definition_path(index - split, leaves[split:]), definition_root(leaves[:split])]


@given(size=st.integers(1, MAX_LEAVES), data=st.data())
def test_path_leads_to_the_root_and_nothing_else_does(size: int, data: st.DataObject) -> None:
    """One change of leaf, index, tree size or path leads to another root, or to none."""
    index = data.draw(st.integers(0, size - 1))
    tree = levels(LEAVES[:size])
    path, root = path_of(tree, index), tree[-1][0]
    kind = data.draw(st.sampled_from(["leaf", "index", "path", "longer", "shorter"]))
    leaf = LEAVES[index]
    if kind == "leaf":
        leaf = sha256(leaf).digest()
    elif kind == "index":
        index = data.draw(st.integers(-2, size + 2).filter(lambda other: other != index))
    elif kind == "path" and path:
        at = data.draw(st.integers(0, len(path) - 1))
        path = path[:at] + bytes((path[at] ^ 1 << data.draw(st.integers(0, 7)),)) + path[at + 1 :]
    elif kind == "longer":
        path += data.draw(st.binary(min_size=1, max_size=HASH_BYTES * 2))
    elif path:
        path = path[: -data.draw(st.integers(1, len(path)))]
    else:
        leaf = bytes(HASH_BYTES)

    assert root != root_from_path(leaf, index, size, path)


@given(size=st.integers(1, 1 << 20), data=st.data())
def test_path_length_is_what_the_rfc_walk_consumes(size: int, data: st.DataObject) -> None:
    """The closed formula equals the number of siblings met on the way up, for trees up to 2**20 leaves."""
    index = data.draw(st.integers(0, size - 1))
    met, position, width = 0, index, size
    while width > 1:
        met += position ^ 1 < width
        position, width = position >> 1, width + 1 >> 1

    assert met == path_length(index, size)


def test_all_trees_up_to_130_leaves_are_those_of_the_definition() -> None:
    """Root and every path of every tree of 1 to 130 leaves equal the recursive definition, and lead to the root."""
    for size in range(1, MAX_LEAVES + 1):
        leaves = LEAVES[:size]
        tree = levels(leaves)
        root = definition_root(leaves)

        assert root == tree[-1][0] == root_of(leaves)
        for index in range(size):
            path = path_of(tree, index)

            assert b"".join(definition_path(index, leaves)) == path
            assert len(path) == HASH_BYTES * path_length(index, size)
            assert root == root_from_path(leaves[index], index, size, path)
