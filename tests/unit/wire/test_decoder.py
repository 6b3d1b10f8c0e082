"""The guarded decoder: bombs, forms it refuses, and schemas it will not compile."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from docbus.errors import MalformedError
from docbus.limits import MAX_ENVELOPE_BYTES, MAX_HINTS, MAX_SIGNATURES
from docbus.wire.avro import Schema, definition_of, load_schema
from docbus.wire.decoder import read_long
from docbus.wire.encoding import put_bytes, put_long

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BOMB_BYTES = 256 * 1024
"""Bytes that refusing a bomb may allocate at most; fastavro allocates 1 GB for the first of them."""
MAX_BOMB_SECONDS = 0.5
"""Far more than any refusal takes; fastavro hangs on the second."""


def schema_of(*kinds: Any) -> Schema:
    """Return the codec of a record with one field of each kind."""
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)]
    return Schema({"type": "record", "name": "Probe", "fields": fields}, {})


def array_of(items: Any) -> dict[str, Any]:
    """Return the type of an array."""
    return {"type": "array", "items": items}


def refused(decode: Callable[[bytes], object], encoded: bytes) -> str:
    """Return the refusal's text, after checking what it took."""
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(MalformedError) as caught:
            decode(encoded)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert MAX_BOMB_SECONDS > time.perf_counter() - started
    assert MAX_BOMB_BYTES > peak
    return caught.value.text


@pytest.mark.parametrize("count", [2**27, 2**40, 2**62, 2**63 - 1])
@pytest.mark.parametrize("items", ["bytes", "long", "string", array_of("int")])
def test_a_count_beyond_the_bytes_is_refused_at_once(count: int, items: Any) -> None:
    """An array that claims more items than there are bytes costs neither time nor memory."""
    encoded = put_long(count) + b"\x00"

    assert "more items than bytes" in refused(schema_of(array_of(items)).decode, encoded)


def test_the_six_byte_bomb_is_refused_at_once() -> None:
    """Six bytes that make fastavro allocate a gigabyte are refused."""
    encoded = put_long(2**27) + b"\x00"

    assert 6 >= len(encoded)
    assert "more items than bytes" in refused(schema_of(array_of("bytes")).decode, encoded)


@pytest.mark.parametrize("count", [2, 3])
def test_a_count_must_fit_the_smallest_items(count: int) -> None:
    """The bound is items times their least size, not one byte each."""
    kind = {"type": "fixed", "name": "F", "size": 32}
    encoded = put_long(count) + bytes(32 * (count - 1) + 31)

    with pytest.raises(MalformedError, match="more items than bytes"):
        schema_of(array_of(kind)).decode(encoded)


@pytest.mark.parametrize("kind", ["bytes", "string"])
@pytest.mark.parametrize("length", [1, 2**31, 2**40, 2**63 - 1, -1, -(2**63)])
def test_a_length_beyond_the_bytes_is_refused_at_once(kind: str, length: int) -> None:
    """A text or bytes with a length that is not there, or negative, costs neither time nor memory."""
    assert "end too soon" in refused(schema_of(kind).decode, put_long(length))


def test_a_large_envelope_of_tiny_items_is_refused_at_once() -> None:
    """A value of 1 MiB that is all hints of four bytes is refused by its count, before a single one is made."""
    schema = load_schema("envelope")
    head = put_bytes(b"") + put_long(1) + put_long(0) + put_bytes(b"") + put_bytes(b"") + b"\x00\x00\x00"
    count = (MAX_ENVELOPE_BYTES - 100) // 4
    encoded = head + put_long(count) + bytes(4 * count) + b"\x00"

    assert "too many items" in refused(schema.decode, encoded)


