"""Raw aiokafka, the measure of all ratios: the fastest ordinary use of the same client on the same broker.

One topic of one partition like an inbox, acks from all replicas, idempotent, batches of 256 KiB, three headers, one
future per record, all awaited: what a careful user of aiokafka writes.
"""

from __future__ import annotations

import asyncio
import os
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

BATCH_BYTES = 256 * 1024
FETCH_BYTES = 4 * 1024 * 1024
"""Bytes of one fetch, as docbus has it."""
IN_FLIGHT = 4096
"""Records between two waits; bounds memory and keeps batches full."""
HEADERS = [("ce_id", b"0" * 36), ("ce_source", b"vn:H26"), ("ce_type", b"vn.docbus.document.v1")]


async def make_topic(bootstrap: str, topic: str) -> None:
    """Create a topic like an inbox."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, 1, 1, topic_configs={"compression.type": "uncompressed", "max.message.bytes": "1310720"})]
        )
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
