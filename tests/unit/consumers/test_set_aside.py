from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers.aside import QUARANTINE, Aside, aside_record
from docbus.consumers.parking import REQUESTED_PARTITION
from docbus.consumers.set_aside import original_of, read_numbers, read_one, set_aside_of
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


async def test_records_are_read_by_number(transport: SqliteTransport) -> None:
    """Numbers that are there come with their records, those that are not with None, in few reads."""
    await _set_aside(transport, 700)
    reads = 0
    genuine = transport.read

    async def counted(*place: Any, **limits: Any) -> list[Record]:
        nonlocal reads
        reads += 1
        return await genuine(*place, **limits)

    transport.read = counted  # type: ignore[method-assign] # only to count

    found = await read_numbers(transport, TOPIC, [*range(300), 650, 900])

    assert {*range(300), 650, 900} == found.keys()
    assert found[900] is None
    assert b"value 650" == (found[650] or pytest.fail("no record")).value
    assert 3 == reads


async def test_original_record_is_made_again(transport: SqliteTransport) -> None:
    """Key, value and headers are those that came, the time is what our headers say, its place is none of the inbox."""
    await _set_aside(transport, 1)
    (kept,) = await transport.read(TOPIC, 0, 0, max_records=1, max_bytes=1 << 20, wait=0.0)

    expected = _record(0, (("ce_id", b"1"), ("docbus_reason", b"a lie")))
    assert expected._replace(partition=REQUESTED_PARTITION) == original_of(kept, "vn:H26")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("docbus_partition", b"9223372036854775808"),
        ("docbus_offset", b"9999999999999999999"),
        ("docbus_offset", b"-1"),
        ("docbus_stored_at", b"253402300800000"),
        ("docbus_stored_at", b"9223372036854775807"),
        ("docbus_set_aside_at", b"9999-12-31T23:59:59-23:00"),
        ("docbus_set_aside_at", b"1969-12-31T23:59:59Z"),
        ("docbus_set_aside_at", b"yesterday"),
    ],
)
async def test_header_that_cannot_be_true_is_left_out(transport: SqliteTransport, name: str, value: bytes) -> None:
    """Whoever can write to the topic can write any number there; what no database or calendar has counts as missing."""
    await _set_aside(transport, 1)
    (kept,) = await transport.read(TOPIC, 0, 0, max_records=1, max_bytes=1 << 20, wait=0.0)
    changed = tuple((one, value if one == name else was) for one, was in kept.headers)
    assert changed != kept.headers

    found = set_aside_of(kept._replace(headers=changed))

    field = name.removeprefix("docbus_")
    assert None is getattr(found, field)
    assert None is not getattr(set_aside_of(kept), field)


async def test_number_out_of_range_is_refused(transport: SqliteTransport) -> None:
    """A number that is not there is told with those that are; a missing topic is told too."""
    with pytest.raises(TransportError, match="it is empty"):
        await read_one(transport, TOPIC, 0)
    await _set_aside(transport, 2)
    with pytest.raises(TransportError, match="it holds 0 to 1"):
        await read_one(transport, TOPIC, 2)
    with pytest.raises(TopicMissingError):
        await read_numbers(transport, topics.dead_letter("vn:H26"), [1])


async def test_records_by_number_are_bounded_in_bytes(
    transport: SqliteTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many numbers so many records are in memory at once; the others are asked for again, at least one came."""
    monkeypatch.setattr("docbus.consumers.set_aside.MAX_READ_BYTES", 1)
    monkeypatch.setattr("docbus.consumers.set_aside.READ_RECORDS", 2)
    await _set_aside(transport, 10)

    found = await read_numbers(transport, TOPIC, range(10))

    assert {0, 1} == found.keys()
