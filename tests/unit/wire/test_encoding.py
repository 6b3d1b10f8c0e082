"""The few Avro forms written by hand; the property tests compare them with fastavro at random."""

from __future__ import annotations

import pytest

from docbus.wire.encoding import put_array, put_bytes, put_long, put_optional_fixed, put_optional_text, put_text


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (63, "7e"),
        (-64, "7f"),
        (64, "8001"),
        (8191, "fe7f"),
        (8192, "808001"),
        (2**63 - 1, "feffffffffffffffff01"),
        (-(2**63), "ffffffffffffffffff01"),
    ],
)
def test_numbers_are_zigzag_varints(number: int, encoded: str) -> None:
    """The examples of the Avro specification, and both ends."""
    assert encoded == put_long(number).hex()


def test_forms() -> None:
    """Lengths count bytes, an absent value is branch 0, an empty array is one zero."""
    assert b"\x06abc" == put_bytes(b"abc")
    assert b"\x04\xc4\x91" == put_text("đ")
    assert b"\x00" == put_optional_text(None)
    assert b"\x02\x00" == put_optional_text("")
    assert b"\x00" == put_optional_fixed(None)
    assert b"\x02ab" == put_optional_fixed(b"ab")
    assert b"\x00" == put_array([])
    assert b"\x04ab\x00" == put_array([b"a", b"b"])
