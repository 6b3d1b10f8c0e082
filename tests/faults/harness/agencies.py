"""Who takes part."""

from __future__ import annotations

from docbus.identity.agency import AgencyId

SENDER, RECIPIENTS = "H26", ("000.00.00.H53", "H37")
FORKER = "H29"
"""A sender of the attacker's own, for which no process of docbus runs."""
NAMES = {SENDER: "Hà Nội", RECIPIENTS[0]: "Tây Ninh", RECIPIENTS[1]: "Lạng Sơn", FORKER: "Kiên Giang"}
ENVIRONMENT = "faults"


def id_of(code: str) -> str:
    """Return the canonical id of a code."""
    return str(AgencyId.parse(code))
