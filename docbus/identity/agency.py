"""Official codes of agencies, and the canonical id ``scheme:value`` that stands on the wire (design D2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from docbus.errors import AgencyCodeError
from docbus.identity.schemes import SCHEMES, Scheme
from docbus.identity.spelling import is_plain, name_characters, show, suggestion

_TOPIC_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.")
_PLAIN = re.compile("[!-~]*")
_PLAIN_UPPER = re.compile("[!-`{-~]*")


@total_ordering
@dataclass(frozen=True, slots=True)
class AgencyId:
    """One agency's code with its scheme; none that is not well-formed can be made.

    Ids compare bytewise for equality, and are ordered by scheme, then by hierarchy: a superior agency comes right
    before everything below it.

    Raises:
        AgencyCodeError: Not a code of this scheme; the text shows the character or the group that is wrong.
    """

    scheme: str
    value: str

    def __post_init__(self) -> None:
        """Refuse what is not well-formed."""
        scheme = SCHEMES.get(self.scheme)
        if scheme is None:
            raise AgencyCodeError(
                f"{show(self.scheme)} is not a scheme of agency codes that this version reads",
                hint=f"Schemes are {', '.join(SCHEMES)}; a Vietnamese code can be given without one.",
            )
        _check_characters(self.value, upper_case=scheme.upper_case)
        if not scheme.shape.fullmatch(self.value):
            raise AgencyCodeError(
                f"{show(self.value)} is not a code of {scheme.title}",
                hint=f"A code of the scheme {scheme.name} is written like {scheme.example}.",
            )

    @staticmethod
    def parse(text: str) -> AgencyId:
        """Return the id that a bare code or a ``scheme:value`` names.

        Raises:
            AgencyCodeError: It names none. Nothing is corrected; the hint says what may have been meant.
        """
        scheme, colon, value = text.partition(":")
        if colon:
            _check_characters(text, upper_case=False)
            return AgencyId(scheme, value)
        _check_characters(text, upper_case=True)
        for candidate in SCHEMES.values():
            if candidate.bare and candidate.shape.fullmatch(text):
                return AgencyId(candidate.name, text)
        forms = " or ".join(f"{s.example} ({s.title})" for s in SCHEMES.values() if s.bare)
        raise AgencyCodeError(f"{show(text)} is not an agency code", hint=f"A code is written like {forms}.")

    @property
    def code(self) -> str:
        """The code as people write it, without its scheme."""
        return self.value

    @property
    def level(self) -> int | None:
        """Level in the hierarchy, 1 for a ministry or province; None where the form does not tell."""
        return self._rules.level(self.value)

    @property
    def parent(self) -> AgencyId | None:
        """The next superior agency by the form of the code, whether it exists or not."""
        value = self._rules.parent(self.value)
        return None if value is None else AgencyId(self.scheme, value)

    @property
    def ancestors(self) -> tuple[AgencyId, ...]:
        """All superior agencies by the form of the code, the nearest first."""
        found = []
        above = self.parent
        while above is not None:
            found.append(above)
            above = above.parent
        return tuple(found)

    @property
    def warning(self) -> str | None:
        """What is unusual about an accepted code, in a sentence, or None."""
        return self._rules.warning(self.value)

    @property
    def topic_value(self) -> str:
        """The value as it stands in topic names: bytes outside ``A-Za-z0-9.`` as ``-`` and two hex digits."""
        return "".join(chr(b) if b in _TOPIC_CHARACTERS else f"-{b:02x}" for b in self.value.encode())

    @property
    def sort_key(self) -> tuple[str, tuple[str, ...], str]:
        """What ids are ordered by."""
        return (self.scheme, self._rules.path(self.value), self.value)

    @property
    def _rules(self) -> Scheme:
        return SCHEMES[self.scheme]

    def __lt__(self, other: object) -> bool:
        """Order by scheme and hierarchy."""
        if not isinstance(other, AgencyId):
            return NotImplemented
        return self.sort_key < other.sort_key

    def __str__(self) -> str:  # type: ignore[explicit-override] # typing.override is of Python 3.12
        """Return the canonical id, such as ``vn:H37.02.02``."""
        return f"{self.scheme}:{self.value}"


def parse_canonical(text: str) -> AgencyId:
    """Return the id that a canonical ``scheme:value`` names; a bare code is not one.

    Raises:
        AgencyCodeError: It is not canonical.
    """
    scheme, colon, value = text.partition(":")
    if not colon:
        raise AgencyCodeError(f"{show(text)} has no scheme in front", hint="A canonical id is like vn:H37.02.02.")
    return AgencyId(scheme, value)


def _check_characters(text: str, *, upper_case: bool) -> None:
    # Nearly all codes are like this, and a list or a directory has hundreds of thousands.
    if (_PLAIN_UPPER if upper_case else _PLAIN).fullmatch(text):
        return
    wrong = [at for at, c in enumerate(text) if not is_plain(c) or (upper_case and c.islower())]
    if not wrong:
        return
    meant = suggestion(text)
    well_formed = any(s.bare and s.shape.fullmatch(meant) for s in SCHEMES.values())
    raise AgencyCodeError(
        f"agency code {show(text)} has {name_characters(text, wrong)}",
        hint=f"Write {meant}, if that is the code you mean; type it, do not copy it."
        if well_formed
        else "Type the code instead of copying it: capital letters A to Z, digits and full stops.",
    )
