"""What an agency's operators decide about records that were set aside: release, redeliver, reject."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from docbus.client.running import beside
from docbus.client.working import WorkingMethods
from docbus.clock import no_earlier
from docbus.consumers.acts import append_acts, follow_acts, read_acts
from docbus.consumers.items import CONFLICT
from docbus.consumers.listed import DONE, KINDS
from docbus.consumers.listing import Reader
from docbus.consumers.redrive import filed_by, sink_name
from docbus.consumers.requests import read_requested, read_rows
from docbus.consumers.selection import MAX_SELECTED, judge, resolved
from docbus.consumers.sinks.folder import FolderSink
from docbus.envelope.act import NONCE_BYTES, REDELIVER, REJECT, RELEASE, VERSION, Act, seal_acts
from docbus.errors import IndeterminateError, LockedError, RedriveError
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_OPERATOR_BYTES, MAX_REASON_BYTES
from docbus.verification.acts import verify_act
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from docbus.consumers.acts import ReadAct
    from docbus.consumers.listed import Kind, Listed
    from docbus.consumers.requests import RequestRow
    from docbus.consumers.selection import Candidate, Selection
    from docbus.envelope.act import Action
    from docbus.identity.snapshot import TrustSnapshot

DEFAULT_WAIT_SECONDS = 30.0
"""Seconds that an operator waits for what comes of a decision, unless told otherwise."""
LOOK_SECONDS = 0.1
"""Seconds between two looks at what came of it."""
RETRY_SECONDS = 1.0
"""Seconds between two attempts to do the work where nobody else receives."""
SHOWN_REFUSED = 5
"""Records that the text of an error names."""


class Redriven(NamedTuple):
    """What came of one record.

    Attributes:
        listed: The record, with the decision that was in force before.
        outcome: ``done``, ``in vain``, ``requested`` (not done yet), ``waiting`` (for its large content), ``already``
            (decided before, nothing more was done), ``refused`` (it cannot be decided about so), or ``to do``, if
            nothing was to be done yet.
        code: Stable code of what came of it, such as ``filed`` or ``signature_invalid``.
        detail: A sentence.
    """

    listed: Listed
    outcome: str
    code: str
    detail: str


class RedriveMethods(WorkingMethods):
    """The part of :class:`~docbus.client.agency.Agency` that is about what was set aside; never used by itself."""

    async def release(
        self,
        selection: Selection,
        *,
        reason: str,
        operator: str | None = None,
        wait: float = DEFAULT_WAIT_SECONDS,
        dry_run: bool = False,
    ) -> list[Redriven]:
        """Let records from quarantine go their way as if they had just come: every check, sink, receipt.

        Args:
            selection: Which.
            reason: Why, in the operator's words; stands in the signed act, in clear.
            operator: Who decides; the user of the operating system if left out.
            wait: Seconds to wait for what comes of it; 0 does not wait.
            dry_run: Only tell what would be done.

        Raises:
            RedriveError: Nothing is selected, or one that is named cannot be released; nothing was decided.
            VerificationError: The agency's key may not sign; nothing was decided.
            IndeterminateError: Whether it may cannot be told; nothing was decided.
            TransportError: The agency's topics cannot be read or written.
        """
        return await self._decide(
            RELEASE, selection, ("quarantine",), reason=reason, operator=operator, wait=wait, dry_run=dry_run
        )

    async def redeliver(
        self,
        selection: Selection,
        *,
        reason: str,
        operator: str | None = None,
        wait: float = DEFAULT_WAIT_SECONDS,
        dry_run: bool = False,
        topics: Sequence[Kind] = KINDS,
    ) -> list[Redriven]:
        """Offer documents to the sink again that it refused: dead letters, and conflicts in quarantine.

        Args and errors are those of :meth:`release`; ``topics`` says where to look.
        """
        return await self._decide(
            REDELIVER, selection, topics, reason=reason, operator=operator, wait=wait, dry_run=dry_run
        )

    async def reject(
        self,
        selection: Selection,
        *,
        reason: str,
        operator: str | None = None,
        wait: float = DEFAULT_WAIT_SECONDS,
        dry_run: bool = False,
        topics: Sequence[Kind] = KINDS,
    ) -> list[Redriven]:
        """Refuse for good. The sender of a genuine document gets status 02 with the reason, encrypted.

        Args and errors are those of :meth:`release`; ``topics`` says where to look.
        """
        return await self._decide(
            REJECT, selection, topics, reason=reason, operator=operator, wait=wait, dry_run=dry_run
        )

    async def acts(self) -> AsyncIterator[ReadAct]:
        """Yield every act of this agency's ledger topic, the oldest first, with what verification says of it.

        Raises:
            TransportError: The topic cannot be read.
        """
        async for _, found in read_acts(self.transport, self.id, self.snapshot, verifier=self._verifier()):
            for one in found:
                yield one

    async def _decide(
        self,
        action: Action,
        selection: Selection,
        where: Sequence[Kind],
        *,
        reason: str,
        operator: str | None,
        wait: float,
        dry_run: bool,
    ) -> list[Redriven]:
        who = _checked_operator(operator)
        reason = _checked_reason(reason)
        if selection.empty:
            raise RedriveError(
                "nothing is selected",
                hint="Name numbers, documents, a sender, a reason or an age; or select all, which has to be said.",
            )
        if not dry_run:
            await self._follow_acts(self.snapshot)
        candidates = await self._candidates(action, selection, where)
        chosen = [one.listed for one in candidates if one.verdict == "do"]
        if dry_run or not chosen:
            return [_undone(one) for one in candidates]
        await self._sign(action, chosen, reason, who)
        rows = await self._outcomes(chosen, wait)
        return [
            _undone(one)
            if one.verdict != "do"
            else _redriven(one.listed, rows.get((one.listed.topic, one.listed.number, one.listed.mark)))
            for one in candidates
        ]

    async def _candidates(self, action: Action, selection: Selection, where: Sequence[Kind]) -> list[Candidate]:
        reader = Reader(self.transport, self.database, self.id, self.snapshot, self._verifier())
        listed = [one for kind in where for one in await reader.selected(kind, resolved(selection, self.snapshot))]
        if action == REDELIVER and len(where) > 1:
            # Of the quarantine only conflicts are meant, whatever else it holds.
            listed = [one for one in listed if one.topic != "quarantine" or one.reason == CONFLICT]
        if not selection.named and not all(one.decided for one in listed):
            listed = [one for one in listed if not one.decided]
        if len(listed) > MAX_SELECTED:
            raise RedriveError(
                f"more than {MAX_SELECTED:,} records are selected",
                hint="Select fewer, for example by age or by sender.",
            )
        found = [judge(action, one) for one in listed]
        missing = sorted(set(selection.numbers) - {one.listed.number for one in found})
        missing_documents = sorted(set(selection.documents) - {one.listed.document_id for one in found})
        if missing or missing_documents or not found:
            named = ", ".join([*map(str, missing), *missing_documents]) or "that"
            raise RedriveError(
                f"no record is selected by {named} in {' or '.join(where)}",
                hint="The command `ls` lists those there are.",
            )
        refused = [one for one in found if one.verdict == "refused"]
        if refused and (selection.named or len(refused) == len(found)):
            raise RedriveError(
                f"nothing was {DONE[action]}: {_first(refused)}", hint="`show` has all that is known of it."
            )
        return found

    async def _sign(self, action: Action, chosen: Sequence[Listed], reason: str, operator: str) -> None:
        snapshot, now_ms = self.snapshot, self._clock.now_ms()
        signer = self._keys.signer(snapshot)
        acts = [
            Act(
                version=VERSION,
                environment=self.settings.exchange.environment,
                agency=self.id,
                certificate=signer.certificate,
                directory_position=snapshot.position,
                directory_hash=snapshot.head,
                made_at=now_ms,
                operator=operator,
                action=action,
                topic=one.topic,
                number=one.number,
                digest=one.mark,
                refused_for=one.reason[:MAX_REASON_BYTES],
                sender=one.sender if one.proven else None,
                document_id=one.document_id if one.proven else None,
                revision=one.revision if one.proven else None,
                reason=reason,
                nonce=os.urandom(NONCE_BYTES),
            )
            for one in chosen
        ]
        values = await asyncio.to_thread(seal_acts, acts, signer)
        # An act that would have no effect, such as one under a certificate that has run out, is not stored.
        try:
            verify_act(self._verifier(), values[0], agency=self.id, snapshot=snapshot)
        except IndeterminateError as error:
            raise IndeterminateError(
                error.code,
                f"nothing was decided, as this agency's own act could not be verified: {error.text}",
                step=error.step or "C1",
                hint="Bring what is missing, such as the authority's revocation list: docbus cert fetch, or docbus cert"
                " import FILE; then decide again.",
            ) from error
        await append_acts(self.database, self.transport, self.id, values)
        await self._follow_acts(snapshot)

    async def _follow_acts(self, snapshot: TrustSnapshot) -> None:
        await follow_acts(
            self.database,
            self.transport,
            self.id,
            snapshot,
            verifier=self._verifier(),
            now_ms=no_earlier(self._clock, snapshot.made_at),
        )

    async def _outcomes(self, chosen: Sequence[Listed], wait: float) -> Mapping[tuple[str, int, bytes], RequestRow]:
        """Wait until all of them are settled, for a bounded time; do the work if nobody else does."""
        names = {(one.topic, one.number, one.mark) for one in chosen}
        end = self._clock.monotonic() + wait
        async with contextlib.AsyncExitStack() as stack:
            if wait > 0:
                await stack.enter_async_context(beside(self._redrive_unless_held))
            while names & await self.database.read(read_requested):
                left = end - self._clock.monotonic()
                if left <= 0:
                    break
                await asyncio.sleep(min(LOOK_SECONDS, left))
        rows: dict[tuple[str, int, bytes], RequestRow] = {}
        for kind in KINDS:
            found = await self.database.read(partial(read_rows, topic=kind))
            rows |= {(kind, *key): row for key, row in found.items()}
        return rows

    async def _redrive_unless_held(self, stop: asyncio.Event) -> None:
        """Do what was requested, unless somebody receives with this folder, or files with a sink of its own."""
        ours = sink_name(FolderSink)
        while not stop.is_set():
            if await self.database.read(filed_by) == ours:
                with contextlib.suppress(LockedError):
                    await self._subscriber(self._folder_sink()).redrive(stop)
            await wait_for(stop, RETRY_SECONDS)


def _checked_reason(reason: str) -> str:
    reason = reason.strip()
    if not reason:
        raise RedriveError("a reason is needed", hint="Say in a sentence why; it is signed and kept.")
    if len(reason.encode()) > MAX_ACT_REASON_BYTES:
        raise RedriveError(f"the reason has {len(reason.encode()):,} bytes, at most {MAX_ACT_REASON_BYTES:,} are kept")
    return reason


def _checked_operator(operator: str | None) -> str:
    try:
        who = getpass.getuser() if operator is None else operator.strip()
    except (OSError, KeyError):
        who = ""
    if not who or len(who.encode()) > MAX_OPERATOR_BYTES:
        raise RedriveError(
            f"the operator's name has {len(who.encode())} bytes, 1 to {MAX_OPERATOR_BYTES} are needed",
            hint="Say who decides with --operator NAME.",
        )
    return who


def _undone(one: Candidate) -> Redriven:
    return Redriven(one.listed, "to do" if one.verdict == "do" else one.verdict, "", one.why)


def _redriven(listed: Listed, row: RequestRow | None) -> Redriven:
    if row is None:
        return Redriven(listed, "requested", "", "the act is stored, and takes effect when it is read")
    return Redriven(listed, row.state.text, row.code or "", row.detail or "")


def _first(refused: Sequence[Candidate]) -> str:
    """Return the first records that cannot be decided about, each with its reason, and how many more there are."""
    told = [f"{one.listed.topic} {one.listed.number}: {one.why}" for one in refused[:SHOWN_REFUSED]]
    more = len(refused) - SHOWN_REFUSED
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)
