"""Envelopes and trust that leave the house, and their verification without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.audit.evidence import Wanted, export_envelope, export_trust, find_envelope, verify_file
from docbus.errors import AuditError, DirectoryError, UnknownAgencyError
from docbus.identity.bundle import dump_bundle, load_bundle
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.transport.sqlite import SqliteTransport
from tests.support.audit_exchange import CITY, COMMUNE, PROVINCE, Exchange, append
from tests.support.directory import NOW_MS
from tests.support.pki import TestAuthority, ms

if TYPE_CHECKING:
    from pathlib import Path


def bundle_of(exchange: Exchange) -> bytes:
    """Return the exchange's trust bundle."""
    return dump_bundle(exchange.directory.snapshot(), exchange.directory.records)


def test_an_envelope_is_valid_by_its_bundle() -> None:
    """With the genesis pinned and the inbox named, every check that applies passes."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1, document_id="7816/VPCP")

    report = verify_file(posted.value, bundle_of(exchange), genesis=exchange.directory.genesis, recipient="H53")

    assert (report.verdict, report.exit_code) == ("valid", 0)
    assert {check.result for check in report.checks} == {"passed", "not applicable"}
    assert report.subject is not None
    assert (report.subject.sender, report.subject.document_id, report.subject.digest) == (
        CITY,
        "7816/VPCP",
        posted.sealed.digest.hex(),
    )
    assert report.notes == ("The directory of test is known up to entry 3.",)


def test_a_bundle_that_is_not_pinned_is_said() -> None:
    """Whoever made the bundle then decided whom to trust."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)

    report = verify_file(posted.value, bundle_of(exchange))

    assert report.notes[0] == (
        f"Trust rests on this bundle's own genesis {exchange.directory.genesis.hex()}; pin it with --genesis."
    )


def test_a_changed_envelope_is_invalid() -> None:
    """One byte of the statement is another."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    value = bytearray(posted.value)
    value[60] ^= 1

    report = verify_file(bytes(value), bundle_of(exchange))

    assert (report.verdict, report.exit_code) == ("invalid", 1)


def test_an_older_bundle_leaves_it_undecided() -> None:
    """The statement was made under an entry that the bundle does not have."""
    exchange = Exchange()
    older = exchange.directory.replay().snapshot(2)
    bundle = dump_bundle(older, exchange.directory.records[:3])
    (posted,) = exchange.documents(CITY, PROVINCE, 1)

    report = verify_file(posted.value, bundle)

    assert (report.verdict, report.exit_code) == ("indeterminate", 3)
    assert [check.id for check in report.checks if check.result == "indeterminate"] == ["C1.20"]


def test_a_bundle_from_before_the_grant_leaves_it_undecided() -> None:
    """The bundle ends before the agency was granted, and before the entry that the statement names."""
    exchange = Exchange()
    older = exchange.directory.replay().snapshot(1)
    (posted,) = exchange.documents(PROVINCE, CITY, 1)

    report = verify_file(posted.value, dump_bundle(older, exchange.directory.records[:2]))

    assert (report.verdict, report.exit_code) == ("indeterminate", 3)
    (undecided,) = [check for check in report.checks if check.result == "indeterminate"]
    assert (undecided.id, undecided.code) == ("C1.04", "certificate_not_known_yet")
    assert undecided.detail == "the directory given ends at entry 1; the statement names entry 3: get a later one"


def test_the_time_rests_on_what_the_reader_says() -> None:
    """Without evidence it is the sender's word; with a time that the reader believes it is that."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    bundle = bundle_of(exchange)
    bare = verify_file(posted.value, bundle)
    given = verify_file(posted.value, bundle, known_at_ms=NOW_MS + 1)

    assert bare.signing_time is not None
    assert given.signing_time is not None
    assert ("claimed", "given") == (bare.signing_time.rests_on, given.signing_time.rests_on)
    assert NOW_MS + 1 == given.signing_time.at_ms


