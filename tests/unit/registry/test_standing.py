"""The registrar's commands about an agency's standing, and about its own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError, IdentityError, UnknownAgencyError
from docbus.registry.publish import Registrar
from tests.support.bus import found_bus
from tests.support.directory import ENVIRONMENT, NOW_MS, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.identity.signing import RegistrarSigner
    from docbus.transport.sqlite import SqliteTransport


class FixedClock:
    """The one time of all tests."""

    def now_ms(self) -> int:
        """Return it."""
        return NOW_MS

    def monotonic(self) -> float:
        """Return nothing of use."""
        return 0.0


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Return an embedded bus without any topic."""
    async with found_bus(tmp_path / "bus.db", directory=False) as found:
        yield found


@pytest.fixture
def signer() -> RegistrarSigner:
    """Return the registrar's first key."""
    return make_registrar_signer()


@pytest.fixture
async def registrar(transport: SqliteTransport, signer: RegistrarSigner) -> Registrar:
    """Return a registrar of three agencies."""
    made = await Registrar.init(transport, [signer], environment=ENVIRONMENT, registrar="Registrar", clock=FixedClock())
    for code in ("vn:H26", "vn:H26.01", "vn:H53"):
        await made.grant(make_keys(code).join_request(made.genesis))
    return made


async def test_suspension_and_its_end(registrar: Registrar) -> None:
    """Agencies are named by code; each entry says what stands then."""
    suspended = (await registrar.suspend("H26", reason="under investigation")).snapshot.agency("vn:H26")
    reinstated = (await registrar.reinstate("H26", reason="settled")).snapshot.agency("vn:H26")

    assert suspended is not None
    assert reinstated is not None
    assert (4, None) == (suspended.suspended_at, reinstated.suspended_at)
    with pytest.raises(DirectoryError, match="suspension_changes"):
        await registrar.reinstate("H26", reason="again")


async def test_move_names_the_agency_above(registrar: Registrar) -> None:
    """An agency is moved under another, and out of the hierarchy."""
    assert "vn:H53" == (await registrar.move("H26.01", parent="H53")).snapshot.parent("vn:H26.01")
    assert None is (await registrar.move("H26.01", parent=None)).snapshot.parent("vn:H26.01")
    with pytest.raises(UnknownAgencyError):
        await registrar.move("H26.01", parent="H99")


async def test_delegation_begins_now_unless_told_otherwise(registrar: Registrar) -> None:
    """What the entry says is what was asked for, and an end ends it."""
    given = await registrar.delegate(
        "H26", "H26.01", reason="leave", not_after_ms=NOW_MS + 1000, kinds=("document", "recall")
    )
    later = await registrar.delegate(
        "H26", "H26.01", reason="leave", not_before_ms=NOW_MS + 1, not_after_ms=NOW_MS + 2000
    )
    ended = await registrar.end_delegation("H26", "H26.01", reason="back")
    found = [one.snapshot.delegation("vn:H26", "vn:H26.01") for one in (given, later, ended)]

    assert [(NOW_MS, NOW_MS + 1000), (NOW_MS + 1, NOW_MS + 2000), (NOW_MS + 1, NOW_MS + 2000)] == [
        (one.not_before_ms, one.not_after_ms) for one in found if one
    ]
    assert [("document", "recall"), (), ()] == [one.kinds for one in found if one]
    assert [None, None, ended.position] == [one.ended_at for one in found if one]


async def test_registrar_keys_are_exchanged_by_those_who_have_them(
    registrar: Registrar, transport: SqliteTransport, signer: RegistrarSigner
) -> None:
    """Who has old and new keys exchanges them; from then on the old one alone signs nothing, and the new ones do."""
    second, online = make_registrar_signer(), make_registrar_signer()
    with pytest.raises(IdentityError, match="2 of the registrar's new keys; 1 of them can sign here"):
        await registrar.rotate_registrar([signer.public_key, second.public_key], threshold=2)
    both = Registrar(transport, [second, signer], registrar.genesis, FixedClock())

    await both.rotate_registrar([signer.public_key, second.public_key], threshold=2, heartbeat_keys=[online.public_key])

    with pytest.raises(IdentityError, match="2 of the registrar's keys; 1 of them can sign here"):
        await registrar.heartbeat()
    await both.rename("H26", "Hà Nội")
    beating = Registrar(transport, [online], registrar.genesis, FixedClock())
    await beating.heartbeat()
    with pytest.raises(IdentityError, match="2 of the registrar's keys; 0 of them can sign here"):
        await beating.rename("H26", "Hanoi")
    assert 6 == (await both.load()).position


async def test_only_those_sign_who_have_to(
    registrar: Registrar, transport: SqliteTransport, signer: RegistrarSigner
) -> None:
    """A key at hand that is not the registrar's leaves no signature, which would make the entry invalid."""
    with_another = Registrar(transport, [make_registrar_signer(), signer], registrar.genesis, FixedClock())

    assert 4 == (await with_another.rename("H26", "Hà Nội")).position
