"""Vectors of a sender whose certificate an authority has issued: C1.23."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.verification import checks
from tests.vectors.building.issuing import CLEAN, HELD, HOUR_MS, REVOKED
from tests.vectors.building.letters import make_head, write_document
from tests.vectors.building.vector import AT_TAY_NINH, AUDITOR_MODE
from tests.vectors.building.world import (
    AUTHORITY_ENDED,
    FISHERIES,
    FORESTRY,
    ISSUED,
    ISSUED_TOO_LONG,
    NOW,
)

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing
    from tests.vectors.building.valid import Valid

BASE = "v1-issued-certificate"
_AT = replace(AT_TAY_NINH, record_key=FORESTRY, directory_position=ISSUED, material=(CLEAN,))
_LATER = replace(_AT, now_ms=NOW + 3 * HOUR_MS)


def passing(valid: Valid) -> None:
    """Add what passes: while the list is current, and to an auditor who gets it with the directory."""
    world = valid.world
    head = make_head(world, "issued", sender=FORESTRY, directory_position=ISSUED, directory_hash=world.hashes[ISSUED])
    valid.add(
        BASE,
        write_document(world, "issued", head=head),
        "A document under a certificate that an authority of the directory has issued, and knows of no revocation.",
        circumstances=_AT,
    )
    valid.add(
        "v1-issued-certificate-recorded",
        valid.letters[BASE],
        "An auditor asks for the time and the entry of the statement, whatever became of the authority later.",
        envelope=valid.envelopes[BASE],
        made=f"The envelope of {BASE}, read as an auditor after the authority was ended.",
        circumstances=replace(_AT, mode=AUDITOR_MODE, directory_position=AUTHORITY_ENDED),
        based_on=BASE,
    )


def standing(make: Failing) -> None:
    """C1.23: what is not known, what was revoked, and whose authority is gone."""
    undecided = replace(checks.PATH, outcome="indeterminate")
    for name, check, circumstances, code, made, why in (
        (
            "issued-nothing-known",
            undecided,
            replace(_AT, material=()),
            checks.REVOCATION_UNKNOWN,
            "without a word of the authority.",
            "Nothing that is not known is taken for good.",
        ),
        (
            "issued-list-has-ended",
            undecided,
            replace(_AT, now_ms=NOW + 13 * HOUR_MS),
            checks.REVOCATION_UNKNOWN,
            "thirteen hours later, when the authority's list has ended.",
            "A list is good until the next one was promised.",
        ),
        (
            "issued-on-hold",
            undecided,
            replace(_LATER, material=(CLEAN, HELD)),
            checks.ON_HOLD,
            "three hours later, with a list that puts the certificate on hold.",
            "The authority may release it, or revoke it.",
        ),
        (
            "issued-revoked",
            checks.PATH,
            replace(_LATER, material=(CLEAN, REVOKED)),
            checks.REVOKED_BY_AUTHORITY,
            "three hours later, with a list that revokes the certificate.",
            "A key that its authority took back signs nothing.",
        ),
        (
            "issued-revoked-later",
            undecided,
            replace(_LATER, mode=AUDITOR_MODE, material=(CLEAN, REVOKED)),
            checks.REVOKED_BY_AUTHORITY_LATER,
            "read as an auditor, with a list that revokes the certificate an hour after the statement.",
            "The statement's own word for its time does not show which came first.",
        ),
        (
            "issued-authority-ended",
            checks.PATH,
            replace(_AT, directory_position=AUTHORITY_ENDED),
            None,
            "with the directory read up to the end of the authority.",
            "Nothing leads to an authority of the directory any more.",
        ),
    ):
        make.unchanged(
            name, check, f"The bytes of {BASE}, {made}", why, base=BASE, code=code, circumstances=circumstances
        )
    head = make_head(
        make.world,
        "issued-too-long",
        sender=FISHERIES,
        directory_position=ISSUED_TOO_LONG,
        directory_hash=make.world.hashes[ISSUED_TOO_LONG],
    )
    make.value(
        "issued-for-too-long",
        make.sealed_by(FISHERIES, write_document(make.world, "issued-too-long", head=head)),
        checks.PATH,
        "Made by another agency, whose certificate was issued for three years.",
        "The profile has two.",
        base=BASE,
        code=checks.CERTIFICATE_UNFIT,
        circumstances=replace(_AT, record_key=FISHERIES, directory_position=ISSUED_TOO_LONG),
    )


ALL = (standing,)
