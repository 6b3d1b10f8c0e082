"""Destructions of keys in an agency's ledger topic, read and verified; nothing takes effect by reading them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from docbus.consumers.spans import bounds_of, read_span
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.key_destruction import PAYLOAD_TYPE, decode_destruction
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.transport import topics
from docbus.verification.key_destructions import verify_destruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.key_destruction import KeyDestruction
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record, Transport
    from docbus.verification.verifier import Verifier


class ReadDestruction(NamedTuple):
    """A record of a ledger topic that says it is a destruction, and what verification says of it.

    Attributes:
        agency: Whose ledger topic it is.
        offset: There.
        destruction: What it says; None if it cannot be read.
        digest: Of the destruction, if it passed.
        verdict: ``passed``, ``failed`` or ``indeterminate``.
        step: Of the check that did not pass.
        code: Its stable code.
        detail: A sentence.
        findings: Codes that do not change the verdict.
    """

    agency: str
    offset: int
    destruction: KeyDestruction | None
    digest: bytes | None
    verdict: str
    step: str | None
    code: str | None
    detail: str
    findings: tuple[str, ...]


async def read_destructions(
    transport: Transport, agency: str, snapshot: TrustSnapshot, verifier: Verifier
) -> list[ReadDestruction]:
    """Return the destructions in an agency's ledger topic, the oldest first; one that is stored twice counts once.

    Other records of the topic are passed over.

    Args:
        transport: Started.
        agency: Canonical id.
        snapshot: The directory, read to its end.
        verifier: Of nobody else at the moment.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    topic = topics.ledger(agency)
    first, end = await bounds_of(transport, topic)
    found: list[ReadDestruction] = []
    seen: set[bytes] = set()
    async for records in read_span(transport, topic, first, end):
        for one in await asyncio.to_thread(_verify, verifier, records, agency, snapshot):
            if one.digest is None or one.digest not in seen:
                found.append(one)
            if one.digest is not None:
                seen.add(one.digest)
    return found


def _verify(
    verifier: Verifier, records: Sequence[Record], agency: str, snapshot: TrustSnapshot
) -> list[ReadDestruction]:
    return [one for record in records if (one := _read(verifier, record, agency, snapshot)) is not None]


def _read(verifier: Verifier, record: Record, agency: str, snapshot: TrustSnapshot) -> ReadDestruction | None:
    try:
        envelope = decode_envelope(record.value or b"")
    except MalformedError:
        return None
    if envelope.payload_type != PAYLOAD_TYPE:
        return None
    place = agency, record.offset
    try:
        said, digest, findings = verify_destruction(verifier, record.value, agency=agency, snapshot=snapshot)
    except (VerificationError, IndeterminateError) as error:
        verdict = "failed" if isinstance(error, VerificationError) else "indeterminate"
        claimed = _claimed(envelope.statement)
        return ReadDestruction(*place, claimed, None, verdict, error.step, error.code, error.text, ())
    return ReadDestruction(*place, said, digest, "passed", None, None, "", findings)


def _claimed(statement: bytes) -> KeyDestruction | None:
    try:
        return decode_destruction(statement)
    except MalformedError:
        return None
