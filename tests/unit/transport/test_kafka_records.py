"""Batches that aiokafka cannot decode do not stop a reader."""

from __future__ import annotations

import gc
import gzip
import weakref
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from docbus.limits import MIB
from docbus.transport.kafka_consumer import group_less
from docbus.transport.kafka_records import (
    MAX_PLACES,
    MAX_UNPACKED_BYTES,
    MAX_UNPACKED_TOTAL_BYTES,
    UNREADABLE,
    TolerantRecords,
)
from tests.support.batches import RECORDS_AT, compressed, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let nothing be freed but what nobody refers to any more."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def batch(*names: str) -> bytes:
    """Return an encoded batch with a record for each header name."""
    return encoded(
        [(b"key", b"value %d" % number, [(name, b"content"), ("none", None)]) for number, name in enumerate(names)]
    )


def sized(value_bytes: int) -> bytes:
    """Return an encoded batch with one record whose value has so many bytes."""
    return encoded([(None, bytes(value_bytes), [])])


def read(raw: bytes) -> list[tuple[int, bytes | None, list[tuple[str, bytes | None]]]]:
    """Return offset, value and headers of every record."""
    records = TolerantRecords(raw)
    found = []
    while records.has_next():
        found += [(record.offset, record.value, list(record.headers)) for record in records.next_batch()]
    return found


def test_good_batches_are_as_aiokafka_reads_them() -> None:
    """Nothing changes for what can be decoded."""
    raw = batch("a", "b") + batch("c")

    found = read(raw)

    assert [(0, b"value 0"), (1, b"value 1"), (0, b"value 0")] == [entry[:2] for entry in found]
    assert [("a", b"content"), ("none", None)] == found[0][2]


def test_consumers_read_with_it() -> None:
    """Aiokafka's fetcher makes its records with ours, wherever a consumer of docbus is made."""
    assert callable(group_less)
    assert TolerantRecords is fetcher.MemoryRecords


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_answer_that_is_dropped_is_freed_at_once(taken: int) -> None:
    """A fetched answer whose rest nobody reads is gone with the last reference to it, without a garbage collection."""
    answer = fetcher.MemoryRecords(batch("a", "b", "c"))
    alive = weakref.ref(answer)
    records = fetcher.PartitionRecords(TopicPartition("t", 0), answer, [], 0, None, None, True, fetcher.READ_COMMITTED)
    del answer

    assert taken == len([next(records) for _ in range(taken)])
    assert alive() is not None
    del records

    assert alive() is None


def test_header_name_that_is_not_utf8_is_escaped() -> None:
    """The record comes with its value and the name escaped; its neighbours and later batches come as ever."""
    raw = batch("a", "HH", "b").replace(b"HH", b"\xff\xfe") + batch("c")

    found = read(raw)

    assert [0, 1, 2, 0] == [entry[0] for entry in found]
    assert (1, b"value 1", [("\\xff\\xfe", b"content"), ("none", None)]) == found[1]
    assert [("b", b"content"), ("none", None)] == found[2][2]


def test_what_cannot_be_parsed_keeps_its_place() -> None:
    """A record whose lengths are nonsense is handed on empty, with the reason, and so is what follows in its batch."""
    good = batch("a", "HH", "b")
    at = good.index(b"HH") - 1

    found = read(good[:at] + b"\x7f" + good[at + 1 :])

    assert [0, 1, 2] == [entry[0] for entry in found]
    assert b"value 0" == found[0][1]
    assert [None, None] == [entry[1] for entry in found[1:]]
    assert UNREADABLE == found[1][2][0][0]


def test_a_batch_cannot_ask_for_places_without_end() -> None:
    """A batch that says that it has two thousand million records takes a bounded number of places, if it is broken."""
    broken = bytearray(batch("HH").replace(b"HH", b"\xff\xfe")[:-4])
    broken[8:12] = (len(broken) - 12).to_bytes(4, "big")
    broken[23:27] = (2**31 - 1).to_bytes(4, "big")

    assert MAX_PLACES == len(read(bytes(broken)))


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("compression", [0, 1])
def test_old_formats_keep_a_place(magic: int, compression: int) -> None:
    """A batch of a format that Kafka 4 has given up is an empty record with the reason, compressed or not."""
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=compression, batch_size=1 << 20)
    builder.append(0, 1000, b"key", bytes(1000))

    found = read(bytes(builder.build()))

    assert [(0, None)] == [entry[:2] for entry in found]
    assert UNREADABLE == found[0][2][0][0]


def test_gzip_within_bounds_is_unpacked() -> None:
    """A topic that its broker compresses although it should not is read as it was written, names escaped as ever."""
    raw = compressed(batch("a", "HH", "b").replace(b"HH", b"\xff\xfe"), gzip.compress)

    assert read(batch("a", "HH", "b").replace(b"HH", b"\xff\xfe")) == read(raw)


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: packed + b"more", lambda _: b"no gzip"])
def test_gzip_that_is_damaged_keeps_its_places(damage: Callable[[bytes], bytes]) -> None:
    """What does not unpack to its end is handed on empty, and what follows is read."""
    raw = compressed(batch("a", "b"), lambda content: damage(gzip.compress(content)))

    found = read(raw + batch("c"))

    assert [(0, None), (1, None), (0, b"value 0")] == [entry[:2] for entry in found]


def test_a_batch_unpacks_to_so_much_at_most() -> None:
    """The largest batch that docbus itself could have written comes through, and one byte more is a bomb."""
    frame = len(sized(0)) - RECORDS_AT
    largest = sized(MAX_UNPACKED_BYTES - frame - 6)
    assert MAX_UNPACKED_BYTES - 3 <= len(largest) - RECORDS_AT <= MAX_UNPACKED_BYTES
    beyond = sized(MAX_UNPACKED_BYTES)

    (taken,), (refused,) = read(compressed(largest, gzip.compress)), read(compressed(beyond, gzip.compress))

    assert MAX_UNPACKED_BYTES - frame - 6 == len(taken[1] or b"")
    assert refused[1] is None
    assert b"unpacks to more than" in (refused[2][0][1] or b"")


def test_an_answer_unpacks_to_so_much_at_a_time() -> None:
    """Batches that unpack within bounds come some at a time; the fetcher asks again for what is left of the answer."""
    one = compressed(sized(MIB), gzip.compress)
    records = TolerantRecords(one * 20)

    taken = 0
    while records.has_next():
        taken += len(list(records.next_batch()))

    assert MAX_UNPACKED_TOTAL_BYTES // MIB == taken


@pytest.mark.parametrize("codec", [2, 3, 4, 7])
def test_other_codecs_are_not_unpacked(codec: int) -> None:
    """Snappy, lz4, zstd and what is none of them keep their places, whatever aiokafka could do with them."""
    raw = compressed(batch("a", "b"), gzip.compress, codec=codec)

    found = read(raw + batch("c"))

    assert [(0, None), (1, None), (0, b"value 0")] == [entry[:2] for entry in found]
    assert b"not unpacked" in (found[0][2][0][1] or b"")


def test_compressed_marks_are_not_looked_into() -> None:
    """A mark of a transaction is never compressed; one that is keeps a place, and the fetcher does not open it."""
    raw = compressed(batch("a"), gzip.compress, attributes=0x20)
    records = TolerantRecords(raw)
    found = records.next_batch()

    assert not found.is_control_batch
    assert [None] == [record.value for record in found]
