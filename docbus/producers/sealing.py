"""From what waits to stored envelopes: one batch, one signature, one transaction (step P3).

Runs in a worker thread and blocks there: encryption and hashing release the interpreter lock, and the event loop goes
on sending the batch before. What dies here is redone: nothing of a batch is stored, or all of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.clock import no_earlier
from docbus.envelope.batch import Draft, StreamHead
from docbus.envelope.envelope import Hint
from docbus.envelope.statement import FIRST_PREVIOUS, LANES
from docbus.errors import AgencyClosedError, IdentityError, SignerAwayError, UnknownAgencyError
from docbus.producers.batch_stamps import note_batch
from docbus.producers.clock_guard import ClockGuard
from docbus.producers.delegations import delegation_error
from docbus.producers.epochs import count_batch, current_epochs, open_stream, stream_heads, write_mark
from docbus.producers.outbox import MAX_BATCH_STATEMENTS, WaitingCopy, fail_copies, read_waiting
from docbus.producers.signer_guard import SignerGuard
from docbus.producers.states import LANE_DOCUMENTS
from docbus.producers.turns import Turns
from docbus.producers.unsent import SealedCopy
from docbus.transport import topics
from docbus.transport.topics import CONTENT_PARTITION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from docbus.clock import Clock
    from docbus.envelope.batch import Sealed, Sealer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.turns import SealingKeys
    from docbus.storage.database import Database
    from docbus.transport.port import Stamp

log = structlog.get_logger(__name__)

_ATTEMPTS = 3
"""How often a batch is sealed anew because an epoch began meanwhile; that happens once an hour at most."""

Heads = dict[tuple[str, str], tuple[int, int, bytes]]
"""(recipient, lane) to (stream row, sequence, previous)."""


class _Ground(NamedTuple):
    """What a batch is built on; if it has changed when the batch is to be stored, the batch is not."""

    epochs: dict[str, tuple[int, bytes]]
    heads: Heads


class _GroundMovedError(Exception):
    """An epoch began, or a head moved, between reading and storing."""


class Failed(NamedTuple):
    """A copy that cannot be sealed, and the stable code of the reason."""

    copy: WaitingCopy
    error: IdentityError


class SealedBatch(NamedTuple):
    """What one round has done: copies ready to be sent, and how many failed for good."""

    copies: list[SealedCopy]
    failed: int


class Sealing:
    """Seals what waits, batch by batch, for one outbox. One thread at a time.

    Args:
        database: The outbox.
        sealer: What seals, unless ``keys`` say otherwise.
        snapshot: Gives the newest trust snapshot.
        clock: For times.
        stamp: What the brokers said last of the time.
        stamped: Whether the batches wait for time stamps.
        keys: Choose what seals, batch by batch.
        batch_statements: Gives how many statements the next batch may have.
    """

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        snapshot: Callable[[], TrustSnapshot],
        clock: Clock,
        stamp: Callable[[], Stamp | None] = lambda: None,
        stamped: bool = False,
        keys: SealingKeys | None = None,
        batch_statements: Callable[[], int] = lambda: MAX_BATCH_STATEMENTS,
    ) -> None:
        self._database = database
        self._turns = Turns(database, sealer, clock, keys)
        self._snapshot = snapshot
        self._clock = clock
        self._stamped = stamped
        self._told: int | None = None
        self._guard = ClockGuard(clock, stamp)
        self._batch_statements = batch_statements
        self.signer = SignerGuard(clock)
        """Whether what signs is there."""

    @property
    def clock_ahead_ms(self) -> float | None:
        """As :meth:`docbus.producers.clock_guard.ClockGuard.ahead_ms`."""
        return self._guard.ahead_ms()

    def seal_next(self) -> SealedBatch:
        """Seal and store the next batch; blocks.

        Returns:
            The batch, durable; without copies and failures when nothing waits, the agency is suspended, its clock is
            ahead, or its signer is away.

        Raises:
            StorageError: It could not be stored; everything waits as before.
            ConfigurationError: The signer's key cannot be used, or its PIN; everything waits as before.
        """
        snapshot = self.attend()
        if self.signer.wait() is not None:
            return SealedBatch([], 0)
        room = self._guard.room()
        if room == 0:
            return SealedBatch([], 0)
        for _ in range(_ATTEMPTS):
            waiting, ground = self._database.read_now(partial(_read, room or self._batch_statements()))
            if not waiting:
                self.signer.back(signed=False)
                break
            self._turns.check(snapshot)
            if self._is_suspended(snapshot):
                break
            now_ms = no_earlier(self._clock, snapshot.made_at)
            able, failed = examine(waiting, snapshot, sender=self._turns.sealer.sender, now_ms=now_ms)
            try:
                sealed = self._seal(able, ground, snapshot, now_ms) if able else []
            except SignerAwayError as error:
                self.signer.away(error)
                break
            if sealed:
                self.signer.back()
            try:
                copies, batches = self._database.write_now(
                    _Storing(able, sealed, ground, failed, now_ms, stamped=self._stamped).store
                )
            except _GroundMovedError:
                continue
            # Before anything of the batch is sent: a backup put back later must not number on.
            write_mark(self._database.path, batches)
            for failure in failed:
                log.error(
                    "statement.fail",
                    recipient=failure.copy.recipient,
                    outgoing=failure.copy.outgoing,
                    code=failure.error.code,
                    reason=failure.error.text,
                )
            return SealedBatch(copies, len(failed))
        return SealedBatch([], 0)

    def attend(self) -> TrustSnapshot:
        """As :meth:`docbus.producers.turns.Turns.attend`; return the directory under which the next batch is sealed."""
        snapshot = self._snapshot()
        self._turns.attend(snapshot)
        return snapshot

    def _is_suspended(self, snapshot: TrustSnapshot) -> bool:
        """Tell whether the directory lets this agency sign nothing now, and say so in the log once each time."""
        own = snapshot.agency(self._turns.sealer.sender)
        entry = None if own is None else own.suspended_at
        if entry != self._told:
            if entry is not None:
                log.error("outbox.suspended", agency=self._turns.sealer.sender, entry=entry)
            else:
                log.info("outbox.reinstated", agency=self._turns.sealer.sender)
            self._told = entry
        return entry is not None

    def _seal(
        self, copies: Sequence[WaitingCopy], ground: _Ground, snapshot: TrustSnapshot, now_ms: int
    ) -> list[Sealed]:
        return self._turns.sealer.seal(
            [
                Draft(
                    copy.payload_type,
                    copy.recipient,
                    copy.lane,
                    copy.body,
                    len(copy.package or b""),
                    copy.content_key,
                    self._hints(copy),
                    copy.on_behalf_of,
                )
                for copy in copies
            ],
            epochs={lane: identifier for lane, (_, identifier) in ground.epochs.items()},
            heads={stream: StreamHead(sequence, previous) for stream, (_, sequence, previous) in ground.heads.items()},
            snapshot=snapshot,
            now_ms=now_ms,
        )

    def _hints(self, copy: WaitingCopy) -> Sequence[Hint]:
        """Return where the parts of a copy's attachments lie; for almost every copy there are none."""
        if not copy.places:
            return ()
        topic = topics.content(self._turns.sealer.sender)
        return [Hint(place.attachment, topic, CONTENT_PARTITION, place.offsets) for place in copy.places]


