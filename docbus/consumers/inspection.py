"""Verifying and opening whole fetches (C1 and C2): work for a thread, many records per hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import DocumentBody, decode_head
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification.opening import Opener
from docbus.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.package import Package
    from docbus.identity.encryption import Decrypter
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Record
    from docbus.verification.verifier import Verified

log = structlog.get_logger(__name__)

INTERNAL_ERROR = "internal_error"
"""Reason of a record on which a check broke instead of answering: it costs itself alone, and is a bug to report."""

StreamKey = tuple[str, bytes]
"""(Proven sender, epoch)."""


class Passed(NamedTuple):
    """A statement that passed C1 and C2."""

    verified: Verified
    package: Package | None


class Failed(NamedTuple):
    """A record for the quarantine; ``sender`` is given only if it is proven."""

    code: str
    step: str
    detail: str
    sender: str | None


class Undecided(NamedTuple):
    """A genuine statement that C1 cannot decide yet (design D8)."""

    key: StreamKey
    code: str
    step: str
    detail: str


Inspected = Passed | Failed | Undecided


def key_of(found: Inspected) -> StreamKey | None:
    """Return the stream that a record is proven to belong to."""
    if isinstance(found, Passed):
        head = found.verified.statement.head
        return head.sender, head.epoch
    return found.key if isinstance(found, Undecided) else None


class Inspector:
    """Runs C1 and C2 for one recipient; holds caches only. One thread at a time."""

    def __init__(self, recipient: str, decrypters: Sequence[Decrypter], verifier: Verifier | None = None) -> None:
        self._recipient = recipient
        self._verifier = verifier or Verifier()
        self._opener = Opener(recipient, decrypters)

    def inspect(self, records: Sequence[Record], snapshot: TrustSnapshot, now_ms: int) -> list[Inspected]:
        """Return what each record is, in the order given; no record can make it raise."""
        return [self._inspect(record, snapshot, now_ms) for record in records]

    def _inspect(self, record: Record, snapshot: TrustSnapshot, now_ms: int) -> Inspected:
        sender: str | None = None
        try:
            try:
                # None would mean that there is no record to compare with; here there is one, and it has no key.
                verified = self._verifier.verify(
                    record.value, key=record.key or b"", recipient=self._recipient, snapshot=snapshot, now_ms=now_ms
                )
            except IndeterminateError as error:
                return Undecided(_claimed(record.value or b""), error.code, error.step or "C1", error.text)
            sender = verified.sender
            package = self._opener.open(verified)
            if package is None and isinstance(verified.statement.body, DocumentBody):
                return Failed(INTERNAL_ERROR, "C2", "a document without a package passed C1", sender)
            return Passed(verified, package)
        except VerificationError as error:
            return Failed(error.code, error.step or "C1", error.text, sender)
        except Exception as error:
            log.exception(
                "inspection_broken", topic=record.topic, partition=record.partition, offset=record.offset, sender=sender
            )
            return Failed(INTERNAL_ERROR, "C1", f"{type(error).__name__} while it was checked", sender)


def _claimed(value: bytes) -> StreamKey:
    """Return the stream of a statement whose signature is verified already."""
    envelope = decode_envelope(value)
    head, _ = decode_head(envelope.payload_type, envelope.statement)
    return head.sender, head.epoch
