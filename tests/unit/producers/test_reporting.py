from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.package import decode_package, decrypt, note_context
from docbus.envelope.statement import STATUS_TYPE, Reference
from docbus.errors import DocumentError
from docbus.producers.outbox import read_waiting
from docbus.producers.reporting import report_status
from docbus.producers.statuses import statuses_of
from tests.support.outbox import ANNA, BINH, NOW_MS, SENDER, document, take_in

if TYPE_CHECKING:
    from docbus.storage.database import Database


async def report(database: Database, code: int, *, agency: str = ANNA, note: str | None = None, **changed: Any) -> bool:
    values = {
        "environment": "test",
        "agency": agency,
        "document_sender": SENDER,
        "document_id": "a",
        "revision": 1,
        "code": code,
        "note": note,
        "now_ms": NOW_MS,
    }
    return await report_status(database, **(values | changed))


async def test_status_waits_for_the_sender_of_the_document(database: Database) -> None:
    """A reported status goes to the document's sender, in the lane of documents, and is recorded here."""
    possible = await report(database, 3)

    waiting = database.read_now(read_waiting)
    recorded = database.read_now(lambda c: statuses_of(c, sender=SENDER, document_id="a", revision=1))
    assert possible
    assert [(copy.recipient, copy.lane, copy.payload_type) for copy in waiting] == [(SENDER, "documents", STATUS_TYPE)]
    assert (waiting[0].package, waiting[0].content_key) == (None, None)
    assert [(status.recipient, status.issuer, status.code) for status in recorded] == [(ANNA, ANNA, 3)]


async def test_note_travels_encrypted(database: Database) -> None:
    """The reason of a refusal is a package that only the addressee opens."""
    await report(database, 2, note="Sai thẩm quyền")

    waiting = database.read_now(read_waiting)[0]
    assert waiting.package is not None
    assert waiting.content_key is not None
    plaintext = decrypt(waiting.package, waiting.content_key, note_context("test", ANNA, Reference(SENDER, "a", 1), 2))
    assert "Sai thẩm quyền".encode() not in waiting.package
    assert decode_package(plaintext).manifest.summary == "Sai thẩm quyền"


async def test_take_back_goes_to_every_recipient(database: Database) -> None:
    """13 is the sender's, about a document in its own outbox."""
    take_in(database, document("a", ANNA, BINH))

    await report(database, 13, agency=SENDER, note="Gửi nhầm")

    waiting = [copy.recipient for copy in database.read_now(read_waiting) if copy.payload_type == STATUS_TYPE]
    recorded = database.read_now(lambda c: statuses_of(c, sender=SENDER, document_id="a", revision=1))
    assert waiting == [ANNA, BINH]
    assert [(status.recipient, status.issuer) for status in recorded] == [(ANNA, SENDER), (BINH, SENDER)]


async def test_impossible_status_is_sent_and_told(database: Database) -> None:
    """An impossible jump is not refused; the caller learns of it."""
    assert not await report(database, 6)
    assert len(database.read_now(read_waiting)) == 1


@pytest.mark.parametrize(
    ("code", "changed", "text"),
    [
        (7, {}, "does not exist"),
        (1, {}, "follows from what docbus does itself"),
        (2, {}, "needs a reason"),
        (13, {"note": "x"}, "sender to report"),
        (3, {"agency": SENDER}, "recipient to report"),
        (13, {"agency": SENDER, "note": "x"}, "no document a"),
    ],
)
async def test_status_that_cannot_be_reported_is_refused(
    database: Database, code: int, changed: dict[str, Any], text: str
) -> None:
    """Nothing is stored of a status that this agency cannot report."""
    with pytest.raises(DocumentError, match=text):
        await report(database, code, **changed)

    assert database.read_now(read_waiting) == []
