"""Which certificate an outbox seals with, and what goes out again when one has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.envelope.statement import DOCUMENT_TYPE, RECEIPT_TYPE
from docbus.producers.certificates import end_certificates, ensure_certificate, last_sealed, leaving
from docbus.producers.receipts import match
from docbus.producers.unsent import mark_sent, unsent_streams
from tests.support.outbox import (
    ANNA,
    NOW_MS,
    FakeSealer,
    add_receipt,
    begin,
    document,
    receipt,
    rows,
    seal_all,
    take_in,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database

ONE, TWO, THREE = FakeSealer().certificate, b"2" * 32, b"3" * 32
"""Certificates; the first is that of the sealer of these tests."""


def go_over(database: Database, certificate: bytes, *lasting: bytes) -> int | None:
    """Go over to a certificate, while others may still sign."""
    return database.write_now(
        lambda c: ensure_certificate(c, certificate, at_ms=NOW_MS, lasts=lambda one: one in lasting)
    )


def waiting(database: Database) -> set[str | None]:
    """Return the documents that wait; a receipt has no name."""
    found = rows(database, "SELECT o.document_id FROM copy c JOIN outgoing o USING (outgoing) WHERE c.state = 0")
    return {name for (name,) in found}


def epochs(database: Database) -> int:
    """Return how many epochs there ever were."""
    return int(rows(database, "SELECT count(*) FROM epoch")[0][0])


@pytest.fixture
def used(database: Database) -> Database:
    """Return an outbox with a document that was received, one sent, one sealed, and a receipt that was sent."""
    begin(database)
    take_in(database, document("received"), document("sent"), document("sealed"))
    add_receipt(database)
    copies = seal_all(database)
    by_type = [copy for copy in copies if copy.payload_type == DOCUMENT_TYPE]
    others = [copy for copy in copies if copy.payload_type == RECEIPT_TYPE]
    database.write_now(lambda c: mark_sent(c, [*by_type[:2], *others], at_ms=NOW_MS))
    first = receipt(database, ANNA, 1, 1)
    database.write_now(lambda c: match(c, receipt=first, issuer=ANNA, at_ms=NOW_MS))
    return database


def test_first_certificate_is_only_noted(database: Database) -> None:
    """An outbox that has not sealed anything yet, and one whose certificate is as before, go on as they are."""
    begin(database)

    assert [None, None] == [go_over(database, ONE) for _ in range(2)]
    assert 3 == epochs(database)


def test_other_certificate_lets_everything_go_out_again(used: Database) -> None:
    """What was sealed or sent under the old certificate, receipts included, waits again; what was received does not."""
    count = go_over(used, TWO)

    assert 3 == count
    assert 6 == epochs(used)
    assert {None, "sealed", "sent"} == waiting(used)
    assert [] == used.read_now(unsent_streams)


def test_a_certificate_that_lasts_lets_go_on_what_it_signed(used: Database) -> None:
    """With an overlap there are new epochs, nothing waits again, and what was sealed is still sent as it is."""
    before = used.read_now(unsent_streams)

    assert 0 == go_over(used, TWO, ONE)

    assert 6 == epochs(used)
    assert set() == waiting(used)
    assert before == used.read_now(unsent_streams)
    assert [ONE] == used.read_now(leaving)


def test_its_end_lets_the_rest_go_out_again(used: Database) -> None:
    """When the old certificate has ended, what is not receipted waits again, and nothing that the new one sealed."""
    go_over(used, TWO, ONE)
    take_in(used, document("by the new one"))
    sealer = FakeSealer()
    sealer.certificate = TWO
    seal_all(used, sealer)

    assert 3 == used.write_now(lambda c: end_certificates(c, [ONE], at_ms=NOW_MS))

    assert {None, "sealed", "sent"} == waiting(used)
    assert [] == used.read_now(leaving)
    assert 0 == used.write_now(lambda c: end_certificates(c, [ONE], at_ms=NOW_MS))


def test_what_was_receipted_meanwhile_does_not_go_out_again(used: Database) -> None:
    """A receipt for what the old certificate signed counts during the overlap as before."""
    second = receipt(used, ANNA, 2, 3)
    go_over(used, TWO, ONE)
    used.write_now(lambda c: match(c, receipt=second, issuer=ANNA, at_ms=NOW_MS))

    assert 1 == used.write_now(lambda c: end_certificates(c, [ONE], at_ms=NOW_MS))

    assert {None} == waiting(used)


def test_two_certificates_can_be_left_at_once(used: Database) -> None:
    """Each end lets go out again what was sealed up to it, and a third certificate may be in force meanwhile."""
    go_over(used, TWO, ONE)
    take_in(used, document("by the second"))
    sealer = FakeSealer()
    sealer.certificate = TWO
    seal_all(used, sealer)

    assert 0 == go_over(used, THREE, ONE, TWO)
    assert {ONE, TWO} == set(used.read_now(leaving))
    used.write_now(lambda c: end_certificates(c, [ONE], at_ms=NOW_MS))
    assert {None, "sealed", "sent"} == waiting(used)
    used.write_now(lambda c: end_certificates(c, [TWO], at_ms=NOW_MS))
    assert {None, "sealed", "sent", "by the second"} == waiting(used)


def test_one_that_ends_at_once_takes_those_before_it_along(used: Database) -> None:
    """If the second certificate may not sign any more, what is not receipted waits again, of the first too."""
    go_over(used, TWO, ONE)

    assert 3 == go_over(used, THREE, ONE)

    assert [] == used.read_now(leaving)
    assert {None, "sealed", "sent"} == waiting(used)


def test_what_was_sealed_with_last_is_known(used: Database) -> None:
    """Each certificate and the time of its last batch, also of one that is left; nothing before its first one."""
    assert {ONE: NOW_MS} == used.read_now(last_sealed)

    go_over(used, TWO, ONE)

    assert {ONE: NOW_MS} == used.read_now(last_sealed)


def test_an_outbox_that_has_sealed_nothing_knows_none(database: Database) -> None:
    """A new outbox has used no key."""
    assert {} == database.read_now(last_sealed)
