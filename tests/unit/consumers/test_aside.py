from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.consumers.aside import (
    MAX_DETAIL_BYTES,
    MAX_FOREIGN_BYTES,
    MAX_FOREIGN_HEADERS,
    QUARANTINE,
    Aside,
    append_aside,
    aside_record,
    escaped,
)
from docbus.errors import RecordRefusedError
from docbus.transport.port import NewRecord, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

ASIDE = Aside(QUARANTINE, "signature_invalid", "C1.08", "not a signature")


def record(**changed: Any) -> Record:
    values: dict[str, Any] = {
        "topic": "docbus.inbox.vn.H53",
        "partition": 0,
        "offset": 7,
        "timestamp_ms": 5,
        "key": b"k",
        "value": b"v",
        "headers": (),
    }
    return Record(**(values | changed))


class Broker:
    """Refuses values of one length."""

    def __init__(self, refused: int) -> None:
        self.refused = refused
        self.stored: list[NewRecord] = []

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        if any(len(one.value) == self.refused for one in records):
            raise RecordRefusedError("too large")
        self.stored += records
        return [0] * len(records)


def test_detail_is_printable_ascii() -> None:
    """Nothing that a sender wrote can move a terminal's cursor or pass for a line of its own."""
    assert b"a\\x1b[2J\\n\\u202e\\xe9\\\\" == escaped("a\x1b[2J\n\u202eé\\")
    assert MAX_DETAIL_BYTES == len(escaped("é" * 5000))


def test_tombstone_says_that_it_was_one() -> None:
    """A record without a value is kept as an empty one with a mark."""
    made = aside_record(record(value=None), ASIDE, "q", 0)

    assert (b"", b"1") == (made.value, dict(made.headers)["docbus_tombstone"])


def test_own_headers_of_a_record_are_bounded() -> None:
    """A record full of headers cannot outgrow the quarantine; what was dropped is counted."""
    many = aside_record(record(headers=(("", b""),) * 5000), ASIDE, "q", 0)
    large = aside_record(record(headers=(("a", bytes(MAX_FOREIGN_BYTES)), ("b", b""))), ASIDE, "q", 0)

    assert MAX_FOREIGN_HEADERS == sum(name == "x_" for name, _ in many.headers)
    assert b"%d" % (5000 - MAX_FOREIGN_HEADERS) == dict(many.headers)["docbus_headers_dropped"]
    assert b"2" == dict(large.headers)["docbus_headers_dropped"]


async def test_refused_record_is_replaced_by_what_can_be_said() -> None:
    """A record that the broker will never take does not stop the others, and leaves its size and digest."""
    broker: Any = Broker(refused=3)
    records = [aside_record(record(value=value), ASIDE, "q", 0) for value in (b"a", b"bbb", b"c")]

    await append_aside(broker, records)

    assert [b"a", b"", b"c"] == [one.value for one in broker.stored]
    headers = dict(broker.stored[1].headers)
    assert (b"3", sha256(b"bbb").hexdigest().encode(), b"signature_invalid") == (
        headers["docbus_value_bytes"],
        headers["docbus_value_sha256"],
        headers["docbus_reason"],
    )