def examine(
    waiting: Sequence[WaitingCopy], snapshot: TrustSnapshot, *, sender: str, now_ms: int
) -> tuple[list[WaitingCopy], list[Failed]]:
    """Part what can be sealed from what cannot, because something happened after the document was accepted.

    The recipient was closed, or the delegation has ended under which it was to be sent. Receipts still go to a closed
    agency: its documents were filed, and it may prove so.
    """
    verdicts: dict[tuple[str, bool, str | None, str | None], IdentityError | None] = {}
    able: list[WaitingCopy] = []
    failed: list[Failed] = []
    for copy in waiting:
        encrypted = copy.content_key is not None
        represented = copy.on_behalf_of
        asked = copy.recipient, encrypted, represented, None if represented is None else copy.kind
        if asked not in verdicts:
            verdict: IdentityError | None = _verdict(copy.recipient, snapshot, encrypted=encrypted)
            if verdict is None and represented is not None:
                verdict = delegation_error(represented, sender, copy.kind or "", snapshot, now_ms, step="P3")
            verdicts[asked] = verdict
        error = verdicts[asked]
        if error is None:
            able.append(copy)
        else:
            failed.append(Failed(copy, error))
    return able, failed


def _verdict(recipient: str, snapshot: TrustSnapshot, *, encrypted: bool) -> IdentityError | None:
    agency = snapshot.agency(recipient)
    if agency is None:
        return UnknownAgencyError(f"recipient {recipient} is not in the directory", step="P3")
    if not encrypted:
        return None
    if agency.closed_at is not None:
        return AgencyClosedError(
            f"recipient {recipient} is closed since directory entry {agency.closed_at}",
            hint=f"Its successor is {agency.successor}." if agency.successor else None,
            step="P3",
        )
    if all(retired_at is not None for _, _, retired_at in agency.encrypters):
        return AgencyClosedError(f"recipient {recipient} has no encryption key in force", step="P3")
    return None


