"""How an agency's own certificate stands with its authority, by what its folder knows: others refuse what it signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.client.issued import issued_to
from docbus.identity.pki.crl import distribution_points
from docbus.identity.pki.judge import judge
from docbus.identity.pki.ocsp import responders
from docbus.identity.pki.verdict import Outcome
from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.snapshot import TrustSnapshot

_WORST = (Outcome.FAILED, Outcome.INDETERMINATE, Outcome.PASSED)


class OwnStanding(NamedTuple):
    """What C1.23 says of it now.

    Attributes:
        outcome: Failed if what is signed under it is refused everywhere; indeterminate if that cannot be told here.
        code: Of what said no; None if nothing did.
        text: A sentence.
        nobody_asks: Why ``docbus run`` asks nobody about it; None if it does.
    """

    outcome: Outcome
    code: str | None
    text: str
    nobody_asks: str | None


def own_standing(
    snapshot: TrustSnapshot, agency: str, material: ValidationMaterial, now_ms: int, *, fetch: bool
) -> OwnStanding | None:
    """Return the worst there is to say of the certificates of an agency that are in force; None if they are self-made.

    Args:
        snapshot: The directory.
        agency: Canonical id.
        material: What the folder knows.
        now_ms: Milliseconds since 1970 UTC.
        fetch: Whether its settings let lists be fetched.
    """
    found = [
        (
            judge(one, agency, snapshot.authorities(), material, at_ms=now_ms, known_by_ms=now_ms + MAX_CLOCK_SKEW_MS),
            one,
        )
        # The newest first: of several of which the same can be said, it is the one that signs.
        for one in reversed(issued_to(snapshot, agency))
    ]
    if not found:
        return None
    verdict, certificate = min(found, key=lambda pair: _WORST.index(pair[0].outcome))
    nobody = None
    if not fetch:
        nobody = "the settings say fetch = false"
    elif not distribution_points(certificate) and not responders(certificate):
        nobody = "it names no address of a revocation list or a responder"
    return OwnStanding(verdict.outcome, verdict.code, verdict.text, nobody)
