"""Acts that cannot be decided yet: they wait in the topic, in order, for a bounded time."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from cryptography import x509

from docbus.consumers.parking import UNDECIDED_LIMIT_MS
from docbus.consumers.requests import RequestState
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier
from tests.support.acts import act_of, append, follow, outcomes
from tests.support.audit_exchange import CITY, Exchange
from tests.support.directory import grant_of, make_keys
from tests.support.inbox import ME, Inbox
from tests.support.outbox import until
from tests.support.pki import TestAuthority

ROOT = TestAuthority()
SERIAL, SUPERSEDED, HELD = 0x1001, x509.ReasonFlags.superseded, x509.ReasonFlags.certificate_hold
REQUESTED = RequestState.REQUESTED
CLEAN = ValidationMaterial([read_piece(ROOT.revocations())])


@pytest_asyncio.fixture
async def certified(inbox: Inbox) -> Inbox:
    """Return an agency with a certificate of an authority, and three documents in its quarantine."""
    inbox.exchange = Exchange(authority=ROOT, certified=(ME,))
    await inbox.post(*inbox.exchange.documents(CITY, ME, 3))
    await inbox.receive(decrypters=[make_keys(ME).encryption_key.decrypter()])
    return inbox


def _material(*revoked: tuple[int, float, x509.ReasonFlags]) -> ValidationMaterial:
    return ValidationMaterial([read_piece(ROOT.revocations(revoked, number=2))])


def decided(inbox: Inbox) -> dict[int, RequestState]:
    """Return which records somebody has decided about."""
    return {number: state for number, (state, _) in outcomes(inbox, "quarantine").items()}


@pytest.mark.parametrize("known", [NOTHING_KNOWN, _material((SERIAL, -0.5, HELD))], ids=["unknown", "on hold"])
async def test_an_act_waits_for_its_authoritys_word_and_keeps_its_place(
    certified: Inbox, known: ValidationMaterial
) -> None:
    """Nothing is lost, and of two acts about one record the first holds, whenever they are decided."""
    first = await act_of(certified, "release", "quarantine", 0)
    second = await act_of(certified, "reject", "quarantine", 1)
    await append(certified, first, second)

    assert await follow(certified, known)
    assert {} == decided(certified)
    await append(certified, await act_of(certified, "release", "quarantine", 1))
    assert not await follow(certified, CLEAN)

    assert {0: REQUESTED, 1: REQUESTED} == decided(certified)
    assert [("release",), ("reject",)] == certified.rows("SELECT action FROM act ORDER BY number")


async def test_an_act_waits_for_the_directory(inbox: Inbox) -> None:
    """Whoever acts may know an entry more than whoever reads it first."""
    await inbox.post(*inbox.exchange.documents(CITY, ME, 1))
    await inbox.receive(decrypters=[make_keys(ME).encryption_key.decrypter()])
    behind = inbox.exchange.snapshot
    inbox.exchange.directory.append(grant_of(make_keys("vn:H10")))
    ahead = inbox.exchange.directory.snapshot()
    act = await act_of(inbox, "reject", "quarantine", 0)
    await append(inbox, act._replace(directory_position=ahead.position, directory_hash=ahead.head))
    inbox.snapshot = behind

    assert await follow(inbox)
    inbox.snapshot = ahead
    assert not await follow(inbox)

    assert {0: REQUESTED} == decided(inbox)


async def test_who_receives_goes_on_as_soon_as_the_list_comes(certified: Inbox) -> None:
    """The list is brought by whoever has it, and no command has to be given again; the clock stands still."""
    await append(certified, await act_of(certified, "reject", "quarantine", 0))
    known, read = [NOTHING_KNOWN], "SELECT value FROM ledger_state WHERE name = 'acts'"
    assert [] == certified.rows(read)
    serving = asyncio.create_task(certified.serve(verifier=Verifier(Paths(lambda: known[-1]))))
    await until(lambda: certified.rows(read))
    assert {} == decided(certified)

    known.append(CLEAN)
    await until(lambda: decided(certified) == {0: RequestState.DONE})
    certified.stop.set()
    await serving


@pytest.mark.parametrize(
    ("late_ms", "waits"),
    [
        (-MAX_CLOCK_SKEW_MS - 1, False),
        (-MAX_CLOCK_SKEW_MS, True),
        (UNDECIDED_LIMIT_MS - 1, True),
        (UNDECIDED_LIMIT_MS, False),
    ],
)
async def test_no_act_is_waited_for_longer_than_a_day(certified: Inbox, late_ms: int, waits: bool) -> None:
    """From the time that it names, which may not be of a later day; then it has no effect, and the next one has."""
    now_ms = certified.clock.ms
    act = await act_of(certified, "reject", "quarantine", 0)
    await append(certified, act._replace(made_at=now_ms - late_ms))

    assert waits is await follow(certified)
    await append(certified, await act_of(certified, "reject", "quarantine", 1))
    await follow(certified, CLEAN)

    assert ({0, 1} if waits else {1}) == set(decided(certified))


@pytest.mark.parametrize("days", [-0.5, 0.5], ids=["before", "after"])
async def test_an_act_of_a_revoked_agency_has_no_effect(certified: Inbox, days: float) -> None:
    """Nor is it waited for, as what an authority has revoked stays revoked, and nothing shows when it was signed."""
    await append(certified, await act_of(certified, "reject", "quarantine", 0))

    assert not await follow(certified, _material((SERIAL, days, SUPERSEDED)))
    assert not await follow(certified, CLEAN)

    assert {} == decided(certified)
