"""Reads the directory topic into a replay."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.errors import (
    BrokerUnavailableError,
    DirectoryError,
    ForeignRecordError,
    TopicMissingError,
    WaitTimeoutError,
)
from docbus.identity.replay import DirectoryReplay
from docbus.identity.rules import refusal
from docbus.limits import MIB
from docbus.registry import provers
from docbus.registry.shelf import FileShelf
from docbus.transport.topics import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Sequence

    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.transport.port import Record, Transport

    OnEntry = Callable[[bytes, int, bytes], None]

PARTITION = 0
"""The directory has one partition, because its order is the authority."""
FETCH_RECORDS = 512
"""Records per read."""
FETCH_BYTES = 4 * MIB
"""Bytes per read."""
CHUNK_RECORDS = 32
"""Records applied before other tasks get their turn: some 4 ms."""
READ_SECONDS = 2.0
"""Seconds that one read waits for a record that the brokers say is there."""

_log = structlog.get_logger(__name__)


class Kept(NamedTuple):
    """A record of the directory that was applied and kept.

    Attributes:
        value: The record's value.
        offset: Where it lay.
        checked: What its certificates came to, see :attr:`~docbus.identity.replay.DirectoryReplay.checked`.
    """

    value: bytes
    offset: int
    checked: bytes


class DirectoryReader:
    """A place in the directory topic, and the replay of everything before it.

    Args:
        transport: Started by the caller.
        genesis: The pinned hash of the genesis entry.
        on_entry: Told each record value that was applied, its offset, and what its certificates came to
            (:attr:`~docbus.identity.replay.DirectoryReplay.checked`).
        on_foreign: Told each record that the registrar did not sign, and what is wrong with it.

    Attributes:
        replay: The log up to here.
        offset: Of the record that is read next.
        foreign: Records since the beginning that the registrar did not sign; they are passed by.
    """

    def __init__(
        self,
        transport: Transport,
        genesis: bytes,
        *,
        on_entry: OnEntry | None = None,
        on_foreign: Callable[[int, ForeignRecordError], None] | None = None,
    ) -> None:
        self._transport = transport
        self._on_entry = on_entry
        self._on_foreign = on_foreign
        self._passed = 0
        self._first_passed: int | None = None
        self._kept: tuple[bytes, int] | None = None
        self.replay = DirectoryReplay(genesis, FileShelf())
        self.offset = 0
        self.foreign = 0

    async def catch_up(self, timeout: float) -> None:  # noqa: ASYNC109 - told apart from a cancellation by the caller
        """Read to what is the end now.

        Args:
            timeout: Seconds in all.

        Raises:
            DirectoryError: An entry breaks a rule, or the topic cannot be the directory's.
            WaitTimeoutError: The end was not reached in time; what was read is kept, and calling again goes on.
            TransportError: The topic is missing or cannot be read.
        """
        try:
            async with asyncio.timeout(timeout):
                end = await self._end()
                await self.confirm()
                if end - self.offset >= provers.FROM_ENTRIES:
                    await self._catch_up_proven(end)
                while self.offset < end:
                    await self.step(READ_SECONDS)
        except TimeoutError as error:
            raise WaitTimeoutError(
                f"the directory was read to entry {self.replay.position} in {timeout:g} s, and not to its end",
                hint="Try again; if it stays so, the brokers are slow or hold back records.",
            ) from error

    async def _catch_up_proven(self, end: int) -> None:
        """Read up to an offset as :meth:`step` does, while other processes prove what was read."""
        if self.replay.terms is None:
            await self.step(READ_SECONDS)
        asked: deque[tuple[Sequence[Record], RegistrarTerms, asyncio.Task[Sequence[bytes | None]]]] = deque()
        async with provers.Provers() as proving:
            try:
                offset = self.offset
                while (terms := self.replay.terms) is not None and proving.count:
                    while len(asked) <= proving.count and offset < end:
                        records = await self._read(offset, READ_SECONDS)
                        if not records:
                            break
                        offset = records[-1].offset + 1
                        values = [record.value or b"" for record in records]
                        asked.append((records, terms, asyncio.create_task(proving.prove(terms, values))))
                    if not asked:
                        break
                    records, under, task = asked.popleft()
                    await self._apply_all(records, await task, under)
            finally:
                for _, _, task in asked:
                    task.cancel()

    async def resume(self, kept: AsyncIterable[Kept], *, verify: bool) -> int:
        """Apply records that were kept when they were read earlier, and go on behind them; return how many.

        Nobody has to be asked for them. With the first record that is read afterwards, the last of them is compared
        with what the brokers have in its place.

        Args:
            kept: From the genesis on, or from the next one that is not applied yet.
            verify: Verify and check them like new ones, because another version of the rules has done so before.

        Raises:
            DirectoryError: One breaks a rule; it was not kept as it was read.
            MalformedError: What is kept beside one is not what was.
        """
        number = 0
        async for value, offset, checked in kept:
            if verify:
                self.replay.apply(value)
            else:
                self.replay.apply_kept(value, checked)
            self.offset = offset + 1
            self._kept = (value, offset)
            number += 1
            if number % CHUNK_RECORDS == 0:
                await asyncio.sleep(0)
        return number

    async def confirm(self, wait: float = READ_SECONDS) -> None:
        """Compare the last record that was kept with what the brokers have in its place, once.

        Each entry names the hash of the one before, so that with the last all of them are what the brokers show.

        Args:
            wait: Seconds to wait for that record.

        Raises:
            DirectoryError: They have another one, or none.
            TransportError: They cannot be asked.
        """
        if self._kept is None:
            return
        value, offset = self._kept
        _first, end = (await self._transport.bounds(DIRECTORY)).get(PARTITION, (0, 0))
        shown = None
        if offset < end:
            records = await self._transport.read(
                DIRECTORY, PARTITION, offset, max_records=1, max_bytes=FETCH_BYTES, wait=wait
            )
            if not records:
                raise BrokerUnavailableError(f"the brokers do not show the record at offset {offset} of {DIRECTORY}")
            shown = records[0]
        if shown is None or shown.offset != offset or shown.value != value:
            was = "is gone" if shown is None or shown.offset != offset else "is another one"
            raise DirectoryError(
                f"entry {self.replay.position} of the directory, which this agency has seen, {was} on the brokers",
                hint="Somebody has cut it back, or shows another: ask the registrar, and whoever runs the brokers.",
            )
        self._kept = None

    async def step(self, wait: float) -> int:
        """Read once and apply what came; return how many entries were applied.

        Args:
            wait: Seconds to wait for a record.

        Raises:
            DirectoryError: An entry breaks a rule; those before it are applied.
            TransportError: The topic is missing or cannot be read.
        """
        await self.confirm(wait)
        before = self.replay.position
        await self._apply_all(await self._read(self.offset, wait))
        return self.replay.position - before

    async def _read(self, offset: int, wait: float) -> Sequence[Record]:
        return await self._transport.read(
            DIRECTORY, PARTITION, offset, max_records=FETCH_RECORDS, max_bytes=FETCH_BYTES, wait=wait
        )

    async def _apply_all(
        self,
        records: Sequence[Record],
        proofs: Iterable[bytes | None] = (),
        terms: RegistrarTerms | None = None,
    ) -> None:
        for number, (record, proof) in enumerate(zip_longest(records, proofs), start=1):
            self._apply(record, proof, terms)
            if number % CHUNK_RECORDS == 0:
                await asyncio.sleep(0)

    async def _end(self) -> int:
        try:
            bounds = await self._transport.bounds(DIRECTORY)
        except TopicMissingError as error:
            # `docbus provision`, which makes all other topics, reads this one first.
            raise TopicMissingError(
                f"there is no topic {DIRECTORY}, so this is no exchange, or another one",
                hint="Check the address of the bus: an exchange has its directory from `docbus registrar init` on.",
            ) from error
        if list(bounds) != [PARTITION]:
            raise DirectoryError(
                f"the topic {DIRECTORY} has {len(bounds)} partitions, expected 1",
                hint="A directory's order is its authority: make the topic again with one partition.",
            )
        first, end = bounds[PARTITION]
        if first > self.offset:
            raise DirectoryError(
                f"entries of the topic {DIRECTORY} before offset {first} have been deleted",
                hint="It must be kept for ever: restore it, and check with `docbus provision`.",
            )
        return end

    def _apply(self, record: Record, proof: bytes | None, terms: RegistrarTerms | None) -> None:
        try:
            self._apply_value(record, proof, terms)
        except ForeignRecordError as error:
            self._pass_by(record.offset, error)
        except DirectoryError:
            if self._first_passed is not None:
                # What was passed by may have been shown in the place of an entry, so it is looked at again.
                self.offset, self._first_passed = self._first_passed, None
            raise
        self.offset = record.offset + 1

    def _apply_value(self, record: Record, proof: bytes | None, terms: RegistrarTerms | None) -> None:
        value = record.value
        if value is None:
            raise refusal(self.replay.position + 1, "record_form", f"the record at offset {record.offset} has no value")
        try:
            if proof is None or terms is None:
                self.replay.apply(value)
            else:
                self.replay.apply_proven(value, proof, terms)
        except DirectoryError:
            late = self.replay.superseded(value)
            if late is None:
                raise
            _log.warning("directory_entry_superseded", position=late, offset=record.offset)
        else:
            self._first_passed = None
            if self._on_entry is not None:
                self._on_entry(value, record.offset, self.replay.checked)

    def _pass_by(self, offset: int, error: ForeignRecordError) -> None:
        if self._first_passed is None:
            self._first_passed = offset
        if offset < self._passed:
            return  # Seen before, and looked at once more.
        self._passed = offset + 1
        self.foreign += 1
        _log.warning("directory_record_foreign", offset=offset, reason=error.text)
        if self._on_foreign is not None:
            self._on_foreign(offset, error)
