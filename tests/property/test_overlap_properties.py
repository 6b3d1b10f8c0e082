"""Whatever a recipient files under an overlap, an auditor calls valid; and after its end the old key files nothing."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from docbus.identity import entries
from docbus.identity.overlap import is_retired, was_retired
from tests.support.directory import NOW_MS, DirectoryBuilder, Keys, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from docbus.identity.replay import DirectoryReplay

SIGNER = make_registrar_signer()
HANOI = "vn:H26"
MINUTES = st.integers(0, 120).map(lambda minutes: NOW_MS + minutes * 60_000)


@cache
def _beginning() -> tuple[DirectoryBuilder, Keys, Keys]:
    builder = DirectoryBuilder(signers=(SIGNER,))
    return builder, builder.grant(HANOI), make_keys(HANOI)


def _replay(end: int, overlap_at: int, beats: list[int]) -> DirectoryReplay:
    """Return the directory with an overlap that was made and ends at these times, and heartbeats behind it."""
    begun, old, new = _beginning()
    builder = DirectoryBuilder(signers=(SIGNER,))
    builder.records, builder.hashes = list(begun.records), list(begun.hashes)
    replay = builder.replay()
    change = entries.KeyOverlap(
        agency=HANOI,
        signing=new.signing,
        encryption=None,
        retire_signing=(old.signer.certificate,),
        retire_encryption=(),
        retires_at=end,
    )
    for made_at, what in ((overlap_at, change), *((beat, entries.Heartbeat()) for beat in beats)):
        value = builder.value(what, made_at=made_at)
        replay.apply(value)
        builder.records.append(value)
        builder.hashes.append(entries.decode_record(value).hash)
    return replay


@given(
    lasts=st.integers(1, 60).map(lambda minutes: minutes * 60_000),
    overlap_at=MINUTES,
    beats=st.lists(MINUTES, max_size=3),
    named=st.integers(1, 5),
    made_at=MINUTES,
    now=MINUTES,
)
def test_recipient_and_auditor_agree(  # noqa: PLR0917 - hypothesis names them
    lasts: int, overlap_at: int, beats: list[int], named: int, made_at: int, now: int
) -> None:
    """What passes both questions of a recipient passes that of an auditor who knows more, and none passes after it."""
    end = overlap_at + lasts
    replay = _replay(end, overlap_at, beats)
    digest = _beginning()[1].signer.certificate
    known = replay.snapshot()
    grant = known.certificate(digest)
    assert grant is not None
    named = min(named, known.position)

    live = is_retired(grant, now) or was_retired(grant, known, position=named, made_at=made_at)
    recorded = was_retired(grant, known, position=named, made_at=made_at)

    assert live is not None or now <= end
    assert live is not None or recorded is None
    assert (recorded is None) == (named < 2 or max(made_at, known.time_at(named) or 0) <= end)
