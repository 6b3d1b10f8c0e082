"""What has to hold when everything is healed, by number as in ``tests/faults/README.md``."""

from __future__ import annotations

import sqlite3
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.client.connect import started_transport
from docbus.producers.states import CopyState
from docbus.registry.follow import fetch_directory
from docbus.settings import load_settings
from docbus.transport import topics
from tests.faults.harness.agencies import FORKER, RECIPIENTS, id_of
from tests.faults.harness.documents import content_of, document_id, is_urgent, recipients_of
from tests.faults.harness.wire import Inbox, Told, receipts_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.transport.port import Transport
    from tests.faults.harness.world import Process, World

SHOWN = 5


def rows(path: Path, query: str) -> list[tuple]:  # type: ignore[type-arg] # whatever the query says
    """Return what a query finds in a database."""
    return list(each_row(path, query))


def each_row(path: Path, query: str) -> Iterator[tuple]:  # type: ignore[type-arg] # whatever the query says
    """Yield what a query finds in a database, without holding all of it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
    try:
        yield from connection.execute(query)
    finally:
        connection.close()


class Accepted:
    """What publishers have noted as accepted: a promise."""

    def __init__(self, world: World) -> None:
        self.by_recipient: dict[str, dict[str, tuple[int, bytes, str]]] = {code: {} for code in RECIPIENTS}
        self.documents = 0
        each = world.documents // len(world.publishers)
        for n, publisher in enumerate(world.publishers):
            assert publisher.folder is not None
            noted = publisher.folder.with_name(f"{publisher.folder.name}.accepted")
            last = int(noted.read_text("ascii")) if noted.exists() else n * each
            for number in range(n * each, last):
                content = content_of(world.seed, number)
                lane = "urgent" if is_urgent(number) else "documents"
                entry = len(content), sha256(content).digest(), lane
                for code in recipients_of(number, RECIPIENTS):
                    self.by_recipient[code][document_id(f"P{n}", number)] = entry
                self.documents += 1


def check_filed(world: World, expected_by_code: dict[str, dict[str, tuple[int, bytes, str]]]) -> list[str]:
    """1: Accepted is filed, once, byte for byte, in the order of its stream, and nothing else is filed."""
    wrong: list[str] = []
    for code in RECIPIENTS:
        expected = expected_by_code[code]
        order: dict[str, int] = {}
        seen: Counter[str] = Counter()
        for identity, lane, epoch, sequence, size, digest in each_row(
            world.folder / f"{code}.dms.db",
            "SELECT document_id, lane, epoch, sequence, size, digest FROM document ORDER BY arrival",
        ):
            seen[identity] += 1
            if expected.get(identity) != (size, bytes.fromhex(digest), lane):
                wrong.append(f"{code} holds {identity} with {size} bytes in {lane}, which was not accepted like that")
            if sequence <= order.get(epoch, 0):
                wrong.append(f"{code} got {identity}, {sequence} of {epoch}, after {order[epoch]}")
            order[epoch] = sequence
        wrong += [f"{code} never got {identity}" for identity in expected if identity not in seen]
        wrong += [f"{code} holds {identity} {count} times" for identity, count in seen.items() if count > 1]
    return wrong


def check_outboxes(world: World) -> list[str]:
    """6: Every outbox is empty: whatever it sent is received."""
    wrong: list[str] = []
    for process in world.publishers:
        assert process.folder is not None
        wrong += [
            f"{process.name}: {count} copies are {CopyState(state).name}"
            for state, count in rows(
                process.folder / "state.db",
                "SELECT c.state, count(*) FROM copy c JOIN outgoing o USING (outgoing) WHERE o.form = 'document'"
                " AND c.state NOT IN (3, 6) GROUP BY c.state",
            )
        ]
    return wrong


def check_findings(world: World, wire: Wire) -> list[str]:
    """5: Exactly the holes and forks that there are, are reported, by whichever instance has read so far."""
    wrong = [f"{process.name}: {row}" for process in world.publishers for row in _troubles(process)]
    for code, inbox in wire.inboxes.items():
        found: set[Told] = set()
        holes: set[tuple[bytes, int, int]] = set()
        reasons = {one.code for one in inbox.aside}
        done: set[tuple[int, int]] = set()
        for process in world.consumers:
            assert process.folder is not None
            if not process.folder.name.startswith(code):
                continue
            database = process.folder / "state.db"
            for reason, sender, partition, offset in rows(
                database, "SELECT code, sender, partition, at_offset FROM finding"
            ):
                found.add(Told(partition, offset, reason))
                if sender != id_of(FORKER):
                    wrong.append(f"{process.name} reports {reason} of {sender}")
            holes |= set(rows(database, _HOLES))
            for topic, reason in rows(database, "SELECT topic, reason FROM set_aside"):
                if topic != "quarantine" or reason not in reasons:
                    wrong.append(f"{process.name} counts {reason} in {topic}")
            waiting = {row[0] for row in rows(database, "SELECT DISTINCT partition FROM parked")}
            here = {row for row in rows(database, _DECIDED) if row[0] not in waiting}
            done |= here
            counted = dict(rows(database, "SELECT partition, sum(count) FROM duplicate GROUP BY partition"))
            wrong += [
                f"{process.name} counts {counted.get(partition, 0)} duplicates in partition {partition}"
                f", where {inbox.duplicates[partition]} are"
                for partition, end in here & set(inbox.ends.items())
                if counted.get(partition, 0) != inbox.duplicates[partition]
            ]
        # What waits where its partition has moved away stays there, and another instance decides it (ADR 0014).
        wrong += [
            f"{code}/{partition}: no instance has decided all {end} records and waits for none of them"
            for partition, end in inbox.ends.items()
            if (partition, end) not in done
        ]
        for what, reported, there in (("finding", found, inbox.findings), ("hole", holes, inbox.holes)):
            wrong += [f"{code} reports a {what} that is not there: {one}" for one in reported - there]  # type: ignore[operator]
            wrong += [f"{code} does not report a {what}: {one}" for one in there - reported]  # type: ignore[operator]
    return wrong


def _troubles(process: Process) -> Iterator[tuple[Any, ...]]:
    """Yield what a publisher reports; nobody attacks it."""
    assert process.folder is not None
    for query in (
        "SELECT code, sender, detail FROM finding",
        "SELECT stream, first, last FROM incoming_hole WHERE missed",
        "SELECT topic, reason, count FROM set_aside",
        _WAITING,
    ):
        yield from rows(process.folder / "state.db", query)


_DECIDED = "SELECT partition, next_offset FROM inbox_partition"
_WAITING = "SELECT cause, sender, count(*) FROM parked GROUP BY cause, sender"
_HOLES = "SELECT epoch, first, last FROM incoming_hole JOIN incoming_stream USING (stream) WHERE missed"


class Wire:
    """Everything that lies in the inboxes, and what it should have led to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.inboxes = {code: Inbox(code) for code in RECIPIENTS}

    async def check(self) -> tuple[list[str], list[str]]:
        """Read the inboxes; return what is wrong with 2 and 3, and what with 5 as far as topics show it."""
        wrong: list[str] = []
        aside: list[str] = []
        async with started_transport(load_settings(self._world.folder / "auditor")) as transport:
            snapshot, _ = await fetch_directory(transport, bytes.fromhex(self._world.genesis))
            receipts = await receipts_of(transport, snapshot, wrong)
            for code, inbox in self.inboxes.items():
                await inbox.read(transport, snapshot, self._world.attacker.harmful)
                wrong += inbox.wrong
                genuine = {digest for stream in inbox.streams.values() for digest, _ in stream.values()}
                held: set[str] = set()
                query = "SELECT document_id, statement FROM document"
                for identity, statement in each_row(self._world.folder / f"{code}.dms.db", query):
                    held.add(identity)
                    if bytes.fromhex(statement) not in genuine:
                        wrong.append(f"{code} holds a statement of {identity} that has no place on the wire")
                wrong += inbox.check_receipts(receipts.get(id_of(code), []), held)
                aside += await inbox.check_quarantine(transport)
        return wrong, aside

    def expected(self, accepted: Accepted) -> dict[str, dict[str, tuple[int, bytes, str]]]:
        """Return what each recipient should hold: what was accepted, and what the attacker signed and stored first."""
        forged = self._world.attacker.documents
        return {
            code: accepted.by_recipient[code] | {name: tuple(forged[name]) for name in inbox.documents_of(FORKER)}  # type: ignore[misc]
            for code, inbox in self.inboxes.items()
        }


