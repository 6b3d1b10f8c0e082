"""Lists as tables: CSV with a heading, separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_csv(text: str) -> Listing:
    """Return the rows of a table.

    Raises:
        MalformedError: Quotation marks that do not close, too many rows or columns, or no column of codes or names.
    """
    separator, headings = _heading(text)
    columns = _columns(headings)
    findings = Findings()
    rows: list[ListedRow] = []
    total = 0
    places = {name: headings.index(heading) for name, heading in columns.items()}
    former = [(name, places[name]) for name in FORMER if name in places]
    at_code, at_name = places["code"], places["name"]
    at_id, at_pid, at_parent = (places.get(name) for name in ("id", "pid", "parent"))
    for number, cells in _records(text, separator):
        if number == 1 or not any(cells):
            continue
        total += 1
        if total > MAX_ROWS:
            raise MalformedError(f"row {number}: the list has more than {MAX_ROWS:,} rows")
        if len(cells) < len(headings) or any(cells[len(headings) :]):
            findings.add(
                number,
                "row_form",
                None,
                f"the row has {len(cells)} cells, and the heading has {len(headings)}",
                "A separator inside a cell needs quotation marks around the cell.",
            )
            continue
        rows.append(
            ListedRow(
                number,
                cells[at_code],
                cells[at_name],
                tuple((name, cells[at]) for name, at in former if cells[at]),
                "" if at_id is None else cells[at_id],
                "" if at_pid is None else cells[at_pid],
                "" if at_parent is None else cells[at_parent],
            )
        )
    return Listing(
        form=f"CSV, separated by {_SEPARATORS[separator]}",
        columns=columns,
        unread=tuple(heading for heading in headings if heading not in columns.values()),
        rows=rows,
        findings=findings,
        total=total,
    )


def _heading(text: str) -> tuple[str, list[str]]:
    """Return the separator and the headings: with the right one, there are columns of codes and of names."""
    found: list[list[str]] = []
    for separator in _SEPARATORS:
        headings = next(_records(text, separator))[1]
        if {"code", "name"} <= {field_of(heading) for heading in headings}:
            return separator, headings
        found.append(headings)
    headings = max(found, key=len)
    shown = ", ".join(show(heading) for heading in headings[:SHOWN_HEADINGS])
    names = {name: ", ".join(HEADINGS[name]) for name in ("code", "name")}
    raise MalformedError(
        f"row 1: the list has no column of codes, or none of names; its headings are {shown}",
        hint=f"The first row has to have headings: for codes one of {names['code']}; for names one of {names['name']}.",
    )


def _columns(headings: Sequence[str]) -> dict[str, str]:
    if len(headings) > MAX_COLUMNS:
        raise MalformedError(f"row 1: the list has {len(headings)} columns; {MAX_COLUMNS} are allowed")
    columns: dict[str, str] = {}
    for heading in headings:
        name = field_of(heading)
        if name is None:
            continue
        if name in columns:
            raise MalformedError(
                f"row 1: the headings {show(columns[name])} and {show(heading)} both mean {name}",
                hint="Take one of the columns out, or give it another heading.",
            )
        columns[name] = heading
    return columns


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with their numbers, from 1 as in a spreadsheet.

    Raises:
        MalformedError: Quotation marks where none may be, or that do not close.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, cells
    except csv.Error as error:
        raise MalformedError(
            f"row {number + 1}, before line {reader.line_num + 1}: {error}",
            hint="A quotation mark inside a cell is written twice, and a cell that begins with one ends with one.",
        ) from error
