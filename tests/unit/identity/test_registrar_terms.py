"""Whose signatures an entry of the directory log needs, and how the registrar's keys are exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError, IdentityError
from docbus.identity import entries
from docbus.identity.registrar_terms import RegistrarTerms, verify_registrar
from docbus.identity.signing import load_public_key
from docbus.wire.pae import DIRECTORY_TYPE, pae
from tests.support.directory import DirectoryBuilder, grant_of, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import RegistrarSigner


def _terms(signers: Sequence[RegistrarSigner], threshold: int) -> RegistrarTerms:
    return RegistrarTerms({s.key: load_public_key(s.public_key) for s in signers}, threshold, {})


def _signed(signers: Sequence[RegistrarSigner]) -> entries.DirectoryRecord:
    return entries.decode_record(entries.sign_entry(b"entry", signers))


def test_signature_covers_the_payload_type() -> None:
    """What is signed is PAE(payload type, entry), so that no other signature of the key can stand for it."""
    signer = make_registrar_signer()
    tbs = pae(b"application/vnd.docbus.join.v1", b"entry")
    foreign = entries.DirectoryRecord(
        entry=b"entry",
        payload_type=DIRECTORY_TYPE.decode(),
        signatures=(entries.RegistrarSignature(key=signer.key, profile=signer.profile, signature=signer.sign(tbs)),),
    )

    with pytest.raises(IdentityError, match="is not valid"):
        verify_registrar(foreign, None, _terms([signer], 1))


def test_each_wrong_signature_has_its_reason() -> None:
    """A stranger, one key twice, too many and too few are told apart."""
    signers = [make_registrar_signer() for _ in range(2)]
    reasons = {
        "which is no key of the registrar": [*signers, make_registrar_signer()],
        "signed twice by the registrar key": [*signers, signers[0]],
        "17 signatures; 16 are allowed": signers[:1] * 17,
        "signed by 1 registrar keys; 2 are asked for": signers[:1],
    }

    for reason, signing in reasons.items():
        with pytest.raises(IdentityError, match=reason):
            verify_registrar(_signed(signing), None, _terms(signers, 2))


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_threshold_is_met_by_as_many_keys(threshold: int) -> None:
    """Exactly the threshold is enough, and so is more."""
    signers = [make_registrar_signer() for _ in range(3)]

    verify_registrar(_signed(signers), None, _terms(signers, threshold))


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """A directory of two keys, both asked for, of which one is exchanged, and a key for heartbeats."""

    builder: DirectoryBuilder
    left: RegistrarSigner
    stayed: RegistrarSigner
    came: RegistrarSigner
    online: RegistrarSigner

    @property
    def rotation(self) -> entries.RegistrarRotation:
        """The rotation."""
        return entries.RegistrarRotation(
            keys=(self.stayed.public_key, self.came.public_key),
            threshold=2,
            heartbeat_keys=(self.online.public_key,),
        )


@pytest.fixture
def rotated() -> Rotated:
    """Return the directory before its rotation."""
    left, stayed = make_registrar_signer(), make_registrar_signer()
    return Rotated(
        builder=DirectoryBuilder(signers=(left, stayed), threshold=2),
        left=left,
        stayed=stayed,
        came=make_registrar_signer(),
        online=make_registrar_signer(),
    )


def _rotate(rotated: Rotated) -> DirectoryBuilder:
    builder = rotated.builder
    builder.signers = (rotated.left, rotated.stayed, rotated.came)
    builder.append(rotated.rotation)
    builder.signers = (rotated.stayed, rotated.came)
    return builder


def test_keys_are_exchanged_by_an_entry_that_old_and_new_have_signed(rotated: Rotated) -> None:
    """From the next entry on the new keys sign, and the one that left does not."""
    builder = _rotate(rotated)
    builder.grant("vn:H26")
    replay = builder.replay()

    assert 2 == replay.position
    assert {rotated.stayed.key, rotated.came.key} == replay.snapshot().registrar.keys.keys()
    assert {rotated.left.key, rotated.stayed.key} == replay.snapshot(0).registrar.keys.keys()
    with pytest.raises(DirectoryError, match="rule signatures: signed by .* which is no key of the registrar"):
        replay.apply(builder.value(grant_of(make_keys("vn:H27")), signers=(rotated.left, rotated.stayed)))


@pytest.mark.parametrize("missing", ["left", "stayed", "came"])
def test_rotation_needs_enough_of_the_old_and_of_the_new(rotated: Rotated, missing: str) -> None:
    """Without one of two old keys nobody exchanges any, and without one of two new ones none is named in vain."""
    signers = {"left": rotated.left, "stayed": rotated.stayed, "came": rotated.came}
    del signers[missing]
    replay = rotated.builder.replay()

    with pytest.raises(DirectoryError, match=r"rule signatures: signed by 1 .*2 are asked for"):
        replay.apply(rotated.builder.value(rotated.rotation, signers=tuple(signers.values())))

    assert 0 == replay.position


def test_one_key_for_heartbeats_is_enough_for_them_alone(rotated: Rotated) -> None:
    """It signs heartbeats, without any other; what changes something, it does not sign, not even beside enough."""
    builder = _rotate(rotated)
    replay = builder.replay()
    online = (rotated.online,)

    for signers in (online, (*builder.signers, *online)):
        with pytest.raises(DirectoryError, match="rule signatures: .*no key of the registrar for this entry"):
            replay.apply(builder.value(grant_of(make_keys("vn:H26")), signers=signers))
    replay.apply(builder.value(entries.Heartbeat(), signers=online))

    assert 2 == replay.position


def test_heartbeat_without_such_a_key_needs_what_every_entry_needs(rotated: Rotated) -> None:
    """The registrar's keys may beat, too, and then as many as are asked for."""
    builder = _rotate(rotated)
    replay = builder.replay()

    with pytest.raises(DirectoryError, match="signed by 1 registrar keys; 2 are asked for"):
        replay.apply(builder.value(entries.Heartbeat(), signers=(rotated.stayed,)))
    replay.apply(builder.value(entries.Heartbeat()))

    assert 2 == replay.position


def test_entry_that_lost_a_race_to_a_rotation_is_recognised(rotated: Rotated) -> None:
    """What was signed under the keys before is superseded, though one of them is not the registrar's any more."""
    lost = rotated.builder.value(grant_of(make_keys("vn:H26")))
    late = rotated.builder.value(grant_of(make_keys("vn:H26")), position=2)
    replay = _rotate(rotated).replay()

    assert (1, None) == (replay.superseded(lost), replay.superseded(late))


def test_rotation_that_lost_a_race_is_recognised(rotated: Rotated) -> None:
    """A rotation, too, may come too late; one whose terms cannot be is no genuine entry."""
    signers = (rotated.left, rotated.stayed, rotated.came)
    lost = rotated.builder.value(rotated.rotation, signers=signers)
    broken = rotated.builder.value(
        entries.RegistrarRotation(keys=(rotated.came.public_key,), threshold=2, heartbeat_keys=()), signers=signers
    )
    rotated.builder.grant("vn:H26")
    replay = rotated.builder.replay()

    assert (1, None) == (replay.superseded(lost), replay.superseded(broken))
