"""The command line: a thin layer over :mod:`docbus.client`, one file per group of commands.

Standard output holds a command's result and nothing else; logs, progress and errors go to standard error.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BROKEN_PIPE = 141
"""Exit code if whoever reads the output has gone, as a shell reports SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, see :mod:`docbus.cli.exits`; never raises.

    Args:
        arguments: Without the program's name; those of the process if left out.
    """
    # Imported here: whoever imports this package for its name only, such as a test, pays for nothing.
    from docbus.cli.app import run

    try:
        code = run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return int(code)
