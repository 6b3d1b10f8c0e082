"""Bytes to rows: which form a list has, which columns, and nothing guessed beyond that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from docbus.errors import MalformedError
from docbus.identity.lists.csv_form import read_csv
from docbus.identity.lists.json_form import read_json
from docbus.limits import MIB

if TYPE_CHECKING:
    from docbus.identity.lists.rows import Listing

MAX_LIST_BYTES = 64 * MIB
"""Bytes of one list, which is read whole; 123,265 agencies make some 25 MB of JSON."""

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_list(content: bytes, form: Literal["csv", "json"] | None = None) -> Listing:
    """Return the rows of a list.

    Args:
        content: The file, UTF-8 with or without a byte order mark.
        form: In which form it has to be; found out from its first character if left out.

    Raises:
        MalformedError: Too large, not UTF-8, not of this form, or without the columns it must have; the text says
            where.
    """
    if len(content) > MAX_LIST_BYTES:
        raise MalformedError(
            f"the list has more than {MAX_LIST_BYTES:,} bytes, which no list of agencies has",
            hint="Export only codes, names, former codes and superiors.",
        )
    text = _decoded(content)
    if not text.strip():
        raise MalformedError("the list is empty")
    if (form or ("json" if text.lstrip()[:1] in {"[", "{"} else "csv")) == "csv":
        return read_csv(text)
    try:
        return read_json(text)
    except json.JSONDecodeError as error:
        raise MalformedError(
            f"the list is not JSON, or ends too early: {error.msg} in line {error.lineno}, column {error.colno}",
            hint="Get it again, whole; nothing of it was used.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError("the list is JSON with numbers or nesting that no list of agencies has") from error


def _decoded(content: bytes) -> str:
    try:
        return content.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        hint = (
            "It is UTF-16, as some programs save it: save it as CSV UTF-8."
            if content.startswith(_UTF16)
            else "Save it as UTF-8; an older code page such as TCVN3 or Windows-1258 cannot be told from others."
        )
        raise MalformedError(f"the list is not UTF-8: line {line}, byte {column} of it", hint=hint) from error
