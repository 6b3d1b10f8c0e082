"""Similar codes, for the hint when one is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import AgencyCodeError
from docbus.identity.agency import AgencyId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_SHOWN = 3
"""Similar codes named in a hint."""
_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ."


def nearest(asked: str, known: Callable[[str], str | None]) -> list[tuple[str, str]]:
    """Return up to three (code, agency id) that differ from an id by one keystroke, or are superior to it.

    All texts at distance one are looked up, some 3,000, so that the size of the directory does not matter.

    Args:
        asked: A canonical id.
        known: Returns the agency that a canonical id or alias names, or None.
    """
    found: dict[str, str] = {}
    scheme, _, value = asked.partition(":")
    for text in _one_keystroke_away(value):
        agency_id = known(f"{scheme}:{text}")
        if agency_id is not None:
            found.setdefault(agency_id, text)
        if len(found) == MAX_SHOWN:
            break
    if not found:
        try:
            ancestors = AgencyId(scheme, value).ancestors
        except AgencyCodeError:
            ancestors = ()
        for ancestor in ancestors:
            agency_id = known(str(ancestor))
            if agency_id is not None:
                found[agency_id] = ancestor.code
                break
    return [(code, agency_id) for agency_id, code in found.items()]


def _one_keystroke_away(text: str) -> Iterator[str]:
    for at in range(len(text)):
        yield text[:at] + text[at + 1 :]
        if at + 1 < len(text):
            yield text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        for character in _CHARACTERS:
            yield text[:at] + character + text[at + 1 :]
    for at in range(len(text) + 1):
        for character in _CHARACTERS:
            yield text[:at] + character + text[at:]
