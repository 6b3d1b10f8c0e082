"""What is kept of authorities' words: theirs alone, none older than is known, as long as a verdict needs it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from docbus.client import material_memory
from docbus.client.material_memory import MaterialMemory, read_contents, read_held
from docbus.consumers.bases import encode_basis
from docbus.errors import IdentityError, StorageError
from docbus.identity import entries
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.judge import judge
from docbus.identity.pki.ocsp import read_response
from docbus.identity.pki.profile import agency_named
from docbus.storage.database import Database
from docbus.verification.paths import Basis
from tests.support.directory import NOW_MS, DirectoryBuilder, grant_of, make_keys
from tests.support.outbox import FakeClock
from tests.support.pki import AGENCY, TestAuthority, ms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.identity.pki.crl import RevocationList
    from docbus.identity.snapshot import TrustSnapshot

ROOT = TestAuthority()
LEAF = ROOT.issue()
SERIAL = LEAF.serial_number


def known(*certificates: x509.Certificate, revoked: bool = False) -> TrustSnapshot:
    """Return a directory that names the authority, with agencies of its certificates; all of them may be revoked."""
    builder = DirectoryBuilder()
    builder.append(entries.Authority(name="Root", certificate=ROOT.der, intermediates=()))
    for certificate in certificates:
        keys = make_keys(str(agency_named(certificate)))
        key = replace(keys.signing, certificates=(certificate.public_bytes(Encoding.DER),))
        builder.append(replace(grant_of(keys), signing=key))
        if revoked:
            digest = certificate.fingerprint(hashes.SHA256())
            entry = entries.Revocation(agency=keys.agency, certificate=digest, reason="lost", suspected_since=None)
            builder.append(entry)
    return builder.snapshot()


KNOWN = known(LEAF)
REVOKED, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
COMPROMISED, HELD = x509.ReasonFlags.key_compromise, x509.ReasonFlags.certificate_hold
FIRST, SECOND, THIRD, FOURTH = (read_list(ROOT.revocations(number=number)) for number in (1, 2, 3, 4))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Return an agency's database."""
    with closing(Database.open(tmp_path / "state.db", FakeClock())) as opened:
        yield opened


@pytest.fixture
def memory(database: Database) -> MaterialMemory:
    """Return its memory of what authorities say."""
    return MaterialMemory(database, FakeClock())


async def test_what_is_kept_is_known_to_the_next_process(database: Database, memory: MaterialMemory) -> None:
    """And to this one at once; the same again is nothing new."""
    response = read_response(ROOT.response(LEAF))

    assert [True, False] == [await memory.keep_list(FIRST, KNOWN) for _ in range(2)]
    assert await memory.keep_response(response, LEAF, ROOT.certificate)
    other = MaterialMemory(database, FakeClock())
    await other.load()

    assert {FIRST.digest, response.digest} == set(memory.current.pieces) == set(other.current.pieces)


async def test_only_authorities_of_the_directory_are_believed(memory: MaterialMemory) -> None:
    """A list by somebody else, under whatever name, is not kept, nor a response about another certificate."""
    for strange in (TestAuthority(name="Other"), TestAuthority()):
        with pytest.raises(IdentityError, match="signed by no authority of the directory"):
            await memory.keep_list(read_list(strange.revocations(issuer="Root")), KNOWN)
    with pytest.raises(IdentityError, match="not its authority's word"):
        await memory.keep_response(read_response(ROOT.response(ROOT.issue(serial=5))), LEAF, ROOT.certificate)

    assert {} == memory.current.pieces


async def test_no_answer_takes_a_revocation_back(memory: MaterialMemory) -> None:
    """An older answer is refused, one that knows nothing is no word, and a newer good one leaves the revocation."""
    revoked = read_response(ROOT.response(LEAF, REVOKED, revoked=-0.4, reason=COMPROMISED))
    older, newer = (read_response(ROOT.response(LEAF, begins=begins)) for begins in (-0.8, -0.1))
    unknown = read_response(ROOT.response(LEAF, UNKNOWN, begins=-0.1))
    await memory.keep_response(revoked, LEAF, ROOT.certificate)

    with pytest.raises(IdentityError, match="older than that of"):
        await memory.keep_response(older, LEAF, ROOT.certificate)
    with pytest.raises(IdentityError, match="knows nothing of the certificate"):
        await memory.keep_response(unknown, LEAF, ROOT.certificate)
    assert await memory.keep_response(newer, LEAF, ROOT.certificate)

    assert {revoked.digest, newer.digest} == set(memory.current.pieces)


