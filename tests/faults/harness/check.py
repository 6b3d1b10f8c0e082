"""What has to hold when everything is healed, by number as in ``tests/faults/README.md``."""

from __future__ import annotations

import sqlite3
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.client.connect import started_transport
from docbus.envelope.statement import DocumentBody, ReceiptBody
from docbus.errors import VerificationError
from docbus.identity.agency import AgencyId
from docbus.producers.states import CopyState
from docbus.registry.follow import fetch_directory
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.verification.verifier import Verifier
from docbus.wire.tree import root_of
from tests.faults.harness.documents import content_of, document_id, is_urgent, recipients_of
from tests.faults.harness.world import RECIPIENTS, SENDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from docbus.transport.port import Transport
    from docbus.verification.verifier import Verified
    from tests.faults.harness.world import World

READ = {"max_records": 4096, "max_bytes": 32 << 20, "wait": 10.0}
SHOWN = 5


def id_of(code: str) -> str:
    """Return the canonical id of a code."""
    return str(AgencyId.parse(code))


def rows(path: Path, query: str) -> list[tuple]:  # type: ignore[type-arg] # whatever the query says
    """Return what a query finds in a database."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


class Accepted:
    """What publishers have noted as accepted: a promise."""

    def __init__(self, world: World) -> None:
        self.by_recipient: dict[str, dict[str, tuple[int, str, str]]] = {code: {} for code in RECIPIENTS}
        self.documents = 0
        each = world.documents // len(world.publishers)
        for n, publisher in enumerate(world.publishers):
            assert publisher.folder is not None
            noted = publisher.folder / "accepted"
            last = int(noted.read_text("ascii")) if noted.exists() else n * each
            for number in range(n * each, last):
                content = content_of(world.seed, number)
                lane = "urgent" if is_urgent(number) else "documents"
                entry = len(content), sha256(content).hexdigest(), lane
                for code in recipients_of(number, RECIPIENTS):
                    self.by_recipient[code][document_id(f"P{n}", number)] = entry
                self.documents += 1


def check_filed(world: World, accepted: Accepted) -> list[str]:
    """1: Accepted is filed, once, byte for byte, in the order of its stream, and nothing else is filed."""
    wrong: list[str] = []
    for code in RECIPIENTS:
        expected = accepted.by_recipient[code]
        order: dict[str, int] = {}
        seen: Counter[str] = Counter()
        for identity, lane, epoch, sequence, size, digest in rows(
            world.folder / f"{code}.dms.db",
            "SELECT document_id, lane, epoch, sequence, size, digest FROM document ORDER BY arrival",
        ):
            seen[identity] += 1
            if expected.get(identity) != (size, digest, lane):
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


def check_findings(world: World) -> list[str]:
    """5: No hole, duplicate or fork is reported, as there was none; nothing waits, and nothing was set aside."""
    wrong: list[str] = []
    for process in [*world.consumers, *world.publishers]:
        assert process.folder is not None
        database = process.folder / "state.db"
        for what, query in (
            ("finding", "SELECT code, sender, detail FROM finding"),
            ("missing", "SELECT stream, first, last FROM incoming_hole WHERE missed"),
            ("set aside", "SELECT topic, reason, count FROM set_aside"),
            ("waiting", "SELECT cause, sender, count(*) FROM parked GROUP BY cause, sender"),
        ):
            wrong += [f"{process.name}: {what} {row}" for row in rows(database, query)]
    return wrong


async def check_wire(world: World) -> list[str]:
    """2, 3: What is filed was verified, and a receipt covers only what the DMS holds."""
    wrong: list[str] = []
    async with started_transport(load_settings(world.folder / "auditor")) as transport:
        snapshot, _ = await fetch_directory(transport, bytes.fromhex(world.genesis))
        verifier = Verifier()

        async def verified(code: str) -> list[Verified]:
            found = []
            async for value, key in _records(transport, topics.inbox(id_of(code))):
                try:
                    one = verifier.verify_recorded(value, key=key, recipient=id_of(code), snapshot=snapshot)
                except VerificationError as error:
                    wrong.append(f"a record of {code} does not verify: {error.code}")
                    continue
                found.append(one)
            return found

        answers = await verified(SENDER)
        for code in RECIPIENTS:
            held = {row[0] for row in rows(world.folder / f"{code}.dms.db", "SELECT document_id FROM document")}
            filed = {row[0] for row in rows(world.folder / f"{code}.dms.db", "SELECT statement FROM document")}
            statements: dict[tuple[bytes, int], tuple[bytes, str]] = {}
            for one in await verified(code):
                body = one.statement.body
                if isinstance(body, DocumentBody):
                    place = one.statement.head.epoch, one.statement.position.sequence
                    statements[place] = one.digest, body.document_id
            genuine = {digest.hex() for digest, _ in statements.values()}
            wrong += [f"{code} holds a statement that is not on the wire: {one}" for one in filed - genuine]
            covered: set[tuple[bytes, int]] = set()
            for one in answers:
                body = one.statement.body
                if not isinstance(body, ReceiptBody) or one.sender != id_of(code):
                    continue
                places = [(body.epoch, n) for n in range(body.first, body.last + 1)]
                if root_of([statements[place][0] for place in places]) != body.root:
                    wrong.append(f"a receipt of {code} has another root")
                refused = {refusal.sequence for refusal in body.refused}
                wrong += [f"{code} refused {statements[body.epoch, n][1]}" for n in refused]
                wrong += [
                    f"{code} has receipted {statements[place][1]}, which it does not hold"
                    for place in places
                    if statements[place][1] not in held and place[1] not in refused
                ]
                covered |= set(places)
            wrong += [f"{code} never receipted {statements[place][1]}" for place in statements.keys() - covered]
    return wrong


async def _records(transport: Transport, topic: str) -> AsyncIterator[tuple[bytes | None, bytes]]:
    for partition, (first, end) in (await transport.bounds(topic)).items():
        offset = first
        while offset < end:
            records = await transport.read(topic, partition, offset, **READ)  # type: ignore[arg-type]
            if not records:
                break
            for record in records:
                yield record.value, record.key or b""
            offset = records[-1].offset + 1


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
        yield from rows(database, "SELECT partition, next_offset FROM inbox_partition")
