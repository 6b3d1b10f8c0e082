from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.producers import content as module
from docbus.producers.content import (
    PartPlaces,
    SentParts,
    content_bytes,
    content_counts,
    content_files,
    drop_content,
    leaves_of,
    mark_parts,
    note_seen,
    note_trouble,
    places_of,
    read_seen,
    read_trouble,
    release,
    share_of,
    uploads,
    was_withdrawn,
)
from docbus.wire.parts import SEALED_PART_BYTES
from docbus.wire.tree import root_of
from tests.support.outbox import ANNA, BINH, CHI, add_receipt, document, large, rows, staged_files, states, take_in

if TYPE_CHECKING:
    import pytest

    from docbus.storage.database import Database

SIZE = 2 * SEALED_PART_BYTES + 160
"""Bytes of ciphertext in three parts."""


def mark(database: Database, *runs: tuple[int, int, int, int]) -> int:
    """Note (content, first, parts, offset) as sent."""
    sent = [SentParts(*run) for run in runs]
    return database.write_now(lambda c: mark_parts(c, sent, seen=sent[-1].offset + sent[-1].parts))


def runs(database: Database) -> list[tuple[int, int, int, int]]:
    return rows(database, "SELECT content, first, parts, at_offset FROM content_run ORDER BY content, first")


# --- held copies ----------------------------------------------------------------------------------


def test_copies_of_large_documents_are_held(database: Database) -> None:
    """Until its parts are on the brokers nothing that points at them may be sealed."""
    take_in(database, document("a"), large(database, "b", ANNA, BINH))

    assert states(database) == [("a", ANNA, 0), ("b", ANNA, 7), ("b", BINH, 7)]


def test_copies_behind_a_held_one_are_held(database: Database) -> None:
    """In the same call or a later one: same lane, same recipient, accepted later. Nothing else is."""
    take_in(database, large(database, "large", ANNA), document("behind", ANNA, BINH))
    take_in(
        database,
        document("later", ANNA, CHI),
        document("urgent", ANNA, urgency=1, lane="urgent"),
    )
    add_receipt(database, ANNA)

    assert states(database) == [
        ("large", ANNA, 7),
        ("behind", ANNA, 7),
        ("behind", BINH, 0),
        ("later", ANNA, 7),
        ("later", CHI, 0),
        ("urgent", ANNA, 0),
        (None, ANNA, 0),
    ]


def test_held_copies_hold_those_behind_them(database: Database) -> None:
    """Also what is held only for another's content keeps its place in its stream."""
    take_in(database, large(database, "a", ANNA), document("b", ANNA))
    database.write_now(lambda c: c.execute("UPDATE content SET sent = parts"))
    take_in(database, large(database, "c", BINH), document("d", ANNA))

    assert states(database) == [("a", ANNA, 7), ("b", ANNA, 7), ("c", BINH, 7), ("d", ANNA, 7)]


def test_last_part_lets_all_copies_go(database: Database) -> None:
    """The document's own at all recipients, and what was behind; the note tells how many."""
    take_in(database, large(database, "a", ANNA, BINH), document("b", ANNA))

    assert mark(database, (1, 0, 2, 10)) == 0
    assert {state for *_, state in states(database)} == {7}
    assert mark(database, (1, 2, 1, 12)) == 3
    assert {state for *_, state in states(database)} == {0}


def test_copies_go_up_to_the_next_upload(database: Database) -> None:
    """What is behind two uploads waits for both, whichever is through first."""
    take_in(database, large(database, "a"), document("b"), large(database, "c", ANNA, BINH), document("d"))

    mark(database, (2, 0, 3, 0))
    second_first = states(database)
    mark(database, (1, 0, 3, 3))

    assert [state for *_, state in second_first] == [7, 7, 7, 0, 7]
    assert {state for *_, state in states(database)} == {0}


def test_document_with_two_attachments_waits_for_both(database: Database) -> None:
    """One of them does not make a document."""
    first, second = large(database, "a"), large(database, "other")
    take_in(database, first._replace(attachments=(*first.attachments, *second.attachments)))

    mark(database, (1, 0, 3, 0))
    between = states(database)
    mark(database, (2, 0, 3, 3))

    assert (between, states(database)) == ([("a", ANNA, 7)], [("a", ANNA, 0)])


