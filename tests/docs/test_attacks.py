"""The attacks in ``docs/explanation/threat-model.md``: none is missing, and what they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import NamedTuple

import pytest

from tests.support.source import ROOT, tree

PAGE = (ROOT / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
VECTORS = ROOT / "tests" / "vectors"
NUMBERS = tuple(range(1, 39))
MUST_BE_TESTED = (*range(1, 15), 26, *range(30, 37))
"""Keys, certificates, signatures, batches, replay, context, encryption and the directory."""
WITHOUT = "no test: "
MIN_WORDS = 5
"""Words of a reason, at least."""


class Attack(NamedTuple):
    """One row of the numbered table."""

    number: int
    attack: str
    stops: str
    tests: str


def section(title: str) -> str:
    """Return what stands below a title of the page."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


ATTACKS = [
    Attack(int(number), *(cell.strip() for cell in cells))
    for number, *cells in re.findall(
        r"^\| (\d+) \|([^|]+)\|([^|]+)\|([^|]+)\|$", section("The attacks of the list"), re.MULTILINE
    )
]
FURTHER = re.findall(r"^\|([^|]+)\|([^|]+)\|([^|]+)\|$", section("Further attacks that are tests"), re.MULTILINE)[2:]


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of all functions in a file of tests; none if there is no such file."""
    nodes = ast.walk(tree(ROOT / file)) if (ROOT / file).is_file() else ()
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_there(name: str) -> bool:
    """Tell whether a test, as ``path::function``, or a vector's folder exists."""
    file, separator, function = name.partition("::")
    if separator:
        return function.startswith("test_") and function in functions(file)
    folder = VECTORS / (name if name.startswith("act/") else f"envelope/{name}")
    return (folder / "expected.json").is_file()


def named(cell: str) -> list[str]:
    """Return the tests and vectors that a cell names."""
    return re.findall(r"`((?:tests/|(?:act/)?v\d+-)[^`]+)`", cell)


def test_no_attack_is_missing() -> None:
    """Every number of the list has one row, in order, that says what the attack is and what stops it."""
    assert NUMBERS == tuple(row.number for row in ATTACKS)
    assert [] == [row.number for row in ATTACKS if not row.attack or not row.stops]


@pytest.mark.parametrize("number", NUMBERS)
def test_an_attack_names_its_tests_or_says_why_there_are_none(number: int) -> None:
    """A cell holds nothing but names, or a reason in words; where tests are owed, no reason will do."""
    cell = ATTACKS[number - 1].tests
    tests = named(cell)

    if cell.startswith(WITHOUT):
        assert [] == tests
        assert MIN_WORDS <= len(cell.removeprefix(WITHOUT).split())
        assert number not in MUST_BE_TESTED
    else:
        assert tests
        assert "" == re.sub(r"vectors?|`[^`]+`|[, ]", "", cell)


def test_what_is_named_is_there() -> None:
    """Every test and vector on the page exists, and names stand in the cells where they are looked for."""
    cells = [row.tests for row in ATTACKS] + [tests for _, _, tests in FURTHER]
    names = [name for cell in cells for name in named(cell)]

    assert [] == [name for name in names if not is_there(name)]
    assert sorted(names) == sorted(re.findall(r"`((?:tests/[^`]+::|(?:act/)?v1-)[^`]+)`", PAGE))


def test_a_further_attack_has_a_test() -> None:
    """What is not on the list stands on the page only because a test runs it, and stands there once."""
    attacks = [attack.strip() for attack, _, _ in FURTHER]

    assert attacks
    assert [] == [attack.strip() for attack, _, tests in FURTHER if not named(tests)]
    assert len(attacks) == len({*attacks, *(row.attack for row in ATTACKS)}) - len(ATTACKS)


@pytest.mark.parametrize(
    "name",
    [
        "tests/unit/identity/test_rules.py::test_no_such_thing",
        "tests/unit/identity/test_no_such_file.py::test_attack_is_refused",
        "tests/unit/identity/test_signing.py::_signer",
        "v1-no-such-vector_fail",
        "act/v1-document",
    ],
)
def test_what_is_not_there_is_found(name: str) -> None:
    """A test that was renamed, a helper, and a vector of another kind are not taken for what a row promises."""
    assert not is_there(name)
