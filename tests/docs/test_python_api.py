"""``docs/reference/python-api.md`` has every public name, and every public member of what it describes."""

from __future__ import annotations

import dataclasses
import re
from enum import Enum
from pathlib import Path

import pytest

import docbus

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "python-api.md").read_text("utf-8")
PARTS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))
FOR_DOCBUS_ITSELF = frozenset({"topic_value", "sort_key", "usable_code", "validate"})


def members(name: str) -> set[str]:
    """Return what a user may ask of an object of a public class."""
    found = getattr(docbus, name)
    if issubclass(found, Enum):
        return set(found.__members__)
    if dataclasses.is_dataclass(found):
        names = {field.name for field in dataclasses.fields(found)}
    else:
        names = set(getattr(found, "_fields", ()))
    names |= {member for member in vars(found) if not member.startswith("_")}
    return names - FOR_DOCBUS_ITSELF - {"scheme", "value"} if name == "AgencyId" else names - FOR_DOCBUS_ITSELF


def test_page_has_the_public_names() -> None:
    """The headings are the public names, no more and no less."""
    assert docbus.__all__ == sorted(PARTS)


@pytest.mark.parametrize("name", docbus.__all__)
def test_members_are_described(name: str) -> None:
    """Every field, method and code of a public class stands in its part of the page."""
    left = {member for member in members(name) if not re.search(rf"`[^`]*\b{member}\b[^`]*`", PARTS[name])}

    assert set() == left


def test_parameters_of_publish_are_described() -> None:
    """The page names every parameter of the call that everybody uses."""
    described = re.search(r"`publish\(\*files, (.*?)\)`", PAGE)

    assert described is not None
    code = docbus.Agency.publish.__code__
    taken = code.co_varnames[1 : 1 + code.co_kwonlyargcount]
    assert list(taken) == described[1].split(", ")
