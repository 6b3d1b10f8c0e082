"""Lists of agencies in both forms."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from docbus.identity.lists.checks import CheckedList, check_list
from docbus.identity.lists.reading import read_list

SOUND: tuple[dict[str, Any], ...] = (
    {"id": 1, "pid": None, "code": "H37", "name": "UBND tỉnh Lạng Sơn", "oldCode": "000.00.00.H37"},
    {"id": 2, "pid": 1, "code": "H37.02", "name": "Sở Khoa học và Công nghệ", "oldCode": "000.00.02.H37"},
    {"id": 3, "pid": 2, "code": "H37.02.02", "name": "Trung tâm Tin học", "oldCode": "000.02.02.H37"},
    {"id": 4, "pid": None, "code": "H26", "name": "UBND thành phố Hà Nội", "oldCode": None},
)
"""A list without a fault."""


def changed(number: int, **values: Any) -> list[dict[str, Any]]:
    """Return the sound list with other values in one row, which counts from 1."""
    return [row | values if at == number else dict(row) for at, row in enumerate(SOUND, start=1)]


def as_json(rows: Any) -> bytes:
    """Return rows as getAgenciesList answers them."""
    return json.dumps({"agencies": rows}, ensure_ascii=False).encode()


def as_csv(rows: Any, separator: str = ";", bom: bytes = b"") -> bytes:
    """Return rows as a table."""
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, list(rows[0]), delimiter=separator)
    table.writeheader()
    table.writerows(rows)
    return bom + file.getvalue().encode()


def check(rows: Any) -> CheckedList:
    """Return what the checks say of rows."""
    return check_list(read_list(as_json(rows)))


def found(checked: CheckedList) -> set[tuple[int, str]]:
    """Return row and kind of each finding."""
    return {(one.row, one.kind) for one in checked.findings}
