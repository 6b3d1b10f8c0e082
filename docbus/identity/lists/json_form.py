"""Lists as JSON: what getAgenciesList and getAgenciesListQD20 of the national axis answer."""

from __future__ import annotations

import json
from typing import Any

from docbus.errors import MalformedError
from docbus.identity.lists.rows import (
    FORMER,
    HEADINGS,
    MAX_COLUMNS,
    MAX_ROWS,
    SHOWN_HEADINGS,
    Findings,
    ListedRow,
    Listing,
    field_of,
)
from docbus.identity.spelling import show

_TWICE = ""
"""Name under which an object keeps a name that it had twice; none of :data:`HEADINGS` is empty."""
_NUMBERS = frozenset({"id", "pid"})
"""Columns that may be whole numbers."""


def read_json(text: str) -> Listing:
    """Return the rows of an array of objects, or of an object with just one such array in it.

    Raises:
        MalformedError: Another shape, too many rows or columns, or no codes or names.
        ValueError: Not JSON.
    """
    names = _Names()
    elements, where = _array(json.loads(text, object_pairs_hook=names.take, parse_constant=_refuse))
    names.unread.pop(where, None)
    if len(elements) > MAX_ROWS:
        raise MalformedError(f"the list has {len(elements):,} rows; {MAX_ROWS:,} are allowed")
    if not {"code", "name"} <= names.columns.keys():
        shown = ", ".join(show(name) for name in [*names.columns.values(), *names.unread][:SHOWN_HEADINGS])
        raise MalformedError(
            f"the list has no codes, or no names; what its rows have is {shown or 'nothing'}",
            hint="Rows are objects with code and name, as getAgenciesList and getAgenciesListQD20 give them.",
        )
    findings = Findings()
    rows = []
    for number, element in enumerate(elements, start=1):
        row = _row(number, element, findings)
        if row is not None:
            rows.append(row)
    return Listing(
        form=f"JSON, the array {show(where)}" if where else "JSON, an array",
        columns=names.columns,
        unread=tuple(names.unread),
        rows=rows,
        findings=findings,
        total=len(elements),
    )


class _Names:
    """Takes from each object what is read, as soon as it is parsed, and notes what its names were."""

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}
        self.unread: dict[str, None] = {}
        self._known: dict[str, str | None] = {}

    def take(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        taken: dict[str, Any] = {}
        for name, value in pairs:
            column = self._known.get(name) or self._column(name)
            if column is None:
                # Of what is not read only lists are kept: one of them may be the list.
                if isinstance(value, list):
                    taken.setdefault(name or "-", value)
            elif column in taken:
                taken[_TWICE] = name
            else:
                taken[column] = value
        return taken

    def _column(self, name: str) -> str | None:
        if name in self._known:
            return self._known[name]
        if len(self._known) >= MAX_COLUMNS:
            raise MalformedError(f"the objects of the list have more than {MAX_COLUMNS} different names")
        found = self._known[name] = field_of(name)
        if found is None:
            self.unread[name] = None
        else:
            self.columns.setdefault(found, name)
        return found


def _refuse(text: str) -> None:
    raise ValueError(text)


def _array(found: Any) -> tuple[list[Any], str]:
    """Return the list and the name it has in the object around it, or an empty one."""
    if isinstance(found, list):
        return found, ""
    arrays = [] if not isinstance(found, dict) else [(n, v) for n, v in found.items() if isinstance(v, list)]
    if len(arrays) != 1:
        raise MalformedError(
            f"the list is JSON with {len(arrays)} arrays in it, and it has to be known which is the list",
            hint="Give the array of agencies, or an object in which it is the only array.",
        )
    name, array = arrays[0]
    return array, name


def _row(number: int, element: Any, findings: Findings) -> ListedRow | None:
    if not isinstance(element, dict):
        findings.add(number, "row_form", None, f"the row is no object but {show(json.dumps(element)[:80])}")
        return None
    if _TWICE in element:
        findings.add(number, "row_form", element[_TWICE], f"the row has {show(element[_TWICE])} twice")
        return None
    cells = {}
    for column in HEADINGS:
        value = element.get(column)
        if type(value) is int and column in _NUMBERS:
            value = str(value)
        if value is not None and not isinstance(value, str):
            findings.add(number, "row_form", column, f"{column} is no text but {show(json.dumps(value)[:80])}")
            return None
        cells[column] = value or ""
    return ListedRow(
        number,
        cells["code"],
        cells["name"],
        tuple((column, cells[column]) for column in FORMER if cells[column]),
        cells["id"],
        cells["pid"],
        cells["parent"],
    )
