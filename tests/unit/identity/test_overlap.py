"""Rotation with an overlap: the old key has an end in time, and both keys may sign until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.overlap import MAX_OVERLAP_MS, is_retired, was_retired
from docbus.identity.replay import DirectoryReplay
from tests.support.directory import NOW_MS, DirectoryBuilder, Keys, make_keys

if TYPE_CHECKING:
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot

HANOI = "vn:H26"
DAY_MS = 24 * 60 * 60 * 1000
END = NOW_MS + 30 * DAY_MS


@dataclass(kw_only=True)
class Rotating:
    """A directory in which Hanoi rotates, in entry 2, from its old keys to its new ones."""

    builder: DirectoryBuilder
    old: Keys
    new: Keys

    def grant(self, keys: Keys, snapshot: TrustSnapshot | None = None) -> CertificateGrant:
        """Return the grant of one of the keys as it stands now."""
        found = (snapshot or self.builder.snapshot()).certificate(keys.signer.certificate)
        assert found is not None
        return found


def overlap(old: Keys, new: Keys | None, *, retires_at: int = END) -> entries.KeyOverlap:
    """Return an overlap from one set of keys to another."""
    return entries.KeyOverlap(
        agency=HANOI,
        signing=None if new is None else new.signing,
        encryption=None if new is None else new.encryption,
        retire_signing=(old.signer.certificate,),
        retire_encryption=() if new is None else (old.encryption_key.decrypter().digest,),
        retires_at=retires_at,
    )


@pytest.fixture
def rotating() -> Rotating:
    """Return the directory."""
    builder = DirectoryBuilder()
    old, new = builder.grant(HANOI), make_keys(HANOI)
    builder.append(overlap(old, new))
    return Rotating(builder=builder, old=old, new=new)


def test_both_keys_may_sign_until_the_end(rotating: Rotating) -> None:
    """The old key may sign up to the last millisecond, the new one before and after it."""
    old, new = rotating.grant(rotating.old), rotating.grant(rotating.new)

    assert (2, END, None) == (old.overlap_at, old.retires_at_ms, old.retired_at)
    assert [True, True] == [grant.may_sign_at(END) for grant in (old, new)]
    assert [False, True] == [grant.may_sign_at(END + 1) for grant in (old, new)]
    assert is_retired(old, END) is None
    assert "retired at the end that directory entry 2 gave it" == is_retired(old, END + 1)


def test_the_validity_of_the_certificate_counts_as_well(rotating: Rotating) -> None:
    """A key may not sign outside its certificate's time, whatever its end."""
    new = rotating.grant(rotating.new)

    assert [True, False] == [new.may_sign_at(at) for at in (new.not_after_ms, new.not_after_ms + 1)]
    assert [True, False] == [new.may_sign_at(at) for at in (new.not_before_ms, new.not_before_ms - 1)]


def test_others_encrypt_to_the_new_key_at_once(rotating: Rotating) -> None:
    """Encryption keys have no overlap."""
    agency = rotating.builder.snapshot().agency(HANOI)
    assert agency is not None

    assert rotating.new.encryption_key.public_key == agency.encrypter.raw
    assert [2, None] == [retired for _, _, retired in agency.encrypters]


def test_an_earlier_snapshot_knows_no_end(rotating: Rotating) -> None:
    """Under the entry before, the old key is as it was."""
    before = rotating.builder.replay().snapshot(1)

    assert rotating.grant(rotating.old, before).retires_at_ms is None
    assert before.certificate(rotating.new.signer.certificate) is None


@pytest.mark.parametrize("how", ["retired", "revoked", "closed"])
def test_an_end_does_not_hinder_an_earlier_one(rotating: Rotating, how: str) -> None:
    """A key that has its end can still be retired at once, be revoked, or end with its agency."""
    digest = rotating.old.signer.certificate
    change: entries.Change = {
        "retired": entries.KeyRotation(
            agency=HANOI, signing=None, encryption=None, retire_signing=(digest,), retire_encryption=()
        ),
        "revoked": entries.Revocation(agency=HANOI, certificate=digest, reason="stolen", suspected_since=None),
        "closed": entries.Closure(agency=HANOI, successor=None, reason="dissolved"),
    }[how]
    rotating.builder.append(change)

    assert not rotating.grant(rotating.old).may_sign_at(NOW_MS)
    assert (how != "closed") == rotating.grant(rotating.new).may_sign_at(NOW_MS)


