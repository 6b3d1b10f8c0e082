"""``docs/reference/errors.md`` has every stable code, with its class or check, and whether it is retriable."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from docbus import errors
from docbus.errors import DocbusError, IndeterminateError, VerificationError
from docbus.verification.checks import (
    AUTHORITY_CODES,
    CERTIFICATE_CODES,
    CHECKS,
    LATER_CODES,
    PATH_CODES,
    UNDECIDED_PATH_CODES,
)
from docbus.verification.verifier import DIRECTORY_HASH_FINDING

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text("utf-8")
ROWS = {
    code: rest
    for code, *rest in re.findall(
        r"^\| `(\w+)` \| `?([\w.]+)`? \| (yes|no) \| ([^|]+) \| ?([^|]*?) ?\|$", PAGE, re.MULTILINE
    )
}
"""Class or check, whether retriable, meaning and advice, by code."""
CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, DocbusError)]


def test_every_error_is_documented() -> None:
    """Each class's code has a row with the class's name and the right answer about trying again."""
    expected = {made.code: (made.__name__, "yes" if made.retriable else "no") for made in CLASSES}

    assert expected == {code: tuple(ROWS[code][:2]) for code in expected if code in ROWS}


def test_every_check_is_documented() -> None:
    """Each check's code has a row with its number, and only indeterminate ones are retriable."""
    expected = {check.code: (check.number, "yes" if check.outcome == "indeterminate" else "no") for check in CHECKS} | {
        code: ("C1.19", "yes" if code in LATER_CODES else "no") for code in AUTHORITY_CODES
    }
    expected |= dict.fromkeys(CERTIFICATE_CODES, ("C1.04", "yes"))
    expected |= {code: ("C1.23", "yes" if code in UNDECIDED_PATH_CODES else "no") for code in PATH_CODES}
    shared = {"agency_closed"}

    assert expected == {code: tuple(ROWS[code][:2]) for code in expected if code in ROWS} | {
        code: expected[code] for code in shared
    }


def test_nothing_else_is_documented() -> None:
    """A code that no longer exists has no row."""
    known = (
        {made.code for made in CLASSES}
        | {check.code for check in CHECKS}
        | {*AUTHORITY_CODES, *CERTIFICATE_CODES, *PATH_CODES}
    )

    assert set() == set(ROWS) - known


def test_every_row_says_what_to_do() -> None:
    """Each code has a meaning and, unless it is never raised, advice; both are sentences."""
    for code, (_, _, meaning, advice) in ROWS.items():
        assert (code, ".") == (code, meaning[-1])
        if code != DocbusError.code:
            assert (code, True) == (code, advice.endswith("."))


def test_codes_of_classes_are_unique() -> None:
    """No two classes share a code, so that a program can tell them apart."""
    assert len(CLASSES) == len({made.code for made in CLASSES})


def test_the_finding_is_documented() -> None:
    """The one finding of verification is explained."""
    assert f"`{DIRECTORY_HASH_FINDING}`" in PAGE


def test_an_outcome_decides_what_is_retriable() -> None:
    """Failed is for good, indeterminate is not."""
    assert (False, True) == (VerificationError.retriable, IndeterminateError.retriable)
