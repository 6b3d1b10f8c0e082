"""Parts of large content: their contexts, their encryption, their one encoding, and where they belong."""

from __future__ import annotations

from hashlib import sha256

import pytest

from docbus.envelope.package import content_context
from docbus.envelope.parts import (
    AttachmentContext,
    Part,
    belongs,
    decode_part,
    encode_part,
    open_part,
    part_leaf,
    seal_part,
)
from docbus.errors import MalformedError
from docbus.limits import MAX_PART_RECORD_BYTES, PART_BYTES
from docbus.wire.encoding import put_long
from docbus.wire.pae import length_prefixed
from docbus.wire.parts import SEALED_PART_BYTES, content_size, sealed_size
from docbus.wire.tree import levels, path_of

CONTEXT = AttachmentContext("e", "vn:H26", "d-1", 1, 0)
KEY = b"k" * 32
HEADER_BYTES = 10


def parts_of(sizes: list[int]) -> list[Part]:
    """Return the parts of content whose ciphertext nobody looks into: each part is filled with its number."""
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    tree = levels([part_leaf(content) for content in contents])
    return [
        Part(tree[-1][0], sum(sizes), index, path_of(tree, index), content) for index, content in enumerate(contents)
    ]


SMALL = parts_of([sealed_size(300)])[0]
THREE = parts_of([SEALED_PART_BYTES, SEALED_PART_BYTES, sealed_size(300)])


def test_a_part_is_bound_to_everything_around_it() -> None:
    """The context is the length-prefixed list of the specification, numbers with four bytes."""
    context = AttachmentContext("sản xuất", "vn:H26", "Số 12", 3, 1)

    assert length_prefixed(
        b"docbus/v1/part",
        "sản xuất".encode(),
        b"vn:H26",
        "Số 12".encode(),
        b"\0\0\0\3",
        b"\0\0\0\1",
        b"\0\1\0\2",
    ) == context.of_part(0x10002)


def test_no_two_parts_share_a_context() -> None:
    """Anything else about exchange, sender, document, revision, attachment or part is another context."""
    contexts = {
        CONTEXT.of_part(0),
        CONTEXT.of_part(1),
        CONTEXT._replace(environment="f").of_part(0),
        CONTEXT._replace(sender="vn:H53").of_part(0),
        CONTEXT._replace(document_id="d-2").of_part(0),
        CONTEXT._replace(revision=2).of_part(0),
        CONTEXT._replace(attachment=1).of_part(0),
        CONTEXT._replace(sender="vn:H26d", document_id="-1").of_part(0),
        content_context("e", "vn:H26", "d-1", 1),
    }

    assert 9 == len(contexts)


@pytest.mark.parametrize("plaintext", [b"x", b"content" * 100, bytes(PART_BYTES)])
def test_a_part_opens_to_what_it_was(plaintext: bytes) -> None:
    """A part is as long as its plaintext demands, and opens; a view of a larger buffer is as good as bytes."""
    sealed = seal_part(memoryview(plaintext + b"rest")[: len(plaintext)], KEY, CONTEXT.of_part(0))

    assert sealed_size(len(plaintext)) == len(sealed)
    assert plaintext == open_part(sealed, KEY, CONTEXT.of_part(0))


def test_no_two_encryptions_are_alike() -> None:
    """The same part again has other bytes, so nobody sees that the same file was sent twice."""
    first, second = (seal_part(b"content", KEY, CONTEXT.of_part(0)) for _ in range(2))

    assert first != second


def test_a_part_opens_only_with_key_and_context() -> None:
    """Another key, another part's context, changed, shorter, longer or no ciphertext: all are refused alike."""
    context = CONTEXT.of_part(0)
    sealed = seal_part(b"content" * 5000, KEY, context)

    for ciphertext, key, bound in (
        (sealed, bytes(32), context),
        (sealed, KEY, CONTEXT.of_part(1)),
        (sealed[:-1], KEY, context),
        (sealed + b"\0", KEY, context),
        (sealed[:-1] + bytes((sealed[-1] ^ 1,)), KEY, context),
        (bytes((sealed[0] ^ 1,)) + sealed[1:], KEY, context),
        (sealed[: 56 + 16_400], KEY, context),
        (sealed[:56], KEY, context),
        (b"", KEY, context),
    ):
        with pytest.raises(MalformedError, match="does not open the part"):
            open_part(ciphertext, key, bound)


