"""Random values of an Avro schema, and fastavro as the reference to compare with."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
from hypothesis import strategies as st

from docbus.wire.avro import definition_of

SCHEMA_NAMES = (
    "envelope",
    "document-statement",
    "receipt-statement",
    "status-statement",
    "package",
    "part",
    "directory-entry",
    "directory-record",
    "join-request",
    "act",
)
MAX_ITEMS = 4
MAX_BYTES = 70
"""Enough that a length needs two bytes."""
_LONGS = st.one_of(
    st.integers(-70, 70), st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from([-(1 << 63), (1 << 63) - 1, 63, 64])
)
_INTS = st.one_of(st.integers(-70, 70), st.integers(-(1 << 31), (1 << 31) - 1))
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "long": _LONGS,
    "int": _INTS,
    "bytes": st.binary(max_size=MAX_BYTES),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_BYTES),
}


def values_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for values of ``schemas/<name>.avsc``, as fastavro takes them."""
    return _values(definition_of(name), {})


def _values(kind: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each form
    if isinstance(kind, list):
        several = sum(isinstance(branch, dict) and branch["type"] == "record" for branch in kind) > 1
        return st.one_of([_branch(branch, named, several=several) for branch in kind])
    if isinstance(kind, str):
        return _PRIMITIVES[kind] if kind in _PRIMITIVES else _values(named[kind.rpartition(".")[2]], named)
    form = kind["type"]
    if "name" in kind:
        named[kind["name"].rpartition(".")[2]] = kind
    if form == "record":
        return st.fixed_dictionaries({field["name"]: _values(field["type"], named) for field in kind["fields"]})
    if form == "array":
        most = min(MAX_ITEMS, kind.get("max_items", MAX_ITEMS))
        return st.lists(_values(kind["items"], named), max_size=most)
    if form == "fixed":
        return st.binary(min_size=kind["size"], max_size=kind["size"])
    if form == "enum":
        return st.sampled_from(kind["symbols"])
    return _PRIMITIVES[form]


def _branch(branch: Any, named: dict[str, Any], *, several: bool) -> st.SearchStrategy[Any]:
    values = _values(branch, named)
    if not several:
        return values
    full = f"docbus.v1.{branch['name']}"
    return values.map(lambda value: (full, value))


class Reference:
    """fastavro's encoding and decoding of one schema."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self._parsed = fastavro.parse_schema(definition)

    def encode(self, value: Any) -> bytes:
        """Return fastavro's encoding; tuples stand for arrays as well as lists."""
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, self._parsed, as_lists(value))
        return buffer.getvalue()

    def decode(self, encoded: bytes) -> Any:
        """Return what fastavro reads."""
        return fastavro.schemaless_reader(
            BytesIO(encoded), self._parsed, None, return_record_name=True, return_record_name_override=True
        )


def as_lists(value: Any) -> Any:
    """Return a value with a list for every array; (name, record) pairs of unions stay tuples."""
    if isinstance(value, dict):
        return {name: as_lists(part) for name, part in value.items()}
    if _is_branch(value):
        return (value[0], as_lists(value[1]))
    if isinstance(value, list | tuple):
        return [as_lists(item) for item in value]
    return value


def _is_branch(value: Any) -> bool:
    """Tell a union's (name, record) from an array of two, which never has a text and a record."""
    pair = 2
    return isinstance(value, tuple) and len(value) == pair and isinstance(value[0], str) and isinstance(value[1], dict)
