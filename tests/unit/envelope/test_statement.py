"""Statements: every limit reached, and exceeded by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from docbus.envelope.statement import (
    RECEIPT_TYPE,
    SCHEMAS,
    STATUS_TYPE,
    Attachment,
    Body,
    Reference,
    Refusal,
    Statement,
    decode_head,
    decode_rest,
    decode_statement,
    encode_head,
    encode_position,
)
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
    MAX_STATEMENT_HEAD_BYTES,
    PART_BYTES,
)
from docbus.wire.parts import content_size
from tests.support.letters import world
from tests.vectors.building.letters import Letter, write_document, write_receipt, write_status
from tests.vectors.building.world import HANOI

DOCUMENT = write_document(world(), "document")
RECEIPT = write_receipt(world(), "receipt")
STATUS = write_status(world(), "status", code=5, note=None)


def _read(letter: Letter) -> Statement:
    return decode_statement(letter.payload_type, letter.statement)


def _with(letter: Letter, **changes: Any) -> Letter:
    return replace(letter, body=letter.body._replace(**changes))


@pytest.mark.parametrize("letter", [DOCUMENT, RECEIPT, STATUS], ids=["document", "receipt", "status"])
def test_a_statement_comes_back(letter: Letter) -> None:
    """Head, position and body are decoded as they were encoded, together and in parts."""
    head, at = decode_head(letter.payload_type, letter.statement)

    assert letter.decoded == _read(letter)
    assert letter.head == head
    assert (letter.position, letter.body) == decode_rest(letter.payload_type, letter.statement, at)


def test_the_payload_type_selects_the_decoder() -> None:
    """The bytes of a receipt are no status, whatever they say themselves."""
    with pytest.raises(MalformedError):
        decode_statement(STATUS_TYPE, RECEIPT.statement)


HEAD_LIMITS: list[tuple[str, int]] = [
    ("environment", MAX_ENVIRONMENT_BYTES),
    ("sender", MAX_AGENCY_ID_BYTES),
    ("recipient", MAX_AGENCY_ID_BYTES),
    ("on_behalf_of", MAX_AGENCY_ID_BYTES),
]


@pytest.mark.parametrize(("field", "limit"), HEAD_LIMITS)
def test_names_in_the_head_are_bounded_in_bytes(field: str, limit: int) -> None:
    """A name of exactly the limit is read, one byte more is not, and bytes count, not characters."""
    inside: dict[str, Any] = {field: "x" * limit}
    outside: dict[str, Any] = {field: "x" * (limit - 1) + "đ"}
    longest = replace(DOCUMENT, head=DOCUMENT.head._replace(**inside))
    too_long = replace(DOCUMENT, head=DOCUMENT.head._replace(**outside))

    assert longest.head == _read(longest).head
    with pytest.raises(MalformedError, match="too long"):
        _read(too_long)


@pytest.mark.parametrize("version", [0, 2, -1])
def test_another_version_is_not_read(version: int) -> None:
    """Only version 1 is."""
    with pytest.raises(MalformedError, match=f"statement version {version}"):
        _read(replace(DOCUMENT, head=DOCUMENT.head._replace(version=version)))


@pytest.mark.parametrize("sequence", [0, -1])
def test_sequences_begin_at_one(sequence: int) -> None:
    """Nothing stands before the first statement of a stream."""
    with pytest.raises(MalformedError, match="begins at 1"):
        _read(replace(DOCUMENT, position=DOCUMENT.position._replace(sequence=sequence)))


def _references(count: int) -> tuple[Reference, ...]:
    return tuple(Reference(HANOI, f"d{number}", 1) for number in range(count))


LONGEST_ID = "x" * MAX_DOCUMENT_ID_BYTES
ATTACHMENT = Attachment(content_size(1), bytes(32))
MOST = MAX_PARTS * PART_BYTES
BODIES: list[tuple[Letter, dict[str, Any], dict[str, Any]]] = [
    (DOCUMENT, {"document_id": LONGEST_ID}, {"document_id": LONGEST_ID + "x"}),
    (DOCUMENT, {"document_id": "x"}, {"document_id": ""}),
    (DOCUMENT, {"revision": 1}, {"revision": 0}),
    (DOCUMENT, {"urgency": 4}, {"urgency": 5}),
    (DOCUMENT, {"urgency": 0}, {"urgency": -1}),
    (
        DOCUMENT,
        {"package": DOCUMENT.body.package._replace(size=1)},
        {"package": DOCUMENT.body.package._replace(size=0)},
    ),
    (
        DOCUMENT,
        {"attachments": (ATTACHMENT,) * MAX_ATTACHMENTS},
        {"attachments": (ATTACHMENT,) * (MAX_ATTACHMENTS + 1)},
    ),
    (
        DOCUMENT,
        {"attachments": (ATTACHMENT._replace(size=content_size(MOST)),)},
        {"attachments": (ATTACHMENT._replace(size=content_size(MOST + 1)),)},
    ),
    (
        DOCUMENT,
        {"attachments": (ATTACHMENT._replace(size=content_size(MOST - PART_BYTES)), ATTACHMENT)},
        {"attachments": (ATTACHMENT._replace(size=content_size(MOST)), ATTACHMENT)},
    ),
    (
        DOCUMENT,
        {"attachments": (ATTACHMENT,)},
        {"attachments": (ATTACHMENT, ATTACHMENT._replace(size=ATTACHMENT.size - 1))},
    ),
    (DOCUMENT, {"attachments": (ATTACHMENT,)}, {"attachments": (ATTACHMENT._replace(size=0),)}),
    (DOCUMENT, {"attachments": (ATTACHMENT,)}, {"attachments": (ATTACHMENT._replace(size=-ATTACHMENT.size),)}),
    (
        DOCUMENT,
        {"kind": "recall", "concerns": _references(MAX_CONCERNS)},
        {"kind": "recall", "concerns": _references(MAX_CONCERNS + 1)},
    ),
    (
        DOCUMENT,
        {"kind": "recall", "concerns": _references(1)},
        {"kind": "recall", "concerns": (Reference(HANOI, "", 1),)},
    ),
    (DOCUMENT, {"kind": "recall", "concerns": _references(1)}, {"concerns": _references(1)}),
    (DOCUMENT, {"kind": "update", "concerns": _references(1)}, {"kind": "update"}),
    (
        DOCUMENT,
        {"in_reply_to": Reference(HANOI, LONGEST_ID, 1)},
        {"in_reply_to": Reference(HANOI, LONGEST_ID + "x", 1)},
    ),
    (DOCUMENT, {"in_reply_to": Reference(HANOI, "d", 1)}, {"in_reply_to": Reference(HANOI, "d", 0)}),
    (
        DOCUMENT,
        {"in_reply_to": Reference("x" * MAX_AGENCY_ID_BYTES, "d", 1)},
        {"in_reply_to": Reference("x" * (MAX_AGENCY_ID_BYTES + 1), "d", 1)},
    ),
    (RECEIPT, {"first": 5}, {"first": 6}),
    (RECEIPT, {"first": 1}, {"first": 0}),
    (RECEIPT, {"last": MAX_RECEIPT_RANGE}, {"last": MAX_RECEIPT_RANGE + 1}),
    (RECEIPT, {"refused": (Refusal(1, "r"), Refusal(5, "r"))}, {"refused": (Refusal(1, "r"), Refusal(6, "r"))}),
    (RECEIPT, {"first": 2, "refused": (Refusal(2, "r"),)}, {"first": 2, "refused": (Refusal(1, "r"),)}),
    (RECEIPT, {"refused": (Refusal(1, "r"), Refusal(2, "r"))}, {"refused": (Refusal(2, "r"), Refusal(1, "r"))}),
    (RECEIPT, {"refused": (Refusal(1, "r"),)}, {"refused": (Refusal(1, "r"), Refusal(1, "r"))}),
    (
        RECEIPT,
        {"refused": (Refusal(1, "r" * MAX_REASON_BYTES),)},
        {"refused": (Refusal(1, "r" * (MAX_REASON_BYTES + 1)),)},
    ),
    (RECEIPT, {"refused": (Refusal(1, "r"),)}, {"refused": (Refusal(1, ""),)}),
    (RECEIPT, {"refused": (Refusal(1, "d"),)}, {"refused": (Refusal(1, "đ"),)}),
    (
        RECEIPT,
        {"last": 2000, "refused": tuple(Refusal(number + 1, "r") for number in range(MAX_REFUSALS))},
        {"last": 2000, "refused": tuple(Refusal(number + 1, "r") for number in range(MAX_REFUSALS + 1))},
    ),
    (STATUS, {"code": 1}, {"code": 0}),
    (STATUS, {"code": 99}, {"code": 100}),
    (STATUS, {"document": Reference(HANOI, "d", 1)}, {"document": Reference(HANOI, "", 1)}),
]


@pytest.mark.parametrize(("letter", "inside", "outside"), BODIES)
def test_limits_of_bodies(letter: Letter, inside: dict[str, Any], outside: dict[str, Any]) -> None:
    """What lies on a limit is read, what lies one beyond it is not."""
    expected: Body = letter.body._replace(**inside)

    assert expected == _read(_with(letter, **inside)).body
    with pytest.raises(MalformedError):
        _read(_with(letter, **outside))


@pytest.mark.parametrize("letter", [DOCUMENT, RECEIPT, STATUS], ids=["document", "receipt", "status"])
def test_all_bytes_are_consumed(letter: Letter) -> None:
    """One byte more or less is no statement."""
    with pytest.raises(MalformedError, match="1 bytes follow the statement"):
        decode_statement(letter.payload_type, letter.statement + b"\0")
    with pytest.raises(MalformedError):
        decode_statement(letter.payload_type, letter.statement[:-1])


def test_the_largest_head_fits_its_share() -> None:
    """Names at their limits and the largest numbers stay within what is kept free for head and position."""
    longest = "x" * MAX_AGENCY_ID_BYTES
    head = DOCUMENT.head._replace(
        environment="x" * MAX_ENVIRONMENT_BYTES,
        sender=longest,
        on_behalf_of=longest,
        recipient=longest,
        directory_position=2**62,
        made_at=2**62,
    )
    position = DOCUMENT.position._replace(sequence=2**62)

    assert MAX_STATEMENT_HEAD_BYTES >= len(encode_head(head)) + len(encode_position(position))


def test_there_are_three_payload_types() -> None:
    """Documents with their recalls and updates, receipts, statuses; nothing else is read."""
    assert {"docbus.document.v1", "docbus.receipt.v1", "docbus.status.v1"} == {
        name.removeprefix("application/vnd.") for name in SCHEMAS
    }
    assert RECEIPT_TYPE in SCHEMAS
