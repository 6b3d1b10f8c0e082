"""Vectors of a sender who was suspended, and of one who sends for another agency: C1.12 and C1.19."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.envelope.statement import Reference
from docbus.verification import checks
from tests.vectors.building.letters import make_head, write_document, write_status
from tests.vectors.building.vector import AT_TAY_NINH, AUDITOR_MODE
from tests.vectors.building.world import (
    DAY_MS,
    DELEGATED,
    DELEGATION_ENDED,
    HANOI,
    LANG_SON,
    NOW,
    TAXES,
    TAXES_REINSTATED,
    TAXES_SUSPENDED,
)

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing
    from tests.vectors.building.valid import Valid

SUSPENDED, REPRESENTING = "v1-hybrid", "v1-on-behalf-of"
_AT = replace(AT_TAY_NINH, record_key=TAXES)


def passing(valid: Valid) -> None:
    """Add what passes: after the suspension, and within the delegation."""
    world = valid.world
    valid.add(
        "v1-sender-reinstated",
        valid.letters[SUSPENDED],
        "A suspension that is over takes nothing away from what was made before it.",
        envelope=valid.envelopes[SUSPENDED],
        made=f"The envelope of {SUSPENDED}, read with the directory up to the reinstatement of its sender.",
        circumstances=replace(_AT, directory_position=TAXES_REINSTATED),
        based_on=SUSPENDED,
    )
    at = {"directory_position": DELEGATED, "directory_hash": world.hashes[DELEGATED]}
    head = make_head(world, "on-behalf-of", sender=TAXES, on_behalf_of=HANOI, **at)
    valid.add(
        REPRESENTING,
        write_document(world, "on-behalf-of", head=head),
        "A document that one agency sends for another, under its own key and in its own stream.",
        circumstances=replace(_AT, directory_position=DELEGATED),
    )
    valid.add(
        "v1-on-behalf-of-recorded",
        valid.letters[REPRESENTING],
        "An auditor asks for the delegation at the entry that the statement names, whatever came of it later.",
        envelope=valid.envelopes[REPRESENTING],
        made=f"The envelope of {REPRESENTING}, read as an auditor after the delegation was ended.",
        circumstances=replace(_AT, mode=AUDITOR_MODE, directory_position=DELEGATION_ENDED),
        based_on=REPRESENTING,
    )


def suspension(make: Failing) -> None:
    """C1.19: a sender that is, or was, suspended."""
    fail, world, letter = checks.AUTHORITY, make.world, make.valid.letters[SUSPENDED]
    make.unchanged(
        "suspended-later",
        replace(fail, outcome="indeterminate"),
        f"The bytes of {SUSPENDED}, with the directory read up to the suspension of the sender.",
        "The sender may be reinstated; until then nobody says yes.",
        base=SUSPENDED,
        code=checks.SUSPENDED_LATER,
        circumstances=replace(_AT, directory_position=TAXES_SUSPENDED),
    )
    head = letter.head._replace(directory_position=TAXES_SUSPENDED, directory_hash=world.hashes[TAXES_SUSPENDED])
    for name, mode, end, how in (
        ("made-while-suspended", _AT.mode, TAXES_REINSTATED, "read after the sender was reinstated"),
        ("recorded-while-suspended", AUDITOR_MODE, DELEGATION_ENDED, "read as an auditor"),
    ):
        make.signed(
            name,
            replace(letter, head=head),
            fail,
            f"The statement says it was made under entry {TAXES_SUSPENDED}, its sender's suspension; {how}.",
            "The sender knew that it might not sign.",
            base=SUSPENDED,
            code=checks.SUSPENDED,
            circumstances=replace(_AT, mode=mode, directory_position=end),
        )


def delegation(make: Failing) -> None:
    """C1.12 and C1.19: a sender that represents another agency and may not."""
    world, letter = make.world, make.valid.letters[REPRESENTING]
    head, fail = letter.head, checks.DELEGATION
    before = {"directory_position": TAXES_REINSTATED, "directory_hash": world.hashes[TAXES_REINSTATED]}
    after = {"directory_position": DELEGATION_ENDED, "directory_hash": world.hashes[DELEGATION_ENDED]}
    about = (Reference(TAXES, "vector-on-behalf-of", 1),)
    for name, changed, made, why in (
        (
            "delegation-of-another-agency",
            replace(letter, head=head._replace(on_behalf_of=LANG_SON)),
            "The statement represents an agency that has delegated nothing.",
            "A delegation is of one agency to one other.",
        ),
        (
            "delegation-given-later",
            replace(letter, head=head._replace(**before)),
            "The statement names the entry before the delegation.",
            "By the order of the directory there was none yet.",
        ),
        (
            "delegation-ended-before",
            replace(letter, head=head._replace(**after)),
            "The statement names the entry that ended the delegation.",
            "By the order of the directory there was none any more.",
        ),
        (
            "delegation-for-another-kind",
            replace(letter, body=letter.body._replace(kind="recall", concerns=about)),  # type: ignore[union-attr] # a document
            "The statement is a recall.",
            "The delegation is for documents alone.",
        ),
        (
            "delegation-over-when-made",
            replace(letter, head=head._replace(made_at=NOW + DAY_MS + 1)),
            "The statement was made a millisecond after the time of the delegation.",
            "The delegation has a last moment.",
        ),
        (
            "delegation-of-statuses",
            replace(
                write_status(world, "delegation-of-statuses", code=5, note=None),
                head=make_head(
                    world,
                    "delegation-of-statuses",
                    sender=TAXES,
                    on_behalf_of=HANOI,
                    directory_position=DELEGATED,
                    directory_hash=world.hashes[DELEGATED],
                ),
            ),
            "The statement is a status.",
            "What became of a document, each recipient says itself.",
        ),
    ):
        make.signed(
            name,
            changed,
            fail,
            made,
            why,
            base=REPRESENTING,
            circumstances=replace(_AT, directory_position=max(DELEGATED, changed.head.directory_position)),
        )
    for name, circumstances, made in (
        (
            "delegation-ended",
            replace(_AT, directory_position=DELEGATION_ENDED),
            "with the directory read up to the end of the delegation.",
        ),
        (
            "delegation-over",
            replace(_AT, directory_position=DELEGATED, now_ms=NOW + DAY_MS + 1),
            "verified a millisecond after the time of the delegation.",
        ),
    ):
        make.unchanged(
            name,
            checks.AUTHORITY,
            f"The bytes of {REPRESENTING}, {made}",
            "The sender may not sign for the other agency now.",
            base=REPRESENTING,
            code=checks.DELEGATION_ENDED,
            circumstances=circumstances,
        )


ALL = (suspension, delegation)
