from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from docbus.cli.app import app
from docbus.errors import DocbusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

HEAVY = ("aiokafka", "cryptography", "fastavro", "pydantic_settings", "rich", "sqlite3", "structlog", "xml")


def test_help_loads_nothing_heavy() -> None:
    """Asking for help takes a fifth of a second, as nothing is loaded that help does not need."""
    code = f"""
import sys
from docbus.cli import main
main(["publish", "--help"])
print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "docbus publish letter.pdf" in done.stdout
    assert "" == done.stderr.strip()


def test_version_is_shown(docbus: Callable[..., Result]) -> None:
    """The version is one line."""
    found = docbus("--version")

    assert (0, 1) == (found.code, found.out.count("\n"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "frobnicate"),
        (["publish", "--frobnicate"], "--frobnicate"),
        (["replay", "--from", "yesterday"], "yesterday"),
        (["verify", "x", "--trust", "y", "--genesis", "beef"], "64 hex digits"),
        (["report", "x", "--from-sender", "H26", "--status", "three"], "three"),
    ],
)
def test_wrong_usage_is_named(docbus: Callable[..., Result], arguments: list[str], named: str) -> None:
    """Wrong usage has exit code 2, nothing on standard output, and says where to read on."""
    found = docbus(*arguments)

    assert (2, "") == (found.code, found.out)
    assert named in found.err
    assert "--help" in found.err


def test_global_option_behind_the_command_is_explained(docbus: Callable[..., Result]) -> None:
    """Whoever writes the folder behind the command is told where it belongs."""
    found = docbus("status", "-C", "h26")

    assert 2 == found.code
    assert "docbus -C FOLDER status" in found.err


def test_no_arguments_show_the_help(docbus: Callable[..., Result]) -> None:
    """Without a command there is the list of commands, and a wrong usage."""
    found = docbus()

    assert 2 == found.code
    assert "\n  publish " in found.err


def test_errors_are_json_for_programs(docbus: Callable[..., Result], tmp_path: Path) -> None:
    """With --output json an error has a stable code, its text and its remedy, and standard output stays empty."""
    found = docbus("-C", tmp_path, "status", "--output", "json")

    error = json.loads(found.err)["error"]
    assert ("", 2) == (found.out, found.code)
    assert ("configuration_invalid", 2) == (error["code"], error["exit_code"])
    assert "docbus.toml" in error["text"]
    assert "docbus init" in error["hint"]


@pytest.mark.parametrize("verbose", [False, True])
def test_unexpected_error_asks_to_be_reported(
    docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, *, verbose: bool
) -> None:
    """A fault of docbus is one line; where it happened is shown with --verbose only."""

    def fail(_folder: Path) -> None:
        raise ZeroDivisionError("by \x1b[31mzero")

    monkeypatch.setattr("docbus.settings.load_settings", fail)

    found = docbus(*(["--verbose"] if verbose else []), "status")

    assert 70 == found.code
    assert "error: unexpected ZeroDivisionError: by <U+001B>[31mzero" in found.err
    assert "report" in found.err
    assert verbose == ("Traceback" in found.err)


def test_full_disk_is_named_wherever_it_is_noticed(
    docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full is no fault of docbus, even where only the operating system says so."""

    def fail(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("docbus.settings.load_settings", fail)

    found = docbus("status")

    assert 5 == found.code
    assert "error: no space left" in found.err


def test_group_of_errors_is_told_one_by_one(docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks fail in groups; the user reads each error, and no group."""

    def fail(_folder: Path) -> None:
        raise ExceptionGroup("tasks", [DocbusError("first"), ExceptionGroup("inner", [DocbusError("second")])])

    monkeypatch.setattr("docbus.settings.load_settings", fail)

    found = docbus("status")

    assert (1, "error: first\nerror: second\n") == (found.code, found.err)


def test_every_command_has_an_example() -> None:
    """Help teaches: every command shows at least one line to type."""

    def silent(command: object, path: str) -> list[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return [] if f"\n  {path}" in _flat(getattr(command, "epilog", "") or "") else [path]
        return [found for name, one in inner.items() for found in silent(one, f"{path} {name}")]

    assert [] == silent(get_command(app), "docbus")


def _flat(epilog: str) -> str:
    """Take the folder, input and what comes before a pipe out of examples."""
    lines = []
    for line in epilog.splitlines():
        words = line.rpartition("| ")[2].split()
        if words[1:2] == ["-C"]:
            del words[1:3]
        lines.append("  " + " ".join(words))
    return "\n" + "\n".join(lines)


def test_folder_comes_from_the_environment(
    docbus: Callable[..., Result], exchange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCBUS_FOLDER names the folder where the option does not."""
    monkeypatch.setenv("DOCBUS_FOLDER", os.fspath(exchange / "H26"))

    assert "vn:H26" in docbus("status").out