async def check_lag(transport: Transport) -> bool:
    """Tell whether everything in the recipients' inboxes is decided and committed."""
    for code in RECIPIENTS:
        topic = topics.inbox(id_of(code))
        committed, bounds = await transport.committed(topic, topic), await transport.bounds(topic)
        if any(end > first and (committed.get(partition) or 0) < end for partition, (first, end) in bounds.items()):
            return False
    return True


def check_answers(world: World) -> bool:
    """Tell whether consumers have sent all receipts."""
    return not any(
        rows(process.folder / "state.db", "SELECT 1 FROM copy WHERE state < 2 LIMIT 1")
        for process in world.consumers
        if process.folder is not None
    )


class Sampler:
    """4: No offset is committed before the fate of what lies before it is durable in a ledger of the group."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.samples = 0
        self.wrong: list[str] = []

    async def look(self, transport: Transport) -> None:
        """Read the committed offsets first, and the ledgers then: these may only be further."""
        for code in RECIPIENTS:
            topic = topics.inbox(id_of(code))
            committed = await transport.committed(topic, topic)
            decided: dict[int, int] = {}
            for process in self._world.consumers:
                if process.folder is not None and process.folder.name.startswith(code):
                    for partition, offset in _decided(process.folder / "state.db"):
                        decided[partition] = max(decided.get(partition, 0), offset)
            self.wrong += [
                f"{code}/{partition}: {offset} is committed, and {decided.get(partition, 0)} decided"
                for partition, offset in committed.items()
                if offset is not None and offset > decided.get(partition, 0)
            ]
            self.samples += 1


def _decided(database: Path) -> Iterator[tuple[int, int]]:
    if database.exists():
        yield from rows(database, _DECIDED)
