"""The glossary's words, and none that could mean anything."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.source import modules, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORBIDDEN = frozenset({"data", "info", "manager", "message", "messages", "misc", "util", "utils"})
"""Say document, envelope, record, statement, or what the thing does."""
FOREIGN = frozenset({"data_version"})
"""Names that others gave: SQLite's pragma."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _words(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}


def _names(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every name that a module defines, with its line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr, node.lineno


@pytest.mark.parametrize("module", modules())
def test_names_are_the_glossarys(module: str) -> None:
    """No module, class, function, argument or variable has a name that says nothing about what it holds."""
    assert set() == _words(module) & FORBIDDEN
    defined = [(name, line) for name, line in _names(modules()[module]) if name not in FOREIGN]
    assert [] == [f"{name}, line {line}" for name, line in defined if _words(name) & FORBIDDEN]


@pytest.mark.parametrize("name", ["MessageQueue", "message_size", "_data", "KafkaInfo", "io_utils", "DATA"])
def test_forbidden_word_is_found_in_any_spelling(name: str) -> None:
    """The rule sees its words in class names, constants and private names."""
    assert _words(name) & FORBIDDEN


@pytest.mark.parametrize("name", ["database", "metadata", "information", "DatabaseFile", "informed"])
def test_longer_word_is_not_a_forbidden_one(name: str) -> None:
    """The rule does not trip over words that only contain one of its words."""
    assert not _words(name) & FORBIDDEN
