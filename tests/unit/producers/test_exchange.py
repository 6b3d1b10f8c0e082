"""The sending half with everything real: directory, keys, sealer, embedded transport, verifier."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.batch import Sealer
from docbus.envelope.statement import FIRST_PREVIOUS
from docbus.errors import AppendUnknownError
from docbus.producers.drain import Drain
from docbus.producers.publisher import Publisher
from docbus.storage.database import Database
from docbus.transport.topics import inbox, spec_of
from docbus.verification.opening import Opener
from docbus.verification.verifier import Verifier
from tests.support.bus import found_bus
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder
from tests.support.outbox import ANNA, BINH, SENDER, FakeClock

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = 2000


def letter(number: int) -> Document:
    return Document(
        document_id=f"letter-{number:05}",
        title=f"Công văn số {number}",
        files=(File(name="a.txt", media_type="text/plain", content=f"content {number} ".encode() * 80),),
        # Three of four go to one agency, the others to both: two streams of different length.
        recipients=(ANNA, BINH) if number % 4 == 0 else (ANNA,),
        urgency=1 if number % 10 == 0 else 0,
    )


@pytest.mark.parametrize("interrupted", [False, True])
async def test_two_thousand_documents_arrive_in_stream_order(tmp_path: Path, *, interrupted: bool) -> None:
    """Every published document is in its recipients' inboxes, verifies, opens, and is chained without holes."""
    builder = DirectoryBuilder()
    keys = {agency: builder.grant(agency) for agency in (SENDER, ANNA, BINH)}
    snapshot = builder.snapshot()
    clock = FakeClock(ms=NOW_MS)
    database = Database.open(tmp_path / "state.db")
    publisher = Publisher(
        database=database, environment=ENVIRONMENT, agency=SENDER, snapshot=lambda: snapshot, clock=clock
    )
    async with found_bus(tmp_path / "bus.db", directory=False) as transport:
        await transport.create([spec_of(inbox(agency)) for agency in (ANNA, BINH)])
        unclear = Unclear(transport) if interrupted else transport
        for start in range(0, DOCUMENTS, 500):
            await publisher.publish_many([letter(number) for number in range(start, start + 500)])
        sealer = Sealer(environment=ENVIRONMENT, sender=SENDER, signer=keys[SENDER].signer)
        values: dict[str, Any] = {"database": database, "transport": unclear, "sealer": sealer, "sender": SENDER}
        for _ in range(20):
            drain = Drain(**values, snapshot=lambda: snapshot, clock=clock)
            try:
                await drain.drain()
            except AppendUnknownError:
                continue
            break
        found = {
            agency: await transport.read(inbox(agency), 0, 0, max_records=10_000, max_bytes=1 << 30, wait=0)
            for agency in (ANNA, BINH)
        }
    publisher.close()
    database.close()

    for agency, numbers in ((ANNA, range(DOCUMENTS)), (BINH, range(0, DOCUMENTS, 4))):
        verifier, opener = Verifier(), Opener(agency, [keys[agency].encryption_key.decrypter()])
        streams: dict[bytes, list[Any]] = defaultdict(list)
        values_seen: dict[tuple[bytes, int], bytes] = {}
        for record in found[agency]:
            assert record.value is not None
            verified = verifier.verify(record.value, key=record.key, recipient=agency, snapshot=snapshot, now_ms=NOW_MS)
            head, position = verified.statement.head, verified.statement.position
            if (head.epoch, position.sequence) in values_seen:
                assert values_seen[head.epoch, position.sequence] == record.value
                continue
            values_seen[head.epoch, position.sequence] = record.value
            streams[head.epoch].append(verified)
        for stream in streams.values():
            previous = FIRST_PREVIOUS
            for sequence, verified in enumerate(stream, 1):
                assert (verified.statement.position.sequence, verified.statement.position.previous) == (
                    sequence,
                    previous,
                )
                previous = verified.digest
        bodies = [verified.statement.body.document_id for stream in streams.values() for verified in stream]
        package = opener.open(stream[0])
        assert sorted(bodies) == [f"letter-{number:05}" for number in numbers]
        assert sorted(map(len, streams.values())) == sorted(
            len([number for number in numbers if (number % 10 == 0) is urgent]) for urgent in (True, False)
        )
        assert package is not None
        assert package.contents[0].startswith(b"content ")


class Unclear:
    """A transport that stores every third append and then says that it does not know."""

    stamp = None

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._calls = 0

    async def append(self, records: Any) -> Any:
        self._calls += 1
        offsets = await self._transport.append(records)
        if self._calls % 3 == 1:
            raise AppendUnknownError("no answer in time")
        return offsets
