"""How a command that fails says so: what is wrong, what to do next, and an exit code."""

from __future__ import annotations

import errno
import json
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any

from docbus.cli.escape import escaped_json, shown, shown_lines
from docbus.cli.exits import ExitCode, code_of
from docbus.errors import DiskFullError, DocbusError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.cli.session import Session

_GLOBAL = re.compile(r"No such option: (-C|-q|-v|--folder|--quiet|--verbose)\b")


def report_failure(error: BaseException, session: Session) -> int:
    """Print an error to standard error and return the exit code."""
    found = [_named(one) for one in _leaves(error)]
    known = [one for one in found if isinstance(one, DocbusError)]
    if known and len(known) == len(found):
        for one in known:
            _print(session, one.text, one.hint, code=one.code, step=one.step, exit_code=_code(one, session))
        if session.verbose:
            traceback.print_exception(error)
        return _code(known[0], session)
    unknown = next(one for one in found if not isinstance(one, DocbusError))
    if session.verbose:
        traceback.print_exception(error)
    text = f"unexpected {type(unknown).__name__}: {unknown}"
    hint = "This is a fault of docbus, please report it; --verbose shows where it happened."
    _print(session, text, hint, code="unexpected", step=None, exit_code=ExitCode.BUG)
    return ExitCode.BUG


def report_usage(text: str, command: str, session: Session) -> int:
    """Print what is wrong with the command line and return the exit code."""
    hint = f"See `{command} --help`."
    if _GLOBAL.search(text):
        hint = "Options for all commands stand before the command, as in `docbus -C FOLDER status`."
    _print(session, text.rstrip("."), hint, code="usage", step=None, exit_code=ExitCode.USAGE)
    return ExitCode.USAGE


def _code(error: DocbusError, session: Session) -> ExitCode:
    return code_of(error, verifying=session.verifying)


def _named(error: BaseException) -> BaseException:
    """Return the error of a full disk by its name, wherever it was noticed, such as on standard output."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" for {error.filename}" if error.filename else ""
        return DiskFullError(f"no space left{where}", hint="Make room, then run the command again.")
    return error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what a group of tasks raised, each."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _print(session: Session, text: str, hint: str | None, *, code: str, step: str | None, exit_code: ExitCode) -> None:
    if session.json:
        content: dict[str, Any] = {"code": code, "text": text, "hint": hint, "step": step, "exit_code": int(exit_code)}
        line = escaped_json(json.dumps({"error": content}, ensure_ascii=False))
    else:
        line = f"error: {shown(text)}"
        if hint:
            line += f"\n  {shown_lines(hint)}"
    print(line, file=sys.stderr)  # noqa: T201 - this is the command line
