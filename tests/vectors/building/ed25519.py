"""Vectors of a sender with an Ed25519 key, profile 4."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.identity.ed25519 import ORDER
from docbus.verification import checks
from docbus.wire.profiles import Profile
from tests.vectors.building.letters import make_head, write_document
from tests.vectors.building.vector import AT_TAY_NINH
from tests.vectors.building.world import CUSTOMS, CUSTOMS_GRANTED

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing
    from tests.vectors.building.valid import Valid

ED25519 = "v1-ed25519"
_AT = replace(AT_TAY_NINH, record_key=CUSTOMS, directory_position=CUSTOMS_GRANTED)
_HALF = 32
"""Bytes of R, and of S."""


def passing(valid: Valid) -> None:
    """Add what passes."""
    at = {"directory_position": CUSTOMS_GRANTED, "directory_hash": valid.world.hashes[CUSTOMS_GRANTED]}
    valid.add(
        ED25519,
        write_document(valid.world, "ed25519", head=make_head(valid.world, "ed25519", sender=CUSTOMS, **at)),
        "A document signed with an Ed25519 key, profile 4.",
        circumstances=_AT,
    )


def signature(make: Failing) -> None:
    """C1.05 and C1.08: another profile, and signatures that are none."""
    (block,) = make.valid.envelopes[ED25519].signatures
    genuine = block.signature
    beyond = (int.from_bytes(genuine[_HALF:], "little") + ORDER).to_bytes(_HALF, "little")
    for name, changed, check, made, why in (
        (
            "ed25519-s-beyond-the-order",
            block._replace(signature=genuine[:_HALF] + beyond),
            checks.SIGNATURE,
            "The order of the group was added to S.",
            "It satisfies the same equation, and S has to be below the order (RFC 8032 section 5.1.7).",
        ),
        (
            "ed25519-neutral-point-and-zero",
            block._replace(signature=b"\x01" + bytes(2 * _HALF - 1)),
            checks.SIGNATURE,
            "R is the neutral point, and S is 0.",
            "It verifies under a key of small order, and under no other.",
        ),
        (
            "ed25519-trailing-byte",
            block._replace(signature=genuine + b"\0"),
            checks.SIGNATURE,
            "The signature has a zero byte behind it.",
            "A signature has 64 bytes.",
        ),
        (
            "ed25519-taken-for-es256",
            block._replace(profile=Profile.ES256),
            checks.PROFILE,
            "The block names profile 1.",
            "The profile follows from the granted key.",
        ),
    ):
        make.envelope(name, {"signatures": (changed,)}, check, made, why, base=ED25519)


ALL = (signature,)
