"""Reading the inbox and running C1 and C2 on what was read, ahead of filing and beside it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from docbus.clock import no_earlier
from docbus.consumers.attempts import CRASH_LOOP, portion_of
from docbus.consumers.inspection import Failed
from docbus.errors import BrokerUnavailableError, TransportError
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.clock import Clock
    from docbus.consumers.attempts import Attempts
    from docbus.consumers.holding import Patience
    from docbus.consumers.inspection import Inspected, Inspector
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record, Subscription

MAX_OFFSET = 1 << 53
"""Of a record: more than any log has, and what follows it still fits the ledger's 64-bit integers."""
MAX_FETCH_RECORDS = 1024
"""Records of one fetch: one transaction and one receipt per stream for so many."""
MAX_FETCH_BYTES = 16 * MIB
"""Bytes of one fetch; two of each kind are in memory, and decrypted once."""
CHUNK_RECORDS = 256
"""Records verified per hop to the thread: 15 ms of work, after which the event loop gets its turn."""


class Fetched(NamedTuple):
    """Records of one fetch with what was found of each, and whether they come from the express partition."""

    records: list[Record]
    inspected: list[Inspected]
    generation: int
    express: bool


class Intake:
    """Fetches and inspects for one agency. Belongs to one event loop.

    Args:
        inspector: Its caches belong to the one thread here.
        snapshot: Gives the newest trust snapshot.
        clock: Times.
        patience: Pauses while no broker answers.
        attempts: Notes what is in hand, and says what is not to be looked at any more.
        next_offset: Tells where reading goes on in a partition.
    """

    def __init__(
        self,
        *,
        inspector: Inspector,
        snapshot: Callable[[], TrustSnapshot],
        clock: Clock,
        patience: Patience,
        attempts: Attempts,
        next_offset: Callable[[int], int],
    ) -> None:
        self._inspector = inspector
        self._snapshot = snapshot
        self._clock = clock
        self._patience = patience
        self._attempts = attempts
        self._next_offset = next_offset
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="docbus-verify")

    def close(self) -> None:
        """Let go of the thread; what it is doing, it ends."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, subscription: Subscription, wait: float, *, express: bool) -> Fetched:
        """Return what comes next, of the express partition or of the others; nothing when ``wait`` has passed.

        Raises:
            StopReceiving: The stop came while no broker answered.
            TransportError: Reading is not possible, in a way that does not heal.
        """

        async def fetch() -> list[Record]:
            found = await subscription.fetch(
                max_records=portion_of(self._attempts.near(subscription.assigned, self._next_offset))
                or MAX_FETCH_RECORDS,
                max_bytes=MAX_FETCH_BYTES,
                wait=wait,
                express=express,
            )
            _check_offsets(found)
            return found

        records = await self._patience.persist("inbox", fetch, TransportError)
        generation = subscription.generation
        return Fetched(records, await self.inspect(records, f"inspected, express {express}"), generation, express)

    async def inspect(self, records: Sequence[Record], hand: str) -> list[Inspected]:
        """C1 and C2, in the one thread that the caches belong to.

        Args:
            records: In any order.
            hand: Under which they are noted.
        """
        if not records:
            return []
        condemned = {}
        for index, record in enumerate(records if self._attempts.suspects else ()):
            suspect = self._attempts.condemns(record)
            if suspect is not None:
                text = f"{suspect.deaths} times the process died while it worked on this record, the last ones alone"
                condemned[index] = Failed(CRASH_LOOP, "C1", text, None)
        loop = asyncio.get_running_loop()
        snapshot = self._snapshot()
        now_ms = no_earlier(self._clock, snapshot.made_at)
        checked = [record for index, record in enumerate(records) if index not in condemned]
        found: list[Inspected] = []
        with self._attempts.working(hand, checked):
            for start in range(0, len(checked), CHUNK_RECORDS):
                chunk = checked[start : start + CHUNK_RECORDS]
                found += await loop.run_in_executor(self._thread, self._inspector.inspect, chunk, snapshot, now_ms)
        for index, failed in condemned.items():
            found.insert(index, failed)
        return found


def _check_offsets(records: Sequence[Record]) -> None:
    """Refuse to read on where a broker says what no log can have; the ledger could not say where to go on.

    Raises:
        BrokerUnavailableError: It is waited for until somebody mends the topic.
    """
    for record in records:
        if record.offset > MAX_OFFSET:
            raise BrokerUnavailableError(
                f"the broker has a record of {record.topic}/{record.partition} at offset {record.offset}, which no log"
                " reaches",
                hint="Ask whoever runs the brokers: the topic has to be mended.",
            )
