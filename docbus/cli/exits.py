"""Exit codes: one table, which ``docs/reference/cli.md`` repeats."""

from __future__ import annotations

from enum import IntEnum

from docbus.errors import (
    AgencyCodeError,
    ConfigurationError,
    DocbusError,
    GroupBusyError,
    LockedError,
    UnknownAgencyError,
)


class ExitCode(IntEnum):
    """What a command's exit code says; 0, 1, 2, 3 and 4 are those of verifying commands too."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3
    UNREADABLE = 4
    RETRY = 5
    BUG = 70
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Done. Of `verify` and `replay`: valid.",
    ExitCode.FAILED: "Refused or failed; the error says why, and what was accepted before is safe."
    " Of `verify` and `replay`: invalid.",
    ExitCode.USAGE: "Wrong usage, or settings or keys that cannot be used; nothing was started.",
    ExitCode.UNDECIDED: "Only of `verify` and `replay`: indeterminate or incomplete.",
    ExitCode.UNREADABLE: "Only of `verify` and `replay`: the evidence cannot be read, so nothing is said about it.",
    ExitCode.RETRY: "Not now: no broker answers, the disk is full, time ran out, or another process is at work."
    " The same command may be run again.",
    ExitCode.BUG: "An error in docbus itself; please report it.",
    ExitCode.INTERRUPTED: "Stopped by Ctrl-C before it was done.",
}


def code_of(error: DocbusError, *, verifying: bool = False) -> ExitCode:
    """Return the exit code for an error.

    Args:
        error: What ended the command.
        verifying: Whether the command's exit code is a verdict, so that 1 must not mean anything else.
    """
    if isinstance(error, (LockedError, GroupBusyError)):
        return ExitCode.RETRY
    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    if verifying:
        # An agency that was named on the command line, and is none.
        return ExitCode.USAGE if isinstance(error, (AgencyCodeError, UnknownAgencyError)) else ExitCode.UNREADABLE
    return ExitCode.RETRY if error.retriable else ExitCode.FAILED
