from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.consumers.ledger import Ledger
from docbus.consumers.pace import FIRST_PORTION
from docbus.consumers.sinks.port import Reject, Target
from docbus.documents.document import DocumentReference
from tests.support.audit_exchange import CITY
from tests.support.inbox import ME, Inbox, unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.ledger import DocumentKey, KnownDocument


def references(*names: str) -> tuple[DocumentReference, ...]:
    return tuple(DocumentReference(sender=CITY, document_id=name) for name in names)


def targets(inbox: Inbox, document_id: str) -> list[tuple[str, str, str | None, str | None]]:
    """Return of a filed change what its sink was told of what it concerns."""
    (found,) = [one for one in inbox.sink.filed.values() if one.document_id == document_id]
    return [(one.document_id, one.state, one.reference, one.reason) for one in found.targets]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[DocumentKey]]:
    """Note each look into the ledger for what changes concern."""
    noted: list[Sequence[DocumentKey]] = []
    original = Ledger.documents

    async def counted(ledger: Ledger, keys: Sequence[DocumentKey]) -> dict[DocumentKey, KnownDocument]:
        noted.append(keys)
        return await original(ledger, keys)

    monkeypatch.setattr(Ledger, "documents", counted)
    return noted


async def test_sink_learns_what_the_ledger_knows(inbox: Inbox) -> None:
    """Of each document concerned: filed and where, refused and why, before it in the batch, or unknown."""
    inbox.sink.answers = {"no": Reject("not_competent")}
    for name in ("old", "no"):
        await inbox.post(*inbox.exchange.documents(CITY, ME, 1, document_id=name))
    await inbox.receive()
    about = references("old", "no", "now", "never")
    await inbox.post(
        *inbox.exchange.documents(CITY, ME, 1, document_id="now"),
        *inbox.exchange.documents(CITY, ME, 1, document_id="change", kind="recall", concerns=about),
    )

    await inbox.receive()

    assert [
        ("old", "filed", "vn%3AH26~old~1", None),
        ("no", "refused", None, "not_competent"),
        ("now", "in_batch", None, None),
        ("never", "unknown", None, None),
    ] == targets(inbox, "change")


async def test_document_concerns_nothing(inbox: Inbox) -> None:
    """A plain document has no targets."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1, document_id="plain"))

    await inbox.receive()

    assert [] == targets(inbox, "plain")


async def test_what_an_earlier_portion_has_filed_is_known(inbox: Inbox) -> None:
    """With a sink that takes one document at a time, the recall behind a document finds it filed."""
    inbox.sink.max_batch = 1
    await inbox.post(
        *inbox.exchange.documents(CITY, ME, 1, document_id="now"),
        *inbox.exchange.documents(CITY, ME, 1, document_id="change", kind="recall", concerns=references("now")),
    )

    await inbox.receive()

    assert [("now", "filed", "vn%3AH26~now~1", None)] == targets(inbox, "change")


async def test_ledger_is_asked_once_for_a_portion(inbox: Inbox, asked: list[Sequence[DocumentKey]]) -> None:
    """However many changes a portion has, what they concern is looked up together, and each document once."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, FIRST_PORTION, kind="update", concerns=references("x", "y")))

    await inbox.receive()

    assert [[(CITY, "x", 1), (CITY, "y", 1)]] == asked


async def test_plain_documents_ask_the_ledger_nothing(inbox: Inbox, asked: list[Sequence[DocumentKey]]) -> None:
    """What concerns nothing costs nothing."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 20))

    await inbox.receive()

    assert (20, []) == (len(inbox.sink.order), asked)


async def test_batch_that_is_offered_again_is_looked_up_again(inbox: Inbox, asked: list[Sequence[DocumentKey]]) -> None:
    """While a sink is down other streams go on, so what was known at the first attempt may be out of date."""
    await inbox.post(
        *inbox.exchange.documents(CITY, ME, 1, document_id="change", kind="recall", concerns=references("x"))
    )
    inbox.sink.script = [unavailable(), None]

    await inbox.receive()

    assert [["change"], ["change"]] == inbox.sink.calls
    assert [[(CITY, "x", 1)]] * 2 == asked


def test_target_has_the_name_of_its_delivery() -> None:
    """The name is that under which the document is filed, or would be."""
    assert "vn%3AH26~a%2Fb~2" == Target("vn:H26", "a/b", 2, "unknown").name
