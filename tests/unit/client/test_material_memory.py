"""What is kept of authorities' words: theirs alone, none older than is known, as long as a verdict needs it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from docbus.client import material_memory
from docbus.client.material_memory import MaterialMemory
from docbus.consumers.bases import encode_basis
from docbus.errors import IdentityError, StorageError
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.ocsp import read_response
from docbus.storage.database import Database
from docbus.verification.paths import Basis
from tests.support.directory import NOW_MS
from tests.support.outbox import FakeClock
from tests.support.pki import TestAuthority, authorities_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

ROOT = TestAuthority()
KNOWN = authorities_of(ROOT.anchor())
LEAF = ROOT.issue()
REVOKED, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
COMPROMISED = x509.ReasonFlags.key_compromise
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
