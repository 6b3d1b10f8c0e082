"""What lies in the inboxes, and what therefore has to be reported: a model of streams that is as simple as can be.

It reads a recipient's inbox once, from the first record to the last. The first statement in a place of a stream has it,
the same again is a duplicate, another is a fork, and a place that is skipped is missing. What an attacker has written
does not verify, for the reason that he had in mind.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.set_aside import set_aside_of
from docbus.envelope.statement import DocumentBody, ReceiptBody
from docbus.errors import VerificationError
from docbus.transport import topics
from docbus.verification.verifier import Verifier
from docbus.wire.tree import root_of
from tests.faults.harness.agencies import FORKER, SENDER, id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record, Transport

READ = {"max_records": 4096, "max_bytes": 32 << 20, "wait": 10.0}
GAP, FORK = "stream_hole", "stream_fork"


class Told(NamedTuple):
    """Something that has to be reported of a record: partition, offset and code."""

    partition: int
    offset: int
    code: str


class Inbox:
    """One recipient's, read.

    Attributes:
        streams: Epoch to sequence to (digest, document id) of the statement that has the place.
        senders: Epoch to the sender.
        aside: What belongs into quarantine.
        findings: What is to be found of statements that verify.
        holes: (Epoch, first, last) of what is missing.
        duplicates: How many records came before, by partition.
        ends: Partition to the offset behind its last record.
        wrong: What should not be on the wire at all.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self.streams: dict[bytes, dict[int, tuple[bytes, str]]] = {}
        self.senders: dict[bytes, str] = {}
        self.aside: set[Told] = set()
        self.findings: set[Told] = set()
        self.holes: set[tuple[bytes, int, int]] = set()
        self.duplicates: Counter[int] = Counter()
        self.ends: dict[int, int] = {}
        self.wrong: list[str] = []

    async def read(
        self, transport: Transport, snapshot: TrustSnapshot, harmful: Mapping[tuple[str, bytes], str]
    ) -> None:
        """Read all of it.

        Args:
            transport: Started.
            snapshot: The directory.
            harmful: (Code, digest of a value) of what an attacker wrote, and the reason why it cannot be taken.
        """
        verifier = Verifier()
        found = set()
        async for record in records_of(transport, topics.inbox(id_of(self.code))):
            self.ends[record.partition] = record.offset + 1
            value = record.value or b""
            name = self.code, sha256(value).digest()
            if (reason := harmful.get(name)) is not None:
                found.add(name)
                self.aside.add(Told(record.partition, record.offset, reason))
                continue
            try:
                one = verifier.verify_recorded(
                    value, key=record.key or b"", recipient=id_of(self.code), snapshot=snapshot
                )
            except VerificationError as error:
                self.wrong.append(f"a record of {self.code} does not verify: {error.code}")
                continue
            statement = one.statement
            if isinstance(statement.body, DocumentBody):
                place = statement.head.epoch, statement.position.sequence
                self.senders[statement.head.epoch] = one.sender
                self._place(record, *place, one.digest, statement.body.document_id)
        lost = sum(name[0] == self.code for name in harmful) - len(found)
        if lost:
            self.wrong.append(f"{lost} records of the attacker are not in the inbox of {self.code}")

    def _place(self, record: Record, epoch: bytes, sequence: int, digest: bytes, document_id: str) -> None:
        stream = self.streams.setdefault(epoch, {})
        known = stream.get(sequence)
        if known is not None and known[0] == digest:
            self.duplicates[record.partition] += 1
            return
        own = self.senders[epoch] == id_of(FORKER)
        if known is not None:
            self.aside.add(Told(record.partition, record.offset, FORK))
            self.findings.add(Told(record.partition, record.offset, FORK))
        else:
            # No dictionary forgets the order in which it was filled.
            last = next(reversed(stream), 0)
            if sequence < last or (sequence > last + 1 and not own):
                self.wrong.append(f"{self.code} got statement {sequence} of {epoch.hex()} after {last}")
            elif sequence > last + 1:
                self.findings.add(Told(record.partition, record.offset, GAP))
                self.holes.add((epoch, last + 1, sequence - 1))
            stream[sequence] = digest, document_id
        if known is not None and not own:
            self.wrong.append(f"{self.code} got another statement {sequence} of {epoch.hex()}")

    def documents_of(self, code: str) -> set[str]:
        """Return the documents of a sender whose statements have a place."""
        epochs = [epoch for epoch, sender in self.senders.items() if sender == id_of(code)]
        return {document_id for epoch in epochs for _, document_id in self.streams[epoch].values()}

    async def check_quarantine(self, transport: Transport) -> list[str]:
        """5: Everything that belongs into quarantine lies there, nothing else does, and there are no dead letters."""
        recipient = id_of(self.code)
        lies = set()
        async for record in records_of(transport, topics.quarantine(recipient)):
            one = set_aside_of(record)
            lies.add(Told(-1 if one.partition is None else one.partition, one.offset or 0, one.reason))
        wrong = [f"{self.code} has set aside {one}, which was genuine" for one in lies - self.aside]
        wrong += [f"{self.code} has not set aside {one}" for one in self.aside - lies]
        async for record in records_of(transport, topics.dead_letter(recipient)):
            wrong.append(f"{self.code} has a dead letter: {set_aside_of(record).reason}")
        return wrong

    def check_receipts(self, receipts: list[ReceiptBody], held: set[str]) -> list[str]:
        """3: Every statement that has a place is receipted, and held if its receipt does not refuse it."""
        wrong: list[str] = []
        covered: dict[bytes, set[int]] = {epoch: set() for epoch in self.streams}
        for body in receipts:
            stream = self.streams.get(body.epoch, {})
            numbers = range(body.first, body.last + 1)
            if any(number not in stream for number in numbers):
                wrong.append(f"{self.code} has receipted {body.first} to {body.last}, which is not all on the wire")
                continue
            if root_of([stream[number][0] for number in numbers]) != body.root:
                wrong.append(f"a receipt of {self.code} has another root")
            refused = {refusal.sequence for refusal in body.refused}
            wrong += [f"{self.code} refused {stream[number][1]}" for number in refused]
            wrong += [
                f"{self.code} has receipted {stream[number][1]}, which it does not hold"
                for number in numbers
                if stream[number][1] not in held and number not in refused
            ]
            covered[body.epoch].update(numbers)
        return wrong + [
            f"{self.code} never receipted {stream[number][1]}"
            for epoch, stream in self.streams.items()
            for number in stream.keys() - covered[epoch]
        ]


async def receipts_of(transport: Transport, snapshot: TrustSnapshot, wrong: list[str]) -> dict[str, list[ReceiptBody]]:
    """Return the receipts that both senders got, by issuer."""
    verifier = Verifier()
    found: dict[str, list[ReceiptBody]] = {}
    for code in (SENDER, FORKER):
        async for record in records_of(transport, topics.inbox(id_of(code))):
            try:
                one = verifier.verify_recorded(
                    record.value, key=record.key or b"", recipient=id_of(code), snapshot=snapshot
                )
            except VerificationError as error:
                wrong.append(f"an answer to {code} does not verify: {error.code}")
                continue
            if isinstance(one.statement.body, ReceiptBody):
                found.setdefault(one.sender, []).append(one.statement.body)
    return found


async def records_of(transport: Transport, topic: str) -> AsyncIterator[Record]:
    """Yield all records of a topic, partition by partition."""
    for partition, (first, end) in (await transport.bounds(topic)).items():
        offset = first
        while offset < end:
            records = await transport.read(topic, partition, offset, **READ)  # type: ignore[arg-type]
            if not records:
                break
            for record in records:
                yield record
            offset = records[-1].offset + 1
