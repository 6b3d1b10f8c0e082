"""Large documents between agencies, and brokers whose retention has come."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import DocumentBody, decode_statement, encode_document_body
from docbus.limits import PART_BYTES
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.wire.avro import MARKER
from tests.support.trial import id_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange

PARTS = 5


def large_file(folder: Path, name: str = "bản đồ.tif", *, parts: int = PARTS) -> Path:
    """Make a file of so many parts, the last of them short."""
    path = folder / name
    path.write_bytes(os.urandom((parts - 1) * PART_BYTES + 1000))
    return path


async def bodies_of(exchange: Exchange, recipient: str, document_id: str) -> list[bytes]:
    """Return the encoded bodies of all copies of a document in a recipient's inbox, in their order."""
    found = []
    for record in await exchange.records(topics.inbox(id_of(recipient))):
        if not (record.value or b"").startswith(MARKER):
            # Another test has put a forgery there.
            continue
        envelope = decode_envelope(record.value or b"")
        body = decode_statement(envelope.payload_type, envelope.statement).body
        if isinstance(body, DocumentBody) and body.document_id == document_id:
            found.append(encode_document_body(body))
    return found


async def expire_content(exchange: Exchange, sender: str) -> None:
    """Let all that lies in a sender's content topic expire, as a broker does when its retention has come."""
    topic = topics.content(id_of(sender))
    settings = load_settings(exchange.folder / "auditor")
    if settings.kafka is None:
        bus = sqlite3.connect(exchange.folder / "bus.db")
        bus.execute(
            "DELETE FROM records WHERE partition_id IN (SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic"
            " WHERE t.name = ?)",
            (topic,),
        )
        bus.commit()
        bus.close()
        return
    async with exchange.bus() as transport:
        end = (await transport.bounds(topic))[0][1]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=end)})
    finally:
        await admin.close()
