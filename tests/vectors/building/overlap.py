"""Vectors of a sender that rotates its key with an overlap: C1.19."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.verification import checks
from tests.vectors.building.letters import make_head, seal_batch, write_document
from tests.vectors.building.vector import AT_TAY_NINH, AUDITOR_MODE
from tests.vectors.building.world import AFTER_OVERLAP, CUSTOMS, CUSTOMS_GRANTED, CUSTOMS_OVERLAP, OLD_KEY_ENDS

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing
    from tests.vectors.building.valid import Valid

OLD_KEY = "v1-overlap-old-key"
_LIVE = replace(AT_TAY_NINH, record_key=CUSTOMS, directory_position=AFTER_OVERLAP - 1, now_ms=OLD_KEY_ENDS)
_RECORDED = replace(_LIVE, mode=AUDITOR_MODE, directory_position=AFTER_OVERLAP)


def passing(valid: Valid) -> None:
    """Add what passes: either key during the overlap, and the old one for an auditor later."""
    world = valid.world
    at = {"directory_position": CUSTOMS_OVERLAP, "directory_hash": world.hashes[CUSTOMS_OVERLAP]}
    head = make_head(world, "overlap", sender=CUSTOMS, made_at=OLD_KEY_ENDS, **at)
    valid.add(
        OLD_KEY,
        write_document(world, "overlap", head=head),
        "The old key of a rotation with an overlap signs in the last millisecond in which it may.",
        circumstances=_LIVE,
    )
    letter = write_document(
        world,
        "overlap-new-key",
        head=make_head(
            world, "overlap-new-key", sender=CUSTOMS, certificate=world.customs_new.signer.certificate, **at
        ),
    )
    valid.add(
        "v1-overlap-new-key",
        letter,
        "The new key of a rotation with an overlap may sign from the rotation on.",
        envelope=seal_batch(world, world.customs_new.signer, [letter])[0],
        circumstances=_LIVE,
    )
    valid.add(
        "v1-overlap-recorded",
        valid.letters[OLD_KEY],
        "What the old key signed during the overlap stays valid for an auditor.",
        envelope=valid.envelopes[OLD_KEY],
        made=f"The envelope of {OLD_KEY}, read as an auditor after the end of the old key.",
        circumstances=_RECORDED,
        based_on=OLD_KEY,
    )
    before = {"directory_position": CUSTOMS_GRANTED, "directory_hash": world.hashes[CUSTOMS_GRANTED]}
    valid.add(
        "v1-overlap-not-seen-recorded",
        write_document(
            world,
            "overlap-not-seen",
            head=make_head(world, "overlap-not-seen", sender=CUSTOMS, made_at=OLD_KEY_ENDS + 1, **before),
        ),
        "Under an entry before the overlap the old key had no end: order decides for an auditor, not clocks.",
        circumstances=_RECORDED,
    )


def authority(make: Failing) -> None:
    """C1.19: the old key after its end."""
    world, letter = make.world, make.valid.letters[OLD_KEY]
    fail = checks.AUTHORITY
    make.unchanged(
        "overlap-over",
        fail,
        f"The bytes of {OLD_KEY}, verified a millisecond after the end of the key.",
        "The old key of a rotation has a last moment, by the clock of whoever verifies.",
        base=OLD_KEY,
        code=checks.RETIRED,
        circumstances=replace(_LIVE, now_ms=OLD_KEY_ENDS + 1),
    )
    late = letter.head._replace(made_at=OLD_KEY_ENDS + 1)
    seen = letter.head._replace(directory_position=AFTER_OVERLAP, directory_hash=world.hashes[AFTER_OVERLAP])
    for name, head, circumstances, made, why in (
        (
            "overlap-made-after",
            late,
            _LIVE,
            "The statement says it was made a millisecond after the end of its key.",
            "What a recipient files, no auditor may call invalid.",
        ),
        (
            "overlap-made-after-recorded",
            late,
            _RECORDED,
            "The statement says it was made a millisecond after the end of its key.",
            "The sender knew of the end and signed later.",
        ),
        (
            "overlap-names-a-later-entry-recorded",
            seen,
            _RECORDED,
            "The statement names an entry of the directory that was made after the end of its key.",
            "Whoever has seen that entry has signed after the end, whatever the statement says of its time.",
        ),
    ):
        make.signed(
            name,
            replace(letter, head=head),
            fail,
            made,
            why,
            base=OLD_KEY,
            code=checks.RETIRED,
            circumstances=circumstances,
        )


ALL = (authority,)
