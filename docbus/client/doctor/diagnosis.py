"""One line of what the doctor says: what was asked, how it is, what was found, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docbus.errors import DocbusError


class Outcome(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    WARNING = "warning"
    """It works, and somebody should look."""
    FAILED = "failed"
    NOT_ASKED = "not asked"
    """It does not apply here, or something else has to be mended first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one check has found.

    Attributes:
        check: Its name.
        outcome: How it is.
        found: What was found, for people; never key material.
        remedy: What to do, as a command or a setting; None unless it failed or warns.
    """

    check: str
    outcome: Outcome
    found: str
    remedy: str | None = None


def passed(check: str, found: str) -> Diagnosis:
    """Return that it is as it should be."""
    return Diagnosis(check=check, outcome=Outcome.PASSED, found=found)


def warning(check: str, found: str, remedy: str) -> Diagnosis:
    """Return that somebody should look."""
    return Diagnosis(check=check, outcome=Outcome.WARNING, found=found, remedy=remedy)


def failed(check: str, found: str, remedy: str) -> Diagnosis:
    """Return that something will not work."""
    return Diagnosis(check=check, outcome=Outcome.FAILED, found=found, remedy=remedy)


def refused(check: str, error: DocbusError, remedy: str | None = None) -> Diagnosis:
    """Return that something will not work, as an error says.

    Args:
        check: Its name.
        error: Its hint is the remedy.
        remedy: In place of a hint that is missing.
    """
    known = error.hint or remedy or f"See {error.code} in docs/reference/errors.md."
    return failed(check, error.text, known)


def not_asked(check: str, found: str) -> Diagnosis:
    """Return that there is nothing to say, and why."""
    return Diagnosis(check=check, outcome=Outcome.NOT_ASKED, found=found)
