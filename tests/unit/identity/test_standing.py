"""Suspension, hierarchy and delegation, at each position."""

from __future__ import annotations

import pytest

from docbus.identity import entries
from tests.support.directory import NOW_MS, DirectoryBuilder


def _delegation(**changed: object) -> entries.Delegation:
    values: dict[str, object] = {
        "agency": "vn:H26",
        "delegate": "vn:H26.01",
        "kinds": ("document",),
        "not_before": NOW_MS,
        "not_after": NOW_MS + 1000,
        "reason": "leave",
    }
    return entries.Delegation(**(values | changed))  # type: ignore[arg-type] # fields by name


def test_suspension_is_in_force_until_the_reinstatement() -> None:
    """Each position has its own answer, and earlier suspensions are remembered."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.append(entries.Suspension(agency="vn:H26", reason="under investigation"))
    builder.append(entries.Reinstatement(agency="vn:H26", reason="settled"))
    builder.append(entries.Suspension(agency="vn:H26", reason="again"))
    replay = builder.replay()
    agencies = [replay.snapshot(position).agency("vn:H26") for position in range(1, 5)]

    assert [None, 2, None, 4] == [agency.suspended_at for agency in agencies if agency]
    assert [None, "under investigation", None, "again"] == [a.suspension_reason for a in agencies if a]
    assert agencies[-1] is not None
    assert [None, None, 2, None, 4, 4] == [agencies[-1].suspension_at(position) for position in range(6)]


def test_suspended_agency_keeps_its_keys() -> None:
    """Its certificate is as it was, and others may encrypt to it."""
    builder = DirectoryBuilder()
    keys = builder.grant("vn:H26")
    builder.append(entries.Suspension(agency="vn:H26", reason="under investigation"))
    snapshot = builder.snapshot()

    assert snapshot.certificate(keys.signer.certificate).may_sign  # type: ignore[union-attr] # it is there
    assert keys.encryption_key.decrypter().digest == snapshot.agency("vn:H26").encrypter.digest  # type: ignore[union-attr] # likewise


def test_agency_belongs_where_its_code_says_unless_moved() -> None:
    """A move acts from its position on, to another agency or out of the hierarchy."""
    builder = DirectoryBuilder()
    for code in ("vn:H37", "vn:H37.02", "vn:H53"):
        builder.grant(code)
    builder.append(entries.Move(agency="vn:H37.02", parent="vn:H53"))
    builder.append(entries.Move(agency="vn:H37.02", parent=None))
    replay = builder.replay()

    assert ["vn:H37", "vn:H53", None] == [replay.snapshot(position).parent("vn:H37.02") for position in (3, 4, 5)]
    assert (None, None) == (replay.snapshot().parent("vn:H37"), replay.snapshot().parent("vn:H99"))


def test_delegation_holds_from_its_entry_until_another() -> None:
    """A later one of the same two takes its place, and an end ends it; the other direction is another delegation."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H26.01")
    builder.append(_delegation())
    builder.append(_delegation(kinds=()))
    builder.append(entries.DelegationEnd(agency="vn:H26", delegate="vn:H26.01", reason="back"))
    replay = builder.replay()
    found = [replay.snapshot(position).delegation("vn:H26", "vn:H26.01") for position in range(2, 6)]

    assert [None, ("document",), (), ()] == [one and one.kinds for one in found]
    assert [None, None, None, 5] == [one and one.ended_at for one in found]
    assert None is replay.snapshot().delegation("vn:H26.01", "vn:H26")


def test_delegation_can_be_given_again_after_its_end() -> None:
    """An end is no ban."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H26.01")
    builder.append(_delegation())
    builder.append(entries.DelegationEnd(agency="vn:H26", delegate="vn:H26.01", reason="back"))
    builder.append(_delegation())

    found = builder.snapshot().delegation("vn:H26", "vn:H26.01")

    assert found is not None
    assert (5, None) == (found.granted_at, found.ended_at)


@pytest.mark.parametrize("end", [entries.Closure(agency="vn:H26", successor=None, reason="dissolved")])
def test_delegation_of_a_closed_agency_can_be_ended(end: entries.Closure) -> None:
    """What a closed agency once gave can still be taken away."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn:H26.01")
    builder.append(_delegation())
    builder.append(end)
    builder.append(entries.DelegationEnd(agency="vn:H26", delegate="vn:H26.01", reason="closed"))

    assert 5 == builder.snapshot().delegation("vn:H26", "vn:H26.01").ended_at  # type: ignore[union-attr] # it is there
