"""Grants that are made of their entries when somebody asks."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from docbus.identity import entries
from docbus.identity import shelved as module
from docbus.identity.certificates import certificate_set_digest, make_certificate
from docbus.identity.replay import DirectoryReplay
from docbus.identity.shelf import MemoryShelf
from docbus.wire.profiles import Profile
from tests.support.directory import NOW_MS, DirectoryBuilder, grant_of, make_keys

if TYPE_CHECKING:
    import pytest


class CountedShelf(MemoryShelf):
    """Counts what is put and got."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = self.gets = 0

    def put(self, value: bytes) -> int:
        """Count and keep."""
        self.puts += 1
        return super().put(value)

    def get(self, at: int, size: int) -> bytes:
        """Count and return."""
        self.gets += 1
        return super().get(at, size)


def replayed(builder: DirectoryBuilder, shelf: MemoryShelf) -> DirectoryReplay:
    """Return the replay of a log on a shelf."""
    replay = DirectoryReplay(builder.genesis, shelf)
    for record in builder.records:
        replay.apply(record)
    return replay


def test_grant_is_made_once_when_it_is_asked_for() -> None:
    """Reading the log makes nothing; agency and certificate come of one reading, with all that the grant says."""
    builder = DirectoryBuilder()
    keys = make_keys("vn:H26")
    grant = grant_of(keys, aliases=("vn2016:000.00.00.H26",), roles=("auditor",), partitions=3)
    builder.append(grant)
    shelf = CountedShelf()
    snapshot = replayed(builder, shelf).snapshot()
    assert (1, 0) == (shelf.puts, shelf.gets)

    agency = snapshot.agency("vn:H26")
    assert agency is not None
    certificate = snapshot.certificate(agency.certificates[0])
    assert certificate is not None
    assert agency is snapshot.agency("vn:H26")
    assert 1 == shelf.gets
    assert (grant.name, grant.aliases, grant.roles, 3, 1, None) == (
        agency.name,
        agency.aliases,
        agency.roles,
        agency.partitions,
        agency.granted_at,
        agency.closed_at,
    )
    assert (sha256(keys.certificate).digest(), "vn:H26", 1, (keys.certificate,)) == (
        certificate.digest,
        certificate.agency,
        certificate.granted_at,
        certificate.certificates,
    )
    assert keys.encryption.public_key == agency.encrypter.raw
    assert certificate.may_sign_at(NOW_MS)


def test_grant_of_two_certificates_comes_back_in_order() -> None:
    """Both certificates of a hybrid grant are found in its entry."""
    builder = DirectoryBuilder()
    keys = make_keys("vn:H26")
    second = make_certificate(MLDSA65PrivateKey.generate(), "vn:H26", now_ms=NOW_MS)
    signing = entries.SigningKey(profile=Profile.ES256_ML_DSA_65, certificates=(keys.certificate, second))
    builder.append(grant_of(keys, signing=signing))
    snapshot = builder.snapshot()

    digest = certificate_set_digest([sha256(der).digest() for der in signing.certificates])
    certificate = snapshot.certificate(digest)
    assert certificate is not None
    assert signing.certificates == certificate.certificates
    assert 2 == len(certificate.public_keys)


def test_changed_agency_leaves_its_keys_where_they_lie() -> None:
    """A version that follows a grant puts nothing on the shelf that lies there already, and says what the grant did."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.append(entries.Rename(agency="vn:H26", name="Renamed"))
    shelf = CountedShelf()
    replay = replayed(builder, shelf)
    assert 1 == shelf.puts

    before, after = replay.snapshot(1).agency("vn:H26"), replay.snapshot().agency("vn:H26")
    assert before is not None
    assert after == replace(before, name="Renamed")
    assert keys.encryption.public_key == after.encrypter.raw


def test_agency_is_not_there_before_its_grant() -> None:
    """An earlier snapshot knows neither agency, certificate nor alias."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26", aliases=("vn2016:000.00.00.H26",))
    builder.append(entries.Alias(agency="vn:H26", alias="vnlegacy:00.00.H26"))
    replay = builder.replay()
    digest = sha256(keys.certificate).digest()

    empty, granted, named = (replay.snapshot(position) for position in range(3))
    assert (None, None, None) == (
        empty.agency("vn:H26"),
        empty.certificate(digest),
        empty.alias("vn2016:000.00.00.H26"),
    )
    assert ("vn:H26", None) == (granted.alias("vn2016:000.00.00.H26"), granted.alias("vnlegacy:00.00.H26"))
    assert "vn:H26" == named.alias("vnlegacy:00.00.H26")


def test_agencies_that_are_kept_made_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever goes through a whole directory does not hold all of it; what is left out is made again."""
    monkeypatch.setattr(module, "MAX_MADE", 2)
    builder = DirectoryBuilder()
    names = [f"vn:H{number}" for number in range(26, 31)]
    for name in names:
        builder.grant(name)
    replay = builder.replay()

    once = list(replay.snapshot().agencies())
    assert names == [agency.id for agency in once]
    assert len(replay._state.grants._made) <= 2
    assert once == list(replay.snapshot().agencies())
