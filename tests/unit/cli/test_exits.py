from __future__ import annotations

import pytest

from docbus import errors
from docbus.cli.exits import MEANINGS, ExitCode, code_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ConfigurationError, 2),
        (errors.KeyFileError, 2),
        (errors.LockedError, 5),
        (errors.GroupBusyError, 5),
        (errors.DocumentError, 1),
        (errors.UnknownAgencyError, 1),
        (errors.DirectoryError, 1),
        (errors.TopicMissingError, 1),
        (errors.BrokerUnavailableError, 5),
        (errors.DiskFullError, 5),
        (errors.OutboxFullError, 5),
        (errors.WaitTimeoutError, 5),
    ],
)
def test_exit_code_of_an_error(error: type[errors.DocbusError], expected: int) -> None:
    """1 is a refusal, 2 wrong settings, 5 may be tried again."""
    assert expected == code_of(error("x"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ConfigurationError, 2),
        (errors.UnknownAgencyError, 2),
        (errors.AuditError, 4),
        (errors.DirectoryError, 4),
        (errors.MalformedError, 4),
        (errors.BrokerUnavailableError, 4),
    ],
)
def test_error_is_never_a_verdict(error: type[errors.DocbusError], expected: int) -> None:
    """Of a verifying command 1 and 3 are verdicts, so that no error has them."""
    assert expected == code_of(error("x"), verifying=True)


def test_every_exit_code_is_explained() -> None:
    """The table that the reference repeats has every code."""
    assert set(ExitCode) == set(MEANINGS)
