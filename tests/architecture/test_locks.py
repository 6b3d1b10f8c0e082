"""What is installed is what the locks say, and what is shipped is complete."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

import pytest

from tests.support.source import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
PINNED = re.compile(
    r"^([a-z0-9-]+)==(\S+)((?: ; .+?)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def _pinned(lock: str) -> set[tuple[str, str]]:
    """Return the names and versions in a lock."""
    return {(name, version) for name, version, _, _ in PINNED.findall((ROOT / lock).read_text("utf-8"))}


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9-]", requirement)[0].lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_by_hash_and_names_no_index(lock: str) -> None:
    """Whatever serves the packages, it serves these bytes or nothing."""
    text = (ROOT / lock).read_text("utf-8")
    rest = [line for line in PINNED.sub("", text).splitlines() if not line.startswith("    #")]

    assert [] == rest
    assert "://" not in text


def test_running_lock_is_part_of_the_developing_lock() -> None:
    """What is tested is what runs, to the version."""
    assert set() == _pinned("requirements.txt") - _pinned("requirements-dev.txt")


def test_locks_have_every_direct_dependency() -> None:
    """A dependency added to pyproject.toml is locked; `make lock` does it."""
    running = {_name(requirement) for requirement in _project()["project"]["dependencies"]}
    groups = _project()["dependency-groups"].values()
    developing = {_name(requirement) for group in groups for requirement in group if isinstance(requirement, str)}

    assert set() == running - {name for name, _ in _pinned("requirements.txt")}
    assert set() == developing - {name for name, _ in _pinned("requirements-dev.txt")}


def test_ruff_exceptions_have_reasons() -> None:
    """Every rule that is off says why on its own line."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    rules = re.findall(r'^(?:"tests/support/\*" = \[|    )("[A-Z]+[0-9]*"\]?,?.*)$', text, re.MULTILINE)

    assert rules
    assert [] == [rule for rule in rules if "# " not in rule and rule != '"ALL"']