def test_a_leaf_is_that_of_the_rfc() -> None:
    """A leaf is SHA-256 of a zero byte and the ciphertext, without pre-authentication encoding."""
    assert sha256(b"\0ciphertext").digest() == part_leaf(b"ciphertext")


@pytest.mark.parametrize("part", [SMALL, *THREE])
def test_a_part_comes_back(part: Part) -> None:
    """A part is decoded as it was encoded, and belongs where it says."""
    value = encode_part(part)

    assert part == decode_part(value)
    assert value.startswith(bytes.fromhex("c30104e7658e42ea56b8"))
    assert len(value) <= MAX_PART_RECORD_BYTES
    assert belongs(part)


@pytest.mark.parametrize(
    "part",
    [
        SMALL._replace(index=-1),
        SMALL._replace(index=1),
        THREE[2]._replace(index=3),
        SMALL._replace(size=0),
        SMALL._replace(size=-SMALL.size),
        SMALL._replace(size=72),
        SMALL._replace(size=SEALED_PART_BYTES + 1),
    ],
)
def test_a_part_that_there_cannot_be_is_malformed(part: Part) -> None:
    """A size that no content has, and an index outside the parts that follow from it, are refused by the decoder."""
    with pytest.raises(MalformedError):
        decode_part(encode_part(part))


def test_all_bytes_are_consumed() -> None:
    """One byte more or less, another schema, and a header alone are no part."""
    value = encode_part(SMALL)

    for changed in (
        value + b"\0",
        value[:-1],
        b"\xc3\x02" + value[2:],
        value[:HEADER_BYTES],
        value[HEADER_BYTES:],
        b"",
    ):
        with pytest.raises(MalformedError):
            decode_part(changed)


def test_a_record_of_more_than_640_kib_is_not_looked_into() -> None:
    """A value of the limit is decoded, whatever its content; one byte more is refused by its length."""
    room = MAX_PART_RECORD_BYTES - len(encode_part(SMALL._replace(content=bytes(1 << 19))))
    largest = SMALL._replace(content=bytes((1 << 19) + room))

    assert MAX_PART_RECORD_BYTES == len(encode_part(largest))
    assert largest == decode_part(encode_part(largest))
    assert not belongs(largest)
    with pytest.raises(MalformedError, match="655,360 bytes"):
        decode_part(encode_part(largest._replace(content=largest.content + b"\0")))


def test_a_count_beyond_the_bytes_allocates_nothing() -> None:
    """A record that promises a terabyte is refused by the bytes that are there."""
    value = encode_part(SMALL._replace(content=b""))

    with pytest.raises(MalformedError, match="too soon"):
        decode_part(value[:-1] + put_long(1 << 40))


@pytest.mark.parametrize(
    "part",
    [
        THREE[0]._replace(index=1),
        THREE[0]._replace(index=1, path=THREE[1].path),
        THREE[1]._replace(content=THREE[0].content),
        THREE[1]._replace(content=THREE[1].content[:-1]),
        THREE[1]._replace(content=THREE[1].content + b"\0"),
        THREE[1]._replace(content=THREE[2].content),
        THREE[2]._replace(content=b""),
        THREE[2]._replace(index=0, path=THREE[0].path),
        THREE[0]._replace(path=THREE[0].path[:32]),
        THREE[0]._replace(path=THREE[0].path + bytes(32)),
        THREE[0]._replace(path=THREE[0].path[32:] + THREE[0].path[:32]),
        THREE[0]._replace(path=b""),
        THREE[0]._replace(digest=bytes(32)),
        THREE[0]._replace(size=SEALED_PART_BYTES, path=b""),
        SMALL._replace(size=content_size(301)),
        SMALL._replace(path=bytes(32)),
    ],
)
def test_a_part_belongs_nowhere_else(part: Part) -> None:
    """Another place, other bytes, another length, another path or another digest: none belongs."""
    assert part == decode_part(encode_part(part))
    assert not belongs(part)


def test_an_inner_node_is_no_part() -> None:
    """The hashes of two parts, hashed as a node of the tree, do not pass for content (RFC 9162 section 2.1.5)."""
    node = b"\1" + part_leaf(THREE[0].content) + part_leaf(THREE[1].content)
    size = SEALED_PART_BYTES + THREE[2].size % SEALED_PART_BYTES
    forged = Part(THREE[0].digest, size, 0, part_leaf(THREE[2].content), node)

    assert not belongs(forged)
    assert sha256(node).digest() != part_leaf(node)
