from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, LockedError
from docbus.storage import locks
from docbus.storage.locks import hold

if TYPE_CHECKING:
    from pathlib import Path


def test_second_holder_learns_who_holds(tmp_path: Path) -> None:
    """The error names purpose, process and time."""
    path = tmp_path / "outbox.lock"

    with (
        hold(path, "sending"),
        pytest.raises(LockedError, match=f"for sending by process {os.getpid()}") as caught,
        hold(path, "sending"),
    ):
        pass  # pragma: no cover

    assert str(path) in caught.value.text
    assert caught.value.hint is not None


def test_lock_is_free_afterwards(tmp_path: Path) -> None:
    """Leaving the block, also by an error, lets go."""
    path = tmp_path / "outbox.lock"

    with pytest.raises(ValueError, match="on purpose"), hold(path, "sending"):
        raise ValueError("on purpose")
    with hold(path, "sending"):
        held = path.exists()

    assert held


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A process that dies leaves no stale lock, only its note."""
    path = tmp_path / "outbox.lock"
    script = (
        "import os, sys, pathlib\n"
        "from docbus.storage.locks import hold\n"
        "with hold(pathlib.Path(sys.argv[1]), 'sending'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LockedError, match=f"process {process.pid}"), hold(path, "sending"):
            pass  # pragma: no cover
        process.kill()

    with hold(path, "sending"):
        note = path.read_text()
    assert f'"pid": {os.getpid()}' in note


def test_lock_without_note_is_still_a_lock(tmp_path: Path) -> None:
    """Rubbish in the file hides the holder's name, not the holder."""
    path = tmp_path / "outbox.lock"

    with hold(path, "sending"):
        path.write_bytes(b"\xff rubbish")
        with pytest.raises(LockedError, match="by another process"), hold(path, "sending"):
            pass  # pragma: no cover


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A lock file that cannot be made is an error of configuration."""
    with pytest.raises(ConfigurationError, match="nowhere"), hold(tmp_path / "nowhere" / "a.lock", "sending"):
        pass  # pragma: no cover


def test_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The note has a command line in it."""
    path = tmp_path / "outbox.lock"

    with hold(path, "sending"):
        mode = path.stat().st_mode & 0o777

    assert mode == 0o600


def test_note_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note of a process with an endless command line is short, and of a longer note no more is read."""
    monkeypatch.setattr("sys.argv", ["docbus", "x" * 100_000])
    path = tmp_path / "lock"
    with path.open("w+b") as file:
        locks._write_note(file.fileno(), "purpose", SystemClock())
    assert path.stat().st_size <= locks._MAX_NOTE_BYTES
    assert locks._MAX_COMMAND_CHARACTERS == len(json.loads(path.read_bytes())["command"])
    assert locks.holder_of(path) is not None

    path.write_bytes(path.read_bytes()[:-1] + b" " * locks._MAX_NOTE_BYTES + b"}")
    assert locks.holder_of(path) is None
