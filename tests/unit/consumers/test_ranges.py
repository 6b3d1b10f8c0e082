from __future__ import annotations

from docbus.consumers.ranges import MAX_REFUSED_BYTES, Range, encode_range, ranges_of
from docbus.envelope.statement import RECEIPT_TYPE, SCHEMAS, Refusal
from docbus.limits import MAX_REASON_BYTES, MAX_RECEIPT_RANGE, MAX_REFUSALS, MAX_STATEMENT_BYTES
from docbus.wire.tree import root_of


def digest(sequence: int) -> bytes:
    return sequence.to_bytes(32, "big")


def filed(*sequences: int) -> dict[int, tuple[bytes, str | None]]:
    return {sequence: (digest(sequence), None) for sequence in sequences}


def spans(ranges: list[Range]) -> list[tuple[int, int]]:
    return [(covered.first, covered.last) for covered in ranges]


def test_consecutive_positions_are_one_range() -> None:
    """The order in which positions were decided does not matter."""
    (covered,) = ranges_of(filed(3, 1, 2))

    assert (1, 3, (digest(1), digest(2), digest(3)), ()) == (
        covered.first,
        covered.last,
        covered.digests,
        covered.refused,
    )


def test_range_splits_at_holes() -> None:
    """A position that is not decided is covered by no receipt."""
    assert [(1, 2), (4, 4), (6, 7)] == spans(ranges_of(filed(1, 2, 4, 6, 7)))


def test_refused_statements_are_named() -> None:
    """A refused statement lies within its range, with its reason."""
    (covered,) = ranges_of(filed(1, 3) | {2: (digest(2), "conflict")})

    assert ((Refusal(2, "conflict"),), 3) == (covered.refused, covered.last)


def test_range_is_no_longer_than_its_reader_accepts() -> None:
    """A longer run becomes several ranges without a gap."""
    count = 2 * MAX_RECEIPT_RANGE + 1

    ranges = ranges_of(filed(*range(1, count + 1)))

    assert [(1, 4096), (4097, 8192), (8193, 8193)] == spans(ranges)


def test_refusals_are_no_more_than_a_reader_accepts() -> None:
    """One refusal too many begins the next range."""
    ranges = ranges_of({n: (digest(n), "no") for n in range(1, MAX_REFUSALS + 3)})

    assert [(1, MAX_REFUSALS), (MAX_REFUSALS + 1, MAX_REFUSALS + 2)] == spans(ranges)


def test_longest_refusals_fit_a_statement() -> None:
    """With the longest codes the range ends before its receipt outgrows a statement."""
    first, *others = ranges_of({n: (digest(n), "x" * MAX_REASON_BYTES) for n in range(1, MAX_REFUSALS + 1)})

    assert others
    assert len(encode_range(bytes(16), first)) < MAX_REFUSED_BYTES + 256 < MAX_STATEMENT_BYTES


def test_receipt_says_what_the_range_covers() -> None:
    """Epoch, bounds, root and refusals are in the body; two receipts for one range are still two."""
    (covered,) = ranges_of(filed(5, 6) | {7: (digest(7), "conflict")})
    encoded = encode_range(b"e" * 16, covered)
    codec, name = SCHEMAS[RECEIPT_TYPE]

    body, _ = codec.decode_part(codec.readers[name], encoded, 0)

    assert (b"e" * 16, 5, 7, root_of([digest(5), digest(6), digest(7)]), (Refusal(7, "conflict"),)) == tuple(body)[:5]
    assert encoded != encode_range(b"e" * 16, covered)


def test_nothing_decided_is_no_range() -> None:
    """Without a decision there is nothing to say."""
    assert [] == ranges_of({})