def test_a_key_has_one_end(rotating: Rotating) -> None:
    """An end is neither put off nor brought back after it has passed."""
    with pytest.raises(DirectoryError, match=r"breaks the rule overlap_terms: .*was given its end in entry 2"):
        rotating.builder.replay().apply(rotating.builder.value(overlap(rotating.old, None, retires_at=END + 1)))


def test_a_key_that_ends_does_not_count_as_one_that_stays(rotating: Rotating) -> None:
    """The new key cannot be retired while only one with an end is left beside it."""
    change = entries.KeyRotation(
        agency=HANOI,
        signing=None,
        encryption=None,
        retire_signing=(rotating.new.signer.certificate,),
        retire_encryption=(),
    )

    with pytest.raises(DirectoryError, match="breaks the rule rotation_leaves_key"):
        rotating.builder.replay().apply(rotating.builder.value(change))


def test_a_key_can_end_without_a_new_one_beside_another() -> None:
    """Of two keys in force one can be given an end, and no new one is needed."""
    builder = DirectoryBuilder()
    old, new = builder.grant(HANOI), make_keys(HANOI)
    builder.append(
        entries.KeyRotation(agency=HANOI, signing=new.signing, encryption=None, retire_signing=(), retire_encryption=())
    )
    builder.append(overlap(old, None))

    found = builder.snapshot().certificate(old.signer.certificate)

    assert found is not None
    assert (3, END) == (found.overlap_at, found.retires_at_ms)


def test_an_overlap_lasts_at_most_a_year() -> None:
    """366 days after the entry is allowed, and a millisecond more is not; the end comes after the entry."""
    builder = DirectoryBuilder()
    old, new = builder.grant(HANOI), make_keys(HANOI)
    made_at = NOW_MS + len(builder.records)

    for retires_at in (made_at + 1, made_at + MAX_OVERLAP_MS):
        builder.replay().apply(builder.value(overlap(old, new, retires_at=retires_at)))
    for retires_at in (made_at, made_at + MAX_OVERLAP_MS + 1):
        with pytest.raises(DirectoryError, match="breaks the rule overlap_terms: the end is"):
            builder.replay().apply(builder.value(overlap(old, new, retires_at=retires_at)))


def test_a_kept_log_says_the_same(rotating: Rotating) -> None:
    """An overlap that was applied before and kept comes back as it was."""
    first, again = DirectoryReplay(rotating.builder.genesis), DirectoryReplay(rotating.builder.genesis)
    for value in rotating.builder.records:
        first.apply(value)
        again.apply_kept(value, first.checked)

    for keys in (rotating.old, rotating.new):
        assert first.snapshot().certificate(keys.signer.certificate) == again.snapshot().certificate(
            keys.signer.certificate
        )


def test_trying_an_entry_leaves_the_times_of_the_original(rotating: Rotating) -> None:
    """A copy of a replay that goes on does not make its original know later entries."""
    replay = rotating.builder.replay()
    copy = replay.copy()
    copy.apply(rotating.builder.value(entries.Heartbeat(), made_at=END + 1))

    assert 3 == copy.position
    assert END + 1 == copy.snapshot().time_at(3)
    assert replay.snapshot().time_at(3) is None
    replay.apply(rotating.builder.value(entries.Heartbeat(), made_at=END + 2))
    assert END + 2 == replay.snapshot().time_at(3)


def test_an_auditor_asks_for_the_order_first(rotating: Rotating) -> None:
    """Before the overlap there is no end; from it on, what says or shows that it was made later is too late."""
    rotating.builder.append(entries.Heartbeat())
    replay = rotating.builder.replay()
    replay.apply(rotating.builder.value(entries.Heartbeat(), made_at=END + 1))
    snapshot = replay.snapshot()
    old = rotating.grant(rotating.old, snapshot)
    late = "made after the end that directory entry 2 gave the key"

    told = {
        (position, made_at): was_retired(old, snapshot, position=position, made_at=made_at)
        for position in (1, 2, 3, 4, 99)
        for made_at in (END, END + 1)
    }

    assert [None, None] == [told[1, END], told[1, END + 1]]
    assert [None, None, late, None] == [told[position, END] for position in (2, 3, 4, 99)]
    assert [late] * 4 == [told[position, END + 1] for position in (2, 3, 4, 99)]
