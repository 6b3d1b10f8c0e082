"""Making an entry of the directory, trying it, appending it, and looking whether it stands.

Kafka has no conditional append, so two registrar processes at once may both write an entry for one position. The
order of the log decides: the first stands, the other is without effect (``DirectoryReplay.superseded``), and the
process that wrote it finds out when it reads back, and says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from docbus.clock import SystemClock
from docbus.errors import AppendUnknownError, DirectoryError, IdentityError, MalformedError, WaitTimeoutError
from docbus.identity import entries
from docbus.identity.registrar_terms import terms_of
from docbus.registry.follow import LOAD_SECONDS
from docbus.registry.new_keys import check_new_keys
from docbus.registry.reader import PARTITION, DirectoryReader
from docbus.transport.port import NewRecord
from docbus.transport.topics import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from docbus.clock import Clock
    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.identity.replay import DirectoryReplay
    from docbus.identity.signing import RegistrarSigner
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.registry.last_entry import LastEntry
    from docbus.registry.reader import Kept
    from docbus.transport.port import Transport

READ_BACK_SECONDS = 30.0
"""Seconds to see an entry again that the brokers have acknowledged."""

_log = structlog.get_logger(__name__)


class Memory(Protocol):
    """Keeps the records of the directory that were verified, as ``docbus.client.directory_memory`` does."""

    async def is_verified(self) -> bool:
        """Tell whether what is kept was verified by this version of docbus."""
        ...

    def kept(self) -> AsyncIterator[Kept]:
        """Yield the records that are kept, from the genesis on."""
        ...

    def go_on_after(self, count: int) -> None:
        """Say that so many records are kept already."""
        ...

    def begin_anew(self) -> None:
        """Say that what is kept cannot be used."""
        ...

    def take(self, value: bytes, offset: int, checked: bytes) -> None:
        """Take the next record that was verified."""
        ...

    def note(self, snapshot: TrustSnapshot) -> None:
        """Write what was taken, up to this snapshot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An entry that stands in the directory.

    Attributes:
        position: Its position.
        hash: Its hash, 32 bytes.
        snapshot: The directory with it.
        warnings: What is unusual, for the registrar to read.
    """

    position: int
    hash: bytes
    snapshot: TrustSnapshot
    warnings: tuple[str, ...] = ()


class Appending:
    """Appends entries; each returns once it stands, or raises, and then says whether it might.

    Args:
        transport: Started by the caller.
        signers: Registrar keys: as many as the directory asks for, or one of those for heartbeats.
        genesis: The pinned hash of the genesis entry.
        clock: For the time that an entry claims, and for the validity of what is granted.
        last: Remembers what was seen of the directory; without it, a log that was cut back is believed.
        memory: Keeps what was verified of it; without it, each process verifies all of it.
    """

    def __init__(
        self,
        transport: Transport,
        signers: Sequence[RegistrarSigner],
        genesis: bytes,
        clock: Clock | None = None,
        last: LastEntry | None = None,
        *,
        memory: Memory | None = None,
    ) -> None:
        self._last = last
        self._memory = memory
        self._begun = memory is None
        self._remembered = -1
        self._transport = transport
        self._signers = tuple(signers)
        self._clock = clock or SystemClock()
        self._make_reader = partial(DirectoryReader, transport, genesis, on_entry=self._note)
        self._reader = self._make_reader()
        self._newest: bytes | None = None
        self.genesis = genesis

    @property
    def held(self) -> frozenset[bytes]:
        """The keys it signs with, by the SHA-256 of their SubjectPublicKeyInfo."""
        return frozenset(signer.key for signer in self._signers)

    def _note(self, value: bytes, offset: int, checked: bytes) -> None:
        self._newest = value
        if self._memory is not None:
            self._memory.take(value, offset, checked)

    @property
    def newest_entry(self) -> bytes | None:
        """The signed bytes of the last entry that was read; None before the first."""
        return None if self._newest is None else entries.decode_record(self._newest).entry

    async def load(self) -> TrustSnapshot:
        """Read the log to its end.

        Raises:
            DirectoryError: It is empty or breaks a rule, or is not the one that was seen before.
            WaitTimeoutError: The end was not reached in time.
            TransportError: The topic is missing or cannot be read.
        """
        if self._memory is not None and not self._begun:
            await self._begin_with_kept(self._memory)
            self._begun = True
        await self._reader.catch_up(LOAD_SECONDS)
        return self._seen(self._reader.replay.snapshot())

    async def _begin_with_kept(self, memory: Memory) -> None:
        """Apply what is kept, if it leads to what the brokers show; else all of it comes from them, verified."""
        if not await memory.is_verified():
            return
        self._reader = self._make_reader()
        try:
            memory.go_on_after(await self._reader.resume(self._noted(memory.kept()), verify=False))
            await self._reader.confirm()
        except (DirectoryError, MalformedError) as error:
            _log.warning("directory_kept_unusable", error=error.text)
            self._reader = self._make_reader()
            memory.begin_anew()

    async def _noted(self, kept: AsyncIterator[Kept]) -> AsyncIterator[Kept]:
        async for one in kept:
            self._newest = one.value
            yield one

    def _seen(self, snapshot: TrustSnapshot) -> TrustSnapshot:
        if self._last is not None:
            self._last.check(snapshot)
        if self._memory is not None and snapshot.position > self._remembered:
            self._memory.note(snapshot)
            self._remembered = snapshot.position
        return snapshot

    async def _publish(self, change: entries.Change, warnings: tuple[str, ...] = ()) -> Published:
        """Publish a change on what was loaded last, signed by as many keys as it needs."""
        snapshot = self._reader.replay.snapshot()
        await asyncio.to_thread(check_new_keys, change, snapshot)
        position = snapshot.position + 1
        entry = entries.encode_entry(
            entries.DirectoryEntry(
                version=entries.VERSION,
                environment=snapshot.environment,
                position=position,
                previous=snapshot.head,
                made_at=self._clock.now_ms(),
                change=change,
            )
        )
        # A token may take its time.
        signers = signers_for(change, self._signers, snapshot.registrar)
        value = await asyncio.to_thread(entries.sign_entry, entry, signers)
        try_entry(self._reader.replay.copy(), value)
        digest = entries.entry_hash(entry)
        await self._append(value, position, digest)
        return Published(
            position=position, hash=digest, snapshot=self._reader.replay.snapshot(position), warnings=warnings
        )

    async def _append(self, value: bytes, position: int, digest: bytes) -> None:
        unknown: AppendUnknownError | None = None
        try:
            await self._transport.append([NewRecord(topic=DIRECTORY, key=None, value=value, partition=PARTITION)])
        except AppendUnknownError as error:
            unknown = error  # Reading back decides.
        try:
            await self._reader.catch_up(READ_BACK_SECONDS)
        except WaitTimeoutError as error:
            if unknown is None:
                raise WaitTimeoutError(
                    f"directory entry {position} was acknowledged by the brokers, but could not be read back in time",
                    hint="It will most likely stand: look whether it does before running the command again.",
                ) from error
        standing = self._reader.replay.hash_at(position)
        if standing == digest:
            self._seen(self._reader.replay.snapshot())
            return
        if standing is not None:
            raise DirectoryError(
                f"another registrar published directory entry {position} first; this one is without effect",
                hint="Look at what changed, then run the command again. Let only one registrar work at a time.",
            )
        if unknown is not None:
            raise AppendUnknownError(
                f"directory entry {position} may still appear: {unknown.text}",
                hint="Wait a minute, look whether it is there, and only then run the command again.",
            ) from unknown
        raise DirectoryError(
            f"directory entry {position} was acknowledged by the brokers, but they do not show it",
            hint="Do not publish anything more; check the brokers.",
        )


def signers_for(
    change: entries.Change, signers: Iterable[RegistrarSigner], terms: RegistrarTerms
) -> list[RegistrarSigner]:
    """Return those of the signers who have to sign a change, and no others.

    Raises:
        IdentityError: They are too few; the text names the keys that signed, and how many are asked for.
    """
    by_key = {signer.key: signer for signer in signers}
    if isinstance(change, entries.Heartbeat):
        for key, signer in by_key.items():
            if key in terms.heartbeat_keys:
                return [signer]
    groups = [(terms.keys, terms.threshold, "the registrar's keys")]
    if isinstance(change, entries.RegistrarRotation):
        named = terms_of(change)
        groups.append((named.keys, named.threshold, "the registrar's new keys"))
    for keys, threshold, what in groups:
        held = [key for key in by_key if key in keys]
        if len(held) < threshold:
            missing = ", ".join(key.hex()[:16] for key in keys if key not in by_key)
            raise IdentityError(
                f"this needs the signatures of {threshold} of {what}; {len(held)} of them can sign here",
                hint=f"Name more with `docbus registrar --key FILE …`: {missing}.",
            )
    return [signer for key, signer in by_key.items() if any(key in keys for keys, _, _ in groups)]


def try_entry(replay: DirectoryReplay, value: bytes) -> None:
    """Apply an entry to a replay that nobody else uses.

    Raises:
        DirectoryError: It breaks a rule; the hint says that nothing was published.
    """
    try:
        replay.apply(value)
    except DirectoryError as error:
        raise DirectoryError(error.text, hint="Nothing was published.") from error
