"""Results on standard output: tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from dataclasses import fields, is_dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.cli.escape import escaped_json, shown
from docbus.clock import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_TIMES = frozenset({"as_of", "at", "since"})
"""Names of fields that hold milliseconds since 1970-01-01T00:00:00Z, as all do whose name ends in ``_at``."""


SHORT_COLUMN = 24
"""Columns of a terminal up to which a cell is never broken: a time, a code, a state."""
GAP = 2
"""Columns between two of them."""


class Form(StrEnum):
    """For whom the result is."""

    TEXT = "text"
    JSON = "json"


def line(text: str = "") -> None:
    """Print one line of the result; characters that control a terminal are shown, not sent."""
    print(shown(text))  # noqa: T201 - this is the command line


def write_json(value: object) -> None:
    """Print a result as JSON, readable by people too."""
    encoded = json.dumps(plain(value), ensure_ascii=False, indent=2)
    print(escaped_json(encoded))  # noqa: T201 - this is the command line


def write_bytes(content: bytes) -> None:
    """Write a result that is a file."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table: drawn on a terminal, aligned by spaces otherwise."""
    cells = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and _fits(columns, cells):
        _draw(columns, cells, title)
        return
    if title:
        line(title)
    for row in _aligned([list(columns), *cells]):
        line(row)


def pairs(content: Mapping[str, str | None]) -> None:
    """Print names and values, one a line; values that are None are left out."""
    kept = {name: value for name, value in content.items() if value is not None}
    width = max((len(name) for name in kept), default=0)
    for name, value in kept.items():
        line(f"{name.ljust(width)}  {value}")


def when(milliseconds: int | None, missing: str = "–") -> str:
    """Return a time in UTC as RFC 3339, to the second."""
    if milliseconds is None:
        return missing
    text = format_time(milliseconds)
    return f"{text[:19]}Z" if text.endswith("Z") else text


def plain(value: object, name: str = "") -> Any:
    """Return a value as JSON types; numbers named ``at``, ``since``, ``as_of`` or ``…_at`` are times, as RFC 3339."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {str(key): plain(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    return _plain_leaf(value, name)


def _plain_leaf(value: object, name: str) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if type(value) is int and (name in _TIMES or name.endswith("_at")):
        return format_time(value)
    return value


def _fits(columns: Sequence[str], cells: list[list[str]]) -> bool:
    """Tell whether a terminal has room for all short columns, and for something of the long ones.

    Where it has not, lines that the terminal breaks are better than times in pieces.
    """
    widths = [max(_width(row[at]) for row in [columns, *cells]) for at in range(len(columns))]
    needed = sum(min(width, SHORT_COLUMN) for width in widths) + GAP * len(widths)
    return needed <= shutil.get_terminal_size().columns


def _draw(columns: Sequence[str], cells: list[list[str]], title: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for at, column in enumerate(columns):
        short = max(_width(row[at]) for row in [columns, *cells]) <= SHORT_COLUMN
        drawn.add_column(column, overflow="fold", no_wrap=short)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, markup=False).print(drawn)


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return rows with columns as wide as their widest cell."""
    widths = [max(_width(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    """Return how many columns a terminal needs: none for marks, two for wide characters."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
