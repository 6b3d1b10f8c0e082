"""Statements: the bytes that are signed, as head, position and body (design D3).

The value types are NamedTuples and not dataclasses: one of each is made for every record that is read, and a tuple
costs a third of a frozen dataclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from docbus.errors import MalformedError
from docbus.limits import (
    MAX_AGENCY_ID_BYTES,
    MAX_ATTACHMENTS,
    MAX_CONCERNS,
    MAX_DOCUMENT_ID_BYTES,
    MAX_ENVIRONMENT_BYTES,
    MAX_PARTS,
    MAX_REASON_BYTES,
    MAX_RECEIPT_RANGE,
    MAX_REFUSALS,
)
from docbus.wire.avro import Schema, definition_of
from docbus.wire.encoding import (
    NULL,
    SOME,
    put_array,
    put_long,
    put_optional_fixed,
    put_optional_text,
    put_text,
)
from docbus.wire.parts import count_parts

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
DOCUMENT_TYPE = "application/vnd.docbus.document.v1"
RECEIPT_TYPE = "application/vnd.docbus.receipt.v1"
STATUS_TYPE = "application/vnd.docbus.status.v1"

LANES = ("documents", "urgent", "receipts")
KINDS = ("document", "recall", "update", "replacement")
MAX_URGENCY = 4
"""Flash at a set time, the highest of edXML's Priority."""
MAX_STATUS_CODE = 99
"""Statuses have two digits."""
FIRST_PREVIOUS = bytes(32)
"""What `previous` holds in the first statement of a stream."""
SUITE_NONE = 0
SUITE_2026 = 1
"""Cobblestone-256 content, AES-KW content key, HPKE MLKEM768-X25519 / HKDF-SHA256 / AES-256-GCM batch key."""

_LANE_CODES = {lane: put_long(number) for number, lane in enumerate(LANES)}
_KIND_CODES = {kind: put_long(number) for number, kind in enumerate(KINDS)}


class Head(NamedTuple):
    """What every statement of one batch and recipient has in common; units as in the schema."""

    version: int
    environment: str
    sender: str
    on_behalf_of: str | None
    certificate: bytes
    recipient: str
    lane: str
    epoch: bytes
    directory_position: int
    directory_hash: bytes
    made_at: int
    suite: int
    batch_key_digest: bytes | None


class Position(NamedTuple):
    """This copy's place in its stream."""

    sequence: int
    previous: bytes
    envelope_id: bytes
    content_key_digest: bytes | None


class SealedPackage(NamedTuple):
    """Size in bytes and SHA-256 of the ciphertext, and the commitment to the plaintext."""

    size: int
    digest: bytes
    commitment: bytes


class Reference(NamedTuple):
    """Another document, by its sender's id."""

    sender: str
    document_id: str
    revision: int


class Attachment(NamedTuple):
    """A large attachment in the sender's content topic: bytes of ciphertext, RFC 9162 root over its parts."""

    size: int
    digest: bytes


class DocumentBody(NamedTuple):
    """The same bytes in every copy of one document."""

    document_id: str
    revision: int
    kind: str
    urgency: int
    created: int
    not_after: int | None
    package: SealedPackage
    attachments: tuple[Attachment, ...]
    recipients_digest: bytes
    in_reply_to: Reference | None
    concerns: tuple[Reference, ...]
    nonce: bytes


class Refusal(NamedTuple):
    """A statement that the recipient refuses, and the stable code of its reason."""

    sequence: int
    reason: str


class ReceiptBody(NamedTuple):
    """Of the recipient's epoch, the statements first to last are filed, except the refused ones."""

    epoch: bytes
    first: int
    last: int
    root: bytes
    refused: tuple[Refusal, ...]
    nonce: bytes


class StatusBody(NamedTuple):
    """A business status of one document; a free text is the package."""

    document: Reference
    code: int
    at: int
    package: SealedPackage | None
    nonce: bytes


Body = DocumentBody | ReceiptBody | StatusBody


