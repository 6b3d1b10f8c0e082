"""Sizes of large content against real Cobblestone, and records of parts against fastavro."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from docbus.envelope.parts import Part, belongs, decode_part, encode_part, open_part, part_leaf, seal_part
from docbus.errors import MalformedError
from docbus.limits import MAX_PARTS, PART_BYTES
from docbus.wire.avro import definition_of, load_schema
from docbus.wire.parts import (
    CHUNK_BYTES,
    SEALED_PART_BYTES,
    content_size,
    count_parts,
    part_size,
    plain_size,
    sealed_size,
)
from docbus.wire.tree import levels, path_of
from tests.support.avro import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, CONTEXT = b"k" * 32, b"context"
ZEROS = bytes(PART_BYTES)
REFERENCE = Reference(definition_of("part"))
NASTY = [b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\x80\x00", b"\xff", b"\xff" * 9 + b"\x01"]

plain_sizes = st.one_of(
    st.integers(1, PART_BYTES),
    st.builds(lambda chunks, more: min(PART_BYTES, chunks * CHUNK_BYTES + more), st.integers(0, 32), st.integers(1, 3)),
    st.builds(lambda chunks, less: chunks * CHUNK_BYTES - less, st.integers(1, 32), st.integers(0, 2)),
)
contents = st.builds(
    lambda whole, rest: whole * PART_BYTES + rest, st.integers(0, MAX_PARTS), st.one_of(st.just(0), plain_sizes)
).filter(lambda plain: plain > 0)


def _part(plaintexts: list[bytes], index: int) -> Part:
    """Return a part of content in as many parts; their sizes need not fit each other."""
    leaves = [part_leaf(plaintext) for plaintext in plaintexts]
    tree = levels(leaves)
    size = SEALED_PART_BYTES * (len(leaves) - 1) + sealed_size(1 + len(plaintexts[-1]))
    return Part(tree[-1][0], size, index, path_of(tree, index), plaintexts[index])


parts = st.lists(st.binary(max_size=70), min_size=1, max_size=9).flatmap(
    lambda plaintexts: st.builds(_part, st.just(plaintexts), st.integers(0, len(plaintexts) - 1))
)


def _unless_malformed(function: Callable[[int], int], size: int) -> int | None:
    try:
        return function(size)
    except MalformedError:
        return None


@given(plain=plain_sizes)
@example(plain=1)
@example(plain=CHUNK_BYTES)
@example(plain=PART_BYTES)
def test_a_part_is_as_long_as_cobblestone_makes_it(plain: int) -> None:
    """The size that is computed is the size of the ciphertext, and from it follows that of the plaintext."""
    sealed = seal_part(memoryview(ZEROS)[:plain], KEY, CONTEXT)

    assert len(sealed) == sealed_size(plain) == content_size(plain)
    assert plain == plain_size(len(sealed)) == len(open_part(sealed, KEY, CONTEXT))
    assert 1 == count_parts(len(sealed))


@given(plain=contents)
def test_plain_size_is_the_inverse_of_content_size(plain: int) -> None:
    """Content of any size has one size of ciphertext, which no other content has, and as many parts as it needs."""
    size = content_size(plain)
    number = count_parts(size)

    assert plain == plain_size(size)
    assert -(-plain // PART_BYTES) == number
    assert size == part_size(size, number - 1) + (number - 1) * SEALED_PART_BYTES
    assert 0 < part_size(size, number - 1) <= SEALED_PART_BYTES


@given(size=st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-100, 4 * SEALED_PART_BYTES)))
def test_a_size_is_refused_or_some_content_has_it(size: int) -> None:
    """Whatever number a statement names, it is the size of exactly one content, or of none and refused."""
    plain, number = _unless_malformed(plain_size, size), _unless_malformed(count_parts, size)

    assert (plain is None) == (number is None)
    assert plain is None or (plain >= 1 and size == content_size(plain))


@given(first=contents, second=contents)
def test_more_content_is_longer(first: int, second: int) -> None:
    """Sizes grow with their content, so none stands for two."""
    assert (first < second) == (content_size(first) < content_size(second))


@given(part=parts)
def test_parts_are_written_as_fastavro_would(part: Part) -> None:
    """The encoder written by hand gives fastavro's bytes behind the header, and they come back."""
    value = encode_part(part)

    assert load_schema("part").header + REFERENCE.encode(part._asdict()) == value
    assert part == decode_part(value)


@given(part=parts, data=st.data())
def test_there_is_one_encoding_of_each_part(part: Part, data: st.DataObject) -> None:
    """Changed bytes are refused, or they are exactly what is written for the part they hold."""
    changed = bytearray(encode_part(part))
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        at = data.draw(st.integers(0, len(changed) - 1), label="at")
        kind = data.draw(st.sampled_from(["flip", "insert", "delete", "cut"]), label="kind")
        if kind == "flip":
            changed[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        elif kind == "insert":
            changed[at:at] = data.draw(st.sampled_from(NASTY), label="bytes")
        elif kind == "delete" and len(changed) > 1:
            del changed[at]
        elif kind == "cut" and at:
            del changed[at:]

    try:
        found = decode_part(bytes(changed))
    except MalformedError:
        return

    assert bytes(changed) == encode_part(found)
    assert found == part or not (found[:3] == part[:3] and belongs(found))


@given(value=st.binary(max_size=200), behind=st.booleans())
def test_any_bytes_are_a_part_or_malformed(value: bytes, behind: bool) -> None:
    """Bytes from anywhere raise MalformedError and nothing else, or are the one encoding of a part."""
    value = load_schema("part").header + value if behind else value

    with contextlib.suppress(MalformedError):
        assert value == encode_part(decode_part(value))


@given(size=st.integers(1, (1 << 63) - 1), index=st.integers(-(1 << 31), (1 << 31) - 1), path=st.binary(max_size=99))
def test_no_declared_size_makes_work(size: int, index: int, path: bytes) -> None:
    """A record with any size, index and path is malformed or belongs nowhere, without any loop over its parts."""
    with contextlib.suppress(MalformedError):
        assert not belongs(decode_part(encode_part(Part(bytes(32), size, index, path, b"content"))))