@pytest.mark.parametrize("count", [3, 4])
def test_an_array_may_have_a_largest_count(count: int) -> None:
    """As many items as the schema's max_items are read, one more is not."""
    schema = schema_of({"type": "array", "max_items": 3, "items": "long"})
    encoded = put_long(count) + bytes(count) + b"\x00"

    if count == 3:
        assert {"f0": (0, 0, 0)} == schema.decode(encoded)
    else:
        with pytest.raises(MalformedError, match="too many items"):
            schema.decode(encoded)


def test_the_envelope_s_counts_are_the_limits() -> None:
    """What the schema says of signatures and hints is what the limits say."""
    fields = {field["name"]: field["type"] for field in definition_of("envelope")["fields"]}

    assert (MAX_SIGNATURES, MAX_HINTS) == (fields["signatures"]["max_items"], fields["hints"]["max_items"])


@pytest.mark.parametrize("number", [-(2**63), -(2**62), -65, -64, -1, 0, 1, 63, 64, 8191, 8192, 2**62, 2**63 - 1])
def test_numbers_of_64_bits_are_read(number: int) -> None:
    """Any long comes back, with the offset behind it."""
    encoded = put_long(number)

    assert (number, len(encoded)) == read_long(encoded, 0)
    assert (number, len(encoded) + 1) == read_long(b"\x55" + encoded + b"\x55", 1)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"\x80\x00", id="zero in two bytes"),
        pytest.param(b"\x82\x00", id="one in two bytes"),
        pytest.param(b"\x80\x80\x00", id="zero in three bytes"),
        pytest.param(b"\xff" * 9 + b"\x03", id="65 bits"),
        pytest.param(b"\xff" * 9 + b"\x7f", id="70 bits"),
        pytest.param(b"\xff" * 10 + b"\x01", id="eleven bytes"),
        pytest.param(b"\x80" * 9 + b"\x00", id="zero in ten bytes"),
    ],
)
@pytest.mark.parametrize("kind", ["long", "int", "bytes", "string", array_of("int")])
def test_a_number_has_one_encoding(encoded: bytes, kind: Any) -> None:
    """Overlong varints and more than 64 bits are refused wherever a number stands."""
    with pytest.raises(MalformedError, match="a number"):
        schema_of(kind).decode(encoded + bytes(40))


def test_a_number_without_an_end_is_refused() -> None:
    """Bytes that end within a number are refused."""
    with pytest.raises(MalformedError, match="end too soon"):
        schema_of("long").decode(b"\x80")


def test_a_million_continuation_bytes_are_refused_at_once() -> None:
    """A varint that never ends is given up after ten bytes."""
    assert "64 bits" in refused(schema_of("long").decode, b"\x80" * 1_000_000)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_an_int_has_32_bits(number: int) -> None:
    """One beyond either end of an int is refused, the ends are not."""
    inside = number - 1 if number > 0 else number + 1

    assert {"f0": inside} == schema_of("int").decode(put_long(inside))
    with pytest.raises(MalformedError, match="out of range"):
        schema_of("int").decode(put_long(number))


@pytest.mark.parametrize("index", [-1, 3, 63, 64, 2**31, -64])
def test_an_enum_has_only_its_symbols(index: int) -> None:
    """A symbol before the first or behind the last is refused."""
    schema = schema_of({"type": "enum", "name": "E", "symbols": ["a", "b", "c"]})

    assert {"f0": "c"} == schema.decode(put_long(2))
    with pytest.raises(MalformedError, match="no such symbol"):
        schema.decode(put_long(index)[:1])


@pytest.mark.parametrize("branch", [-1, 2, 63, -64])
def test_a_union_has_only_its_branches(branch: int) -> None:
    """A branch before the first or behind the last is refused; -1 is the last one to fastavro."""
    with pytest.raises(MalformedError, match="no such branch"):
        schema_of(["null", "long"]).decode(put_long(branch) + b"\x00")


@pytest.mark.parametrize("form", [b"\x80\x00", b"\x82\x00\x02"])
def test_a_branch_takes_one_byte(form: bytes) -> None:
    """An overlong branch is refused like any other overlong number."""
    with pytest.raises(MalformedError, match="no such branch"):
        schema_of(["null", "long"]).decode(form)


