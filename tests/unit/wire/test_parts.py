"""Sizes of large content; the property tests compare them with what Cobblestone makes."""

from __future__ import annotations

import pytest

from docbus.errors import MalformedError
from docbus.limits import KIB, MAX_PART_RECORD_BYTES, MAX_PARTS, PART_BYTES
from docbus.transport.topics import MAX_RECORD_BYTES
from docbus.wire.parts import (
    CHUNK_BYTES,
    SEALED_PART_BYTES,
    content_size,
    count_parts,
    part_size,
    plain_size,
    sealed_size,
)

WHOLE = SEALED_PART_BYTES
SIZES = [
    (1, 73, 1),
    (2, 74, 1),
    (CHUNK_BYTES - 1, 16_455, 1),
    (CHUNK_BYTES, 16_472, 1),
    (CHUNK_BYTES + 1, 16_473, 1),
    (PART_BYTES - 1, WHOLE - 17, 1),
    (PART_BYTES, WHOLE, 1),
    (PART_BYTES + 1, WHOLE + 73, 2),
    (2 * PART_BYTES, 2 * WHOLE, 2),
    (2 * PART_BYTES + CHUNK_BYTES, 2 * WHOLE + 16_472, 3),
    (MAX_PARTS * PART_BYTES, MAX_PARTS * WHOLE, MAX_PARTS),
]
"""Bytes of plaintext, bytes of ciphertext, parts."""


def test_a_whole_part_has_584_bytes_more_than_its_plaintext() -> None:
    """A header of 56 bytes and 33 tags of 16: the last chunk of a whole part is empty."""
    assert 524_872 == SEALED_PART_BYTES == PART_BYTES + 56 + 33 * 16 == sealed_size(PART_BYTES)


@pytest.mark.parametrize(("plain", "size", "parts"), SIZES)
def test_sizes_say_all_there_is_to_know(plain: int, size: int, parts: int) -> None:
    """From the bytes of plaintext follow those of ciphertext and the parts, and from the ciphertext both."""
    assert size == content_size(plain)
    assert parts == count_parts(size)
    assert plain == plain_size(size)


@pytest.mark.parametrize(("plain", "size", "parts"), [row for row in SIZES if row[2] < MAX_PARTS])
def test_parts_make_up_the_content(plain: int, size: int, parts: int) -> None:
    """Every part but the last is whole, the last is what is left, and together they are all."""
    sizes = [part_size(size, index) for index in range(parts)]

    assert [WHOLE] * (parts - 1) == sizes[:-1]
    assert size == sum(sizes)
    assert sealed_size(plain - (parts - 1) * PART_BYTES) == sizes[-1]


@pytest.mark.parametrize(
    "size",
    [
        -(1 << 63),
        -73,
        -1,
        0,
        1,
        55,
        56,
        57,
        71,
        72,
        *range(16_456, 16_472),
        *range(WHOLE - 16, WHOLE),
        *range(WHOLE + 1, WHOLE + 73),
        WHOLE + 16_456,
        MAX_PARTS * WHOLE + 72,
    ],
)
def test_a_size_that_no_content_has_is_refused(size: int) -> None:
    """Header and tags leave gaps, and a number in one of them is refused before anything is fetched."""
    with pytest.raises(MalformedError, match="no content has"):
        count_parts(size)
    with pytest.raises(MalformedError, match="no content has"):
        plain_size(size)


def test_the_numbers_of_an_attachment_stay_small_to_count() -> None:
    """The largest size that a statement could name is counted without walking through its parts."""
    assert 2_196_576_507_429 == count_parts(1 << 60)


def test_two_whole_parts_fit_a_batch_of_a_topic() -> None:
    """The limit on a record leaves room for the longest path, and two records with headers make one batch."""
    longest = (MAX_PARTS - 1).bit_length() * 32

    assert MAX_PART_RECORD_BYTES >= WHOLE + longest + KIB
    assert MAX_RECORD_BYTES >= 2 * (WHOLE + longest + KIB)
