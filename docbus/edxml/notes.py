"""Warnings: what is odd about a file that can be read all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Letter = Literal["N", "R", "M", "T"]

MAX_WARNINGS = 200
"""Warnings kept of one file; what comes after is only counted, so that a hostile file cannot grow the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdXMLWarning:
    """One oddity, in the style of the hubs' own validators (domain notes 1.2).

    Args:
        letter: N missing, R out of range or too long, M bad value, T bad type or form.
        path: Element, from MessageHeader or its like down; ``[2]`` counts elements of one name from 1.
        text: What was found and what was done about it.
    """

    letter: Letter
    path: str
    text: str

    @property
    def code(self) -> str:
        """Letter and path, such as ``N.MessageHeader.To``."""
        return f"{self.letter}.{self.path}"

    @property
    def line(self) -> str:
        """Code and text, as shown to a user."""
        return f"{self.code}: {self.text}"


class Notes:
    """Collects the warnings of one file."""

    def __init__(self, earlier: tuple[EdXMLWarning, ...] = ()) -> None:
        """Begin with the warnings that there are already."""
        self._kept = list(earlier)
        self._dropped = 0

    def add(self, letter: Letter, path: str, text: str) -> None:
        """Keep a warning, or count it once there are too many."""
        if len(self._kept) < MAX_WARNINGS:
            self._kept.append(EdXMLWarning(letter=letter, path=path, text=text))
        else:
            self._dropped += 1

    def warnings(self) -> tuple[EdXMLWarning, ...]:
        """Return everything kept, and how much was not."""
        if not self._dropped:
            return tuple(self._kept)
        rest = EdXMLWarning(letter="R", path="edXML", text=f"{self._dropped} more warnings are not shown")
        return (*self._kept, rest)
