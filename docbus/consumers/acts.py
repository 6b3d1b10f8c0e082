"""Acts in an agency's ledger topic: appending them, reading them back, and letting them take effect.

An act is first appended, signed, and then read back, verified, and put into force in the order of the topic. So a crash
between the two loses nothing: whoever reads next puts it into force. Two terminals that act at the same time are put in
order by the topic, and a lost database is filled again from it.

An act that cannot be decided yet, because a revocation list or an entry of the directory is missing here, waits where
it is, for a bounded time, and those behind it wait with it: the first of two about one record holds.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.consumers import requests
from docbus.consumers.parking import INDETERMINATE, UNDECIDED_LIMIT_MS
from docbus.consumers.spans import bounds_of, read_span
from docbus.consumers.values import read_value, write_value
from docbus.envelope.act import PAYLOAD_TYPE, Act, act_digest, decode_act
from docbus.envelope.envelope import decode_envelope
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.identity.pki.verdict import HOLD, KNOWN
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.verification import checks
from docbus.verification.acts import verify_act

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Sequence

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Transport
    from docbus.verification.verifier import Verifier

log = structlog.get_logger(__name__)

MAX_ROUNDS = 100
"""Times that reading begins again because another process was faster; each time that one came further."""
_STATE = "acts"
"""Name of the ledger's value that says how far the topic is read."""
_UNDECIDED = frozenset({checks.DIRECTORY.code, KNOWN.code, HOLD})
"""Codes of what may be decided later; a key that was revoked after it signed stays what it is."""


class ReadAct(NamedTuple):
    """A record of the ledger topic that says it is an act, and what verification says of it.

    Attributes:
        offset: In the ledger topic.
        stored_at: When the broker stored it, milliseconds.
        act: What it says; None if it cannot be read.
        digest: Of the act, if it passed.
        verdict: ``passed``, ``failed`` or ``indeterminate``.
        step: Of the check that did not pass.
        code: Its stable code.
        detail: A sentence.
        findings: Codes that do not change the verdict.
    """

    offset: int
    stored_at: int
    act: Act | None
    digest: bytes | None
    verdict: str
    step: str | None
    code: str | None
    detail: str
    findings: tuple[str, ...]


async def append_acts(database: Database, transport: Transport, agency: str, values: Sequence[bytes]) -> None:
    """Store envelopes of acts durably, in one call, known as this folder's.

    Raises:
        TransportError: Nothing is known of them; whether they are stored shows reading the topic.
    """
    digests = [act_digest(decode_envelope(value).statement) for value in values]
    await database.write(lambda connection: requests.note_own(connection, digests))
    topic = topics.ledger(agency)
    await transport.append([NewRecord(topic=topic, key=agency.encode(), value=value) for value in values])


async def read_acts(
    transport: Transport, agency: str, snapshot: TrustSnapshot, *, verifier: Verifier, start: int = 0
) -> AsyncIterator[tuple[int, list[ReadAct]]]:
    """Yield the acts of an agency's ledger topic from an offset to its end, some at a time, verified.

    Other records of the topic are passed over.

    Args:
        transport: Started.
        agency: Canonical id.
        snapshot: The directory.
        verifier: Of nobody else; knows how certificates stand.
        start: The offset.

    Yields:
        The offset that comes next, and acts.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    topic = topics.ledger(agency)
    first, end = await bounds_of(transport, topic)
    # Beyond the end: the topic was made anew.
    offset = first if start > end else max(first, start)
    async for records in read_span(transport, topic, offset, end):
        yield records[-1].offset + 1, await asyncio.to_thread(_verify, verifier, records, agency, snapshot)


async def follow_acts(
    database: Database,
    transport: Transport,
    agency: str,
    snapshot: TrustSnapshot,
    *,
    verifier: Verifier,
    now_ms: int,
) -> bool:
    """Put into force what was appended since the last time; what does not pass is logged and has no effect.

    Args:
        database: Where acts in force are.
        transport: Started.
        agency: Canonical id.
        snapshot: The directory.
        verifier: As :func:`read_acts`.
        now_ms: Milliseconds since 1970 UTC.

    Returns:
        Whether an act waits until it can be decided, and those behind it with it.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    # Where another process goes on at the same time, whoever comes second reads again what is left: each act takes
    # effect once, and in the topic's order.
    for _ in range(MAX_ROUNDS):
        begun = await database.read(_next_offset)
        overtaken, waiting = False, None
        async for end, read in read_acts(transport, agency, snapshot, verifier=verifier, start=begun):
            waiting = next((one for one in read if _waits(one, now_ms)), None)
            found = [one for one in read if waiting is None or one.offset < waiting.offset]
            offset = end if waiting is None else waiting.offset
            overtaken = not await database.write(partial(_put, begun=begun, offset=offset, found=found))
            if overtaken:
                break
            begun = offset
            for one in found:
                if one.digest is None:
                    log.warning("act_without_effect", offset=one.offset, step=one.step, code=one.code, error=one.detail)
            if waiting is not None:
                log.warning("act_waits", offset=waiting.offset, step=waiting.step, code=waiting.code)
                break
        if not overtaken:
            return waiting is not None
    return False


def _waits(one: ReadAct, now_ms: int) -> bool:
    """Tell whether an act is to be looked at again; of a later day than this nobody waits for the end."""
    if one.verdict != INDETERMINATE or one.code not in _UNDECIDED or one.act is None:
        return False
    return -MAX_CLOCK_SKEW_MS <= now_ms - one.act.made_at < UNDECIDED_LIMIT_MS


def _put(connection: sqlite3.Connection, *, begun: int, offset: int, found: Sequence[ReadAct]) -> bool:
    """Put one read's acts into force, unless somebody else was there first; tell which."""
    if _next_offset(connection) != begun:
        return False
    requests.put_acts(connection, [(one.offset, one.digest, one.act) for one in found if one.act and one.digest])
    write_value(connection, _STATE, {"next_offset": offset})
    return True


def _next_offset(connection: sqlite3.Connection) -> int:
    value = read_value(connection, _STATE)
    return 0 if value is None else int(value["next_offset"])


def _verify(verifier: Verifier, records: Sequence[Record], agency: str, snapshot: TrustSnapshot) -> list[ReadAct]:
    return [one for record in records if (one := _read(verifier, record, agency, snapshot)) is not None]


def _read(verifier: Verifier, record: Record, agency: str, snapshot: TrustSnapshot) -> ReadAct | None:
    try:
        envelope = decode_envelope(record.value or b"")
    except MalformedError:
        return None
    if envelope.payload_type != PAYLOAD_TYPE:
        return None
    place = record.offset, record.timestamp_ms
    try:
        act, digest, findings = verify_act(verifier, record.value, agency=agency, snapshot=snapshot)
    except (VerificationError, IndeterminateError) as error:
        verdict = "failed" if isinstance(error, VerificationError) else INDETERMINATE
        return ReadAct(*place, _claimed(envelope.statement), None, verdict, error.step, error.code, error.text, ())
    return ReadAct(*place, act, digest, "passed", None, None, "", findings)


def _claimed(statement: bytes) -> Act | None:
    try:
        return decode_act(statement)
    except MalformedError:
        return None
