"""Recipients of one batch see each other's statement digests; whoever guesses a statement must not be able to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.consumers.ranges import Range, encode_range
from docbus.documents.statuses import StatusCode
from docbus.envelope.batch import Draft
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import RECEIPT_TYPE, STATUS_TYPE, DocumentBody, Reference, decode_statement
from docbus.producers.telling import status_statement
from docbus.wire.pae import leaf_digest
from tests.support.audit_exchange import CITY, COMMUNE, PROVINCE, Exchange
from tests.support.directory import ENVIRONMENT, NOW_MS

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = b"e" * 16


def _receipt() -> tuple[str, str, bytes]:
    return RECEIPT_TYPE, "receipts", encode_range(EPOCH, Range(1, (bytes(32),), ()))


def _status() -> tuple[str, str, bytes]:
    told = status_statement(
        Reference(CITY, "d", 1),
        StatusCode.PROCESSING,
        None,
        to=CITY,
        environment=ENVIRONMENT,
        agency=PROVINCE,
        now_ms=NOW_MS,
    )
    return STATUS_TYPE, "documents", told.body


@pytest.mark.parametrize("make", [_receipt, _status])
def test_a_neighbour_who_guesses_everything_but_the_nonce_learns_nothing(
    make: Callable[[], tuple[str, str, bytes]],
) -> None:
    """Two sayings of the same thing differ in the nonce alone, and the digest that a neighbour sees follows it."""
    exchange = Exchange()
    payload_type, lane, body = make()
    _, _, guessed = make()
    (document,) = exchange.drafts(PROVINCE, [COMMUNE])
    said, neighbour = exchange.seal(PROVINCE, [(Draft(payload_type, CITY, lane, body, 0, None), None), document])
    statement = decode_envelope(said.value).statement
    seen = decode_envelope(neighbour.value).proof.path
    guess = statement.removesuffix(body) + guessed

    assert seen == leaf_digest(payload_type.encode(), statement)
    assert seen != leaf_digest(payload_type.encode(), guess)
    first, second = (decode_statement(payload_type, encoded) for encoded in (statement, guess))
    assert first == second._replace(body=second.body._replace(nonce=first.body.nonce))
    assert 16 == len(first.body.nonce)


def test_nothing_that_stands_in_clear_follows_from_content_alone() -> None:
    """The same document twice has another digest, commitment and nonce; what is equal, brokers see anyway."""
    exchange = Exchange()
    bodies = []
    for _ in range(2):
        (posted,) = exchange.documents(CITY, PROVINCE, 1, document_id="d")
        envelope = decode_envelope(posted.value)
        body = decode_statement(envelope.payload_type, envelope.statement).body
        assert isinstance(body, DocumentBody)
        assert body.package is not None
        bodies.append(body)
    first, second = bodies

    assert first.package[1:] != second.package[1:]
    for ours, theirs in zip(first.package[1:], second.package[1:], strict=True):
        assert ours != theirs
    assert first.nonce != second.nonce
    assert first == second._replace(package=first.package, nonce=first.nonce)