async def test_a_revocation_is_taken_however_old_it_is(memory: MaterialMemory) -> None:
    """Whoever hands it in late is heard."""
    good = read_response(ROOT.response(LEAF, begins=-0.1))
    revoked = read_response(ROOT.response(LEAF, REVOKED, revoked=-0.7, reason=COMPROMISED, begins=-0.6))

    assert await memory.keep_response(good, LEAF, ROOT.certificate)
    assert await memory.keep_response(revoked, LEAF, ROOT.certificate)

    assert {revoked.digest, good.digest} == set(memory.current.pieces)


async def test_an_older_list_is_not_taken(memory: MaterialMemory) -> None:
    """Whoever rolls back is told; a list of other certificates of the same authority has its own numbers."""
    await memory.keep_list(SECOND, KNOWN)
    with pytest.raises(IdentityError, match="list 1 is older than list 2, which is known"):
        await memory.keep_list(FIRST, KNOWN)
    scoped = x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True

    assert await memory.keep_list(read_list(ROOT.revocations(number=1, more=[scoped])), KNOWN)


async def test_a_list_on_which_a_verdict_rests_is_kept_beside_newer_ones(
    database: Database, memory: MaterialMemory
) -> None:
    """One on which none does makes room, after a while: a verdict on it may be on its way."""
    await memory.keep_list(FIRST, KNOWN)
    basis = encode_basis(Basis(NOW_MS, (FIRST.digest,)))

    def take(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO incoming (stream, sequence, decided_at, digest, basis) VALUES (1, 1, 0, x'00', ?)", (basis,)
        )

    await database.write(take)
    await memory.keep_list(SECOND, KNOWN)
    await memory.keep_list(THIRD, KNOWN)
    before = await memory.contents([SECOND.digest])
    await memory.keep_list(FOURTH, KNOWN)

    assert {FOURTH.digest} == set(memory.current.pieces)
    assert [SECOND.content] == before
    assert [FIRST.content, THIRD.content] == await memory.contents([FIRST.digest, THIRD.digest])
    with pytest.raises(StorageError, match="on which a verdict rests, is gone"):
        await memory.contents([SECOND.digest])


