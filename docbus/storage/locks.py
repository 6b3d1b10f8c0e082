"""A lock file that says who holds it, so that the second process can say so too.

``flock`` belongs to the open file: the kernel drops it when the process ends, however it ends, so that there are no
stale locks. The file itself stays, because removing it would let a third process lock a new file of the same name.
On network file systems ``flock`` is only as good as the server's; an agency's folder belongs on a local disk.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from docbus.clock import Clock, SystemClock, format_time
from docbus.errors import ConfigurationError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_NOTE_BYTES = 4096
"""Bytes of the note that are read and written: enough for a command line that a person wants to see."""
_MAX_COMMAND_CHARACTERS = 400


@contextmanager
def hold(path: Path, purpose: str, clock: Clock | None = None) -> Iterator[None]:
    """Hold a lock file as long as the block runs; never wait for it.

    Args:
        path: The lock file; made with mode 0600 if it is not there.
        purpose: What is held, as it reads after "is held for", such as ``sending``.
        clock: Tells since when.

    Raises:
        LockedError: Another process, or this one, holds it; names process id, host, command and time.
        ConfigurationError: The file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the lock file {path} cannot be opened: {error.strerror}",
            hint="Check that the folder exists and that this user may write in it.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise ConfigurationError(
                    f"{path} cannot be locked: {error.strerror}",
                    hint="Keep the agency's folder on a local file system that knows flock.",
                ) from error
            raise LockedError(
                f"{path} is held {_holder(descriptor)}",
                hint="Stop that process first, or let it do the work: it serves the same agency.",
            ) from error
        _write_note(descriptor, purpose, clock or SystemClock())
        try:
            yield
        finally:
            # Nobody holds it any more; what dies without this leaves the id of a process that is gone.
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> str | None:
    """Return who seems to hold a lock file, as it reads after "is held", or None.

    The lock itself is not tried, so that looking never gets in the way of a process that starts; a process id that was
    given out anew since can mislead.
    """
    try:
        note = json.loads(path.read_bytes()[:_MAX_NOTE_BYTES])
        shown = f"process {note['pid']} on {note['host']} since {note['since']}"
        # A process of somebody else lives, too.
        with suppress(PermissionError):
            os.kill(int(note["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return shown


def _write_note(descriptor: int, purpose: str, clock: Clock) -> None:
    note = {
        "purpose": purpose,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": " ".join(sys.argv)[:_MAX_COMMAND_CHARACTERS],
        "since": format_time(clock.now_ms()),
    }
    encoded = json.dumps(note, ensure_ascii=True).encode("ascii")
    # The note only explains; on a full disk the lock holds without it.
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, encoded, 0)
    except OSError:
        return


def _holder(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return (
            f"for {note['purpose']} by process {note['pid']} on {note['host']}"
            f" since {note['since']} ({note['command']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "by another process"
