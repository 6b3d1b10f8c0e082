"""What `docbus doctor` prints, and its exit code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from docbus.cli.doctor import show
from docbus.client.doctor.diagnosis import failed, not_asked, passed, warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

FOLDERS = ("H26", "registrar", "auditor")


@pytest.mark.parametrize("folder", FOLDERS)
def test_installation_that_works(exchange: Path, docbus: Callable[..., Result], folder: str) -> None:
    """In every kind of folder nothing fails: the exit code is 0, and each line begins with a sign."""
    found = docbus("-C", folder, "doctor")

    assert (0, "") == (found.code, "".join(line for line in found.out.splitlines() if line.startswith("✗")))
    assert all(re.match(r"[✓!–] [a-z.]|   +→ ", line) for line in found.out.splitlines())
    assert re.fullmatch(r"\d+ ✓(, \d+ !)?(, \d+ –)?\n", found.err)


def test_key_that_is_open_to_others(exchange: Path, docbus: Callable[..., Result]) -> None:
    """What fails stands with its remedy below it, and the exit code is 1."""
    (exchange / "H26" / "keys" / "signing.pem").chmod(0o644)

    found = docbus("-C", "H26", "doctor")

    lines = found.out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("✗ signing key ")]
    assert (1, True) == (found.code, lines[at + 1].endswith(f"→ chmod 600 {exchange}/H26/keys/signing.pem"))


def test_bus_that_is_away(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Without the bus what is local is checked all the same."""
    (exchange / "bus.db").unlink()

    found = docbus("-C", "H26", "doctor")

    assert (1, ["✗ brokers"]) == (found.code, re.findall(r"^✗ \w+", found.out, re.MULTILINE))
    assert "✓ signing key " in found.out
    assert "– directory " in found.out


def test_settings_that_cannot_be_read(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Where other commands refuse to start, the doctor says why, with its own exit code."""
    found = docbus("-C", "nowhere", "doctor")

    assert (1, ["✓ software", "✗ settings", "– everything"]) == (
        found.code,
        re.findall(r"^[✓✗–] \w+", found.out, re.MULTILINE),
    )


def test_programs_get_a_list(exchange: Path, docbus: Callable[..., Result]) -> None:
    """In JSON each check has its outcome, what was found, and the remedy or null; nothing else is printed."""
    (exchange / "H26" / "keys" / "encryption.pem").unlink()

    found = docbus("-C", "H26", "doctor", "--output", "json")

    assert all({"check", "outcome", "found", "remedy"} == one.keys() for one in found.json)
    outcomes = {one["check"]: one["outcome"] for one in found.json}
    assert (1, "failed", "passed", "not asked", "warning") == (
        found.code,
        *(outcomes[name] for name in ("decryption keys", "signing key", "access", "sending")),
    )
    assert "" == found.err


def test_lines_are_aligned_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """Names have one width, remedies stand below what was found, and no character moves a cursor."""
    show(
        [
            passed("a", "good"),
            failed("long name", "bad\x1b[2J", "mend"),
            warning("b", "odd", "look"),
            not_asked("c", "–"),
        ]
    )

    assert [
        "✓ a          good",
        "✗ long name  bad<U+001B>[2J",
        "             → mend",
        "! b          odd",
        "             → look",
        "– c          –",
    ] == capsys.readouterr().out.splitlines()
