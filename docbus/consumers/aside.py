"""Quarantine and dead letters: records that are not filed, unchanged, with the reason in their headers.

Quarantine holds what could not be verified, and genuine statements that contradict others. Dead letters are verified
documents that the DMS would not take. Key and value stay as they were; headers are hints, and those that the record
came with stand behind ours under ``x_``, so that none of them can pass for a reason.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.clock import format_time
from docbus.errors import RecordRefusedError
from docbus.limits import KIB
from docbus.transport import topics
from docbus.transport.port import NewRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.transport.port import Record, Transport

log = structlog.get_logger(__name__)

QUARANTINE = "quarantine"
DEAD_LETTER = "dead-letter"
MAX_DETAIL_BYTES = 1 * KIB
"""Bytes of the sentence that says what was wrong."""
MAX_FOREIGN_BYTES = 64 * KIB
"""Bytes of the record's own headers that are kept; the quarantine has 256 KiB more room than an inbox."""
MAX_FOREIGN_HEADERS = 256
"""Headers of its own that are kept, each of which grows by two bytes."""
FOREIGN_PREFIX = "x_"
_CONTROL = re.compile(r"[^\x20-\x7e]|\\")


class Aside(NamedTuple):
    """Where a record goes, and why."""

    where: str
    code: str
    step: str
    detail: str


def escaped(text: str, limit: int = MAX_DETAIL_BYTES) -> bytes:
    """Return text as printable ASCII, everything else and the backslash as Python escapes, cut to ``limit`` bytes."""
    shown = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text[:limit])
    return shown[:limit].encode("ascii")


def shown(detail: str) -> str:
    """Return a text as it may stand in logs and on terminals: it names what its sender chose."""
    return escaped(detail).decode("ascii")


def topic_of(where: str, agency: str) -> str:
    """Return an agency's topic of what was set aside: quarantine, or dead letters."""
    return topics.dead_letter(agency) if where == DEAD_LETTER else topics.quarantine(agency)


def aside_record(record: Record, aside: Aside, topic: str, now_ms: int) -> NewRecord:
    """Return the record as it is kept in ``topic``."""
    headers = [
        ("docbus_reason", escaped(aside.code)),
        ("docbus_step", escaped(aside.step)),
        ("docbus_detail", escaped(aside.detail)),
        ("docbus_topic", record.topic.encode()),
        ("docbus_partition", b"%d" % record.partition),
        ("docbus_offset", b"%d" % record.offset),
        ("docbus_stored_at", b"%d" % record.timestamp_ms),
        ("docbus_set_aside_at", format_time(now_ms).encode()),
    ]
    if record.value is None:
        headers.append(("docbus_tombstone", b"1"))
    room, kept = MAX_FOREIGN_BYTES, 0
    for name, value in record.headers[:MAX_FOREIGN_HEADERS]:
        room -= len(name.encode("utf-8", "surrogatepass")) + len(value)
        if room < 0:
            break
        headers.append((f"{FOREIGN_PREFIX}{name}", value))
        kept += 1
    if kept < len(record.headers):
        headers.append(("docbus_headers_dropped", b"%d" % (len(record.headers) - kept)))
    return NewRecord(topic=topic, key=record.key, value=record.value or b"", headers=tuple(headers))


async def append_aside(transport: Transport, records: Sequence[NewRecord]) -> None:
    """Store records durably, in one call; one that the broker will never take is replaced by what can be said of it.

    Raises:
        TopicMissingError: The agency's topics are not there.
        TransportError: Retriable: nothing is known, the same records are to be appended again.
    """
    try:
        await transport.append(records)
    except RecordRefusedError:
        for record in records:
            try:
                await transport.append([record])
            except RecordRefusedError as error:
                log.warning("aside_refused", topic=record.topic, bytes=len(record.value), error=error.text)
                await transport.append([_stub(record)])


def _stub(record: NewRecord) -> NewRecord:
    headers = (
        *(header for header in record.headers if header[0].startswith("docbus_")),
        ("docbus_value_bytes", b"%d" % len(record.value)),
        ("docbus_value_sha256", sha256(record.value).hexdigest().encode()),
    )
    return NewRecord(topic=record.topic, key=None, value=b"", headers=headers)
