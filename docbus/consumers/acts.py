"""Acts in an agency's ledger topic: appending them, reading them back, and letting them take effect.

An act is first appended, signed, and then read back, verified, and put into force in the order of the topic. So a crash
between the two loses nothing: whoever reads next puts it into force. Two terminals that act at the same time are put in
order by the topic, and a lost database is filled again from it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.consumers import requests
from docbus.consumers.spans import bounds_of, read_span
from docbus.consumers.values import read_value, write_value
from docbus.envelope.act import PAYLOAD_TYPE, Act, act_digest, decode_act
from docbus.envelope.envelope import decode_envelope
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.verification.acts import verify_act
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Sequence

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.storage.database import Database
    from docbus.transport.port import Record, Transport

log = structlog.get_logger(__name__)

MAX_ROUNDS = 100
"""Times that reading begins again because another process was faster; each time that one came further."""
_STATE = "acts"
"""Name of the ledger's value that says how far the topic is read."""


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
    transport: Transport, agency: str, snapshot: TrustSnapshot, *, start: int = 0
) -> AsyncIterator[tuple[int, list[ReadAct]]]:
    """Yield the acts of an agency's ledger topic from an offset to its end, some at a time, verified.

    Other records of the topic are passed over.

    Yields:
        The offset that comes next, and acts.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    topic = topics.ledger(agency)
    first, end = await bounds_of(transport, topic)
    verifier = Verifier()
    # Beyond the end: the topic was made anew.
    offset = first if start > end else max(first, start)
    async for records in read_span(transport, topic, offset, end):
        yield records[-1].offset + 1, await asyncio.to_thread(_verify, verifier, records, agency, snapshot)


async def follow_acts(database: Database, transport: Transport, agency: str, snapshot: TrustSnapshot) -> None:
    """Put into force what was appended since the last time; what does not pass is logged and has no effect.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    # Where another process goes on at the same time, whoever comes second reads again what is left: each act takes
    # effect once, and in the topic's order.
    for _ in range(MAX_ROUNDS):
        begun = await database.read(_next_offset)
        overtaken = False
        async for offset, found in read_acts(transport, agency, snapshot, start=begun):
            overtaken = not await database.write(partial(_put, begun=begun, offset=offset, found=found))
            if overtaken:
                break
            begun = offset
            for one in found:
                if one.digest is None:
                    log.warning("act_without_effect", offset=one.offset, step=one.step, code=one.code, error=one.detail)
        if not overtaken:
            return


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
        verdict = "failed" if isinstance(error, VerificationError) else "indeterminate"
        return ReadAct(*place, _claimed(envelope.statement), None, verdict, error.step, error.code, error.text, ())
    return ReadAct(*place, act, digest, "passed", None, None, "", findings)


def _claimed(statement: bytes) -> Act | None:
    try:
        return decode_act(statement)
    except MalformedError:
        return None