def test_releasing_nothing_is_no_error(database: Database) -> None:
    """An outbox without uploads has nothing to let go."""
    take_in(database, document("a"))

    assert database.write_now(release) == 0


# --- notes ----------------------------------------------------------------------------------------


def test_consecutive_parts_become_one_run(database: Database) -> None:
    """As long as both indexes and offsets go on; otherwise a new run begins."""
    take_in(database, large(database, "a", parts=9))

    mark(database, (1, 0, 1, 5), (1, 1, 2, 6))
    mark(database, (1, 3, 1, 8), (1, 4, 1, 10), (1, 5, 1, 11))

    assert runs(database) == [(1, 0, 4, 5), (1, 4, 2, 10)]
    assert rows(database, "SELECT sent FROM content") == [(6,)]


def test_noting_again_changes_nothing(database: Database) -> None:
    """After a crash the same parts may be found, and noted, a second time."""
    take_in(database, large(database, "a"))
    mark(database, (1, 0, 3, 5))
    before = runs(database), states(database)

    assert mark(database, (1, 0, 3, 5)) == 0
    assert (runs(database), states(database)) == before


def test_offset_up_to_which_all_is_noted_is_kept(database: Database) -> None:
    """It moves with the notes, in their transaction, and is forgotten once all is uploaded."""
    assert database.read_now(read_seen) is None
    database.write_now(lambda c: note_seen(c, 4))
    take_in(database, large(database, "a"))
    assert database.read_now(read_seen) == 4
    mark(database, (1, 0, 2, 7))
    assert database.read_now(read_seen) == 9
    database.write_now(lambda c: note_seen(c, None))
    assert database.read_now(read_seen) is None


def test_places_are_the_beginnings_of_runs(database: Database) -> None:
    """By attachment, in the order of the parts, which need not be that of the offsets."""
    first, second = large(database, "a", parts=4), large(database, "other")
    take_in(database, first._replace(attachments=(*first.attachments, *second.attachments)), document("b"))
    mark(database, (1, 0, 2, 50), (1, 2, 2, 7), (2, 0, 3, 9))

    found = database.read_now(lambda c: places_of(c, [1, 2]))

    assert found == {1: (PartPlaces(0, (50, 7)), PartPlaces(1, (9,)))}


