"""Trust snapshots: what was in force at any position."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from hashlib import sha256

import pytest

from docbus.errors import AgencyClosedError, AgencyCodeError, DirectoryError, UnknownAgencyError
from docbus.identity import entries
from docbus.identity.certificates import make_certificate
from docbus.identity.freshness import Freshness
from docbus.identity.replay import DirectoryReplay
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.wire.profiles import Profile
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder, Keys, grant_of, make_keys


def _rotate(builder: DirectoryBuilder, old: Keys) -> Keys:
    new = make_keys(old.agency)
    builder.append(
        entries.KeyRotation(
            agency=old.agency,
            signing=new.signing,
            encryption=new.encryption,
            retire_signing=(old.signer.certificate,),
            retire_encryption=(old.encryption_key.decrypter().digest,),
        )
    )
    return new


def test_empty_replay_has_no_snapshot() -> None:
    """Without a genesis there is nothing to trust."""
    with pytest.raises(DirectoryError, match="the directory is empty: it has no entry 0"):
        DirectoryReplay(bytes(32)).snapshot()


def test_genesis_sets_the_terms() -> None:
    """Environment, freshness limits and hashes come from the pinned genesis."""
    builder = DirectoryBuilder()

    snapshot = builder.snapshot()

    assert ENVIRONMENT == snapshot.environment
    assert builder.genesis == snapshot.genesis == snapshot.head == snapshot.hash_at(0)
    assert 0 == snapshot.position
    assert NOW_MS == snapshot.made_at
    assert entries.DEFAULT_FRESHNESS_LIMIT_MS == snapshot.freshness_limit_ms
    assert entries.DEFAULT_FRESHNESS_ALARM_MS == snapshot.freshness_alarm_ms
    assert [] == list(snapshot.agencies())


def test_grant_is_in_force_from_its_position() -> None:
    """A granted agency is found by id, its certificate by digest, its encryption key is the one it gave."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26", roles=("auditor",), partitions=4)

    snapshot = builder.snapshot()
    agency = snapshot.agency("vn:H26")
    grant = snapshot.certificate(sha256(keys.certificate).digest())

    assert agency is not None
    assert grant is not None
    assert (("auditor",), 4, 1) == (agency.roles, agency.partitions, agency.granted_at)
    assert keys.encryption_key.public_key == agency.encrypter.raw
    assert ("vn:H26", Profile.ES256, 1, True) == (grant.agency, grant.profile, grant.granted_at, grant.may_sign)
    assert (keys.certificate,) == grant.certificates
    assert keys.private_key.public_key().public_numbers() == grant.public_keys[0].public_numbers()
    assert grant.public_keys is grant.public_keys


def test_snapshot_does_not_change_when_the_log_goes_on() -> None:
    """What a snapshot said stays said, while later ones say something else."""
    builder = DirectoryBuilder()
    old = builder.grant("vn:H26")
    replay = builder.replay()
    before = replay.snapshot()
    new = _rotate(builder, old)
    builder.append(entries.Rename(agency="vn:H26", name="Renamed"))
    builder.append(entries.Alias(agency="vn:H26", alias="vn2016:000.00.00.H26"))
    builder.grant("vn:H27")
    for value in builder.records[2:]:
        replay.apply(value)
    after = replay.snapshot()

    assert ["Agency vn:H26"] == [a.name for a in before.agencies()]
    assert ["Renamed", "Agency vn:H27"] == [a.name for a in after.agencies()]
    assert None is before.agency("vn:H27")
    assert None is before.certificate(new.signer.certificate)
    assert None is before.alias("vn2016:000.00.00.H26")
    assert before.certificate(old.signer.certificate).may_sign  # type: ignore[union-attr] # it is there
    assert not after.certificate(old.signer.certificate).may_sign  # type: ignore[union-attr] # it is there
    assert old.encryption_key.public_key == before.agency("vn:H26").encrypter.raw  # type: ignore[union-attr] # same
    assert new.encryption_key.public_key == after.agency("vn:H26").encrypter.raw  # type: ignore[union-attr] # same
    assert None is before.hash_at(2)
    assert builder.hashes == [after.hash_at(position) for position in range(6)]


