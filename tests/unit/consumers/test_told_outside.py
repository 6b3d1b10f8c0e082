"""What stands around a genuine statement decides nothing, and what becomes of one that does not open is told nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.audit_exchange import CITY, COMMUNE, Exchange
from tests.support.inbox import ME, Inbox

if TYPE_CHECKING:
    from tests.support.audit_exchange import Posted


async def test_headers_of_another_sender_and_document_decide_nothing(inbox: Inbox) -> None:
    """A genuine record under headers that say something else is filed and receipted as what was signed."""
    (posted,) = inbox.exchange.documents(CITY, ME, 1)
    headers = (
        ("ce_source", COMMUNE.encode()),
        ("ce_type", b"vn.docbus.receipt"),
        ("ce_id", b"0190b6a0-0000-7000-8000-000000000000"),
        ("ce_time", b"1970-01-01T00:00:00Z"),
        ("content-type", b"text/html"),
        ("docbus_step", b"C1.08"),
        ("docbus_reason", b"signature_invalid"),
    )
    await inbox.post_value(posted.value, CITY.encode(), headers=headers)

    await inbox.receive()

    assert ["H26-00001"] == inbox.sink.order
    assert [(CITY, 1, 1)] == inbox.ranges()
    assert [] == await inbox.quarantined()


def _for_another_key(exchange: Exchange) -> Posted:
    """Return a document whose batch key is wrapped to a key that the recipient does not hold: C2.01."""
    (posted,) = exchange.seal(CITY, exchange.drafts(CITY, [ME]), snapshot=Exchange().snapshot)
    return posted


def _with_another_content_key(exchange: Exchange) -> Posted:
    """Return a document whose content key is not the one that it is encrypted with: C2.03."""
    ((draft, package),) = exchange.drafts(CITY, [ME])
    (posted,) = exchange.seal(CITY, [(draft._replace(content_key=bytes(32)), package)])
    return posted


@pytest.mark.parametrize(
    ("make", "reason"), [(_for_another_key, "batch_key_unusable"), (_with_another_content_key, "decryption_failed")]
)
async def test_who_sends_what_does_not_open_learns_nothing(inbox: Inbox, make: object, reason: str) -> None:
    """At whichever step it fails, only the recipient's own quarantine knows; no answer goes out that could be asked."""
    await inbox.post(make(inbox.exchange))  # type: ignore[operator] # one of the functions above

    await inbox.receive()

    assert [reason] == await inbox.reasons()
    assert [] == inbox.sink.order
    assert [(0,)] == inbox.rows("SELECT count(*) FROM outgoing")
