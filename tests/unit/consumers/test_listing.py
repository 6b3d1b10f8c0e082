from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from docbus.consumers.listing import Reader
from docbus.consumers.selection import Selection
from docbus.consumers.sinks.port import Reject
from docbus.consumers.spans import READ_RECORDS
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.storage.database import Database
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier
from tests.support.acts import decide
from tests.support.audit_exchange import CITY, COMMUNE, Exchange
from tests.support.directory import make_keys
from tests.support.inbox import ME, Inbox
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

EVERYTHING = Selection(everything=True)


@contextmanager
def reader(inbox: Inbox, verifier: Verifier | None = None) -> Iterator[Reader]:
    """Yield a reader of what an inbox has set aside."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        yield Reader(inbox.bus, database, ME, inbox.exchange.snapshot, verifier)
    finally:
        database.close()


async def test_proven_and_claimed_senders_are_told_apart(inbox: Inbox) -> None:
    """A document that verifies has a proven sender; a stranger's has its claims, and random bytes nothing."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive(decrypters=[make_keys(ME).encryption_key.decrypter()])
    stranger = type(inbox.exchange)()
    await inbox.post(*stranger.documents(COMMUNE, ME, 1))
    await inbox.post_value(b"junk", b"vn:H99")
    await inbox.receive()

    with reader(inbox) as listing:
        found = await listing.selected("quarantine", EVERYTHING)

    assert [(CITY, "H26-00001", True), (COMMUNE, ".20-00001", False), ("vn:H99", None, False)] == [
        (one.sender, one.document_id, one.proven) for one in found
    ]


async def test_a_sender_with_a_certificate_of_an_authority_is_proven_by_its_word(inbox: Inbox) -> None:
    """Without a list nothing shows that the key was its sender's, as everywhere."""
    root = TestAuthority()
    inbox.exchange = Exchange(authority=root, certified=(CITY,))
    material = ValidationMaterial([read_piece(root.revocations())])
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    strange = make_keys(ME).encryption_key.decrypter()
    await inbox.receive(decrypters=[strange], verifier=Verifier(Paths(lambda: material)))

    proven = []
    for known in (None, Verifier(Paths(lambda: material))):
        with reader(inbox, known) as listing:
            (found,) = await listing.selected("quarantine", EVERYTHING)
        proven.append((found.sender, found.proven))

    assert [(CITY, False), (CITY, True)] == proven


async def test_newest_open_ones_are_found_behind_many_settled(inbox: Inbox) -> None:
    """Records about which somebody has decided are passed over, however many lie in between."""
    count = READ_RECORDS + 20
    posted = inbox.exchange.documents(CITY, ME, count)
    inbox.sink.answers = {f"H26-{n + 1:05}": Reject("no") for n in range(count)}
    await inbox.post(*posted)
    await inbox.receive()
    await decide(inbox, "reject", "dead-letter", *range(5, count))
    await inbox.receive()

    with reader(inbox) as listing:
        open_ones = await listing.newest("dead-letter", Selection(), 3, settled=False)
        all_ones = await listing.newest("dead-letter", Selection(), 3, settled=True)
        by_number = await listing.selected("dead-letter", Selection(numbers=(2, 270)))

    assert [(2, "open"), (3, "open"), (4, "open")] == [(one.number, one.state) for one in open_ones]
    assert [(count - 3 + n, "rejected") for n in range(3)] == [(one.number, one.state) for one in all_ones]
    assert [(2, "H26-00003"), (270, "H26-00271")] == [(one.number, one.document_id) for one in by_number]


async def test_what_one_command_is_about_is_bounded(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many records one more than may be decided about is returned, and a few where all are decided."""
    monkeypatch.setattr("docbus.consumers.listing.MAX_SELECTED", 3)
    monkeypatch.setattr("docbus.consumers.listing.SHOWN_DECIDED", 2)
    inbox.sink.answers = {f"H26-{n + 1:05}": Reject("no") for n in range(6)}
    await inbox.post(*inbox.exchange.documents(CITY, ME, 6))
    await inbox.receive()

    with reader(inbox) as listing:
        open_ones = await listing.selected("dead-letter", Selection())
    await decide(inbox, "reject", "dead-letter", *range(6))
    await inbox.receive()
    with reader(inbox) as listing:
        decided = await listing.selected("dead-letter", Selection())

    assert [0, 1, 2, 3] == [one.number for one in open_ones]
    assert [4, 5] == [one.number for one in decided]
