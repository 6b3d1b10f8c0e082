from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.documents.refusals import CONTENT_EXPIRED, RESENDABLE
from docbus.errors import DocumentConflictError, DocumentError
from docbus.producers.content import content_files
from docbus.producers.drain import KEEP_CONTENT_MS
from docbus.producers.journey import counts, journey
from docbus.producers.outbox import fail_copies
from docbus.producers.pruning import prune
from docbus.producers.receipts import match
from docbus.producers.withdrawing import Resent, Withdrawn, give_up, resend, settled_content, withdraw
from tests.support.outbox import (
    ANNA,
    BINH,
    CHI,
    NOW_MS,
    SENDER,
    ContentTransport,
    FakeAgency,
    FakeClock,
    FakeSealer,
    FakeSnapshot,
    content_folder,
    document,
    large,
    make_drain,
    make_uploader,
    receipt,
    rows,
    seal_all,
    staged_files,
    states,
    take_in,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.storage.database import Database

SIZE = 2 * 524_872 + 160
"""Bytes of ciphertext in three parts."""


@pytest.fixture
def transport() -> ContentTransport:
    return ContentTransport()


def take_back(database: Database, name: str, revision: int | None = None) -> Withdrawn:
    done = database.write_now(lambda c: withdraw(c, name, at_ms=NOW_MS + 1, revision=revision))
    content_folder(database).drop(done.files)
    return done


def send_again(
    database: Database, name: str, recipients: Sequence[str] | None = None, revision: int | None = None
) -> Resent:
    return database.write_now(lambda c: resend(c, name, recipients=recipients, revision=revision))


def answer(
    database: Database, recipient: str, sequence: int, reason: str | None = None, *, at_ms: int = NOW_MS
) -> None:
    """Let a recipient receive, or refuse, one statement."""
    refused = [] if reason is None else [(sequence, reason)]
    body = receipt(database, recipient, sequence, sequence, refused)
    assert database.write_now(lambda c: match(c, receipt=body, issuer=recipient, at_ms=at_ms)) == []


def prune_content(database: Database, at_ms: int) -> set[str]:
    """Drop what is not needed any more, as a drain does; return what is left."""
    before_ms = at_ms - KEEP_CONTENT_MS
    files = database.write_now(lambda c: settled_content(c, settled_before_ms=before_ms))
    content_folder(database).drop(files)
    assert staged_files(database) == set(database.read_now(content_files))
    return staged_files(database)


# --- withdrawing ----------------------------------------------------------------------------------


def test_withdrawn_document_is_gone_and_what_was_behind_goes_on(database: Database) -> None:
    """Its copies have failed for that reason, its content is removed, and later letters wait for nothing."""
    take_in(database, large(database, "a", ANNA, BINH), document("b", ANNA, CHI))
    before = states(database)

    done = take_back(database, "a")

    assert before == [("a", ANNA, 7), ("a", BINH, 7), ("b", ANNA, 7), ("b", CHI, 0)]
    assert done[:3] == ("a", 1, 2)
    assert states(database) == [("a", ANNA, 5), ("a", BINH, 5), ("b", ANNA, 0), ("b", CHI, 0)]
    assert rows(database, "SELECT DISTINCT reason, settled_at FROM copy WHERE state = 5") == [("withdrawn", NOW_MS + 1)]
    assert staged_files(database) == set()
    assert rows(database, "SELECT body, package, content_key FROM outgoing WHERE document_id = 'a'") == [(None,) * 3]
    assert rows(database, "SELECT file, leaves FROM content") == [(None, None)]


def test_what_is_behind_another_upload_goes_on_waiting(database: Database) -> None:
    """Withdrawing frees only what no other upload holds."""
    take_in(database, large(database, "a"), document("b"), large(database, "c"), document("d"))

    take_back(database, "a")

    assert states(database) == [("a", ANNA, 5), ("b", ANNA, 0), ("c", ANNA, 7), ("d", ANNA, 7)]


def test_document_without_large_content_can_be_withdrawn(database: Database) -> None:
    """Whatever is not signed yet can be taken back."""
    take_in(database, document("a"))

    assert take_back(database, "a") == Withdrawn("a", 1, 1, [])
    assert states(database) == [("a", ANNA, 5)]


def test_withdrawn_document_cannot_be_published_again(database: Database) -> None:
    """Its id is used up: a duplicate would be promised and never sent."""
    take_in(database, large(database, "a"))
    take_back(database, "a")

    with pytest.raises(DocumentConflictError, match="was withdrawn"):
        take_in(database, large(database, "a"))
    assert take_in(database, large(database, "a", revision=2)) == [False]


def test_newest_revision_is_withdrawn_unless_one_is_named(database: Database) -> None:
    """The revision says which of several documents under an id is meant."""
    for revision in (1, 2, 3):
        take_in(database, document("a", ANNA, revision=revision, content=b"%d" % revision))

    assert take_back(database, "a").revision == 3
    assert take_back(database, "a", 1).revision == 1
    assert [state for _, _, state in states(database)] == [5, 0, 5]


async def test_signed_document_cannot_be_withdrawn(database: Database, transport: ContentTransport) -> None:
    """Once it is sealed for anybody it can be read, so it can only be recalled."""
    take_in(database, large(database, "a", ANNA))
    await make_uploader(database, transport).upload_all()
    seal_all(database)

    with pytest.raises(DocumentError, match=f"is signed for {ANNA}") as caught:
        take_back(database, "a")

    assert "recall" in str(caught.value.hint)
    assert states(database) == [("a", ANNA, 1)]
    assert len(staged_files(database)) == 1


def test_unknown_document_cannot_be_withdrawn(database: Database) -> None:
    """An id or revision that the outbox does not have is named."""
    take_in(database, document("a"))

    with pytest.raises(DocumentError, match="has no document b"):
        take_back(database, "b")
    with pytest.raises(DocumentError, match="has no document a revision 2"):
        take_back(database, "a", 2)


async def test_withdrawal_after_the_upload_is_in_time(database: Database, transport: ContentTransport) -> None:
    """Parts on the brokers are not the document: as long as nothing is signed it can be taken back."""
    take_in(database, large(database, "a"))
    await make_uploader(database, transport).upload_all()

    take_back(database, "a")
    await make_drain(database, transport).drain()

    assert transport.values() == []
    assert states(database) == [("a", ANNA, 5)]


def test_lost_content_fails_like_a_withdrawal(database: Database) -> None:
    """Giving up names another reason, and leaves the id for the same document to be published as a new revision."""
    take_in(database, large(database, "a"), document("b"))

    files = database.write_now(lambda c: give_up(c, 1, at_ms=NOW_MS))
    content_folder(database).drop(files)

    assert states(database) == [("a", ANNA, 5), ("b", ANNA, 0)]
    assert rows(database, "SELECT reason FROM copy WHERE state = 5") == [("content_lost",)]
    assert staged_files(database) == set()


# --- sending again --------------------------------------------------------------------------------


async def test_content_is_sent_again_to_those_without_it(database: Database, transport: ContentTransport) -> None:
    """Whoever has it gets nothing; the others get the same body and the same parts, at new offsets."""
    sealer = FakeSealer()
    take_in(database, large(database, "a", ANNA, BINH, CHI))
    await make_drain(database, transport, sealer).drain()
    answer(database, ANNA, 1)
    answer(database, BINH, 1, CONTENT_EXPIRED)

    resent = send_again(database, "a")
    between = states(database)
    await make_drain(database, transport, sealer).drain()

    assert resent == Resent("a", 1, SIZE, (BINH, CHI))
    assert between == [("a", ANNA, 3), ("a", BINH, 6), ("a", CHI, 2), ("a", BINH, 7), ("a", CHI, 7)]
    assert [state for _, _, state in states(database)] == [3, 6, 2, 2, 2]
    assert [record.value for record in transport.content[:3]] == [record.value for record in transport.content[3:]]
    assert len(transport.content) == 6
    assert [transport.sequences(recipient) for recipient in (ANNA, BINH, CHI)] == [[1], [1, 2], [1, 2]]
    first, second = (value.split(b"|")[4] for value in transport.values(BINH))
    assert first == second
    assert [hint.offsets for (hint,) in sealer.hints[b"a", BINH]] == [(0,), (3,)]


async def test_refusal_and_new_attempt_are_one_leg(database: Database, transport: ContentTransport) -> None:
    """The journey shows the attempt that has come furthest, and how many there were."""
    take_in(database, large(database, "a"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1, CONTENT_EXPIRED)
    send_again(database, "a")
    await make_drain(database, transport).drain()
    (under_way,) = database.read_now(lambda c: journey(c, "a", sender=SENDER)).legs
    answer(database, ANNA, 2)

    (leg,) = database.read_now(lambda c: journey(c, "a", sender=SENDER)).legs

    assert (under_way.state, under_way.attempts) == ("sent", 2)
    assert (leg.state, leg.attempts, leg.reason) == ("received", 2, None)


async def test_refusal_that_comes_again_says_nothing_of_the_new_attempt(
    database: Database, transport: ContentTransport
) -> None:
    """A recipient that reads the refused statement again says again what it said; the new attempt goes on alone."""
    take_in(database, large(database, "a"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1, CONTENT_EXPIRED)
    send_again(database, "a")
    await make_drain(database, transport).drain()

    answer(database, ANNA, 1, CONTENT_EXPIRED)
    (under_way,) = database.read_now(lambda c: journey(c, "a", sender=SENDER)).legs
    answer(database, ANNA, 2)

    assert ("sent", None) == (under_way.state, under_way.reason)
    assert (1, 0) == database.read_now(lambda c: (counts(c).received, counts(c).refused))


async def test_recipients_can_be_chosen(database: Database, transport: ContentTransport) -> None:
    """Of those without it only the named ones get it; others are told apart with an error."""
    take_in(database, large(database, "a", ANNA, BINH, CHI))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1)

    with pytest.raises(DocumentError, match=f"waits for no answer of {ANNA}"):
        send_again(database, "a", [BINH, ANNA])
    with pytest.raises(DocumentError, match="waits for no answer of vn:H99"):
        send_again(database, "a", ["vn:H99"])
    resent = send_again(database, "a", [CHI])

    assert resent.recipients == (CHI,)
    assert states(database)[3:] == [("a", CHI, 7)]


async def test_letters_behind_a_second_upload_keep_their_order(database: Database, transport: ContentTransport) -> None:
    """What is published while content goes up again waits for it, as the first time."""
    take_in(database, large(database, "a"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1, CONTENT_EXPIRED)
    send_again(database, "a")
    take_in(database, document("b"), document("c", BINH))

    assert states(database)[1:] == [("a", ANNA, 7), ("b", ANNA, 7), ("c", BINH, 0)]


async def test_what_cannot_be_sent_again_is_refused(database: Database, transport: ContentTransport) -> None:
    """The error says why: unknown, small, still under way, everybody has it, or not kept."""
    with pytest.raises(DocumentError, match="has no document a"):
        send_again(database, "a")
    take_in(database, document("small"), large(database, "a"))
    with pytest.raises(DocumentError, match="has no document a revision 7"):
        send_again(database, "a", revision=7)
    with pytest.raises(DocumentError, match="travels whole"):
        send_again(database, "small")
    with pytest.raises(DocumentError, match="is being uploaded already"):
        send_again(database, "a")
    await make_drain(database, transport).drain()
    answer(database, ANNA, 2)
    with pytest.raises(DocumentError, match="everybody has received"):
        send_again(database, "a")
    prune_content(database, NOW_MS + KEEP_CONTENT_MS + 1)
    with pytest.raises(DocumentError, match="is not kept any more"):
        send_again(database, "a")

    assert states(database) == [("small", ANNA, 2), ("a", ANNA, 3)]


def test_withdrawn_document_cannot_be_sent_again(database: Database) -> None:
    """What was taken back stays back."""
    take_in(database, large(database, "a"))
    take_back(database, "a")

    with pytest.raises(DocumentError, match="is not kept any more"):
        send_again(database, "a")


async def test_document_that_failed_for_everybody_cannot_be_sent_again(
    database: Database, transport: ContentTransport
) -> None:
    """Its body is gone, so nothing could be sealed; the outbox goes on with everything else."""
    directory = FakeSnapshot()
    directory.agencies[ANNA] = FakeAgency(closed_at=7)
    take_in(database, large(database, "a", ANNA))
    await make_drain(database, transport, snapshot=lambda: directory).drain()

    with pytest.raises(DocumentError, match="is not kept any more"):
        send_again(database, "a")

    assert states(database) == [("a", ANNA, 5)]


async def test_failed_recipient_of_a_kept_document_fails_again_alone(
    database: Database, transport: ContentTransport
) -> None:
    """Who is closed does not keep the others from having it a second time."""
    directory = FakeSnapshot()
    directory.agencies[ANNA] = FakeAgency(closed_at=7)
    take_in(database, large(database, "a", ANNA, BINH))
    await make_drain(database, transport, snapshot=lambda: directory).drain()
    answer(database, BINH, 1, CONTENT_EXPIRED)

    send_again(database, "a")
    await make_drain(database, transport, snapshot=lambda: directory).drain()

    assert [state for _, _, state in states(database)] == [5, 6, 5, 2]


async def test_envelopes_may_be_pruned_before_content_is_sent_again(
    database: Database, transport: ContentTransport
) -> None:
    """A refusal of long ago is answered with the same body: it is kept as long as the content is."""
    take_in(database, large(database, "a"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1, CONTENT_EXPIRED)
    late_ms = NOW_MS + 100 * KEEP_CONTENT_MS
    assert database.write_now(lambda c: prune(c, settled_before_ms=late_ms)) == 1
    prune_content(database, late_ms)

    send_again(database, "a")
    await make_drain(database, transport).drain()

    first, second = (value.split(b"|")[4] for value in transport.values(ANNA))
    assert first == second


# --- keeping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, "rejected"], ids=["received", "refused for good"])
async def test_settled_content_is_kept_for_a_day(
    database: Database, transport: ContentTransport, reason: str | None
) -> None:
    """Once every recipient has decided, what it decided on is needed for a day at most."""
    take_in(database, large(database, "a", ANNA, BINH))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1)
    answer(database, BINH, 1, reason, at_ms=NOW_MS + 5)

    kept = prune_content(database, NOW_MS + 5 + KEEP_CONTENT_MS)
    left = prune_content(database, NOW_MS + 6 + KEEP_CONTENT_MS)

    assert len(kept) == 1
    assert left == set()


@pytest.mark.parametrize("reason", sorted(RESENDABLE))
async def test_content_that_was_refused_for_want_of_it_is_kept(
    database: Database, transport: ContentTransport, reason: str
) -> None:
    """Who could not have it may still ask for it, until it has it, however long that takes."""
    take_in(database, large(database, "a", ANNA, BINH))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1)
    answer(database, BINH, 1, reason)
    after_a_year = prune_content(database, NOW_MS + 365 * KEEP_CONTENT_MS)
    send_again(database, "a")
    await make_drain(database, transport).drain()
    answer(database, BINH, 2)

    assert len(after_a_year) == 1
    assert prune_content(database, NOW_MS + 2 * KEEP_CONTENT_MS) == set()


async def test_unanswered_content_is_kept(database: Database, transport: ContentTransport) -> None:
    """As long as one recipient has said nothing, its content is needed."""
    take_in(database, large(database, "a", ANNA, BINH), large(database, "b"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1)

    assert len(prune_content(database, NOW_MS + 365 * KEEP_CONTENT_MS)) == 2


async def test_bytes_of_settled_content_go_with_it(database: Database, transport: ContentTransport) -> None:
    """Once envelopes are pruned, dropping the content drops body, package and key too."""
    take_in(database, large(database, "a"))
    await make_drain(database, transport).drain()
    answer(database, ANNA, 1)
    database.write_now(lambda c: prune(c, settled_before_ms=NOW_MS + 1))
    query = "SELECT body IS NULL, package IS NULL, content_key IS NULL FROM outgoing"
    before = rows(database, query)

    prune_content(database, NOW_MS + 1 + KEEP_CONTENT_MS)

    assert (before, rows(database, query)) == ([(0, 0, 0)], [(1, 1, 1)])


async def test_failed_copies_are_settled(database: Database, transport: ContentTransport) -> None:
    """A recipient that was closed meanwhile never answers, and holds no content for ever."""
    take_in(database, large(database, "a", ANNA, BINH))
    await make_uploader(database, transport).upload_all()
    database.write_now(lambda c: fail_copies(c, [(1, 0, "agency_closed")], at_ms=NOW_MS))
    await make_drain(database, transport).drain()
    answer(database, BINH, 1)

    assert prune_content(database, NOW_MS + 1 + KEEP_CONTENT_MS) == set()


async def test_running_drain_drops_what_is_settled(database: Database, transport: ContentTransport) -> None:
    """It happens by itself, with the pruning of envelopes."""
    clock = FakeClock()
    take_in(database, large(database, "a"))
    drain = make_drain(database, transport, clock=clock)
    await drain.drain()
    answer(database, ANNA, 1)
    clock.advance(KEEP_CONTENT_MS / 1000 + 1)

    await drain._prune()

    assert staged_files(database) == set()
    assert rows(database, "SELECT file FROM content") == [(None,)]
