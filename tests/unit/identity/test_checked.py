"""What is kept of the checks of a grant's certificates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from docbus.errors import DirectoryError, IdentityError, MalformedError
from docbus.identity.checked import CheckedSigning, check_signing
from docbus.identity.replay import DirectoryReplay
from tests.support.directory import DirectoryBuilder, grant_of, make_keys


def test_what_is_kept_comes_back() -> None:
    """Encoding and decoding give the same, for one key and for two."""
    for keys in ((b"a" * 32,), (b"a" * 32, b"b" * 32)):
        checked = CheckedSigning(keys, -1, 2**62)
        assert checked == CheckedSigning.decode(checked.encode())


@pytest.mark.parametrize("size", [1, 15, 16, 47, 49, 16 + 3 * 32])
def test_what_is_no_such_thing_is_refused(size: int) -> None:
    """Bytes of another length are not taken for digests."""
    with pytest.raises(MalformedError, match=f"{size} bytes are kept"):
        CheckedSigning.decode(bytes(size))


def test_number_of_certificates_is_the_profiles() -> None:
    """One certificate too many is one that nobody asked for."""
    keys = make_keys("vn:H26")
    twice = replace(keys.signing, certificates=keys.signing.certificates * 2)

    assert 1 == len(check_signing("vn:H26", keys.signing).keys)
    with pytest.raises(IdentityError, match="2 certificates"):
        check_signing("vn:H26", twice)


def test_record_that_was_kept_still_has_to_follow_and_to_fit() -> None:
    """Order and what other entries say are checked always: only what an entry is by itself is not, once more."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    replay = DirectoryReplay(builder.genesis)
    kept = []
    for record in builder.records:
        replay.apply(record)
        kept.append((record, replay.checked))
    again = DirectoryReplay(builder.genesis)
    for record, checked in kept:
        again.apply_kept(record, checked)

    assert replay.snapshot() == again.snapshot()
    assert (b"", 48) == (kept[0][1], len(kept[1][1]))
    with pytest.raises(DirectoryError, match="position"):
        again.apply_kept(*kept[1])
    same = builder.value(grant_of(make_keys("vn:H53"), signing=keys.signing))
    with pytest.raises(DirectoryError, match="certificate_once"):
        again.apply_kept(same, kept[1][1])
    assert replay.snapshot() == again.snapshot()


def test_record_with_nothing_kept_beside_it_is_checked() -> None:
    """A grant that was kept by a version that kept nothing beside it costs its check, and says the same."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    replay = DirectoryReplay(builder.genesis)
    for record in builder.records:
        replay.apply_kept(record, b"")

    assert builder.snapshot() == replay.snapshot()
    assert list(builder.snapshot().agencies()) == list(replay.snapshot().agencies())