class Statement(NamedTuple):
    """A decoded statement; its bytes stay with the envelope it came in."""

    payload_type: str
    head: Head
    position: Position
    body: Body


_FACTORIES = {
    "Head": Head,
    "Position": Position,
    "Sealed": SealedPackage,
    "Reference": Reference,
    "Attachment": Attachment,
    "Document": DocumentBody,
    "Refusal": Refusal,
    "Receipt": ReceiptBody,
    "Status": StatusBody,
}


class StatementSchema(NamedTuple):
    """One payload type's codec and the name of its body record."""

    codec: Schema
    body: str


SCHEMAS: dict[str, StatementSchema] = {
    payload_type: StatementSchema(Schema(definition_of(name), _FACTORIES), body)
    for payload_type, name, body in (
        (DOCUMENT_TYPE, "document-statement", "Document"),
        (RECEIPT_TYPE, "receipt-statement", "Receipt"),
        (STATUS_TYPE, "status-statement", "Status"),
    )
}
"""Payload types this version reads; the payload type alone selects the decoder."""


def encode_head(head: Head) -> bytes:
    """Return the Avro encoding of a head."""
    return b"".join(
        (
            put_long(head.version),
            put_text(head.environment),
            put_text(head.sender),
            put_optional_text(head.on_behalf_of),
            head.certificate,
            put_text(head.recipient),
            _LANE_CODES[head.lane],
            head.epoch,
            put_long(head.directory_position),
            head.directory_hash,
            put_long(head.made_at),
            put_long(head.suite),
            put_optional_fixed(head.batch_key_digest),
        )
    )


def encode_position(position: Position) -> bytes:
    """Return the Avro encoding of a position."""
    digest = position.content_key_digest
    return b"".join(
        (
            put_long(position.sequence),
            position.previous,
            position.envelope_id,
            NULL if digest is None else SOME + digest,
        )
    )


def _put_package(package: SealedPackage) -> bytes:
    return put_long(package.size) + package.digest + package.commitment


def _put_reference(reference: Reference) -> bytes:
    return put_text(reference.sender) + put_text(reference.document_id) + put_long(reference.revision)


def encode_document_body(body: DocumentBody) -> bytes:
    """Return the Avro encoding of a document's body."""
    return b"".join(
        (
            put_text(body.document_id),
            put_long(body.revision),
            _KIND_CODES[body.kind],
            put_long(body.urgency),
            put_long(body.created),
            NULL if body.not_after is None else SOME + put_long(body.not_after),
            _put_package(body.package),
            put_array([put_long(attachment.size) + attachment.digest for attachment in body.attachments]),
            body.recipients_digest,
            NULL if body.in_reply_to is None else SOME + _put_reference(body.in_reply_to),
            put_array([_put_reference(reference) for reference in body.concerns]),
            body.nonce,
        )
    )


def encode_receipt_body(body: ReceiptBody) -> bytes:
    """Return the Avro encoding of a receipt's body."""
    return b"".join(
        (
            body.epoch,
            put_long(body.first),
            put_long(body.last),
            body.root,
            put_array([put_long(refusal.sequence) + put_text(refusal.reason) for refusal in body.refused]),
            body.nonce,
        )
    )


def encode_status_body(body: StatusBody) -> bytes:
    """Return the Avro encoding of a status's body."""
    return b"".join(
        (
            _put_reference(body.document),
            put_long(body.code),
            put_long(body.at),
            NULL if body.package is None else SOME + _put_package(body.package),
            body.nonce,
        )
    )


def decode_head(payload_type: str, statement: bytes) -> tuple[Head, int]:
    """Return the head and the offset behind it.

    Raises:
        MalformedError: The bytes do not begin with a head, or the head goes beyond a limit.
    """
    codec = SCHEMAS[payload_type].codec
    head, at = codec.decode_part(codec.readers["Head"], statement, 0)
    if head.version != VERSION:
        raise MalformedError(f"statement version {head.version}, this docbus reads {VERSION}")
    if (
        len(head.environment.encode()) > MAX_ENVIRONMENT_BYTES
        or len(head.sender.encode()) > MAX_AGENCY_ID_BYTES
        or len(head.recipient.encode()) > MAX_AGENCY_ID_BYTES
        or (head.on_behalf_of is not None and len(head.on_behalf_of.encode()) > MAX_AGENCY_ID_BYTES)
    ):
        raise MalformedError("a name in the statement's head is too long")
    return head, at