def _read(room: int, connection: sqlite3.Connection) -> tuple[list[WaitingCopy], _Ground]:
    waiting = read_waiting(connection, room)
    streams = {(copy.recipient, copy.lane) for copy in waiting}
    return waiting, _Ground(current_epochs(connection), stream_heads(connection, streams))


class _Storing(NamedTuple):
    """The transaction that makes a batch durable."""

    copies: Sequence[WaitingCopy]
    sealed: Sequence[Sealed]
    ground: _Ground
    failed: Sequence[Failed]
    now_ms: int
    stamped: bool

    def store(self, connection: sqlite3.Connection) -> tuple[list[SealedCopy], int]:
        """Store envelopes, positions and heads; nothing if what they were built on has changed.

        Returns:
            The copies, and how many batches this outbox has sealed.
        """
        if current_epochs(connection) != self.ground.epochs:
            raise _GroundMovedError
        fail_copies(
            connection,
            [(failure.copy.outgoing, failure.copy.ordinal, failure.error.code) for failure in self.failed],
            at_ms=self.now_ms,
        )
        batches = count_batch(connection)
        if not self.sealed:
            return [], batches
        streams = self._store_heads(connection)
        if self.stamped:
            note_batch(connection, self.sealed[0].batch, self.now_ms)
        first = int(connection.execute("SELECT coalesce(max(envelope), 0) + 1 FROM envelope").fetchone()[0])
        connection.executemany(
            "INSERT INTO envelope (envelope, front, back) VALUES (?, ?, ?)",
            [(number, sealed.front, sealed.back) for number, sealed in enumerate(self.sealed, first)],
        )
        stored = [
            SealedCopy(
                copy.payload_type,
                streams[sealed.recipient, sealed.lane],
                sealed.sequence,
                sealed.recipient,
                sealed.envelope_id,
                self.now_ms,
                sealed.front,
                copy.package,
                sealed.back,
                sealed.lane != LANES[LANE_DOCUMENTS],
            )
            for copy, sealed in zip(self.copies, self.sealed, strict=True)
        ]
        changed = connection.executemany(
            "UPDATE copy SET state = 1 /* sealed */, stream = ?, sequence = ?, envelope = ?, sealed_at = ?,"
            " digest = ?, envelope_id = ? WHERE outgoing = ? AND ordinal = ? AND state = 0 /* waiting */",
            [
                (
                    stored_copy.stream,
                    sealed.sequence,
                    number,
                    self.now_ms,
                    sealed.digest,
                    sealed.envelope_id,
                    copy.outgoing,
                    copy.ordinal,
                )
                for number, (copy, sealed, stored_copy) in enumerate(
                    zip(self.copies, self.sealed, stored, strict=True), first
                )
            ],
        ).rowcount
        if changed != len(stored):
            raise _GroundMovedError
        return stored, batches

    def _store_heads(self, connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
        """Move every stream to its new head, making streams that are new; return their rows."""
        last = {(sealed.recipient, sealed.lane): sealed for sealed in self.sealed}
        streams = {stream: row for stream, (row, _, _) in self.ground.heads.items()}
        for recipient, lane in last:
            if (recipient, lane) not in streams:
                streams[recipient, lane] = open_stream(connection, self.ground.epochs[lane][0], recipient)
        changed = connection.executemany(
            "UPDATE stream SET sequence = ?, previous = ? WHERE stream = ? AND sequence = ? AND previous = ?",
            [
                (sealed.sequence, sealed.digest, streams[stream], *self.ground.heads.get(stream, _NEW)[1:])
                for stream, sealed in last.items()
            ],
        ).rowcount
        if changed != len(last):
            raise _GroundMovedError
        return streams


_NEW = (0, 0, FIRST_PREVIOUS)
