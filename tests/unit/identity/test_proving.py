"""What is said of an entry by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.proving import prove
from docbus.identity.replay import DirectoryReplay
from tests.support.directory import DirectoryBuilder, grant_of, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from docbus.identity.registrar_terms import RegistrarTerms

KEYS = make_keys("vn:H26")


def terms_in(builder: DirectoryBuilder) -> RegistrarTerms:
    """Return whose signatures the next entry needs."""
    terms = builder.replay().terms
    assert terms is not None
    return terms


def overlapping(builder: DirectoryBuilder) -> entries.KeyRotation:
    """Return a rotation to new keys."""
    new = make_keys("vn:H26")
    return entries.KeyRotation(
        agency="vn:H26", signing=new.signing, encryption=new.encryption, retire_signing=(), retire_encryption=()
    )


def test_proof_is_what_checking_came_to() -> None:
    """Of each kind of entry it says the same as the replay that has verified it, which then applies it on that."""
    builder = DirectoryBuilder()
    plain, proven = DirectoryReplay(builder.genesis), DirectoryReplay(builder.genesis)
    assert plain.terms is None
    for replay in (plain, proven):
        replay.apply(builder.records[0])
    terms = proven.terms
    assert terms is not None
    builder.append(grant_of(KEYS))
    builder.append(overlapping(builder))
    builder.append(entries.Heartbeat())
    for record in builder.records[1:]:
        plain.apply(record)
        checked = prove(record, terms)
        assert plain.checked == checked
        proven.apply_proven(record, checked, terms)

    assert plain.snapshot() == proven.snapshot()
    assert plain.snapshot().agency("vn:H26") == proven.snapshot().agency("vn:H26")


@pytest.mark.parametrize(
    "change",
    [
        grant_of(KEYS, agency="vn:H27"),
        grant_of(KEYS, agency="H26"),
        grant_of(KEYS, name="a\u202eb"),
        grant_of(KEYS, partitions=0),
        grant_of(KEYS, signing=replace(KEYS.signing, profile=99)),
        grant_of(KEYS, signing=replace(KEYS.signing, certificates=())),
        grant_of(KEYS, signing=replace(KEYS.signing, certificates=(b"none",))),
    ],
    ids=["another agency's certificate", "id", "name", "partitions", "profile", "no certificate", "what is none"],
)
def test_what_is_wrong_by_itself_is_not_proven(change: entries.AgencyGrant) -> None:
    """A grant that differs from a right one by one thing is left to the replay, which refuses it."""
    builder = DirectoryBuilder()
    terms = terms_in(builder)
    assert prove(builder.value(grant_of(KEYS)), terms) is not None

    wrong = builder.value(change)
    assert prove(wrong, terms) is None
    with pytest.raises(DirectoryError):
        builder.replay().apply(wrong)


def test_what_others_have_signed_is_not_proven() -> None:
    """A signature of nobody, of somebody else, or over other bytes proves nothing; neither does what is no record."""
    builder = DirectoryBuilder()
    terms = terms_in(builder)
    good = builder.value(grant_of(KEYS))
    record = entries.decode_record(good)
    other = entries.decode_record(builder.value(entries.Heartbeat()))

    for wrong in (
        builder.value(grant_of(KEYS), signers=()),
        builder.value(grant_of(KEYS), signers=[make_registrar_signer()]),
        entries.encode_record(replace(record, signatures=other.signatures)),
        entries.encode_record(replace(record, payload_type="application/vnd.docbus.other")),
        good[:-1],
        b"",
    ):
        assert prove(wrong, terms) is None


def test_entries_that_name_terms_are_not_proven() -> None:
    """Whoever names who may sign is for the replay alone, even if it is signed as it should be."""
    builder = DirectoryBuilder()
    terms = terms_in(builder)
    new = make_registrar_signer()
    rotation = entries.RegistrarRotation(keys=(new.public_key,), threshold=1, heartbeat_keys=())
    signed = builder.value(rotation, signers=[*builder.signers, new])
    builder.replay().apply(signed)

    assert prove(signed, terms) is None
    assert prove(builder.records[0], terms) is None


def test_proof_under_other_terms_is_none() -> None:
    """Once an entry has named other keys, what was proven under the old ones is verified, and refused."""
    builder = DirectoryBuilder()
    replay = builder.replay()
    terms = replay.terms
    assert terms is not None
    old, new = builder.signers, make_registrar_signer()
    rotation = entries.RegistrarRotation(keys=(new.public_key,), threshold=1, heartbeat_keys=())
    signed = builder.value(rotation, signers=[*old, new])
    builder.records.append(signed)
    builder.hashes.append(entries.decode_record(signed).hash)
    replay.apply(signed)
    by_old = builder.value(grant_of(KEYS), signers=old)
    checked = prove(by_old, terms)
    assert checked is not None

    with pytest.raises(DirectoryError, match="signatures"):
        replay.apply_proven(by_old, checked, terms)
    assert 1 == replay.position
