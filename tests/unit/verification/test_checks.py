"""The checklist itself: numbers, codes, and the modules that list it."""

from __future__ import annotations

import re

import pytest

from docbus.errors import IndeterminateError, VerificationError
from docbus.verification import checks, opening, parts, verifier
from docbus.verification.checks import AUTHORITY_CODES, CERTIFICATE_CODES, CHECKS, OF_PARTS, Check


def test_numbers_count_without_holes() -> None:
    """C1.01 to the last, then C2.01 to the last."""
    first = [check.number for check in CHECKS if check.number.startswith("C1")]
    second = [check.number for check in CHECKS if check.number.startswith("C2")]

    assert [f"C1.{number:02}" for number in range(1, len(first) + 1)] == first
    assert [f"C2.{number:02}" for number in range(1, len(second) + 1)] == second
    assert [check.number for check in CHECKS] == first + second


def test_codes_are_unique_and_plain() -> None:
    """A code is small letters and underscores, and names one thing."""
    codes = [check.code for check in CHECKS] + [*AUTHORITY_CODES, *CERTIFICATE_CODES]

    assert len(codes) == len(set(codes))
    assert [] == [code for code in codes if not re.fullmatch(r"[a-z][a-z0-9_]{2,63}", code)]


def test_every_check_is_listed() -> None:
    """No check is defined and left out of the list."""
    assert set(CHECKS) == {value for value in vars(checks).values() if isinstance(value, Check)}


def test_checks_of_parts_come_last() -> None:
    """What is asked of records in a content topic follows on what is asked of the envelope, in the order of numbers."""
    assert ["C2.09", "C2.10", "C2.11", "C2.12"] == [check.number for check in CHECKS if check in OF_PARTS]
    assert OF_PARTS == set(CHECKS[-len(OF_PARTS) :])


@pytest.mark.parametrize(
    ("module", "run"),
    [
        (verifier, [check for check in CHECKS if check.number.startswith("C1")]),
        (opening, [check for check in CHECKS if check.number.startswith("C2") and check not in OF_PARTS]),
        (parts, [check for check in CHECKS if check in OF_PARTS]),
    ],
    ids=["verifier", "opening", "parts"],
)
def test_module_docstrings_show_the_checklist(module: object, run: list[Check]) -> None:
    """The list at the top of a module has exactly the numbers it runs."""
    listed = [line for line in (module.__doc__ or "").splitlines() if line.startswith("    C")]

    assert [check.number for check in run] == sorted(re.findall(r"C\d\.\d\d", "\n".join(listed)))


def test_refusals_carry_step_and_code() -> None:
    """Both outcomes name the check by step and code; a more special code takes the check's place."""
    with pytest.raises(VerificationError, match=r"^no$") as failed:
        checks.failed(checks.SIGNATURE, "no")
    with pytest.raises(IndeterminateError, match=r"^not yet$") as undecided:
        checks.undecided(checks.AUTHORITY, "not yet", code=checks.REVOKED_LATER)

    assert ("C1.08", "signature_invalid") == (failed.value.step, failed.value.code)
    assert ("C1.19", "revoked_later") == (undecided.value.step, undecided.value.code)
