"""Answers to what this agency has sent: receipts, and statuses of its documents (design D5).

Usually whoever receives takes them in with everything else. Where several folders of an agency take part, each has an
outbox of its own, and an answer may come to any of them: so each reads the whole inbox for itself, without a group, and
takes from it only the answers (:class:`AnswerReader`). It files nothing and commits nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import structlog

from docbus.clock import no_earlier
from docbus.consumers.aside import shown
from docbus.consumers.holding import Patience, StopReceiving
from docbus.consumers.inspection import Inspector, Passed, Undecided
from docbus.consumers.parking import UNDECIDED_LIMIT_MS
from docbus.consumers.values import read_value, write_value
from docbus.documents.statuses import StatusCode
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import RECEIPT_TYPE, STATUS_TYPE, ReceiptBody, StatusBody
from docbus.errors import MalformedError, TransportError
from docbus.limits import MIB
from docbus.producers.pauses import jitter
from docbus.producers.receipts import UNKNOWN_EPOCH, match
from docbus.producers.statuses import is_foreign, note_processing, record_status
from docbus.transport import topics
from docbus.waiting import wait_for

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from docbus.clock import Clock
    from docbus.consumers.inspection import Inspected
    from docbus.identity.encryption import Decrypter
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Transport
    from docbus.verification.verifier import Verifier

log = structlog.get_logger(__name__)

STATUS_FOREIGN = "status_foreign"
"""A status of a document that was never sent to its issuer: kept in the stream, receipted, and not believed."""
READ_RECORDS = 1024
"""Records of one read."""
READ_BYTES = 16 * MIB
"""Bytes of one read; at least one record comes."""
READ_SECONDS = 1.0
"""Seconds that a partition is waited for; the next one has its turn then."""
MAX_UNDECIDED = 1024
"""Answers of one partition that wait for their time or for the directory; with more, reading waits for them."""
_STATE = "answers"


def take_answers(
    connection: sqlite3.Connection, answers: Iterable[Passed], *, now_ms: int
) -> list[tuple[str, str, str]]:
    """Store what verified receipts and statuses say; doing it again changes nothing.

    Args:
        connection: Inside a transaction.
        answers: Receipts and statuses that passed C1 and C2, in their order.
        now_ms: Now.

    Returns:
        (Code, sender, detail) of findings.
    """
    made = []
    for passed in answers:
        statement = passed.verified.statement
        body, head = statement.body, statement.head
        if isinstance(body, ReceiptBody):
            for finding in match(connection, receipt=body, issuer=head.sender, at_ms=now_ms):
                code, _, detail = finding.partition(": ")
                made.append((code, head.sender, shown(detail)))
        elif isinstance(body, StatusBody):
            if body.code != StatusCode.TAKE_BACK and is_foreign(connection, body.document, head.sender, body.code):
                made.append((STATUS_FOREIGN, head.sender, f"status {body.code} about a document it was not sent"))
                continue
            package = passed.package
            record_status(
                connection,
                reference=body.document,
                recipient=head.recipient if body.code == StatusCode.TAKE_BACK else head.sender,
                issuer=head.sender,
                code=body.code,
                at=body.at,
                recorded_at=now_ms,
                statement=passed.verified.digest,
                note=None if package is None else package.manifest.summary,
            )
            note_processing(connection, body.document, head.sender, body.code)
    return made


class AnswerReader:
    """Reads an agency's inbox for the answers to one outbox. Belongs to one event loop, and to the outbox's lock.

    Args:
        agency: Canonical id of the agency.
        database: With the outbox.
        transport: Started by the caller.
        snapshot: Gives the newest trust snapshot.
        decrypters: The agency's encryption keys, the newest first.
        clock: Times and pauses.
        factor: Jitter of pauses.
        verifier: Caches of verified batches, and what is known of certificates' standing; one that knows nothing if
            left out.
    """

    def __init__(
        self,
        *,
        agency: str,
        database: Database,
        transport: Transport,
        snapshot: Callable[[], TrustSnapshot],
        decrypters: Sequence[Decrypter],
        clock: Clock,
        factor: Callable[[], float] = jitter,
        verifier: Verifier | None = None,
    ) -> None:
        self._topic = topics.inbox(agency)
        self._database = database
        self._transport = transport
        self._snapshot = snapshot
        self._clock = clock
        self._inspector = Inspector(agency, decrypters, verifier)
        self._patience = Patience(asyncio.Event(), clock, factor)
        self._undecided: dict[tuple[int, int], int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Take answers in until ``stop`` is set.

        Raises:
            TopicMissingError: The agency has no inbox.
            StorageError: The database cannot be read or written.
        """
        self._patience.stop = stop
        thread = ThreadPoolExecutor(1, thread_name_prefix="docbus-answers")
        try:
            offsets = await self._patience.persist("answers", self._beginning, TransportError)
            reading = [self._follow(partition, offset, thread) for partition, offset in offsets.items()]
            async with asyncio.TaskGroup() as group:
                for one in reading:
                    group.create_task(one)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        except StopReceiving:
            pass
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _beginning(self) -> dict[int, int]:
        """Return where to begin: where it ended, or, of an outbox that has sent nothing yet, at the end."""
        bounds = await self._transport.bounds(self._topic)
        known, sent = await self._database.read(_read_state)
        return {
            partition: min(max(known.get(partition, first if sent else end), first), end)
            for partition, (first, end) in bounds.items()
        }

    async def _follow(self, partition: int, offset: int, thread: ThreadPoolExecutor) -> None:
        """Read on whatever is undecided: one answer whose time has not come must not keep others from being taken."""
        undecided: list[Record] = []
        look_at = 0.0
        with contextlib.suppress(StopReceiving):
            while not self._patience.stop.is_set():
                records: list[Record] = []
                if len(undecided) < MAX_UNDECIDED:
                    records = await self._patience.persist(
                        "answers", partial(self._read, partition, offset), TransportError
                    )
                else:
                    await wait_for(self._patience.stop, READ_SECONDS)
                now = self._clock.monotonic()
                again = undecided if now >= look_at else []
                if not records and not again:
                    continue
                offset = records[-1].offset + 1 if records else offset
                kept = [] if again else undecided
                left = await self._take([*again, *records], kept, partition, offset, thread)
                undecided = sorted([*kept, *left], key=lambda record: record.offset)
                if again:
                    look_at = now + READ_SECONDS

    async def _read(self, partition: int, offset: int) -> list[Record]:
        reading = asyncio.ensure_future(
            self._transport.read(
                self._topic, partition, offset, max_records=READ_RECORDS, max_bytes=READ_BYTES, wait=READ_SECONDS
            )
        )
        if not await self._patience.until_stop({reading}):
            reading.cancel()
            raise StopReceiving
        return reading.result()

    async def _take(
        self,
        records: Sequence[Record],
        kept: Sequence[Record],
        partition: int,
        following: int,
        thread: ThreadPoolExecutor,
    ) -> list[Record]:
        """Take in what is an answer, and note where the next start has to begin; return what is undecided.

        Args:
            records: New ones, and some that were undecided.
            kept: Undecided ones that are not looked at this time.
            partition: Of all of them.
            following: The offset behind the last one that was read.
            thread: For verifying.
        """
        loop = asyncio.get_running_loop()
        snapshot = self._snapshot()
        now_ms = no_earlier(self._clock, snapshot.made_at)
        found = await loop.run_in_executor(thread, self._inspect, records, snapshot, now_ms)
        answers = [one for _, one in found if isinstance(one, Passed)]
        left: list[Record] = []
        for record, one in found:
            place = record.partition, record.offset
            if not isinstance(one, Undecided):
                self._undecided.pop(place, None)
            elif now_ms - self._undecided.setdefault(place, now_ms) < UNDECIDED_LIMIT_MS:
                left.append(record)
        offset = min((record.offset for record in (*kept, *left)), default=following)

        def store(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
            made = take_answers(connection, answers, now_ms=now_ms)
            known, _ = _read_state(connection)
            write_value(connection, _STATE, known | {partition: offset})
            return made

        for code, sender, detail in await self._database.write(store):
            # An answer to another outbox of the agency is nothing to be told of.
            if code != UNKNOWN_EPOCH:
                log.warning("finding", code=code, sender=sender, detail=detail)
        return left

    def _inspect(
        self, records: Sequence[Record], snapshot: TrustSnapshot, now_ms: int
    ) -> list[tuple[Record, Inspected]]:
        """C1 and C2 of the records that say they are answers; what else they are is found then."""
        answers = [record for record in records if _says_answer(record.value)]
        return list(zip(answers, self._inspector.inspect(answers, snapshot, now_ms), strict=True))


def _says_answer(value: bytes | None) -> bool:
    try:
        return decode_envelope(value or b"").payload_type in (RECEIPT_TYPE, STATUS_TYPE)
    except MalformedError:
        return False


def _read_state(connection: sqlite3.Connection) -> tuple[dict[int, int], bool]:
    """Return by partition where reading goes on, and whether this outbox has ever sealed anything."""
    sent = connection.execute("SELECT EXISTS (SELECT 1 FROM stream)").fetchone()[0]
    known = {int(partition): offset for partition, offset in (read_value(connection, _STATE) or {}).items()}
    return known, bool(sent)
