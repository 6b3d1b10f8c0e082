"""Modules stay small enough to be read in one go."""

from __future__ import annotations

from statistics import median

from tests.support.source import modules

MAX_LINES = 400
"""A longer module has two nouns in it: split it."""
MAX_MEDIAN_LINES = 200


def test_no_module_is_too_long() -> None:
    """No module has more lines than fit into one sitting."""
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}

    assert {} == {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
    assert median(lengths.values()) <= MAX_MEDIAN_LINES


def test_every_package_says_what_it_is_for() -> None:
    """Each package begins with a docstring, in which a newcomer finds what it is for."""
    packages = [path for path in modules().values() if path.name == "__init__.py"]
    folders = {path.parent for path in modules().values()}

    assert folders == {path.parent for path in packages}
    assert [] == [str(path) for path in packages if not path.read_text("utf-8").startswith('"""')]
