"""Raw aiokafka, the measure of all ratios: the fastest ordinary use of the same client on the same broker.

One topic of one partition like an inbox, acks from all replicas, idempotent, batches of 256 KiB, three headers, one
future per record, all awaited: what a careful user of aiokafka writes. Large records go out in batches of their own
size or twice that, whichever is faster.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_BYTES = 256 * 1024
FETCH_BYTES = 4 * 1024 * 1024
"""Bytes of one fetch, as docbus has it."""
IN_FLIGHT = 4096
"""Records between two waits; bounds memory and keeps batches full."""
LARGE_IN_FLIGHT = 64
"""Large records between two waits, 32 MiB."""
HEADERS = [("ce_id", b"0" * 36), ("ce_source", b"vn:H26"), ("ce_type", b"vn.docbus.document.v1")]
LARGE_HEADERS = [("ce_type", b"docbus.part.v1"), ("content-type", b"application/vnd.docbus.part.v1")]
INBOX = {"compression.type": "uncompressed", "max.message.bytes": "1310720"}


async def make_topic(bootstrap: str, topic: str, configuration: Mapping[str, str] = INBOX) -> None:
    """Create a topic, like an inbox unless it is told otherwise."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=dict(configuration))])
    finally:
        await admin.close()


async def drop_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic; the broker removes its files a minute later."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, count: int, size: int) -> float:
    """Send ``count`` records of ``size`` bytes and return the seconds until all are acknowledged."""
    payload = os.urandom(size)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=5
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, payload, key=b"vn:H26")
        begun = time.perf_counter()
        for start in range(0, count, IN_FLIGHT):
            futures = [
                await producer.send(topic, payload, key=b"vn:H26", headers=HEADERS)
                for _ in range(min(IN_FLIGHT, count - start))
            ]
            await asyncio.gather(*futures)
        return time.perf_counter() - begun
    finally:
        await producer.stop()


async def produce_large(bootstrap: str, topic: str, count: int, size: int, batch_bytes: int) -> float:
    """Send ``count`` records of ``size`` bytes, half a megabyte or more, and return the seconds until acknowledged."""
    payload = os.urandom(size)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=batch_bytes,
        max_request_size=2 * size,
    )
    await producer.start()
    try:
        await producer.partitions_for(topic)
        begun = time.perf_counter()
        for start in range(0, count, LARGE_IN_FLIGHT):
            futures = [
                await producer.send(topic, payload, key=b"vn:H26", headers=LARGE_HEADERS)
                for _ in range(min(LARGE_IN_FLIGHT, count - start))
            ]
            await asyncio.gather(*futures)
        return time.perf_counter() - begun
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> float:
    """Read ``count`` records from the beginning and return the seconds it took."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        begun = time.perf_counter()
        read = 0
        while read < count:
            for records in (await consumer.getmany(timeout_ms=10_000)).values():
                read += len(records)
        return time.perf_counter() - begun
    finally:
        await consumer.stop()


async def values_from(bootstrap: str, topic: str, offset: int) -> list[bytes]:
    """Return the values of all records of a partition from an offset on."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, offset)
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=10_000)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


async def end_of(bootstrap: str, topic: str) -> int:
    """Return the offset that comes next."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await consumer.stop()