def test_snapshot_of_the_past_equals_the_one_made_then() -> None:
    """A snapshot at an earlier position says what a reader of that time knew."""
    builder = DirectoryBuilder()
    old = builder.grant("vn:H26")
    then = builder.snapshot()
    _rotate(builder, old)
    builder.append(entries.Closure(agency="vn:H26", successor=None, reason="dissolved"))

    past = builder.replay().snapshot(1)

    assert then == past
    assert list(then.agencies()) == [*past.agencies()]
    assert then.certificate(old.signer.certificate) == past.certificate(old.signer.certificate)
    with pytest.raises(DirectoryError, match="has no entry 9"):
        builder.replay().snapshot(9)


def test_snapshot_cannot_be_written() -> None:
    """Nobody who holds a snapshot can change what it says."""
    snapshot = DirectoryBuilder().snapshot()

    with pytest.raises(FrozenInstanceError):
        snapshot.position = 9  # type: ignore[misc] # on purpose


def test_rotation_retires_from_its_position() -> None:
    """Old keys are in force up to the entry before the rotation, new ones from it on."""
    builder = DirectoryBuilder()
    old = builder.grant("vn:H26")
    new = _rotate(builder, old)

    snapshot = builder.snapshot()
    agency = snapshot.agency("vn:H26")
    retired = snapshot.certificate(old.signer.certificate)
    granted = snapshot.certificate(new.signer.certificate)

    assert agency is not None
    assert retired is not None
    assert granted is not None
    assert (2, None) == (retired.retired_at, retired.revoked_at)
    assert [False, True, False] == [retired.in_force_at(position) for position in range(3)]
    assert [False, False, True] == [granted.in_force_at(position) for position in range(3)]
    assert (old.signer.certificate, new.signer.certificate) == agency.certificates
    assert [(1, 2), (2, None)] == [(granted_at, retired_at) for _, granted_at, retired_at in agency.encrypters]


def test_keys_may_overlap() -> None:
    """A rotation that retires nothing leaves both keys in force; the newer is encrypted to."""
    builder = DirectoryBuilder()
    old = builder.grant("vn:H26")
    new = make_keys("vn:H26")
    builder.append(
        entries.KeyRotation(
            agency="vn:H26",
            signing=new.signing,
            encryption=new.encryption,
            retire_signing=(),
            retire_encryption=(),
        )
    )

    snapshot = builder.snapshot()

    assert snapshot.certificate(old.signer.certificate).may_sign  # type: ignore[union-attr] # it is there
    assert snapshot.certificate(new.signer.certificate).may_sign  # type: ignore[union-attr] # it is there
    assert new.encryption_key.public_key == snapshot.agency("vn:H26").encrypter.raw  # type: ignore[union-attr] # same


def test_revocation_acts_from_its_position() -> None:
    """A revoked certificate says since which entry, why, and since when it is suspected."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.append(
        entries.Revocation(
            agency="vn:H26", certificate=keys.signer.certificate, reason="stolen", suspected_since=NOW_MS - 1
        )
    )

    grant = builder.snapshot().certificate(keys.signer.certificate)

    assert grant is not None
    assert (2, "stolen", NOW_MS - 1) == (grant.revoked_at, grant.reason, grant.suspected_since)
    assert [True, False] == [grant.in_force_at(1), grant.in_force_at(2)]
    assert not grant.may_sign


def test_revoked_agency_gets_a_new_key() -> None:
    """After its only key was revoked an agency can be given another."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.append(
        entries.Revocation(agency="vn:H26", certificate=keys.signer.certificate, reason="lost", suspected_since=None)
    )
    new = make_keys("vn:H26")
    builder.append(
        entries.KeyRotation(
            agency="vn:H26", signing=new.signing, encryption=None, retire_signing=(), retire_encryption=()
        )
    )

    assert builder.snapshot().certificate(new.signer.certificate).may_sign  # type: ignore[union-attr] # it is there


def test_same_key_in_a_new_certificate_of_its_agency() -> None:
    """A certificate can be renewed without a new key, as long as the key was not revoked."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    renewed = Keys(
        agency="vn:H26",
        private_key=keys.private_key,
        encryption_key=keys.encryption_key,
        certificate=make_certificate(keys.private_key, "vn:H26", now_ms=NOW_MS),
    )
    builder.append(
        entries.KeyRotation(
            agency="vn:H26",
            signing=renewed.signing,
            encryption=None,
            retire_signing=(keys.signer.certificate,),
            retire_encryption=(),
        )
    )

    assert builder.snapshot().certificate(renewed.signer.certificate).may_sign  # type: ignore[union-attr] # it is there


def test_closure_ends_everything() -> None:
    """A closed agency's keys neither sign nor are encrypted to, and it points to its successor."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.grant("vn:H27")
    builder.append(entries.Closure(agency="vn:H26", successor="vn:H27", reason="merged"))

    snapshot = builder.snapshot()
    agency = snapshot.agency("vn:H26")
    grant = snapshot.certificate(keys.signer.certificate)

    assert agency is not None
    assert grant is not None
    assert (3, "vn:H27", "merged") == (agency.closed_at, agency.successor, agency.closing_reason)
    assert (False, 3, None, None) == (grant.may_sign, grant.closed_at, grant.retired_at, grant.revoked_at)
    assert [True, False] == [grant.in_force_at(2), grant.in_force_at(3)]
    assert [(1, 3)] == [(granted_at, retired_at) for _, granted_at, retired_at in agency.encrypters]
    with pytest.raises(AgencyClosedError) as caught:
        _ = agency.encrypter
    assert "Its successor is vn:H27." == caught.value.hint