def test_places_are_few_enough_for_an_envelope(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of content in very many runs the first are named; a reader goes on from there."""
    monkeypatch.setattr(module, "MAX_HINTED_RUNS", 2)
    take_in(database, large(database, "a", parts=4))
    mark(database, *[(1, number, 1, 2 * number) for number in range(4)])

    assert database.read_now(lambda c: places_of(c, [1])) == {1: (PartPlaces(0, (0, 2)),)}


def test_trouble_is_kept_until_it_is_over(database: Database) -> None:
    """Another process can say since when nothing goes up, and why."""
    database.write_now(lambda c: note_trouble(c, (7, "không có broker")))
    noted = database.read_now(read_trouble)
    database.write_now(lambda c: note_trouble(c, None))

    assert noted == (7, "không có broker")
    assert database.read_now(read_trouble) is None


# --- figures --------------------------------------------------------------------------------------


def test_uploads_are_urgent_first_then_by_age(database: Database) -> None:
    """Each says where to go on; what is through is not among them."""
    take_in(
        database,
        large(database, "a"),
        large(database, "b", urgency=2, lane="urgent"),
        large(database, "c", urgency=4, lane="urgent"),
        large(database, "d"),
    )
    mark(database, (1, 0, 1, 0), (4, 0, 3, 1))

    found = database.read_now(lambda c: uploads(c, 10))

    assert [(upload.content, upload.sent, upload.urgent) for upload in found] == [
        (2, 0, True),
        (3, 0, True),
        (1, 1, False),
    ]
    assert len(database.read_now(lambda c: uploads(c, 2))) == 2
    assert (found[0].size, found[0].parts) == (SIZE, 3)


def test_hashes_lead_to_the_digest(database: Database) -> None:
    """The tree over the parts is built from them again; of dropped content there are none."""
    take_in(database, large(database, "a"))
    ((digest,),) = rows(database, "SELECT digest FROM content")

    leaves = database.read_now(lambda c: leaves_of(c, 1))
    database.write_now(lambda c: drop_content(c, [1]))

    assert leaves is not None
    assert (len(leaves), root_of(leaves)) == (3, digest)
    assert database.read_now(lambda c: leaves_of(c, 1)) is None
    assert database.read_now(lambda c: leaves_of(c, 2)) is None


def test_counts_say_what_is_kept_and_what_is_left(database: Database) -> None:
    """Bytes on disk, and of what is not through how much is."""
    take_in(database, large(database, "a"), large(database, "b"))
    mark(database, (1, 0, 3, 0), (2, 0, 1, 3))

    counts = database.read_now(content_counts)

    assert (counts.kept_bytes, counts.uploads, counts.size, counts.uploaded) == (2 * SIZE, 1, SIZE, SEALED_PART_BYTES)
    assert (counts.failed_at, counts.error) == (None, None)
    assert database.read_now(content_bytes) == 2 * SIZE


def test_content_that_somebody_does_not_have_is_listed(database: Database) -> None:
    """What is uploaded and kept is named with its size and how many do not have it; what everybody has is not."""
    take_in(database, large(database, "a", ANNA, BINH), large(database, "b"), large(database, "c"))
    mark(database, (1, 0, 3, 0), (2, 0, 3, 3))
    database.write_now(lambda c: c.execute("UPDATE copy SET state = 3 WHERE outgoing = 2 OR recipient = ?", (BINH,)))

    (kept,) = database.read_now(content_counts).kept

    assert (kept.document_id, kept.revision, kept.size, kept.unanswered) == ("a", 1, SIZE, 1)


def test_share_of_a_document(database: Database) -> None:
    """Whole parts count whole, the last one with what it has; small documents have no share."""
    take_in(database, large(database, "a"), document("b"))
    mark(database, (1, 0, 2, 0))
    two = database.read_now(lambda c: share_of(c, 1))
    mark(database, (1, 2, 1, 2))
    three = database.read_now(lambda c: share_of(c, 1))

    assert two is not None
    assert three is not None
    assert (two.uploaded, two.size) == (2 * SEALED_PART_BYTES, SIZE)
    assert (three.uploaded, three.share) == (SIZE, 1.0)
    assert database.read_now(lambda c: share_of(c, 2)) is None


def test_dropped_content_names_its_files_once(database: Database) -> None:
    """They are to be removed by whoever has dropped it; what others have stays."""
    take_in(database, large(database, "a"), large(database, "b"))
    files = database.read_now(content_files)

    dropped = database.write_now(lambda c: drop_content(c, [1]))

    assert dropped == files[:1]
    assert database.write_now(lambda c: drop_content(c, [1])) == []
    assert database.read_now(content_files) == files[1:]
    assert set(files) == staged_files(database)


def test_dropped_content_is_not_to_be_uploaded(database: Database) -> None:
    """Without its file there is nothing to send, and nobody has to wait for it."""
    take_in(database, large(database, "a"))
    database.write_now(lambda c: drop_content(c, [1]))

    take_in(database, document("b", BINH))

    assert database.read_now(lambda c: uploads(c, 10)) == []
    assert states(database)[-1] == ("b", BINH, 0)


def test_only_withdrawn_documents_were_withdrawn(database: Database) -> None:
    """Copies that failed for another reason are no sign of it."""
    take_in(database, document("a"), document("b"))
    database.write_now(lambda c: c.execute("UPDATE copy SET state = 5, reason = 'withdrawn' WHERE outgoing = 1"))
    database.write_now(lambda c: c.execute("UPDATE copy SET state = 5, reason = 'agency_closed' WHERE outgoing = 2"))

    assert [database.read_now(lambda c, n=number: was_withdrawn(c, n)) for number in (1, 2)] == [True, False]  # type: ignore[misc] # bound at once


def test_kept_content_that_is_listed_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest documents whose content is kept are listed, and no more of them."""
    monkeypatch.setattr("docbus.producers.content.SHOWN_KEPT", 2)
    take_in(database, *(large(database, name) for name in "abc"))
    mark(database, *((number, 0, 3, 3 * number) for number in (1, 2, 3)))

    assert 2 == len(database.read_now(content_counts).kept)
