"""The registrar's commands."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from docbus.errors import (
    AgencyCodeError,
    AppendUnknownError,
    BrokerUnavailableError,
    DirectoryError,
    IdentityError,
    UnknownAgencyError,
    WaitTimeoutError,
)
from docbus.identity import entries
from docbus.registry import appending
from docbus.registry.follow import fetch_directory
from docbus.registry.publish import SHOWN_HOLDERS, Registrar
from docbus.transport.topics import DIRECTORY
from tests.support.bus import append_entries, found_bus
from tests.support.directory import ENVIRONMENT, NOW_MS, Keys, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from docbus.identity.signing import RegistrarSigner
    from docbus.transport.port import NewRecord, Transport
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


async def _found(transport: Transport, signers: Sequence[RegistrarSigner] | None = None) -> Registrar:
    return await Registrar.init(
        transport,
        signers or [make_registrar_signer()],
        environment=ENVIRONMENT,
        registrar="Registrar",
        clock=FixedClock(),
    )


@pytest.fixture
async def registrar(transport: SqliteTransport) -> Registrar:
    """Return the registrar of a new directory."""
    return await _found(transport)


async def _granted(registrar: Registrar, agency: str = "vn:H26") -> Keys:
    keys = make_keys(agency)
    await registrar.grant(keys.join_request(registrar.genesis))
    return keys


async def test_init_founds_a_directory(transport: SqliteTransport) -> None:
    """The topic exists, and holds one entry: the genesis, whose hash every configuration will pin."""
    signers = [make_registrar_signer(), make_registrar_signer()]

    registrar = await _found(transport, signers)

    snapshot, values = await fetch_directory(transport, registrar.genesis)
    genesis = entries.decode_entry(entries.decode_record(values[0]).entry).change
    assert (0, ENVIRONMENT, NOW_MS) == (snapshot.position, snapshot.environment, snapshot.made_at)
    assert isinstance(genesis, entries.Genesis)
    assert 2 == genesis.threshold
    assert tuple(signer.public_key for signer in signers) == genesis.keys


async def test_second_directory_is_refused(transport: SqliteTransport, registrar: Registrar) -> None:
    """Where a directory is, no other is founded, and the first stays as it was."""
    with pytest.raises(DirectoryError, match="is not empty"):
        await _found(transport)

    assert 0 == (await registrar.load()).position
    assert {0: (0, 1)} == await transport.bounds(DIRECTORY)


async def test_terms_that_break_a_rule_found_nothing(transport: SqliteTransport) -> None:
    """Wrong terms are refused before the topic is made."""
    with pytest.raises(DirectoryError, match="genesis_terms") as caught:
        await Registrar.init(
            transport, [make_registrar_signer()], environment=ENVIRONMENT, registrar="Registrar", threshold=2
        )

    assert "Nothing was published." == caught.value.hint
    assert {DIRECTORY: None} == await transport.describe([DIRECTORY])


async def test_grant_puts_an_agency_into_the_directory(transport: SqliteTransport, registrar: Registrar) -> None:
    """What was asked for is in force for every reader, with what the registrar added."""
    keys = make_keys("vn:H26")
    request = keys.join_request(registrar.genesis, name="Hà Nội", aliases=("vn2016:000.00.00.H26",))

    published = await registrar.grant(request, roles=["auditor"], partitions=3)

    snapshot, _ = await fetch_directory(transport, registrar.genesis)
    agency = snapshot.agency(snapshot.resolve("000.00.00.H26"))
    assert agency is not None
    assert ("vn:H26", "Hà Nội", ("auditor",), 3) == (agency.id, agency.name, agency.roles, agency.partitions)
    assert keys.encryption_key.public_key == agency.encrypter.raw
    assert (1, snapshot.head, snapshot) == (published.position, published.hash, published.snapshot)
    assert () == published.warnings


async def test_legacy_code_is_granted_with_a_warning(registrar: Registrar) -> None:
    """The registrar reads what is unusual."""
    published = await registrar.grant(make_keys("vnlegacy:28.22.H17").join_request(registrar.genesis))

    assert 1 == len(published.warnings)


async def test_whoever_was_first_with_somebodys_encryption_key_keeps_nobody_out(
    transport: SqliteTransport, registrar: Registrar
) -> None:
    """A thief of a public key is granted it, and its owner as well; the registrar is told with whom to talk."""
    owner, thief = make_keys("vn:H26"), make_keys("vn:H37")
    stolen = replace(thief, encryption_key=owner.encryption_key)
    first = await registrar.grant(stolen.join_request(registrar.genesis))

    second = await registrar.grant(owner.join_request(registrar.genesis))

    assert () == first.warnings
    (said,) = second.warnings
    assert "the encryption key was granted before, to vn:H37" in said
    found = [second.snapshot.agency(agency) for agency in ("vn:H26", "vn:H37")]
    assert {owner.encryption_key.decrypter().digest} == {one.encrypter.digest for one in found if one is not None}


async def test_a_warning_names_a_few_holders(registrar: Registrar) -> None:
    """However many agencies have the same key, the first ones are named."""
    owner = make_keys("vn:H26")
    thieves = [f"vn:H{number}" for number in range(37, 38 + SHOWN_HOLDERS)]
    for agency in thieves:
        stolen = replace(make_keys(agency), encryption_key=owner.encryption_key)
        await registrar.grant(stolen.join_request(registrar.genesis))

    (said,) = (await registrar.check(owner.join_request(registrar.genesis))).warnings

    assert thieves[:SHOWN_HOLDERS] == [agency for agency in thieves if agency in said]


async def test_a_retired_encryption_key_does_not_come_back(registrar: Registrar) -> None:
    """An agency that asks for one that it has had, and has perhaps destroyed, is refused."""
    old, new, newest = (make_keys("vn:H26") for _ in range(3))
    await registrar.grant(old.join_request(registrar.genesis))
    await registrar.rotate(new.join_request(registrar.genesis))

    with pytest.raises(DirectoryError, match="encryption_key_once"):
        await registrar.rotate(replace(newest, encryption_key=old.encryption_key).join_request(registrar.genesis))


async def test_unfit_request_publishes_nothing(transport: SqliteTransport, registrar: Registrar) -> None:
    """A request for another directory leaves no trace in this one."""
    with pytest.raises(IdentityError, match="is for the environment"):
        await registrar.grant(make_keys("vn:H26").join_request(b"o" * 32))

    assert {0: (0, 1)} == await transport.bounds(DIRECTORY)


async def test_entry_that_breaks_a_rule_is_never_published(transport: SqliteTransport, registrar: Registrar) -> None:
    """A rule is tried before anything is sent, and the registrar can go on afterwards."""
    await _granted(registrar)

    with pytest.raises(DirectoryError, match="breaks the rule code_once") as caught:
        await _granted(registrar)

    assert "Nothing was published." == caught.value.hint
    assert {0: (0, 2)} == await transport.bounds(DIRECTORY)
    await _granted(registrar, "vn:H27")
    assert 2 == (await registrar.load()).position


async def test_strangers_key_publishes_nothing(transport: SqliteTransport, registrar: Registrar) -> None:
    """A key that the genesis does not name signs nothing here."""
    stranger = Registrar(transport, [make_registrar_signer()], registrar.genesis, FixedClock())

    with pytest.raises(IdentityError, match="needs the signatures of 1 of the registrar's keys; 0 of them can sign"):
        await _granted(stranger)

    assert {0: (0, 1)} == await transport.bounds(DIRECTORY)


async def test_too_few_keys_publish_nothing(transport: SqliteTransport) -> None:
    """One of two registrars cannot grant alone; together they can."""
    signers = [make_registrar_signer(), make_registrar_signer()]
    both = await _found(transport, signers)
    alone = Registrar(transport, signers[:1], both.genesis, FixedClock())

    with pytest.raises(IdentityError, match="needs the signatures of 2 of the registrar's keys; 1 of them can sign"):
        await _granted(alone)

    await _granted(both)
    assert 1 == (await both.load()).position


async def test_rotation_replaces_all_keys(registrar: Registrar) -> None:
    """New keys are in force and all old ones retired, in one entry."""
    old = await _granted(registrar)
    new = make_keys("vn:H26")

    snapshot = (await registrar.rotate(new.join_request(registrar.genesis))).snapshot

    agency = snapshot.agency("vn:H26")
    assert agency is not None
    assert [False, True] == [g.may_sign for d in agency.certificates if (g := snapshot.certificate(d))]
    assert new.encryption_key.public_key == agency.encrypter.raw
    assert (old.signer.certificate, new.signer.certificate) == agency.certificates


async def test_rotation_with_overlap_then_retirement(registrar: Registrar) -> None:
    """Old keys can stay beside new ones, and be retired later by their digests."""
    old = await _granted(registrar)
    overlap = (await registrar.rotate(make_keys("vn:H26").join_request(registrar.genesis), keep_old=True)).snapshot
    old_grant = overlap.certificate(old.signer.certificate)

    after = (
        await registrar.retire(
            "H26", signing=[old.signer.certificate], encryption=[old.encryption_key.decrypter().digest]
        )
    ).snapshot

    retired = after.certificate(old.signer.certificate)
    assert old_grant is not None
    assert retired is not None
    assert (True, False) == (old_grant.may_sign, retired.may_sign)


async def test_rotation_gives_the_old_certificate_an_end(registrar: Registrar) -> None:
    """With an overlap the old certificate signs until then, and the old encryption key is retired at once."""
    old = await _granted(registrar)
    new = make_keys("vn:H26")

    snapshot = (await registrar.rotate(new.join_request(registrar.genesis), overlap_ms=86_400_000)).snapshot

    ending, agency = snapshot.certificate(old.signer.certificate), snapshot.agency("vn:H26")
    assert ending is not None
    assert agency is not None
    assert (True, NOW_MS + 86_400_000) == (ending.may_sign, ending.retires_at_ms)
    assert new.encryption_key.public_key == agency.encrypter.raw
    assert [2, None] == [retired for _, _, retired in agency.encrypters]


async def test_a_second_overlap_leaves_the_first_end(registrar: Registrar) -> None:
    """A certificate that has its end keeps it when the next rotation comes; without an overlap it ends at once."""
    old = await _granted(registrar)
    keys = [make_keys("vn:H26") for _ in range(3)]
    for one in keys[:2]:
        snapshot = (await registrar.rotate(one.join_request(registrar.genesis), overlap_ms=86_400_000)).snapshot
    found = [snapshot.certificate(one.signer.certificate) for one in (old, *keys[:2])]
    assert [2, 3, None] == [None if grant is None else grant.overlap_at for grant in found]

    snapshot = (await registrar.rotate(keys[2].join_request(registrar.genesis))).snapshot

    found = [snapshot.certificate(one.signer.certificate) for one in (old, *keys)]
    assert [4, 4, 4, None] == [None if grant is None else grant.retired_at for grant in found]


async def test_rotation_of_an_unknown_agency_is_refused(registrar: Registrar) -> None:
    """New keys are for agencies that have old ones."""
    with pytest.raises(DirectoryError, match="agency_known"):
        await registrar.rotate(make_keys("vn:H26").join_request(registrar.genesis))


async def test_revocation_is_published(registrar: Registrar) -> None:
    """A certificate is revoked by its digest, with reason and suspicion."""
    keys = await _granted(registrar)

    snapshot = (
        await registrar.revoke(keys.signer.certificate, reason="stolen", suspected_since_ms=NOW_MS - 5)
    ).snapshot

    grant = snapshot.certificate(keys.signer.certificate)
    assert grant is not None
    assert (2, "stolen", NOW_MS - 5) == (grant.revoked_at, grant.reason, grant.suspected_since)


async def test_what_may_still_sign_after_a_revocation_is_named(registrar: Registrar) -> None:
    """Each other certificate of the agency with its end, if it has one; nothing where there is no other."""
    first = await _granted(registrar)
    second, third = make_keys("vn:H26"), make_keys("vn:H26")
    await registrar.rotate(second.join_request(registrar.genesis), overlap_ms=60_000)
    await registrar.rotate(third.join_request(registrar.genesis), keep_old=True)

    told = (await registrar.revoke(third.signer.certificate, reason="stolen")).warnings
    again = (await registrar.revoke(second.signer.certificate, reason="stolen")).warnings
    last = (await registrar.revoke(first.signer.certificate, reason="stolen")).warnings

    assert [first.signer.certificate.hex(), second.signer.certificate.hex()] == [
        one.split()[5].strip(":") for one in told
    ]
    assert ["until 2026-11-23T09:01:00.000Z" in one for one in told] == [True, False]
    assert (1, ()) == (len(again), last)


async def test_unknown_certificate_is_not_revoked(registrar: Registrar) -> None:
    """A digest that nobody was granted is named."""
    with pytest.raises(DirectoryError, match="no agency was ever granted the certificate 0000"):
        await registrar.revoke(bytes(32), reason="stolen")


async def test_merger_closes_with_a_successor(registrar: Registrar) -> None:
    """A merged agency is closed and points to where it went."""
    await _granted(registrar, "vn:H26")
    await _granted(registrar, "vn:H27")

    agency = (await registrar.close("H26", successor="H27", reason="merged")).snapshot.agency("vn:H26")

    assert agency is not None
    assert (3, "vn:H27") == (agency.closed_at, agency.successor)


async def test_alias_and_rename(registrar: Registrar) -> None:
    """Another code and another name, given by code or by the alias itself."""
    await _granted(registrar)
    await registrar.alias("H26", "000.00.00.H26")

    snapshot = (await registrar.rename("000.00.00.H26", "Thành phố Hà Nội")).snapshot

    agency = snapshot.agency("vn:H26")
    assert agency is not None
    assert ("Thành phố Hà Nội", ("vn2016:000.00.00.H26",)) == (agency.name, agency.aliases)


async def test_unusual_alias_carries_a_warning(registrar: Registrar) -> None:
    """An alias in a legacy form is accepted with a warning."""
    await _granted(registrar)

    assert 1 == len((await registrar.alias("H26", "28.22.H17")).warnings)


async def test_commands_name_what_they_do_not_know(registrar: Registrar) -> None:
    """Unknown codes and what is no code are refused before anything is made."""
    with pytest.raises(UnknownAgencyError):
        await registrar.rename("H26", "x")
    with pytest.raises(UnknownAgencyError):
        await registrar.close("H26", reason="x")
    with pytest.raises(AgencyCodeError):
        await registrar.alias("H26", "h26")


class _Around:
    """A transport that does something around its appends."""

    def __init__(self, transport: SqliteTransport) -> None:
        self._transport = transport
        self.before: list[bytes] = []
        self.store = True
        self.error: Exception | None = None
        self.after_append: Callable[[], Awaitable[object]] | None = None
        self._appended = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        await append_entries(self._transport, self.before)
        offsets = await self._transport.append(records) if self.store else []
        self._appended = True
        if self.error is not None:
            raise self.error
        return offsets

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        if self._appended and self.after_append is not None:
            await self.after_append()
        return await self._transport.bounds(topic)


async def test_lost_race_is_told(transport: SqliteTransport) -> None:
    """Another registrar that was faster: its entry stands, ours is without effect, and the log stays sound."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    second = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())
    snapshot = await first.load()
    faster = entries.DirectoryEntry(
        version=entries.VERSION,
        environment=ENVIRONMENT,
        position=1,
        previous=snapshot.head,
        made_at=NOW_MS,
        change=_grant_change(make_keys("vn:H27")),
    )
    around.before = [entries.sign_entry(entries.encode_entry(faster), signers)]

    with pytest.raises(DirectoryError, match="another registrar published directory entry 1 first"):
        await _granted(second, "vn:H26")

    around.before = []
    await _granted(second, "vn:H28")
    after, _ = await fetch_directory(transport, first.genesis)
    assert ["vn:H27", "vn:H28"] == [agency.id for agency in after.agencies()]


