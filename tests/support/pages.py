"""Pages of the documentation as tests run them: what a reader would type, and what it would print."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECONDS = 55
"""For all commands of a page."""
_BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "--- end of block "
_SHIM = '#!/bin/sh\nexec {python} -m docbus "$@"\n'


class Step(NamedTuple):
    """Commands in one block of a page, and the lines that the next block shows of their output."""

    commands: str
    shown: tuple[str, ...]


def programs(page: str) -> dict[str, str]:
    """Return the Python blocks that a page names, by those names."""
    return {name: text for language, name, text in _blocks(page) if language == "python" and name}


def steps(page: str) -> list[Step]:
    """Return the ``sh`` blocks in their order, each with the ``text`` block that follows it."""
    found = _blocks(page)
    return [
        Step(block, tuple(following[2].splitlines()) if following[0] == "text" else ())
        for (language, _, block), following in zip(found, [*found[1:], ("", "", "")], strict=True)
        if language == "sh"
    ]


def _blocks(page: str) -> list[tuple[str, str, str]]:
    """Return language, name and text of every fenced block."""
    return _BLOCK.findall((ROOT / page).read_text("utf-8"))


def environment(folder: Path) -> dict[str, str]:
    """Return variables under which ``docbus`` is this checkout, run by this Python."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    shim = programs / "docbus"
    shim.write_text(_SHIM.format(python=shlex.quote(sys.executable)), "ascii")
    shim.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}


def run_steps(page: str, folder: Path) -> list[tuple[Step, str]]:
    """Run all ``sh`` blocks of a page in one shell, and return what each printed; what is left running is ended.

    Raises:
        AssertionError: A command failed, or all of it took too long; the text has what was printed.
    """
    found = steps(page)
    script = ["set -eu", "exec 2>&1"]
    for number, step in enumerate(found):
        script += [step.commands, f"echo; echo '{_END}{number}'"]
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script)],  # noqa: S607 - the developer's own shell
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=(output := (folder / ".output").open("w+b")),
        start_new_session=True,
    )
    with output:
        try:
            code: int | str = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = "none in time"
        finally:
            _end(shell)
        output.seek(0)
        printed = output.read().decode()
    assert 0 == code, printed
    parts = re.split(rf"\n{_END}\d+\n", printed)
    return list(zip(found, parts[:-1], strict=True))


def missing_lines(step: Step, printed: str) -> list[str]:
    """Return the shown lines that were not printed, in that order; an ellipsis stands for anything."""
    left = iter(printed.splitlines())
    missing = []
    for shown in step.shown:
        pattern = re.compile(r"\s*" + ".*".join(map(_loose, shown.split("…"))) + r"\s*")
        if not any(pattern.fullmatch(line) for line in left):
            missing.append(shown)
            left = iter(())
    return missing


def _loose(text: str) -> str:
    """A pattern for text in which the width of columns does not matter."""
    return r"\s+".join(map(re.escape, re.split(r"\s+", text)))


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End what the page has left in the background: it is in the shell's own process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
