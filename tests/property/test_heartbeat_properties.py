"""Heartbeats change nothing but how old the directory is, wherever they stand and however many there are."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from docbus.identity import entries
from docbus.identity.freshness import Freshness
from tests.support.directory import NOW_MS, DirectoryBuilder, Keys, grant_of, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

SIGNER = make_registrar_signer()
AGENCIES = ("vn:H26", "vn:H27", "vn:H28")


@cache
def _keys(agency: str, number: int = 0) -> Keys:
    return make_keys(agency)


def _changes() -> list[entries.Change]:
    """Return a life: grants, another name, an alias, a rotation, a revocation, a merger."""
    first, second = _keys(AGENCIES[0]), _keys(AGENCIES[1])
    new = _keys(AGENCIES[0], 1)
    return [
        grant_of(first, aliases=("vn2016:000.00.00.H26",)),
        grant_of(second),
        entries.Rename(agency=AGENCIES[0], name="Hà Nội"),
        entries.Alias(agency=AGENCIES[1], alias="vn2016:000.00.00.H27"),
        entries.KeyRotation(
            agency=AGENCIES[0],
            signing=new.signing,
            encryption=new.encryption,
            retire_signing=(first.signer.certificate,),
            retire_encryption=(first.encryption_key.decrypter().digest,),
        ),
        entries.Revocation(
            agency=AGENCIES[1], certificate=second.signer.certificate, reason="lost", suspected_since=None
        ),
        entries.Closure(agency=AGENCIES[1], successor=AGENCIES[0], reason="merged"),
    ]


CHANGES = _changes()


def _told(snapshot: TrustSnapshot, rank: dict[int, int]) -> Any:
    """Return all that a snapshot says of agencies and keys, positions counted without heartbeats."""

    def of(position: int | None) -> int | None:
        return None if position is None else rank[position]

    return [
        (
            agency.id,
            agency.name,
            agency.aliases,
            [snapshot.alias(alias) for alias in agency.aliases],
            of(agency.granted_at),
            of(agency.closed_at),
            agency.successor,
            [(key.digest, of(granted), of(retired)) for key, granted, retired in agency.encrypters],
            [
                (grant.digest, grant.may_sign, *map(of, (grant.granted_at, grant.retired_at, grant.revoked_at)))
                for digest in agency.certificates
                if (grant := snapshot.certificate(digest)) is not None
            ],
        )
        for agency in snapshot.agencies()
    ]


def _log(beats: list[int]) -> tuple[TrustSnapshot, dict[int, int]]:
    """Return the directory with so many heartbeats behind each change, and each position's rank among the changes."""
    builder = DirectoryBuilder(signers=(SIGNER,))
    rank = {0: 0}
    for number, (change, count) in enumerate(zip(CHANGES, beats, strict=True), start=1):
        builder.append(change)
        rank[len(builder.records) - 1] = number
        for _ in range(count):
            builder.append(entries.Heartbeat())
    return builder.snapshot(), rank


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=len(CHANGES), max_size=len(CHANGES)), st.integers(0, 10**9))
def test_heartbeats_change_nothing_but_freshness(beats: list[int], later: int) -> None:
    """With heartbeats anywhere the directory says of every agency and key what it says without them.

    Only age differs: it counts from the last entry, and only where there is a heartbeat.
    """
    plain, plain_rank = _log([0] * len(CHANGES))
    beaten, rank = _log(beats)
    now = NOW_MS + later

    assert _told(plain, plain_rank) == _told(beaten, rank)
    assert Freshness.NOT_JUDGED is plain.freshness(now)
    assert bool(sum(beats)) == beaten.has_heartbeat == (beaten.freshness(now) is not Freshness.NOT_JUDGED)
    assert max(0, now - beaten.made_at) == beaten.age_ms(now)
    assert NOW_MS + len(CHANGES) + sum(beats) == beaten.made_at