def _grant_change(keys: Keys) -> entries.AgencyGrant:
    return entries.AgencyGrant(
        agency=keys.agency,
        name="Faster",
        aliases=(),
        signing=keys.signing,
        encryption=keys.encryption,
        roles=(),
        partitions=1,
    )


async def test_unknown_append_that_arrived_is_a_success(transport: SqliteTransport) -> None:
    """The brokers' answer was lost, the entry was not: reading back decides."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    around.error = AppendUnknownError("the connection broke")
    registrar = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())

    await _granted(registrar)

    assert 1 == (await first.load()).position


async def test_unknown_append_that_did_not_arrive_says_so(transport: SqliteTransport) -> None:
    """An entry that is not there yet may still come, and the error says that."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    around.store, around.error = False, AppendUnknownError("the connection broke")
    registrar = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())

    with pytest.raises(AppendUnknownError, match="directory entry 1 may still appear"):
        await _granted(registrar)


async def test_acknowledged_entry_that_is_not_shown_is_an_alarm(transport: SqliteTransport) -> None:
    """Brokers that acknowledge and do not show are not to be published to."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    around.store = False
    registrar = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())

    with pytest.raises(DirectoryError, match="acknowledged by the brokers, but they do not show it"):
        await _granted(registrar)


async def test_acknowledged_entry_that_is_not_read_in_time(
    transport: SqliteTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that was stored but not seen again in time is told apart from one that failed."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    registrar = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())
    request = make_keys("vn:H26").join_request(first.genesis)
    await registrar.load()
    around.after_append = asyncio.Event().wait
    monkeypatch.setattr(appending, "READ_BACK_SECONDS", 0.05)

    with pytest.raises(WaitTimeoutError, match="directory entry 1 was acknowledged by the brokers, but could not be"):
        await registrar.grant(request)

    assert 1 == (await first.load()).position


async def test_absent_brokers_publish_nothing(transport: SqliteTransport) -> None:
    """An error of the transport comes through as it is."""
    signers = [make_registrar_signer()]
    first = await _found(transport, signers)
    around = _Around(transport)
    around.store, around.error = False, BrokerUnavailableError("no broker answers")
    registrar = Registrar(cast("Transport", around), signers, first.genesis, FixedClock())

    with pytest.raises(BrokerUnavailableError):
        await _granted(registrar)
    around.store, around.error = True, None
    await _granted(registrar)
    assert 1 == (await first.load()).position


async def test_heartbeat_stands_in_the_log(transport: SqliteTransport, registrar: Registrar) -> None:
    """A heartbeat is an entry as any other: numbered, chained, signed, and with nothing in it yet."""
    published = await registrar.heartbeat()

    snapshot, values = await fetch_directory(transport, registrar.genesis)
    entry = entries.decode_entry(entries.decode_record(values[1]).entry)
    assert (1, registrar.genesis, NOW_MS) == (entry.position, entry.previous, entry.made_at)
    assert entries.Heartbeat(checkpoints=None, time_stamp=None) == entry.change
    assert (published.hash, True) == (snapshot.head, snapshot.has_heartbeat)