def test_key_of_a_closed_agency_can_be_revoked() -> None:
    """That a key came to light is said also after its agency is gone."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.append(entries.Closure(agency="vn:H26", successor=None, reason="dissolved"))
    builder.append(
        entries.Revocation(agency="vn:H26", certificate=keys.signer.certificate, reason="found", suspected_since=None)
    )

    assert 3 == builder.snapshot().certificate(keys.signer.certificate).revoked_at  # type: ignore[union-attr] # it is there


def test_resolve_follows_aliases() -> None:
    """A code, an id and an alias in either spelling lead to the same canonical id."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26", aliases=("vn2016:000.00.00.H26",))
    builder.append(entries.Alias(agency="vn:H26", alias="vnlegacy:00.00.H26"))

    snapshot = builder.snapshot()

    for text in ("H26", "vn:H26", "000.00.00.H26", "vn2016:000.00.00.H26", "00.00.H26"):
        assert "vn:H26" == snapshot.resolve(text)
    assert ("vn2016:000.00.00.H26", "vnlegacy:00.00.H26") == snapshot.agency("vn:H26").aliases  # type: ignore[union-attr] # it is there
    assert None is snapshot.agency("vn2016:000.00.00.H26")


def test_one_form_is_never_computed_from_the_other() -> None:
    """The other form of a known code is unknown until the directory says it is an alias."""
    builder = DirectoryBuilder()
    builder.grant("vn:H53.31.20")

    with pytest.raises(UnknownAgencyError):
        builder.snapshot().resolve("000.20.31.H53")


def test_unknown_code_names_similar_ones() -> None:
    """A mistyped code is answered with what may have been meant, by code and name."""
    builder = DirectoryBuilder()
    builder.grant("vn:H37.02")

    with pytest.raises(UnknownAgencyError) as caught:
        builder.snapshot().resolve("H37.03")

    assert "the directory of test has no agency vn:H37.03 (read up to entry 1)" == caught.value.text
    assert "Similar codes that it has: H37.02 (Agency vn:H37.02)." == caught.value.hint


def test_unknown_code_without_similar_ones() -> None:
    """Where nothing is similar, the hint says how to look."""
    with pytest.raises(UnknownAgencyError) as caught:
        DirectoryBuilder().snapshot().resolve("H37")

    assert "`docbus agency list` shows those it has." == caught.value.hint


def test_resolve_refuses_what_is_no_code() -> None:
    """A text that is no code is not looked up."""
    with pytest.raises(AgencyCodeError):
        DirectoryBuilder().snapshot().resolve("h26")


