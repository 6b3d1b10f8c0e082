"""What a list consists of before anything in it is believed: columns, rows, and what was found wrong or odd."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_ROWS = 500_000
"""Rows of one list; the national directory had 123,265 in July 2026."""
MAX_COLUMNS = 64
"""Columns of one list; the known ones have at most six that are read."""
MAX_CELL_CHARACTERS = 4096
"""Characters of one cell that is read; a name in the directory has at most 1,024 bytes."""
MAX_FINDINGS = 10_000
"""Findings of one kind that are kept with their particulars; all are counted."""
SHOWN_ROWS = 5
"""Other rows that a finding names."""
SHOWN_HEADINGS = 12
"""Headings that an error names."""

HEADINGS: dict[str, tuple[str, ...]] = {
    "code": ("code", "mã", "mã định danh", "mã định danh điện tử", "mã cơ quan", "mã đơn vị"),
    "name": ("name", "tên", "tên cơ quan", "tên đơn vị", "tên cơ quan, đơn vị"),
    "oldCode": ("oldCode", "mã cũ", "mã định danh cũ", "mã định danh đã cấp"),
    "code102": ("code102", "mã QCVN 102"),
    "id": ("id",),
    "pid": ("pid",),
    "parent": ("parent", "mã cấp trên", "mã cơ quan cấp trên", "mã đơn vị cấp trên"),
}
"""Columns that are read, and the headings under which they are found; capitals and spaces do not matter.

``code``, ``name``, ``oldCode``, ``id`` and ``pid`` are those of getAgenciesList, ``code102`` that of
getAgenciesListQD20; ``parent`` is the superior's code, for tables that people keep.
"""
FORMER = ("oldCode", "code102")
"""Columns with another code of the same agency."""


def _simplified(heading: str) -> str:
    return " ".join(unicodedata.normalize("NFC", heading).casefold().split())


_FIELDS = {_simplified(heading): name for name, headings in HEADINGS.items() for heading in headings}


def field_of(heading: str) -> str | None:
    """Return the name of the column that a heading means, or None if it is not read."""
    return _FIELDS.get(_simplified(heading))


REFUSING: dict[str, str] = {
    "row_form": "The row has other cells than the heading, or a value that is neither text nor empty.",
    "cell_too_long": "A cell is longer than anything that stands in such a list.",
    "code_missing": "The row has no code.",
    "code_characters": "The code has invisible, look-alike or small letters, or spaces.",
    "code_malformed": "The code has the form of no scheme.",
    "code_twice": "Several rows have this code; none of them is taken.",
    "former_characters": "A former code has invisible, look-alike or small letters, or spaces.",
    "former_malformed": "A former code has the form of no scheme.",
    "former_twice": "Several rows have this former code; none of them is taken.",
    "former_is_code": "The former code is the code of another row.",
    "name_missing": "The row has no name.",
    "name_characters": "The name cannot stand in the directory: invisible characters, not NFC, too long.",
    "id_twice": "Several rows have this id, so that it does not say who is below whom.",
    "parent_unknown": "The superior that the row names is not in the list.",
    "parent_circle": "By what the rows name, the agency is its own superior.",
}
"""Kinds of findings for which a row is not taken."""
HINTS: dict[str, str] = {
    "placeholder": "A code of W00 is a placeholder or a test; it is set apart, neither taken nor refused.",
    "parent_left_out": "The superior that the row names is not taken, so that the row has none.",
    "superior_missing": "By the form of the code it has a superior that is not in the list.",
    "hierarchy_differs": "The row names another superior than the form of its code does.",
    "code_unusual": "The code is accepted, and its form is unusual.",
    "mapping_unusual": "The two codes are not each other's usual translation, which is no rule.",
    "name_letters": "The name has letters that look like those of Vietnamese and are others.",
    "name_spaces": "The name has several spaces together, or spaces that are not the usual one.",
    "name_twice": "Several agencies below one superior have this name.",
}
"""Kinds of findings that say what is odd; but for a placeholder the row is taken all the same."""
KINDS = REFUSING | HINTS


class ListedRow(NamedTuple):
    """One row as it stands in the list, nothing of it checked; a missing value is an empty text.

    ``number`` is that of a spreadsheet for CSV, where the heading is row 1; in JSON the first element is row 1.
    """

    number: int
    code: str
    name: str
    former: tuple[tuple[str, str], ...]
    id: str
    pid: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or odd about a row, or that sets it apart.

    Attributes:
        row: Its number, see :class:`ListedRow`.
        kind: One of :data:`KINDS`.
        column: Where; None if it is about the whole row.
        text: What is so.
        hint: What may help, or None.
    """

    row: int
    kind: str
    column: str | None
    text: str
    hint: str | None = None


@dataclass(slots=True)
class Findings:
    """What was found; all is counted, and of each kind the first are kept."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)
    """Numbers of the rows that cannot be taken, all of them."""

    def add(self, row: int, kind: str, column: str | None, text: str, hint: str | None = None) -> None:
        """Note one thing about a row."""
        if kind in REFUSING:
            self.refused.add(row)
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_FINDINGS:
            self.kept.append(Finding(row=row, kind=kind, column=column, text=text, hint=hint))


@dataclass(slots=True, kw_only=True)
class Listing:
    """A list as it was read.

    Attributes:
        form: In which form it was found to be, for people.
        columns: Heading by the name of the column it was read as.
        unread: Headings that mean nothing here, in their order.
        rows: All rows but empty ones and those of a wrong form.
        findings: Rows of a wrong form.
        total: How many rows there are, empty ones left out.
    """

    form: str
    columns: dict[str, str]
    unread: tuple[str, ...]
    rows: list[ListedRow]
    findings: Findings
    total: int
