"""Large content to the brokers, part after part, before anything that points at it (step P4, design section 5).

Parts are read from the encrypted file that acceptance has made, a few at a time; while some are on their way, the next
are read. Several documents take turns, so that a small one does not wait for a large one to be through.

What was acknowledged is noted after each append. After a crash, or an append whose outcome is unknown, the content
topic itself is read from the last note on: what lies there is noted and not sent again.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from docbus.envelope.parts import Part, encode_part, part_leaf
from docbus.errors import DiskFullError, StorageError, TransportError, VerificationError
from docbus.limits import MIB
from docbus.producers.content import (
    SentParts,
    content_files,
    is_used,
    leaves_of,
    mark_parts,
    note_seen,
    note_trouble,
    read_seen,
    read_trouble,
    uploads,
)
from docbus.producers.pauses import Pause, jitter
from docbus.producers.records import SPEC_VERSION, source_of
from docbus.producers.withdrawing import give_up
from docbus.storage.content import storing
from docbus.transport import topics
from docbus.transport.port import UNKNOWN_OFFSET, NewRecord
from docbus.transport.topics import CONTENT_PARTITION
from docbus.verification.parts import claimed_part
from docbus.wire.parts import SEALED_PART_BYTES, part_size
from docbus.wire.tree import levels, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.clock import Clock
    from docbus.producers.content import Upload
    from docbus.storage.content import ContentFolder
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

log = structlog.get_logger(__name__)

SLICE_PARTS = 8
"""Parts sent in one call: 4 MiB, what the Kafka transport hands over at a time; two slices are in memory."""
MAX_UPLOADS = 4
"""Attachments that take turns; more would only make each of them later."""
POLL_SECONDS = 0.25
"""Seconds after which content that another process has accepted is noticed; one look costs microseconds."""
READ_BYTES = 4 * MIB
"""Bytes read at a time from the content topic, to see what is there."""
READ_SECONDS = 5.0
"""Seconds that one such read waits for a record that the bounds say is there."""
CONTENT_TYPE = b"application/vnd.docbus.part.v1"
LOG_SHARE = 0.1
"""Share of an upload after which its progress is logged again."""


class _Slice(NamedTuple):
    """Consecutive parts of one attachment, ready to be sent."""

    upload: Upload
    first: int
    records: list[NewRecord]


class _LostError(Exception):
    """The file of an upload is not what it was."""


class Uploader:
    """Uploads for one outbox; whoever uses it holds the outbox's lock. Belongs to one event loop.

    Args:
        database: The outbox.
        transport: Where parts go.
        content: Where their files lie.
        sender: Canonical id of the sending agency.
        clock: Pauses.
        uploaded: Called when copies may be sealed that could not before.
        factor: Jitter of pauses.
    """

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        content: ContentFolder,
        sender: str,
        clock: Clock,
        uploaded: Callable[[], None] = lambda: None,
        factor: Callable[[], float] = jitter,
    ) -> None:
        self._database = database
        self._transport = transport
        self._content = content
        self._topic = topics.content(sender)
        self._key = sender.encode()
        self._source = source_of(sender)
        self._clock = clock
        self._uploaded = uploaded
        self._pause = Pause(factor)
        self._wake = asyncio.Event()
        self._trees: dict[int, list[list[bytes]]] = {}
        self._ahead: dict[int, int] = {}
        """Parts that are handed over, of attachments whose notes do not say so yet."""
        self._turn = 0
        self._doubtful = True
        self._told: dict[int, float] = {}
        self.outage: TransportError | DiskFullError | None = None
        """Why nothing could be uploaded the last time."""

    def wake(self) -> None:
        """Say, on the loop, that something may be there to be uploaded."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Upload until ``stop`` is set; failures are waited out for ever, and logged."""
        await self.clean()
        ended: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                version = self._database.data_version()
                self._wake.clear()
                working: asyncio.Future[Any] = asyncio.ensure_future(self.upload_all())
                await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    working.cancel()
                    await asyncio.wait({working})
                    return
                try:
                    working.result()
                except (TransportError, StorageError) as error:
                    await self._failed(error)
                    await self._sleep(ended, max(0.0, self._pause.until - self._clock.monotonic()), None)
                else:
                    await self._sleep(ended, None, version)
        finally:
            ended.cancel()

    async def clean(self) -> None:
        """Remove what a crash has left in the content folder; an outbox that knows of nothing removes nothing.

        It may have been made anew, and its content be all that is left of the one before.
        """
        if not await self._database.read(is_used):
            return
        used = partial(self._database.read_now, content_files)
        removed = await asyncio.to_thread(self._content.clean_outgoing, used)
        if removed:
            log.info("content.clean", folders=removed)

    async def upload_all(self) -> int:
        """Upload until nothing is left; return how many parts were acknowledged.

        Raises:
            TransportError: No broker answers, or the content topic is missing or refuses; nothing accepted is lost.
            StorageError: The outbox cannot be written.
        """
        sent = 0
        with ThreadPoolExecutor(1, thread_name_prefix="docbus-parts") as reader:
            following: asyncio.Future[_Slice | None] | None = None
            marking: asyncio.Future[int] | None = None
            self._ahead.clear()
            try:
                if await self._begin():
                    following = asyncio.ensure_future(self._next(reader))
                while following is not None and (current := await following) is not None:
                    self._ahead[current.upload.content] = current.first + len(current.records)
                    following = asyncio.ensure_future(self._next(reader))
                    # From here to the note, a crash or an error leaves parts on the brokers that nobody knows of.
                    self._doubtful = True
                    offsets = await self._transport.append(current.records)
                    sent += len(offsets)
                    if marking is not None:
                        await self._released(marking)
                    marking = asyncio.ensure_future(self._mark(current, offsets))
                if marking is not None:
                    await self._released(marking)
                    marking = None
                self._doubtful = False
                await self._succeeded()
            finally:
                for task in (following, marking):
                    if task is not None:
                        await _abandon(task)
        return sent

    async def _begin(self) -> bool:
        """Bring the notes in line with what lies in the topic; tell whether there is anything to be uploaded.

        Without a note of where the topic ended nothing may be sent: after a crash it would be sent again.
        """
        if not await self._database.read(partial(uploads, limit=1)):
            return False
        seen = await self._database.read(read_seen)
        if seen is None:
            end = (await self._transport.bounds(self._topic))[CONTENT_PARTITION][1]
            await self._database.write(lambda c: note_seen(c, end))
        elif self._doubtful:
            await self._reconcile(seen)
        return True

    async def _reconcile(self, seen: int) -> None:
        """Read what was appended since the last note, and note what of it is ours and next in its turn."""
        waiting = {upload.digest: upload for upload in await self._database.read(lambda c: uploads(c, 1 << 31))}
        following = {digest: upload.sent for digest, upload in waiting.items()}
        first, end = (await self._transport.bounds(self._topic))[CONTENT_PARTITION]
        offset, found = max(seen, first), []
        while offset < end:
            records = await self._transport.read(
                self._topic, CONTENT_PARTITION, offset, max_records=SLICE_PARTS, max_bytes=READ_BYTES, wait=READ_SECONDS
            )
            if not records:
                # Left out by the broker, such as control records at the end.
                break
            for record in records:
                offset = record.offset + 1
                try:
                    part = claimed_part(record.value)
                except VerificationError:
                    continue
                upload = waiting.get(part.digest)
                if record.key == self._key and upload is not None and following[part.digest] == part.index:
                    following[part.digest] = part.index + 1
                    found.append(SentParts(upload.content, part.index, 1, record.offset))
        if found:
            log.info("content.resume", topic=self._topic, parts=len(found))
        if await self._database.write(lambda c: mark_parts(c, found, seen=max(offset, end))):
            self._uploaded()

    async def _next(self, reader: ThreadPoolExecutor) -> _Slice | None:
        """Return the next slice, of the attachment whose turn it is; None if nothing is left."""
        while True:
            # Looked at before the outbox is: what is noted right after that is ahead no more, and would be sent again.
            ahead = dict(self._ahead)
            limit = MAX_UPLOADS + len(ahead)
            waiting = [
                upload._replace(sent=max(upload.sent, ahead.get(upload.content, 0)))
                for upload in await self._database.read(partial(uploads, limit=limit))
            ]
            waiting = [upload for upload in waiting if upload.sent < upload.parts][:MAX_UPLOADS]
            if not waiting:
                return None
            urgent = [upload for upload in waiting if upload.urgent] or waiting
            self._turn += 1
            upload = urgent[self._turn % len(urgent)]
            tree = self._trees.get(upload.content)
            if tree is None:
                leaves = await self._database.read(partial(leaves_of, content=upload.content))
                if leaves is None:
                    # Withdrawn meanwhile.
                    continue
                tree = self._trees[upload.content] = levels(leaves)
            self._tell(upload)
            try:
                return await asyncio.get_running_loop().run_in_executor(reader, self._read, upload, tree)
            except _LostError:
                await self._give_up(upload)

    def _read(self, upload: Upload, tree: list[list[bytes]]) -> _Slice:
        """Read the next parts of a file and frame them; blocks."""
        count = min(SLICE_PARTS, upload.parts - upload.sent)
        name = upload.digest.hex()
        records = []
        try:
            with storing(self._content.path), self._content.file(upload.file).open("rb", buffering=0) as file:
                file.seek(upload.sent * SEALED_PART_BYTES)
                for index in range(upload.sent, upload.sent + count):
                    size = part_size(upload.size, index)
                    content = file.read(size)
                    if content is None or len(content) != size or part_leaf(content) != tree[0][index]:
                        # Nobody could use it: the statement names what was written, not what the disk made of it.
                        raise _LostError
                    part = Part(upload.digest, upload.size, index, path_of(tree, index), content)
                    records.append(
                        NewRecord(
                            topic=self._topic,
                            key=self._key,
                            value=encode_part(part),
                            headers=(
                                ("ce_specversion", SPEC_VERSION),
                                ("ce_id", f"{name}/{index}".encode()),
                                ("ce_source", self._source),
                                ("ce_type", b"docbus.part.v1"),
                                ("content-type", CONTENT_TYPE),
                            ),
                            partition=CONTENT_PARTITION,
                        )
                    )
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise _LostError from error
            raise
        return _Slice(upload, upload.sent, records)

    async def _mark(self, sent: _Slice, offsets: Sequence[int]) -> int:
        if UNKNOWN_OFFSET in offsets:
            # Stored, but nobody said where: the topic has to be asked.
            seen = await self._database.read(read_seen)
            await self._reconcile(seen or 0)
            return 0
        runs = [SentParts(sent.upload.content, sent.first + number, 1, offset) for number, offset in enumerate(offsets)]
        if sent.first + len(offsets) == sent.upload.parts:
            self._trees.pop(sent.upload.content, None)
            self._told.pop(sent.upload.content, None)
        released = await self._database.write(lambda c: mark_parts(c, runs, seen=offsets[-1] + 1))
        if sent.first + len(offsets) == self._ahead.get(sent.upload.content):
            del self._ahead[sent.upload.content]
        return released

    async def _released(self, marking: asyncio.Future[int]) -> None:
        if await marking:
            self._uploaded()

    def _tell(self, upload: Upload) -> None:
        share = upload.sent / upload.parts
        if share >= self._told.get(upload.content, 0.0) + LOG_SHARE:
            self._told[upload.content] = share
            log.info(
                "content.upload",
                outgoing=upload.outgoing,
                share=f"{share:.0%}",
                parts=upload.parts,
                bytes=upload.size,
            )

    async def _give_up(self, upload: Upload) -> None:
        """The file is gone or shorter than it was: nothing can bring it back, so its copies fail, visibly."""
        log.error("content.lost", outgoing=upload.outgoing, file=upload.file)
        at_ms = self._clock.now_ms()
        files = await self._database.write(lambda c: give_up(c, upload.outgoing, at_ms=at_ms))
        await asyncio.to_thread(self._content.drop, files)
        self._uploaded()

    async def _failed(self, error: TransportError | StorageError) -> None:
        self._pause.fail(self._clock.monotonic())
        self._trees.clear()
        if isinstance(error, (TransportError, DiskFullError)):
            self.outage = error
        if self._pause.worth_logging:
            log.warning(
                "content.pause", failures=self._pause.failures, code=error.code, reason=error.text, hint=error.hint
            )
        at_ms = self._clock.now_ms()
        if not isinstance(error, StorageError):
            await self._note((at_ms, error.text))

    async def _succeeded(self) -> None:
        self.outage = None
        if self._pause.succeed():
            log.info("content.go_on")
        # Also what a process has noted that died before its next attempt.
        if await self._database.read(read_trouble) is not None:
            await self._note(None)
        if await self._database.read(read_seen) is not None:
            await self._database.write(lambda c: note_seen(c, None))

    async def _note(self, trouble: tuple[int, str] | None) -> None:
        await self._database.write(lambda c: note_trouble(c, trouble))

    async def _sleep(self, ended: asyncio.Future[Any], seconds: float | None, version: int | None) -> None:
        """Wait for a pause to be over, or, without one, until there may be something to do."""
        until = None if seconds is None else self._clock.monotonic() + seconds
        while not ended.done():
            left = POLL_SECONDS if until is None else min(POLL_SECONDS, until - self._clock.monotonic())
            if left <= 0:
                return
            woken: asyncio.Future[Any] = asyncio.ensure_future(self._wake.wait())
            try:
                await asyncio.wait({woken, ended}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
            if until is None and (self._wake.is_set() or self._database.data_version() != version):
                return


async def _abandon(task: asyncio.Future[Any]) -> None:
    """End a task of which nobody waits for the outcome any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