def decode_rest(payload_type: str, statement: bytes, start: int) -> tuple[Position, Body]:
    """Return position and body, which fill the statement from ``start`` on.

    Raises:
        MalformedError: They do not, or go beyond a limit.
    """
    codec, name = SCHEMAS[payload_type]
    position, at = codec.decode_part(codec.readers["Position"], statement, start)
    body, at = codec.decode_part(codec.readers[name], statement, at)
    if at != len(statement):
        raise MalformedError(f"{len(statement) - at} bytes follow the statement")
    if position.sequence < 1:
        raise MalformedError("the sequence begins at 1")
    _LIMITS[payload_type](body)
    return position, body


def decode_statement(payload_type: str, statement: bytes) -> Statement:
    """Return the whole statement.

    Raises:
        MalformedError: Not a statement of this payload type within all limits.
    """
    head, at = decode_head(payload_type, statement)
    return Statement(payload_type, head, *decode_rest(payload_type, statement, at))


def _limit_reference(reference: Reference) -> None:
    if (
        not 0 < len(reference.document_id.encode()) <= MAX_DOCUMENT_ID_BYTES
        or len(reference.sender.encode()) > MAX_AGENCY_ID_BYTES
        or reference.revision < 1
    ):
        raise MalformedError("a reference to a document is out of bounds")


def _limit_document(body: DocumentBody) -> None:
    if not 0 < len(body.document_id.encode()) <= MAX_DOCUMENT_ID_BYTES:
        raise MalformedError(f"the document id is empty or longer than {MAX_DOCUMENT_ID_BYTES} bytes")
    if body.revision < 1 or not 0 <= body.urgency <= MAX_URGENCY or body.package.size < 1:
        raise MalformedError("revision, urgency or package size is out of bounds")
    if len(body.attachments) > MAX_ATTACHMENTS or len(body.concerns) > MAX_CONCERNS:
        raise MalformedError("too many attachments or references")
    if body.attachments and sum(count_parts(attachment.size) for attachment in body.attachments) > MAX_PARTS:
        raise MalformedError(f"the attachments have more than {MAX_PARTS:,} parts")
    if (body.kind == KINDS[0]) is bool(body.concerns):
        raise MalformedError(f"a {body.kind} that concerns {len(body.concerns)} documents")
    if body.in_reply_to is not None:
        _limit_reference(body.in_reply_to)
    for reference in body.concerns:
        _limit_reference(reference)


def _limit_receipt(body: ReceiptBody) -> None:
    if not 1 <= body.first <= body.last or body.last - body.first >= MAX_RECEIPT_RANGE:
        raise MalformedError(f"a receipt covers 1 to {MAX_RECEIPT_RANGE} statements")
    if len(body.refused) > MAX_REFUSALS:
        raise MalformedError(f"a receipt refuses at most {MAX_REFUSALS} statements")
    last = 0
    for refusal in body.refused:
        if not max(last + 1, body.first) <= refusal.sequence <= body.last:
            raise MalformedError("refusals are outside the range, repeated or out of order")
        if not refusal.reason or len(refusal.reason.encode()) > MAX_REASON_BYTES or not refusal.reason.isascii():
            raise MalformedError("a refusal's reason is empty, too long or not ASCII")
        last = refusal.sequence


def _limit_status(body: StatusBody) -> None:
    _limit_reference(body.document)
    if not 1 <= body.code <= MAX_STATUS_CODE:
        raise MalformedError("a status code has one or two digits")


_LIMITS: dict[str, Callable[[Any], None]] = {
    DOCUMENT_TYPE: _limit_document,
    RECEIPT_TYPE: _limit_receipt,
    STATUS_TYPE: _limit_status,
}
