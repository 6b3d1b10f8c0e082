"""Somebody who writes to the inboxes while everything runs, and a sender of his own that contradicts itself.

What he writes in the name of others is a copy of a genuine record, such a copy with one bit changed, noise, or a record
for somebody else. His own agency is granted like any other and signs whatever he likes: two statements in one place of
its stream, or a stream of which one statement is never stored where it belongs.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from docbus.client.connect import signer_of_settings
from docbus.clock import SystemClock
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.batch import Draft, Sealer, StreamHead
from docbus.envelope.encrypted import encrypt_document
from docbus.envelope.envelope import decode_envelope, join
from docbus.envelope.statement import DOCUMENT_TYPE, FIRST_PREVIOUS
from docbus.errors import DocbusError
from docbus.registry.follow import fetch_directory
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.faults.harness.agencies import ENVIRONMENT, FORKER, RECIPIENTS, SENDER, id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from docbus.transport.port import Record, Transport
    from tests.faults.harness.schedule import Fault
    from tests.faults.harness.world import World

REPLAYS, DAMAGES, LITTERS, MISDIRECTS = "replays", "damages", "litters", "misdirects"
FORKS, WITHHOLDS = "forks", "withholds"
WAYS = (REPLAYS, DAMAGES, LITTERS, MISDIRECTS, FORKS, WITHHOLDS)
AGAIN_SECONDS = 0.5
"""Until something is tried again for which no broker was there, or no record yet."""
READ = {"max_records": 1, "max_bytes": 2 << 20, "wait": 2.0}
LANE = "documents"

T = TypeVar("T")


class Forged(NamedTuple):
    """A document of the attacker's own agency: size, digest and lane as a system should hold it."""

    size: int
    digest: bytes
    lane: str


