"""The tree of errors in the docstring of docbus/errors.py is the tree of classes."""

from __future__ import annotations

import ast
import builtins
import inspect
import re

import pytest

from docbus import errors
from tests.support.source import modules, tree

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]
LINE = re.compile(r"^    ((?:[│ ] {3})*(?:[├└]── )?)(\w+Error)\b(.*)$", re.MULTILINE)


def _tree_of_docstring() -> dict[str, tuple[str | None, bool]]:
    """Return name -> (parent, retriable) as the docstring draws it."""
    found: dict[str, tuple[str | None, bool]] = {}
    above: list[str] = []
    for branch, name, rest in LINE.findall(errors.__doc__ or ""):
        depth = len(branch) // 4
        above = [*above[:depth], name]
        found[name] = (above[depth - 1] if depth else None, "(retriable)" in rest)
    return found


def test_docstring_draws_the_tree_of_classes() -> None:
    """A reader of the docstring sees every error, below the class it derives from, and whether to try again."""
    classes = {
        found.__name__: (None if found is errors.DocbusError else found.__base__.__name__, found.retriable)
        for found in CLASSES
    }

    assert classes == _tree_of_docstring()


@pytest.mark.parametrize("error", CLASSES, ids=lambda found: found.__name__)
def test_error_has_its_own_code(error: type[errors.DocbusError]) -> None:
    """A code names one class, in receipts, logs and documentation."""
    assert [error] == [found for found in CLASSES if found.code == error.code]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)


def test_no_other_module_adds_to_the_tree() -> None:
    """Catching DocbusError catches all that docbus raises on purpose, and every code is in one file.

    A module may refine an error for its own use, as long as callers see the code of the class in the tree. A control
    flow that is no error has another name, with its reason beside it (ruff's N818).
    """
    builtin = {
        name for name, found in vars(builtins).items() if inspect.isclass(found) and issubclass(found, BaseException)
    }
    known = builtin | {found.__name__ for found in CLASSES}
    defined = [
        (name, node, {ast.unparse(base).rpartition(".")[2] for base in node.bases} & known)
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if name != errors.__name__ and isinstance(node, ast.ClassDef) and re.match(r"[A-Z]\w+Error$", node.name)
    ]

    assert [] == [f"{name}.{node.name}" for name, node, bases in defined if bases & builtin]
    assert [] == [f"{name}.{node.name}" for name, node, bases in defined if bases and "code = " in ast.unparse(node)]