def test_bytes_left_over_are_refused() -> None:
    """One byte behind the value is too much."""
    with pytest.raises(MalformedError, match="1 bytes are left over"):
        schema_of("long").decode(b"\x02\x00")


def test_an_array_is_one_block() -> None:
    """Two blocks of one item are refused, one block of two is read."""
    schema = schema_of(array_of("long"))

    assert {"f0": (1, 2)} == schema.decode(b"\x04\x02\x04\x00")
    with pytest.raises(MalformedError, match="more than one block"):
        schema.decode(b"\x02\x02\x02\x04\x00")


def test_a_block_with_its_size_is_refused() -> None:
    """A negative count, which Avro lets stand before a block's size, is refused."""
    with pytest.raises(MalformedError, match="a block with its size"):
        schema_of(array_of("long")).decode(b"\x03\x04\x02\x04\x00")


@pytest.mark.parametrize("text", [b"\xff", b"\xc3\x28", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_a_text_is_utf8(text: bytes) -> None:
    """Stray, overlong, surrogate and too large sequences are refused."""
    with pytest.raises(MalformedError, match="not UTF-8"):
        schema_of("string").decode(put_bytes(text))


@pytest.mark.parametrize("cut", range(1, 40))
def test_bytes_that_end_too_soon_are_refused(cut: int) -> None:
    """A value with its last bytes missing is refused, wherever it is cut."""
    schema = schema_of("long", {"type": "fixed", "name": "F", "size": 16}, ["null", "string"], array_of("bytes"))
    encoded = schema.encode({"f0": 300, "f1": bytes(16), "f2": "text of some length", "f3": [b"", b"x"]})

    with pytest.raises(MalformedError, match="end too soon|more items than bytes"):
        schema.decode(encoded[:-cut])


def test_recursion_is_refused_when_compiled() -> None:
    """No nesting can be deep, because no schema with recursion gets a decoder."""
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    tree = {"type": "record", "name": "Tree", "fields": [{"name": "leaves", "type": array_of("Tree")}]}

    for recursive in (node, tree):
        with pytest.raises(ValueError, match="is recursive"):
            schema_of(recursive)


@pytest.mark.parametrize(
    "items", ["null", {"type": "record", "name": "E", "fields": []}, {"type": "fixed", "name": "Z", "size": 0}]
)
def test_items_without_size_are_refused_when_compiled(items: Any) -> None:
    """An array whose items take no bytes has no bound, and gets no decoder."""
    with pytest.raises(ValueError, match="items without size|is not used"):
        schema_of(array_of(items))


@pytest.mark.parametrize("kind", ["boolean", "float", "double", "null", {"type": "map", "values": "bytes"}])
def test_kinds_with_several_encodings_are_refused_when_compiled(kind: Any) -> None:
    """Booleans, floats and maps have values with more than one encoding; no schema may use them."""
    with pytest.raises(ValueError, match="is not used on the wire"):
        schema_of(kind)


def test_a_name_may_be_used_again() -> None:
    """A record that stands in two fields is no recursion."""
    pair = {"type": "record", "name": "Pair", "fields": [{"name": "a", "type": "long"}]}

    assert {"f0": {"a": 1}, "f1": {"a": 2}} == schema_of(pair, "Pair").decode(b"\x02\x04")


def test_factories_make_records() -> None:
    """A record with a factory becomes what the factory makes of its fields, in order."""
    schema = Schema(definition_of("directory-record"), {"RegistrarSignature": lambda *fields: fields})
    encoded = schema.encode(
        {"entry": b"e", "payload_type": "t", "signatures": [{"key": bytes(32), "profile": 1, "signature": b"s"}]}
    )

    assert ((bytes(32), 1, b"s"),) == schema.decode(encoded)["signatures"]
