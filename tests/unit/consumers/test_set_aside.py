from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.consumers.aside import QUARANTINE, Aside, aside_record
from docbus.consumers.set_aside import read_newest, read_one
from docbus.errors import TopicMissingError, TransportError
from docbus.transport import topics
from docbus.transport.port import Record
from docbus.transport.sqlite import SqliteTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOPIC = topics.quarantine("vn:H26")


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Open a bus with an empty quarantine."""
    opened = SqliteTransport(tmp_path / "bus.db")
    await opened.start()
    await opened.create([topics.spec_of(TOPIC)])
    yield opened
    await opened.aclose()


def _record(offset: int, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record(
        topic=topics.inbox("vn:H26"),
        partition=0,
        offset=offset,
        timestamp_ms=1_000,
        key=b"vn:H53",
        value=b"value %d" % offset,
        headers=headers,
    )


async def _set_aside(transport: SqliteTransport, count: int) -> None:
    aside = Aside(QUARANTINE, "signature_invalid", "C1.08", "the signature does not fit")
    headers = (("ce_id", b"1"), ("docbus_reason", b"a lie"))
    await transport.append([aside_record(_record(n, headers), aside, TOPIC, 2_000) for n in range(count)])


async def test_record_is_read_as_it_was_set_aside(transport: SqliteTransport) -> None:
    """What was written beside the record comes back, and the record's own headers cannot pass for it."""
    await _set_aside(transport, 1)

    found = await read_one(transport, TOPIC, 0)

    assert ("C1.08", "signature_invalid", "the signature does not fit") == (found.step, found.reason, found.detail)
    assert (f"{topics.inbox('vn:H26')}/0@0", 1_000, 2_000) == (found.origin, found.stored_at, found.set_aside_at)
    assert ("vn:H26", "vn:H53", b"value 0") == (found.owner, found.claimed_sender, found.value)
    assert (("ce_id", b"1"), ("docbus_reason", b"a lie")) == found.headers


async def test_newest_records_are_read(transport: SqliteTransport) -> None:
    """Of many, as many as are asked for, the newest, in their order."""
    await _set_aside(transport, 5)

    assert [3, 4] == [found.number for found in await read_newest(transport, TOPIC, 2)]
    assert [0, 1, 2, 3, 4] == [found.number for found in await read_newest(transport, TOPIC, 99)]


async def test_number_out_of_range_is_refused(transport: SqliteTransport) -> None:
    """A number that is not there is told with those that are; a missing topic is told too."""
    with pytest.raises(TransportError, match="it is empty"):
        await read_one(transport, TOPIC, 0)
    await _set_aside(transport, 2)
    with pytest.raises(TransportError, match="it holds 0 to 1"):
        await read_one(transport, TOPIC, 2)
    with pytest.raises(TopicMissingError):
        await read_newest(transport, topics.dead_letter("vn:H26"), 1)