def test_another_inbox_is_invalid() -> None:
    """The envelope was found where it does not belong."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)

    report = verify_file(posted.value, bundle_of(exchange), recipient=COMMUNE)

    assert [check.id for check in report.checks if check.result == "failed"] == ["C1.14"]


def test_what_cannot_be_read_is_an_error() -> None:
    """No bundle, an empty envelope, another genesis, an unknown recipient: nothing can be said."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    bundle = bundle_of(exchange)

    with pytest.raises(AuditError):
        verify_file(posted.value, b"{}")
    with pytest.raises(AuditError):
        verify_file(b"", bundle)
    with pytest.raises(DirectoryError):
        verify_file(posted.value, bundle, genesis=bytes(32))
    with pytest.raises(UnknownAgencyError):
        verify_file(posted.value, bundle, recipient="H77")


def test_the_outbox_gives_the_exact_envelope() -> None:
    """It is asked by document id, revision and recipient."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1, document_id="d")
    stored = {("d", 1, PROVINCE): posted.value}

    found = export_envelope(Wanted(CITY, "d", 1, PROVINCE), lambda *name: stored.get(name))

    assert found == posted.value


def test_an_outbox_without_it_says_so() -> None:
    """Neither nothing nor another document's envelope is handed out."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1, document_id="other")

    with pytest.raises(AuditError, match="no envelope of document d"):
        export_envelope(Wanted(CITY, "d", 1, PROVINCE), lambda *_name: None)
    with pytest.raises(AuditError, match="another envelope"):
        export_envelope(Wanted(CITY, "d", 1, PROVINCE), lambda *_name: posted.value)


async def test_an_inbox_is_searched_from_a_position(tmp_path: Path) -> None:
    """The first envelope of the document from there on is found; a foreign key's and another sender's are not."""
    exchange = Exchange()
    transport = SqliteTransport(tmp_path / "bus.db")
    await transport.start()
    try:
        await exchange.found(transport)
        (foreign,) = exchange.documents(COMMUNE, PROVINCE, 1, document_id="d")
        first, second = exchange.documents(CITY, PROVINCE, 2, document_id="d")
        await append(transport, [foreign, first, second])
        wanted = Wanted(CITY, "d", 1, PROVINCE)

        assert await find_envelope(transport, wanted, read_seconds=0.0) == first.value
        assert await find_envelope(transport, wanted, start={0: 2}, read_seconds=0.0) == second.value
        with pytest.raises(AuditError, match="not in the inbox"):
            await find_envelope(transport, wanted._replace(revision=2), read_seconds=0.0)
    finally:
        await transport.aclose()


async def test_trust_is_exported_as_a_bundle(tmp_path: Path) -> None:
    """The whole directory log, which proves itself by the genesis."""
    exchange = Exchange()
    transport = SqliteTransport(tmp_path / "bus.db")
    await transport.start()
    try:
        await exchange.found(transport)

        bundle = await export_trust(transport, exchange.directory.genesis)
    finally:
        await transport.aclose()

    assert load_bundle(bundle, exchange.directory.genesis).position == 3


def test_a_verdict_says_on_which_list_it_rests_and_whether_a_later_one_should_exist() -> None:
    """An auditor who was given an old list gets the same verdict, and is told what that list cannot know."""
    root = TestAuthority()
    exchange = Exchange(authority=root, certified=(CITY,))
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    (self_made,) = exchange.documents(PROVINCE, CITY, 1)
    material = ValidationMaterial([read_piece(root.revocations(ends=6))])
    current, old = (
        verify_file(posted.value, bundle_of(exchange), material=material, now_ms=asked) for asked in (ms(6), ms(6) + 1)
    )
    without = verify_file(self_made.value, bundle_of(exchange), material=material, now_ms=ms(7))

    assert ["valid"] * 3 == [current.verdict, old.verdict, without.verdict]
    (detail,) = [check.detail for check in old.checks if check.id == "C1.23"]
    assert "list 1 of CN=Root, made 2026-11-22T09:00:00.000Z, which speaks until 2026-11-29T09:00:00.000Z" in detail
    assert not [note for note in (*current.notes, *without.notes) if "later" in note]
    assert "list 1 of CN=Root speaks until 2026-11-29T09:00:00.000Z, so a later one should exist" in old.notes[-1]
    assert [(1, False)] == [(one["number"], one["is_outdated"]) for one in current.to_json()["rests_on"]]
    assert [(1, True)] == [(one["number"], one["is_outdated"]) for one in old.to_json()["rests_on"]]
    assert [] == without.to_json()["rests_on"]
