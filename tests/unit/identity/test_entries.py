"""Entries, their bytes and their signatures."""

from __future__ import annotations

import pytest

from docbus.errors import MalformedError
from docbus.identity import entries
from docbus.wire.pae import DIRECTORY_TYPE, leaf_digest
from tests.support.directory import NOW_MS, DirectoryBuilder, grant_of, make_keys, make_registrar_signer

KEYS = make_keys("vn:H26")
CHANGES: list[entries.Change] = [
    entries.Genesis(registrar="R", keys=(b"key",), threshold=1, freshness_limit=2, freshness_alarm=1),
    grant_of(KEYS, aliases=("vn2016:000.00.00.H26",), roles=("auditor",), partitions=3),
    entries.KeyRotation(
        agency="vn:H26",
        signing=KEYS.signing,
        encryption=KEYS.encryption,
        retire_signing=(b"s" * 32,),
        retire_encryption=(b"e" * 32,),
    ),
    entries.KeyRotation(agency="vn:H26", signing=None, encryption=None, retire_signing=(), retire_encryption=()),
    entries.Revocation(agency="vn:H26", certificate=b"c" * 32, reason="lost", suspected_since=NOW_MS),
    entries.Revocation(agency="vn:H26", certificate=b"c" * 32, reason="lost", suspected_since=None),
    entries.Alias(agency="vn:H26", alias="vn2016:000.00.00.H26"),
    entries.Rename(agency="vn:H26", name="Thành phố Hà Nội"),
    entries.Closure(agency="vn:H26", successor="vn:H27", reason="merged"),
    entries.Closure(agency="vn:H26", successor=None, reason="dissolved"),
    entries.Heartbeat(),
    entries.Heartbeat(checkpoints=b"r" * 32, time_stamp=b"token"),
    entries.RegistrarRotation(keys=(b"key", b"other"), threshold=2, heartbeat_keys=(b"online",)),
    entries.Suspension(agency="vn:H26", reason="under investigation"),
    entries.Reinstatement(agency="vn:H26", reason="settled"),
    entries.Move(agency="vn:H26.01", parent="vn:H27"),
    entries.Move(agency="vn:H26.01", parent=None),
    entries.Delegation(
        agency="vn:H26", delegate="vn:H26.01", kinds=("document",), not_before=1, not_after=NOW_MS, reason="leave"
    ),
    entries.DelegationEnd(agency="vn:H26", delegate="vn:H26.01", reason="back"),
    entries.KeyOverlap(
        agency="vn:H26",
        signing=KEYS.signing,
        encryption=KEYS.encryption,
        retire_signing=(b"s" * 32,),
        retire_encryption=(b"e" * 32,),
        retires_at=NOW_MS,
    ),
    entries.Authority(name="Root", certificate=b"anchor", intermediates=(b"below",)),
    entries.AuthorityEnd(authority=b"a" * 32, reason="superseded"),
]


def _entry(change: entries.Change) -> entries.DirectoryEntry:
    return entries.DirectoryEntry(
        version=1, environment="test", position=7, previous=b"p" * 32, made_at=NOW_MS, change=change
    )


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_entry_reads_back(change: entries.Change) -> None:
    """Every kind of change comes back as it was."""
    entry = _entry(change)

    assert entry == entries.decode_entry(entries.encode_entry(entry))


def test_every_kind_of_change_is_read_back_here() -> None:
    """No kind is left out of these tests."""
    assert set(entries.CHANGES.values()) == {type(change) for change in CHANGES}


def test_record_reads_back_and_names_its_entry() -> None:
    """A record keeps the exact signed bytes, whose leaf digest is the entry's hash."""
    encoded = entries.encode_entry(_entry(CHANGES[1]))
    signer = make_registrar_signer()

    record = entries.decode_record(entries.sign_entry(encoded, [signer]))

    assert encoded == record.entry
    assert leaf_digest(DIRECTORY_TYPE, encoded) == record.hash == entries.entry_hash(encoded)
    assert [(signer.key, signer.profile)] == [(s.key, s.profile) for s in record.signatures]


def test_record_cut_short_is_malformed() -> None:
    """Wherever a record ends too soon, the error is the one for bytes."""
    value = DirectoryBuilder().records[0]

    for cut in range(len(value)):
        with pytest.raises(MalformedError):
            entries.decode_record(value[:cut])


def test_record_of_more_than_the_limit_is_not_looked_into() -> None:
    """A record one byte too long is refused by its length, whatever is in it."""
    with pytest.raises(MalformedError, match=f"{entries.MAX_RECORD_BYTES + 1} bytes"):
        entries.decode_record(bytes(entries.MAX_RECORD_BYTES + 1))
    with pytest.raises(MalformedError) as caught:
        entries.decode_record(bytes(entries.MAX_RECORD_BYTES))
    assert "are allowed" not in caught.value.text
