"""Waits that can be ended."""

from __future__ import annotations

import ast

from tests.support.source import modules, tree


def test_nobody_waits_in_a_way_that_cannot_be_cancelled() -> None:
    """Before Python 3.12 ``asyncio.wait_for`` lets a cancellation go unnoticed if what it waits for ends just then."""
    users = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and ast.unparse(node.value) == "asyncio"
    ]

    assert [] == users
