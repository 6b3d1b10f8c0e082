"""Partitions and sizes, against the library that talks to Kafka."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from docbus.transport.partitioner import batch_size, murmur2, partition_of
from docbus.transport.port import NewRecord


@given(key=st.binary(max_size=40), partitions=st.integers(1, 64))
def test_same_partition_as_kafka(key: bytes, partitions: int) -> None:
    """A key goes to the partition that Kafka's default partitioner takes."""
    every = list(range(partitions))
    assert DefaultPartitioner()(key, every, every) == partition_of(key, partitions)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_published_hashes(key: bytes, hashed: int) -> None:
    """The hash is the one in the tests of Kafka's own client (UtilsTest.testMurmur2), there with a sign."""
    assert hashed % 2**32 == murmur2(key)


def test_no_key_has_one_partition() -> None:
    """Without a key the partition is 0, not a random one."""
    assert 0 == partition_of(None, 8)


@given(
    key=st.none() | st.binary(max_size=200),
    value=st.binary(max_size=300),
    headers=st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=150)), max_size=4),
)
def test_same_size_as_kafka(key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """A record weighs what a batch with it alone weighs on the wire."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=1,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 20,
    )
    builder.append(0, timestamp=1, key=key, value=value, headers=headers)
    record = NewRecord(topic="t", key=key, value=value, headers=tuple(headers))
    assert len(builder.build()) == batch_size(record)
