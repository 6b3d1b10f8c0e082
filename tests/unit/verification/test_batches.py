"""The cache of verified batches: bounded, and exact about every byte of a proof."""

from __future__ import annotations

from hashlib import sha256

import pytest

from docbus.envelope.envelope import Signature
from docbus.verification.batches import MAX_BATCHES, MAX_NODES, Batch, Batches
from docbus.wire.tree import levels, path_of

SIGNATURES = (Signature(1, bytes(32), b"signature"),)


def leaves_of(count: int) -> list[bytes]:
    """Return leaf hashes."""
    return [sha256(b"leaf %d" % number).digest() for number in range(count)]


def test_every_leaf_holds_in_any_order() -> None:
    """All proofs of a batch hold, forwards and backwards, with whatever nodes are known by then."""
    leaves = leaves_of(13)
    tree = levels(leaves)
    batch = Batch(tree[-1][0])

    for index in [*range(13), *reversed(range(13))]:
        assert batch.holds(leaves[index], index, 13, path_of(tree, index))


@pytest.mark.parametrize("known", [(), (0,), (5,), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)])
@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, 95, 96, 127])
def test_a_wrong_byte_is_noticed_whatever_is_known(known: tuple[int, ...], at: int) -> None:
    """A changed hash at any level does not hold, even where the nodes above it are known."""
    leaves = leaves_of(13)
    tree = levels(leaves)
    batch = Batch(tree[-1][0])
    for index in known:
        batch.holds(leaves[index], index, 13, path_of(tree, index))
    path = bytearray(path_of(tree, 4))
    path[at] ^= 1

    assert not batch.holds(leaves[4], 4, 13, bytes(path))


def test_another_leaf_does_not_hold() -> None:
    """A leaf that is not in the batch does not hold at any index."""
    leaves = leaves_of(8)
    tree = levels(leaves)
    batch = Batch(tree[-1][0])
    for index in range(8):
        batch.holds(leaves[index], index, 8, path_of(tree, index))

    for index in range(8):
        assert not batch.holds(sha256(b"other").digest(), index, 8, path_of(tree, index))


def test_what_does_not_hold_leaves_nothing_behind() -> None:
    """Nodes are kept only of proofs that hold."""
    leaves = leaves_of(8)
    tree = levels(leaves)
    batch = Batch(tree[-1][0])

    batch.holds(leaves[1], 0, 8, path_of(tree, 0))

    assert {} == batch.nodes


def test_batches_are_found_by_tree_size_and_signatures() -> None:
    """The same signatures with another tree size are another batch."""
    batches = Batches()
    kept = batches.add(5, SIGNATURES, bytes(32))

    assert kept is batches.get(5, SIGNATURES)
    assert None is batches.get(6, SIGNATURES)
    assert None is batches.get(5, (SIGNATURES[0]._replace(signature=b"other"),))


def test_the_oldest_batches_are_forgotten() -> None:
    """At most MAX_BATCHES are kept; the one that came first goes first."""
    batches = Batches()
    for number in range(MAX_BATCHES):
        batches.add(number + 1, SIGNATURES, bytes(32))

    assert None is not batches.get(1, SIGNATURES)

    batches.add(MAX_BATCHES + 1, SIGNATURES, bytes(32))

    assert None is batches.get(1, SIGNATURES)
    assert None is not batches.get(2, SIGNATURES)
    assert None is not batches.get(MAX_BATCHES + 1, SIGNATURES)


def test_a_batch_added_again_is_one_batch() -> None:
    """A second root under the same signatures takes the first one's place and forgets no other batch."""
    batches = Batches()
    for number in range(MAX_BATCHES):
        batches.add(number + 1, SIGNATURES, bytes(32))

    again = batches.add(7, SIGNATURES, bytes(31) + b"\1")

    assert again is batches.get(7, SIGNATURES)
    assert None is not batches.get(1, SIGNATURES)


def test_nodes_over_all_batches_are_bounded() -> None:
    """Many batches together keep at most MAX_NODES nodes."""
    batches = Batches()
    size = 4096
    leaves = leaves_of(size)
    tree = levels(leaves)
    made = []
    for number in range(2 * MAX_NODES // size):
        batch = batches.add(size, (SIGNATURES[0]._replace(profile=number),), tree[-1][0])
        made.append(batch)
        for index in range(0, size, 2):
            batch.holds(leaves[index], index, size, path_of(tree, index))

        assert MAX_NODES >= sum(len(kept.nodes) for kept in made)


def test_nodes_of_one_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch larger than the cache keeps no nodes, and its proofs hold as they would anyway."""
    monkeypatch.setattr("docbus.verification.batches.MAX_NODES", 64)
    size = 128
    leaves = leaves_of(size)
    tree = levels(leaves)
    batch = Batches().add(size, SIGNATURES, tree[-1][0])

    for index in range(size):
        assert batch.holds(leaves[index], index, size, path_of(tree, index))

    assert {} == batch.nodes
    assert not batch.holds(leaves[1], 0, size, path_of(tree, 0))