def test_copy_goes_its_own_way() -> None:
    """An entry tried on a copy leaves the original where it was."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    replay = builder.replay()
    before = replay.snapshot()

    copy = replay.copy()
    copy.apply(builder.value(grant_of(make_keys("vn:H27"), aliases=("vn:H28",))))

    assert (1, 2) == (replay.position, copy.position)
    assert before == replay.snapshot()
    assert None is replay.snapshot().agency("vn:H27")
    assert None is replay.snapshot().alias("vn:H28")
    assert "vn:H27" == copy.snapshot().resolve("H28")


def test_entry_that_lost_a_race_is_recognised() -> None:
    """A genuine entry for a position that is taken is superseded: not the next one, and no forgery either."""
    builder = DirectoryBuilder()
    lost = builder.value(grant_of(make_keys("vn:H27")))
    builder.grant("vn:H26")
    replay = builder.replay()

    assert 1 == replay.superseded(lost)
    assert 1 == replay.superseded(builder.records[1])
    assert 0 == replay.superseded(builder.records[0])


@pytest.mark.parametrize("change", ["signature", "previous", "environment", "ahead", "bytes", "genesis"])
def test_other_entry_is_not_taken_for_superseded(change: str) -> None:
    """What is not signed by the registrar, or does not belong to this log, stays an error."""
    builder = DirectoryBuilder()
    grant = grant_of(make_keys("vn:H27"))
    values = {
        "signature": builder.value(grant, signers=DirectoryBuilder().signers),
        "previous": builder.value(grant, previous=bytes(32)),
        "environment": builder.value(grant, environment="other"),
        "ahead": builder.value(grant, position=2),
        "bytes": b"\x00" * 100,
        "genesis": builder.value(grant, position=0, previous=entries.GENESIS_PREVIOUS),
    }
    builder.grant("vn:H26")

    assert None is builder.replay().superseded(values[change])


def test_rsa_agency_is_granted() -> None:
    """An agency with an RSA token is granted under its own profile."""
    builder = DirectoryBuilder()
    keys = make_keys("vn:H26", Profile.RSA_PSS_SHA256)
    builder.append(grant_of(keys))

    assert Profile.RSA_PSS_SHA256 == builder.snapshot().certificate(keys.signer.certificate).profile  # type: ignore[union-attr] # it is there


def test_age_counts_from_the_first_heartbeat_on() -> None:
    """Before it nothing is old, however long ago it was made; from it on, each entry's own time decides."""
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    builder.grant("vn:H26")
    replay, far = builder.replay(), NOW_MS + 10 * entries.DEFAULT_FRESHNESS_LIMIT_MS

    assert [Freshness.NOT_JUDGED, Freshness.STALE, Freshness.STALE] == [
        replay.snapshot(position).freshness(far) for position in range(3)
    ]
    assert [False, True, True] == [replay.snapshot(position).has_heartbeat for position in range(3)]
    assert [2000, 1999, 1998] == [replay.snapshot(position).age_ms(NOW_MS + 2000) for position in range(3)]


def test_every_entry_is_a_sign_of_life() -> None:
    """What is published after a heartbeat makes the directory as fresh as another heartbeat would."""
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    late = NOW_MS + entries.DEFAULT_FRESHNESS_LIMIT_MS
    replay = builder.replay()
    before = replay.snapshot()
    replay.apply(builder.value(grant_of(make_keys("vn:H26")), made_at=late))

    assert (Freshness.OLD, Freshness.FRESH) == (before.freshness(late), replay.snapshot().freshness(late))


def test_freshness_has_its_limits_in_the_genesis() -> None:
    """The alarm's millisecond is still fresh; the limit has five minutes more, for clocks that differ."""
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    snapshot = builder.snapshot()
    alarm = snapshot.made_at + entries.DEFAULT_FRESHNESS_ALARM_MS
    limit = snapshot.made_at + entries.DEFAULT_FRESHNESS_LIMIT_MS + MAX_CLOCK_SKEW_MS

    assert [Freshness.FRESH, Freshness.OLD, Freshness.OLD, Freshness.STALE] == [
        snapshot.freshness(now) for now in (alarm, alarm + 1, limit, limit + 1)
    ]
    assert [False, True] == [snapshot.is_stale(now) for now in (limit, limit + 1)]


def test_entry_from_the_future_is_no_sign_of_life() -> None:
    """It is of no age, and never stale; from five minutes on somebody has to look whose clock is wrong, or who lies."""
    builder = DirectoryBuilder()
    builder.append(entries.Heartbeat())
    snapshot = builder.snapshot()
    now = snapshot.made_at - MAX_CLOCK_SKEW_MS

    assert (0, Freshness.OLD, False) == (snapshot.age_ms(0), snapshot.freshness(0), snapshot.is_stale(0))
    assert [Freshness.FRESH, Freshness.OLD] == [snapshot.freshness(now), snapshot.freshness(now - 1)]


def test_position_is_found_by_time() -> None:
    """The last entry that was made by then, to the millisecond, whatever the registrar's clock did before."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H27")
    replay = builder.replay()
    replay.apply(builder.value(entries.Heartbeat(), made_at=NOW_MS + 1))

    assert [0, 3, 3] == [replay.position_at(NOW_MS + after) for after in (0, 1, 2)]
    assert 0 == builder.replay().position_at(NOW_MS)
    assert 1 == builder.replay().position_at(NOW_MS + 1)
    with pytest.raises(DirectoryError, match="begins later"):
        replay.position_at(NOW_MS - 1)
