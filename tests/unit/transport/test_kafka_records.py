"""Batches that aiokafka cannot decode do not stop a reader."""

from __future__ import annotations

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from docbus.transport.kafka_consumer import group_less
from docbus.transport.kafka_records import UNREADABLE, TolerantRecords


def batch(*names: str) -> bytes:
    """Return an encoded batch with a record for each header name."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for number, name in enumerate(names):
        builder.append(number, 1000 + number, b"key", b"value %d" % number, [(name, b"content"), ("none", None)])
    return bytes(builder.build())


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
