"""Every test says in its docstring what it claims."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.source import ROOT, tree

if TYPE_CHECKING:
    from pathlib import Path

FILES = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "tests").rglob("test_*.py"))}


def _tests(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_test_states_its_claim(file: str) -> None:
    """A test that fails says which promise is broken, in a sentence."""
    silent = [node.name for node in _tests(FILES[file]) if not (ast.get_docstring(node) or "").strip().endswith(".")]

    assert [] == silent


@pytest.mark.parametrize("file", FILES)
def test_no_test_hides_another(file: str) -> None:
    """Two tests of one name in one scope would be one test."""
    for scope in ast.walk(tree(FILES[file])):
        if isinstance(scope, ast.Module | ast.ClassDef):
            names = [node.name for node in scope.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
            assert len(names) == len(set(names))
