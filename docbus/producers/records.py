"""Sealed copies as Kafka records: key, headers, topic — hints, all of them (design D3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.clock import format_time
from docbus.producers.states import TYPE_OF
from docbus.transport.port import NewRecord
from docbus.transport.topics import inbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.producers.unsent import SealedCopy

SPEC_VERSION = b"1.0"
"""CloudEvents 1.0, binary mode of its Kafka binding: attributes as headers, so that ordinary tools can filter."""
CONTENT_TYPE = b"application/vnd.docbus.envelope.v1"
_EVENT_TYPES = {payload_type: f"docbus.{form}.v1".encode() for form, payload_type in TYPE_OF.items()}


def source_of(sender: str) -> bytes:
    """Return CloudEvents' source of what an agency sends."""
    return f"urn:docbus:agency:{sender}".encode()


class RecordMaker:
    """Makes records for one sender; keeps the names of topics it has made before.

    Args:
        sender: Canonical id of the sending agency; the key of all its records, so that they keep their order.
    """

    def __init__(self, sender: str) -> None:
        self._key = sender.encode()
        self._source = source_of(sender)
        self._topics: dict[str, str] = {}

    def records(self, copies: Iterable[SealedCopy]) -> list[NewRecord]:
        """Return one record for each copy, in the same order."""
        made = []
        times: dict[int, bytes] = {}
        for copy in copies:
            topic = self._topics.get(copy.recipient) or self._topic(copy.recipient)
            time = times.get(copy.sealed_at)
            if time is None:
                time = times[copy.sealed_at] = format_time(copy.sealed_at).encode()
            headers = (
                ("ce_specversion", SPEC_VERSION),
                ("ce_id", _uuid_text(copy.envelope_id)),
                ("ce_source", self._source),
                ("ce_type", _EVENT_TYPES[copy.payload_type]),
                ("ce_time", time),
                ("content-type", CONTENT_TYPE),
            )
            made.append(
                NewRecord(
                    topic=topic,
                    key=self._key,
                    value=copy.value,
                    headers=headers,
                    express=copy.express,
                )
            )
        return made

    def _topic(self, recipient: str) -> str:
        topic = self._topics[recipient] = inbox(recipient)
        return topic


def _uuid_text(raw: bytes) -> bytes:
    """Return the 36 characters of a UUID; five times faster than through :class:`uuid.UUID`."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