async def test_what_another_process_keeps_is_noticed(
    database: Database, memory: MaterialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever receives goes on with the list that was imported beside it."""
    looks: list[int] = []

    async def wait(_event: asyncio.Event, _seconds: float) -> bool:
        looks.append(len(memory.current.pieces))
        if len(looks) == 1:
            await MaterialMemory(database, FakeClock()).keep_list(FIRST, KNOWN)
        return len(looks) > 1

    monkeypatch.setattr(material_memory, "wait_for", wait)
    await memory.follow(asyncio.Event())

    assert [0, 1] == looks
    assert {FIRST.digest} == set(memory.current.pieces)


# --- what an authority has forgotten ------------------------------------------------------------------


def revoking(number: int, *serials: int, reason: x509.ReasonFlags = COMPROMISED) -> RevocationList:
    """Return a list that revokes certificates since half a day."""
    return read_list(ROOT.revocations([(serial, -0.5, reason) for serial in serials], number=number))


def verdict(memory: MaterialMemory) -> str | None:
    """Return with which code the leaf is judged now, by what is known; None if it passes."""
    return judge(LEAF, AGENCY, KNOWN.authorities(), memory.current, at_ms=ms(0), known_by_ms=ms(0)).code


async def test_a_newer_list_that_has_forgotten_a_revocation_does_not_undo_it(
    database: Database, memory: MaterialMemory
) -> None:
    """Not for this process and not for the next, however many lists follow; and it can be told."""
    lists = [revoking(1, SERIAL), *(revoking(number) for number in (2, 3, 4, 5))]
    for one in lists:
        await memory.keep_list(one, KNOWN)
    other = MaterialMemory(database, FakeClock())
    await other.load()

    assert ["revoked_by_authority"] * 2 == [verdict(memory), verdict(other)]
    assert {lists[0].digest, lists[-1].digest} == set(memory.current.pieces) == set(other.current.pieces)
    (told,) = await database.read(read_held)
    assert "list 5 of CN=Root has forgotten that certificate 1001 was revoked as of 2026-11-22" in told
    assert "list 1 says" in told


async def test_what_was_forgotten_is_kept_until_a_list_has_it_again(database: Database, memory: MaterialMemory) -> None:
    """The newest list decides alone then, and the older one makes room."""
    for one in (revoking(1, SERIAL), revoking(2), revoking(3, SERIAL), revoking(4, SERIAL)):
        await memory.keep_list(one, KNOWN)

    assert [4] == [one.number for one in memory.current.lists(FIRST.issuer)]
    assert "revoked_by_authority" == verdict(memory)
    assert () == await database.read(read_held)
    assert 2 == len(await database.read(read_contents))


@pytest.mark.parametrize(
    ("first", "directory", "now_ms"),
    [
        pytest.param(revoking(1, SERIAL, reason=HELD), KNOWN, ms(0), id="a hold was lifted"),
        pytest.param(revoking(1, SERIAL + 1), KNOWN, ms(0), id="of a certificate that nobody knows"),
        pytest.param(revoking(1, SERIAL), known(LEAF, revoked=True), ms(0), id="the directory revoked it as well"),
        pytest.param(revoking(1, SERIAL), KNOWN, ms(700) + 1, id="of a certificate that has ended"),
    ],
)
async def test_older_lists_are_not_kept_for_what_may_be_forgotten(
    database: Database, first: RevocationList, directory: TrustSnapshot, now_ms: int
) -> None:
    """Each differs in one thing from a revocation that stays; so lists do not pile up as certificates end."""
    memory = MaterialMemory(database, FakeClock(ms=now_ms))
    for one in (first, revoking(2), revoking(3), revoking(4)):
        await memory.keep_list(one, directory)

    assert [4] == [one.number for one in memory.current.lists(FIRST.issuer)]
    assert 2 == len(await database.read(read_contents))


async def test_what_another_process_has_kept_meanwhile_is_not_forgotten_either(
    database: Database, memory: MaterialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and writing another process may keep the list that knows of a revocation."""
    await memory.keep_list(FIRST, KNOWN)
    looked = material_memory.forgotten_by
    others = [revoking(2, SERIAL)]

    def meanwhile(*given: Any) -> Any:
        found = looked(*given)
        if others:
            asyncio.run(MaterialMemory(database, FakeClock()).keep_list(others.pop(), KNOWN))
        return found

    monkeypatch.setattr(material_memory, "forgotten_by", meanwhile)
    await memory.keep_list(THIRD, KNOWN)

    assert "revoked_by_authority" == verdict(memory)
    assert [2, 3] == sorted(one.number for one in memory.current.lists(FIRST.issuer))


async def test_a_list_is_given_up_where_others_are_always_faster(
    database: Database, memory: MaterialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with an error after so many rounds, and the list can be brought again."""
    looked = material_memory.forgotten_by
    others = iter(range(1, 100))

    def meanwhile(*given: Any) -> Any:
        number = next(others)
        row = bytes([number]) * 32, bytes([number]) * 32, 0, revoking(number).content
        asyncio.run(database.write(lambda connection: material_memory._write(connection, row, {}, None)))
        return looked(*given)

    monkeypatch.setattr(material_memory, "forgotten_by", meanwhile)
    with pytest.raises(StorageError, match="keep revocation lists at the same time"):
        await memory.keep_list(revoking(200), KNOWN)

    assert material_memory.MAX_ROUNDS + 1 == next(others)


async def test_an_authority_that_forgets_again_and_again_has_its_list_refused(
    memory: MaterialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many older lists are kept and no more; the one before stays, and nothing is undone."""
    monkeypatch.setattr(material_memory, "MAX_HELD_LISTS", 2)
    leaves = [ROOT.issue(agency=f"vn:H{serial}", serial=serial) for serial in (11, 12, 13)]
    directory = known(*leaves)
    for number, leaf in enumerate(leaves, 1):
        await memory.keep_list(revoking(number, leaf.serial_number), directory)
    with pytest.raises(IdentityError, match="have forgotten revocations of more than 2 older lists"):
        await memory.keep_list(revoking(4), directory)

    assert {1, 2, 3} == {one.number for one in memory.current.lists(FIRST.issuer)}