class Attacker:
    """Writes one attack after the other.

    Attributes:
        harmful: (Code of a recipient, SHA-256 of a record's value) to the reason with which it belongs into quarantine.
        documents: His own agency's documents by id, whether anybody takes them or not.
        done: Attacks that are on the wire.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: asyncio.Queue[Fault] = asyncio.Queue()
        self._open = 0
        self._heads = dict.fromkeys(RECIPIENTS, StreamHead(0, FIRST_PREVIOUS))
        self._epochs = {LANE: os.urandom(16)}
        self._number = 0
        self.harmful: dict[tuple[str, bytes], str] = {}
        self.documents: dict[str, Forged] = {}
        self.done: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for is on the wire."""
        return not self._open

    def ask(self, fault: Fault) -> None:
        """Let an attack follow those before."""
        self._open += 1
        self._waiting.put_nowait(fault)

    async def run(self, transport: Transport) -> None:
        """Attack until cancelled; what no broker takes is tried again."""
        self._transport = transport
        self._snapshot, _ = await _persist(lambda: fetch_directory(transport, bytes.fromhex(self._world.genesis)))
        self._sealer = Sealer(
            environment=ENVIRONMENT,
            sender=id_of(FORKER),
            signer=signer_of_settings(load_settings(self._world.folder / FORKER)),
        )
        while True:
            fault = await self._waiting.get()
            way = fault.kind.partition(" ")[2]
            # Which record there is at that time nobody can repeat; all else follows from the schedule.
            dice = random.Random(f"{self._world.seed}/{fault.at}/{way}")  # noqa: S311 - to be repeated
            code = RECIPIENTS[fault.target % len(RECIPIENTS)]
            other = RECIPIENTS[(fault.target + 1) % len(RECIPIENTS)]
            if way in {FORKS, WITHHOLDS}:
                await (self._fork(code) if way == FORKS else self._withhold(code, other))
            else:
                await self._write(way, code, other, dice)
            self.done[way] += 1
            self._open -= 1

    async def _write(self, way: str, code: str, other: str, dice: random.Random) -> None:
        if way == LITTERS:
            value = dice.randbytes(dice.randrange(1, 4096))
            self.harmful[code, sha256(value).digest()] = "envelope_malformed"
            await self._append(code, dice.choice((None, id_of(SENDER).encode(), dice.randbytes(9))), value)
            return
        record = await self._genuine(other if way == MISDIRECTS else code, dice)
        value = record.value or b""
        if way == DAMAGES:
            envelope = decode_envelope(value)
            part, reason = dice.choice(
                ((envelope.statement, "signature_invalid"), (envelope.package or b"", "package_mismatch"))
            )
            at = value.index(part) + dice.randrange(len(part))
            value = value[:at] + bytes([value[at] ^ 1 << dice.randrange(8)]) + value[at + 1 :]
            self.harmful[code, sha256(value).digest()] = reason
        elif way == MISDIRECTS:
            self.harmful[code, sha256(value).digest()] = "recipient_mismatch"
        await self._append(code, record.key, value, record.partition, record.headers)

    async def _fork(self, code: str) -> None:
        """Two statements in one place; the first that is stored keeps it."""
        head = self._heads[code]
        ((value, after),) = self._seal(code, head, 1)
        ((twin, _),) = self._seal(code, head, 1)
        self._heads[code] = after
        for one in (value, twin):
            await self._append(code, id_of(FORKER).encode(), one)

    async def _withhold(self, code: str, other: str) -> None:
        """Two statements in a row, the first of which goes to somebody else."""
        (lost, _), (value, after) = self._seal(code, self._heads[code], 2)
        self._heads[code] = after
        self.harmful[other, sha256(lost).digest()] = "recipient_mismatch"
        await self._append(other, id_of(FORKER).encode(), lost)
        await self._append(code, id_of(FORKER).encode(), value)

    def _seal(self, code: str, head: StreamHead, count: int) -> list[tuple[bytes, StreamHead]]:
        """Return envelopes that follow a head, each with the head after it."""
        now_ms, recipient = SystemClock().now_ms(), id_of(code)
        drafts, packages = [], []
        for _ in range(count):
            self._number += 1
            name, content = f"F-{self._number:08}", f"{self._world.seed}/{self._number}".encode()
            self.documents[name] = Forged(len(content), sha256(content).digest(), LANE)
            file = File(name="content.bin", media_type="application/octet-stream", content=content)
            document = Document(
                document_id=name, title="Văn bản mâu thuẫn", files=(file,), recipients=(recipient,), revision=1
            )
            made = encrypt_document(document, environment=ENVIRONMENT, sender=id_of(FORKER), now_ms=now_ms)
            drafts.append(Draft(DOCUMENT_TYPE, recipient, LANE, made.body, len(made.package), made.content_key))
            packages.append(made.package)
        sealed = self._sealer.seal(
            drafts, epochs=self._epochs, heads={(recipient, LANE): head}, snapshot=self._snapshot, now_ms=now_ms
        )
        return [
            (join(one.front, package, one.back), StreamHead(one.sequence, one.digest))
            for one, package in zip(sealed, packages, strict=True)
        ]

    async def _genuine(self, code: str, dice: random.Random) -> Record:
        """Return any record of the publishers that lies in an inbox."""
        topic = topics.inbox(id_of(code))
        while True:
            bounds = await _persist(lambda: self._transport.bounds(topic))
            filled = [(partition, *span) for partition, span in bounds.items() if span[0] < span[1]]
            if filled:
                partition, first, end = dice.choice(filled)
                offset = dice.randrange(first, end)
                for record in await _persist(
                    lambda p=partition, o=offset: self._transport.read(topic, p, o, **READ)  # type: ignore[misc]
                ):
                    value = record.value or b""
                    if record.key == id_of(SENDER).encode() and (code, sha256(value).digest()) not in self.harmful:
                        return record
            await asyncio.sleep(AGAIN_SECONDS)

    async def _append(
        self,
        code: str,
        key: bytes | None,
        value: bytes,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """Store a record, perhaps several times where nobody can tell whether it was stored."""
        record = NewRecord(topics.inbox(id_of(code)), key, value, headers, partition)
        await _persist(lambda: self._transport.append([record]))


async def _persist(operation: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await operation()
        except DocbusError:
            await asyncio.sleep(AGAIN_SECONDS)
