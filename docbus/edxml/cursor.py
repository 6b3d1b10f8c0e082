"""A tolerant view of an element: children in any order, and a warning for everything that is not as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.documents.texts import has_unseen, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.edxml.notes import Letter, Notes
    from docbus.edxml.parser import Element

_BLANKS = " \t\r\n"
"""White space of XML; others are content."""

FIELD_CHARACTERS = {
    "OrganId": 35,
    "OrganizationInCharge": 500,
    "OrganName": 200,
    "OrganAdd": 500,
    "Email": 100,
    "Telephone": 20,
    "Fax": 20,
    "Website": 20,
    "DocumentId": 200,
    "CodeNumber": 11,
    "CodeNotation": 30,
    "TypeName": 100,
    "Subject": 500,
    "Content": 500,
    "Competence": 100,
    "Position": 100,
    "FullName": 50,
    "SphereOfPromulgation": 100,
    "TyperNotation": 10,
    "Appendix": 250,
    "BussinessDocReason": 500,
    "Department": 250,
    "Staff": 100,
    "Mobile": 100,
    "AttachmentName": 500,
}
"""Characters that the standard intends (domain notes 1.4); real files have more, so that longer ones are kept."""
_PLACE_CHARACTERS = {"PromulgationInfo": 50, "ToPlaces": 150}


class Cursor:
    """One element and its path. Where there is none, every text is None and nothing further is reported missing."""

    def __init__(self, element: Element | None, path: str, notes: Notes) -> None:
        """Look at an element; ``path`` names it in warnings."""
        self._element = element
        self.path = path
        self._notes = notes
        self._known: set[str] = set()

    @property
    def exists(self) -> bool:
        """Whether there is such an element."""
        return self._element is not None

    @property
    def is_empty(self) -> bool:
        """Whether it has neither children nor text."""
        return self._element is None or not (self._element.children or self._element.text.strip(_BLANKS))

    @property
    def raw(self) -> str:
        """Own text exactly as parsed."""
        return "" if self._element is None else self._element.text

    def warn(self, letter: Letter, name: str, text: str) -> None:
        """Add a warning about a child, or about the element itself where ``name`` is empty."""
        self._notes.add(letter, f"{self.path}.{name}" if name else self.path, text)

    def has(self, name: str) -> bool:
        """Whether there is a child of a name; asking is not yet reading."""
        return any(child.name == name for child in self._children())

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield name and exact text of every child, in the file's order."""
        for child in self._children():
            self._known.add(child.name)
            yield child.name, child.text

    def one(self, name: str, *, required: bool = False) -> Cursor:
        """Return the first child of a name; a second one is reported, a missing one if it is required."""
        found = self._named(name)
        if not found:
            if required and self.exists:
                self.warn("N", name, "is missing")
            return Cursor(None, f"{self.path}.{name}", self._notes)
        if len(found) > 1:
            self.warn("R", name, f"is there {len(found)} times; the first is used")
        return Cursor(found[0], f"{self.path}.{name}", self._notes)

    def many(self, name: str) -> list[Cursor]:
        """Return all children of a name."""
        found = self._named(name)
        return [
            Cursor(child, f"{self.path}.{name}" + (f"[{at}]" if len(found) > 1 else ""), self._notes)
            for at, child in enumerate(found, start=1)
        ]

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Return the text of the child of a name, without white space around it; None if it is missing or empty."""
        child = self.one(name, required=required)
        if not child.exists:
            return None
        text = child.value()
        if text is None and required:
            self.warn("N", name, "is empty")
        return text

    def value(self) -> str | None:
        """Return the element's own text without white space around it; None if nothing is left."""
        text = self.raw.strip(_BLANKS)
        if not text:
            return None
        name = self.path.rpartition(".")[2].partition("[")[0]
        if has_unseen(text.translate({9: None, 10: None, 13: None})):
            self.warn("M", "", f"has characters that cannot be seen: {show(text)}")
        limit = FIELD_CHARACTERS.get(name) or self._place_limit(name)
        if limit and len(text) > limit:
            self.warn("R", "", f"has {len(text)} characters, the standard has {limit}; all are kept")
        return text

    def number(self, name: str, *, required: bool = False) -> int | None:
        """Return the text of a child as a number; None, and a warning, if it is none."""
        text = self.text(name, required=required)
        if text is None:
            return None
        # int() would also take signs, underscores, other scripts' digits, and texts of any length.
        if len(text) <= len("4294967295") and text.isascii() and text.isdigit():
            return int(text)
        self.warn("T", name, f"{show(text)} is not a number")
        return None

    def flag(self, name: str) -> bool | None:
        """Return the text of a child as yes or no; None, and a warning, if it is neither."""
        text = self.text(name)
        if text is None:
            return None
        if text.lower() in {"0", "false", "1", "true"}:
            return text.lower() in {"1", "true"}
        self.warn("T", name, f"{show(text)} is neither true nor false")
        return None

    def close(self) -> None:
        """Report children that nobody asked for."""
        for name in dict.fromkeys(child.name for child in self._children()):
            if name not in self._known:
                self.warn("M", show(name)[1:-1], "is not known; it stays in the file only")

    def _place_limit(self, name: str) -> int | None:
        parent = self.path.split(".")[-2].partition("[")[0] if name == "Place" and "." in self.path else ""
        return _PLACE_CHARACTERS.get(parent)

    def _named(self, name: str) -> list[Element]:
        self._known.add(name)
        return [child for child in self._children() if child.name == name]

    def _children(self) -> list[Element]:
        return [] if self._element is None else self._element.children
