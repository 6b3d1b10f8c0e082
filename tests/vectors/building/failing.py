"""Collects the vectors that must fail; each differs from a valid one by a single thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.envelope.envelope import Envelope, encode_envelope
from tests.vectors.building.letters import Letter, seal_batch
from tests.vectors.building.vector import Circumstances, Vector

if TYPE_CHECKING:
    from docbus.verification.checks import Check
    from tests.vectors.building.valid import Valid

DOCUMENT = "v1-document"


class Failing:
    """Failing vectors, made from the valid ones."""

    def __init__(self, valid: Valid) -> None:
        self.valid = valid
        self.world = valid.world
        self.vectors: list[Vector] = []

    def value(
        self,
        name: str,
        value: bytes,
        check: Check,
        made: str,
        why: str,
        *,
        base: str = DOCUMENT,
        code: str | None = None,
        circumstances: Circumstances | None = None,
        parts: tuple[bytes, ...] = (),
    ) -> None:
        """Add a vector by its bytes."""
        self.vectors.append(
            Vector(
                name=f"v1-{name}_fail",
                shows=f"{base} with one thing changed, for check {check.number}: {check.title}.",
                made=made,
                value=value,
                circumstances=circumstances or self.valid.circumstances[base],
                based_on=base,
                why=why,
                check=check,
                code=code,
                parts=parts,
            )
        )

    def unchanged(self, name: str, check: Check, made: str, why: str, *, base: str = DOCUMENT, **more: Any) -> None:
        """Add a vector whose bytes are valid, and whose circumstances are not."""
        self.value(name, encode_envelope(self.valid.envelopes[base]), check, made, why, base=base, **more)

    def envelope(
        self,
        name: str,
        changes: dict[str, Any],
        check: Check,
        made: str,
        why: str,
        *,
        base: str = DOCUMENT,
        **more: Any,
    ) -> None:
        """Add a vector with other fields in the envelope, which nothing signs."""
        changed: Envelope = self.valid.envelopes[base]._replace(**changes)
        self.value(name, encode_envelope(changed), check, made, why, base=base, **more)

    def part(self, name: str, part: bytes, check: Check, made: str, why: str, *, base: str) -> None:
        """Add a vector whose envelope is valid, and whose first part is not."""
        made = f"{made} The envelope is that of {base}."
        self.value(name, encode_envelope(self.valid.envelopes[base]), check, made, why, base=base, parts=(part,))

    def signed(
        self, name: str, letter: Letter, check: Check, made: str, why: str, *, base: str = DOCUMENT, **more: Any
    ) -> None:
        """Add a vector that its base's sender signed, with something wrong inside."""
        signer = self.world.parties[self.valid.letters[base].head.sender].signer
        sealed = seal_batch(self.world, signer, [letter])[0]
        made = f"{made} Signed by the sender's test key."
        self.value(name, encode_envelope(sealed), check, made, why, base=base, **more)

    def sealed_by(self, agency: str, letter: Letter) -> bytes:
        """Return the envelope of a letter that another agency than the base's sender has signed."""
        return encode_envelope(seal_batch(self.world, self.world.parties[agency].signer, [letter])[0])


def flip(encoded: bytes, at: int, mask: int = 1) -> bytes:
    """Return the bytes with bits of one byte flipped."""
    changed = bytearray(encoded)
    changed[at] ^= mask
    return bytes(changed)
