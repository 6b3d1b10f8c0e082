"""The loop that fetches large content for documents that wait for it (C2.09 to C2.12).

It runs beside the loop that receives: while gigabytes arrive, the inbox goes on, and only the stream whose document is
incomplete waits. What it does is in the table ``wanted`` and in files, so that it may be killed at any moment.

========================================  =============================================================================
what happens                              what becomes of it
========================================  =============================================================================
brokers are away, the disk is full        tried again, with growing pauses, for ever; ``docbus status`` says why
parts are nowhere, or something else is   tried again for ``MISSING_LIMIT_MS``, then the document is refused
parts have expired                        the document is refused at once
the sender signed what does not open      quarantine
========================================  =============================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

from docbus.consumers import wanted as rows
from docbus.consumers.assembling import Assembly
from docbus.consumers.locating import Locator
from docbus.consumers.parking import next_attempt
from docbus.consumers.threads import to_end
from docbus.consumers.wanted import Failure, Held
from docbus.documents.refusals import CONTENT_DAMAGED, CONTENT_EXPIRED, CONTENT_MISSING, CONTENT_UNREADABLE
from docbus.errors import DiskFullError, StorageError, TopicMissingError, TransportError, VerificationError
from docbus.limits import MIB
from docbus.producers.pauses import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from docbus.clock import Clock
    from docbus.consumers.wanted import BodyKey, Wanted
    from docbus.storage.content import ContentFolder
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

log = structlog.get_logger(__name__)

MAX_FETCHES = 4
"""Attachments fetched at the same time, each of another stream: some 12 MiB of memory each."""
MAX_OF_SENDER = 2
"""Of these, those of one sender: its urgent documents do not wait for others of its own, nor anybody else for it."""
WORKERS = 4
"""Threads that decrypt, write, hash and sync; all of that releases the interpreter lock."""
MISSING_LIMIT_MS = 15 * 60 * 1000
"""Milliseconds for which parts may be missing: a sender stores them before the envelope, so that only a leader that
lost its place can be in between. Then the stream goes on without the document."""
UNREADABLE_LIMIT_MS = 24 * 60 * 60 * 1000
"""Milliseconds for which a content topic may refuse to be read, so that somebody can give the right back."""
IDLE_SECONDS = 5.0
"""Seconds after which the loop looks again in any case."""
NOTE_BYTES = 32 * MIB
"""Bytes after which the share that has arrived is noted for ``docbus status`` and the log."""
STOP_SECONDS = 10.0
"""Seconds that a stop waits for threads that are writing."""
STEP = "C2.10"


class Fetcher:
    """Fetches for one agency. Belongs to one event loop.

    Args:
        database: The ledger.
        transport: Started by the caller.
        content: Where content is put together.
        environment: Gives the exchange's name.
        clock: Times and pauses.
        arrived: Called when something was decided: a document is complete, or cannot be had.
        spool_bytes: The most that content may take before it is filed.
        factor: Jitter of pauses.
    """

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        content: ContentFolder,
        environment: Callable[[], str],
        clock: Clock,
        arrived: Callable[[], None],
        spool_bytes: int,
        factor: Callable[[], float],
    ) -> None:
        self._database = database
        self._transport = transport
        self._content = content
        self._environment = environment
        self._clock = clock
        self._arrived = arrived
        self._spool_bytes = spool_bytes
        self._factor = factor
        self._wake = asyncio.Event()
        self._active: dict[asyncio.Task[None], Wanted] = {}
        self._short: set[int] = set()
        self._pause = Pause(factor)
        self._abandoned = 0
        self.busy = True
        """Whether something is being fetched, or might be found to be fetched at the next look."""

    def wake(self) -> None:
        """Say, on the loop, that there may be something new."""
        self.busy = True
        self._wake.set()

    async def abandon(self, numbers: Collection[int]) -> None:
        """Stop fetching what nobody waits for any more; returns when no thread works on it.

        The database gives a number again once its row is gone. So this comes between the removal of rows and whatever
        is wanted next: nothing ever ends as content of another document, or leaves a file that no row names.
        """
        self._abandoned += 1
        tasks = [task for task, one in self._active.items() if one.number in numbers]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch until ``stop`` is set."""
        ended: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="docbus-content")
        try:
            used = await self._database.read(rows.numbers)
            await asyncio.to_thread(self._content.clean_incoming, used)
            while not stop.is_set():
                self._wake.clear()
                await self._start(pool)
                self.busy = bool(self._active) or self._wake.is_set()
                await self._wait(ended)
                for task in [task for task in self._active if task.done()]:
                    del self._active[task]
                    if not task.cancelled():
                        await self._end(task, ended)
        finally:
            ended.cancel()
            for task in self._active:
                task.cancel()
            if self._active:
                await asyncio.wait(self._active, timeout=STOP_SECONDS)
            pool.shutdown(wait=False, cancel_futures=True)

    async def _end(self, task: asyncio.Task[None], ended: asyncio.Future[Any]) -> None:
        """Take note of how a fetch ended: a database that cannot be written is waited for, all else is a bug."""
        try:
            task.result()
        except StorageError as error:
            self._pause.fail(self._clock.monotonic())
            if self._pause.worth_logging:
                log.warning("content.hold", failures=self._pause.failures, code=error.code, reason=error.text)
            await asyncio.wait({ended}, timeout=max(0.0, self._pause.until - self._clock.monotonic()))
        else:
            self._pause.succeed()

    async def _start(self, pool: ThreadPoolExecutor) -> None:
        """Begin with what is due, as far as there is room."""
        places = MAX_FETCHES - len(self._active)
        if places <= 0:
            return
        now_ms, environment, abandoned = self._clock.now_ms(), self._environment(), self._abandoned
        due = await self._database.read(lambda c: rows.due(c, environment, now_ms))
        held = await self._database.read(rows.held_bytes) if due else {}
        free = await asyncio.to_thread(self._content.free_bytes) if due else 0
        if abandoned != self._abandoned:
            # What was read may be gone.
            self._wake.set()
            return
        streams = {(one.sender, one.epoch) for one in self._active.values()}
        # Who has a fetch running comes after those who have none, so that a few senders never take all places for long.
        running = Counter(one.sender for one in self._active.values())
        for one in sorted(due, key=lambda one: running[one.sender]):
            if places <= 0:
                return
            stream = one.sender, one.epoch
            of_sender = sum(sender == one.sender for sender, _ in streams)
            if stream in streams or of_sender >= MAX_OF_SENDER or not self._has_room(one, held, free):
                continue
            streams.add(stream)
            places -= 1
            task = asyncio.ensure_future(self._fetch(one, pool))
            self._active[task] = one
            task.add_done_callback(lambda _: self._wake.set())

    def _has_room(self, one: Wanted, held: dict[BodyKey, Held], free: int) -> bool:
        """Tell whether content may be fetched without anybody else's having to wait for it to be filed.

        Room is given to a document once, for all of its content, and so is the disk. A sender gets half of it at most,
        so that nobody fills it for all. What the disk has no room for on its own is begun nevertheless: it says so.
        """
        given = {active.document: Held(active.together, active.left) for active in self._active.values()} | held
        if one.document in given:
            return True
        size = one.together
        of_sender = sum(taken.size for (document, _), taken in given.items() if document[0] == one.sender)
        of_all = sum(taken.size for taken in given.values())
        promised = sum(taken.left for taken in given.values())
        roomy = of_all + size <= self._spool_bytes and (not of_sender or of_sender + size <= self._spool_bytes // 2)
        roomy = roomy and (promised + one.left <= free or one.left > free)
        if not roomy and one.number not in self._short:
            log.warning(
                "content.wait",
                sender=one.sender,
                bytes=size,
                held=of_all,
                limit=self._spool_bytes,
                promised=promised,
                free=free,
            )
            self._short.add(one.number)
        if roomy:
            self._short.discard(one.number)
        return roomy

    async def _wait(self, ended: asyncio.Future[Any]) -> None:
        due_at = await self._database.read(rows.next_due)
        seconds = IDLE_SECONDS
        if due_at is not None and len(self._active) < MAX_FETCHES:
            left = (due_at - self._clock.now_ms()) / 1000
            # What is due and was not begun waits for room or for its stream, and so for something to end.
            seconds = min(seconds, left) if left > 0 else seconds
        woken: asyncio.Future[Any] = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({woken, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    # --- one attachment ---------------------------------------------------------------------------

    async def _fetch(self, one: Wanted, pool: ThreadPoolExecutor) -> None:
        """Fetch an attachment, and then others of its document, as long as nothing fails."""
        following: Wanted | None = one
        while following is not None:
            task = asyncio.current_task()
            if task in self._active:
                self._active[task] = following
            following = await self._fetch_one(following, pool)

    async def _fetch_one(self, one: Wanted, pool: ThreadPoolExecutor) -> Wanted | None:
        """Bring one attachment to an end, or to its next attempt; never raises but for a database that fails.

        Returns:
            Another of its document, if this one is complete.
        """
        assembly = Assembly(self._content, one.number, one.content)
        locator: Locator | None = None
        damage: list[str] = []
        try:
            await self._in(pool, assembly.open)
            locator = Locator(self._transport, one, lambda: assembly.missing, assembly.read_to)
            await self._assemble(one, assembly, locator, pool, damage)
            if assembly.missing:
                await self._lacking(one, locator, damage, assembly)
            else:
                return await self._finish(one, assembly, pool)
        except VerificationError as error:
            await self._fail(one, Failure(error.code, error.step or STEP, error.text))
        except TopicMissingError as error:
            await self._look_later(
                one, Failure(CONTENT_MISSING, STEP, error.text), MISSING_LIMIT_MS, assembly.have_bytes
            )
        except (TransportError, DiskFullError, StorageError) as error:
            limit = None if error.retriable or isinstance(error, StorageError) else UNREADABLE_LIMIT_MS
            code = error.code if limit is None else CONTENT_UNREADABLE
            await self._look_later(one, Failure(code, STEP, error.text), limit, assembly.have_bytes)
        finally:
            with contextlib.suppress(RuntimeError):
                await self._in(pool, assembly.close)
        return None

    async def _assemble(
        self, one: Wanted, assembly: Assembly, locator: Locator, pool: ThreadPoolExecutor, damage: list[str]
    ) -> None:
        """Take parts as they are found; the digest of those before runs in another thread meanwhile."""
        digesting: asyncio.Future[None] | None = None
        letting_go: asyncio.Future[None] | None = None
        noted = assembly.have_bytes
        try:
            if assembly.missing == 0:
                return
            async with contextlib.aclosing(locator.records()) as found:
                async for records in found:
                    taken = await self._in(pool, assembly.take, records)
                    locator.useful = bool(taken.parts or taken.known)
                    # The first is enough to say, and a topic may be full of them.
                    damage += [f"offset {bad.offset}: {bad.text}" for bad in taken.mismatches[: 1 - len(damage)]]
                    if digesting is not None:
                        await digesting
                    digesting = self._begin(pool, assembly.digest, taken.parts)
                    if assembly.heavy and (letting_go is None or letting_go.done()):
                        if letting_go is not None:
                            letting_go.result()
                        letting_go = self._begin(pool, assembly.let_go)
                    if assembly.have_bytes >= noted + NOTE_BYTES:
                        noted = assembly.have_bytes
                        await self._note(one, noted)
        finally:
            beside = {one for one in (digesting, letting_go) if one is not None}
            if beside:
                await asyncio.wait(beside)
        for done in beside:
            done.result()

    async def _finish(self, one: Wanted, assembly: Assembly, pool: ThreadPoolExecutor) -> Wanted | None:
        try:
            await self._in(pool, assembly.finish)
        except VerificationError:
            if not assembly.resumed:
                raise
            # Perhaps a power cut has torn what was written before it; the sender is not blamed for that.
            log.warning("content.torn", sender=one.sender, document=one.content.context.document_id)
            await self._in(pool, assembly.begin_anew)
            torn = Failure(CONTENT_DAMAGED, STEP, "what was here before a restart does not fit")
            await self._look_later(one, torn, None, assembly.have_bytes)
            return None
        at_ms = self._clock.now_ms()
        following: Wanted | None = await self._database.write(lambda c: rows.complete(c, one, at_ms=at_ms))
        log.info(
            "content.complete", sender=one.sender, document=one.content.context.document_id, bytes=one.content.size
        )
        if following is None:
            self._arrived()
        return following

    async def _lacking(self, one: Wanted, locator: Locator, damage: list[str], assembly: Assembly) -> None:
        """Decide what it means that parts were not found."""
        what = f"{assembly.missing:,} of {one.content.parts:,} parts"
        if locator.expired:
            first = locator.bounds.first
            text = f"{what} are gone: the sender's content topic begins at offset {first} now, they lay before it"
            await self._fail(one, Failure(CONTENT_EXPIRED, STEP, text))
        elif damage:
            failure = Failure(CONTENT_DAMAGED, STEP, f"{what} are not there, something else is: {damage[0]}")
            await self._look_later(one, failure, MISSING_LIMIT_MS, assembly.have_bytes)
        else:
            failure = Failure(CONTENT_MISSING, STEP, f"{what} are not in the sender's content topic")
            await self._look_later(one, failure, MISSING_LIMIT_MS, assembly.have_bytes)

    async def _look_later(self, one: Wanted, failure: Failure, limit_ms: int | None, have: int) -> None:
        """Try again later; with a limit, fail once it has lasted so long."""
        now_ms = self._clock.now_ms()
        missing_at = one.missing_at
        if limit_ms is not None:
            missing_at = now_ms if missing_at is None else missing_at
            if now_ms - missing_at >= limit_ms:
                lasted = f"{failure.detail}, since {(now_ms - missing_at) // 1000} s"
                await self._fail(one, failure._replace(detail=lasted))
                return
        due_at = next_attempt(one.attempts, now_ms, self._factor())
        if one.attempts & (one.attempts - 1) == 0:
            log.warning(
                "content.retry",
                sender=one.sender,
                document=one.content.context.document_id,
                attempts=one.attempts + 1,
                code=failure.code,
                reason=failure.detail,
            )
        await self._database.write(
            lambda c: rows.retry(c, one, failure, due_at=due_at, missing_at=missing_at, have=have)
        )

    async def _fail(self, one: Wanted, failure: Failure) -> None:
        at_ms = self._clock.now_ms()
        await self._database.write(lambda c: rows.fail(c, one, failure, at_ms=at_ms))
        log.warning(
            "content.fail",
            sender=one.sender,
            document=one.content.context.document_id,
            step=failure.step,
            code=failure.code,
            reason=failure.detail,
        )
        self._arrived()

    async def _note(self, one: Wanted, have: int) -> None:
        await self._database.write(lambda c: rows.note_have(c, one.number, have))
        log.info(
            "content.fetch",
            sender=one.sender,
            document=one.content.context.document_id,
            share=f"{have / one.content.size:.0%}",
            bytes=one.content.size,
        )

    @staticmethod
    def _begin(pool: ThreadPoolExecutor, job: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(pool, job, *arguments)

    async def _in(self, pool: ThreadPoolExecutor, job: Callable[..., Any], *arguments: Any) -> Any:
        return await to_end(self._begin(pool, job, *arguments))
