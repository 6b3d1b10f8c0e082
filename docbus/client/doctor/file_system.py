"""Folders on disks: how much room there is, on which file system, and whether it really writes."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docbus.clock import Clock

PROBE_PREFIX = ".docbus-doctor-"
PROBE_BYTES = 64 * 1024
"""Bytes written to see whether a disk takes them: several blocks of any file system."""
MOUNTS = Path("/proc/self/mountinfo")
"""Linux's list of mounted file systems; elsewhere their kind is not known."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder as it was found.

    Attributes:
        path: Which one.
        free_bytes: What this user may still write on its disk.
        kind: Kind of file system, such as ``ext4``; None if that cannot be told.
        mounted_at: Where that file system is mounted.
        sync_ms: Milliseconds that writing and syncing a small file took; None if it failed.
        trouble: Why it failed.
    """

    path: Path
    free_bytes: int
    kind: str | None = None
    mounted_at: str | None = None
    sync_ms: int | None = None
    trouble: str | None = None

    @property
    def disk(self) -> str:
        """The file system in words."""
        return "a file system of unknown kind" if self.kind is None else f"{self.kind} mounted at {self.mounted_at}"


def look_at(path: Path, clock: Clock) -> Place:
    """Look at a folder; a probe is written in it and removed.

    Args:
        path: The folder.
        clock: Measures how long the probe took.
    """
    try:
        free = shutil.disk_usage(path).free
        found = file_system_of(path.resolve(), _mounts())
    except OSError as error:
        return Place(path=path, free_bytes=0, trouble=error.strerror or str(error))
    kind, mounted_at = found or (None, None)
    try:
        began = clock.monotonic()
        _probe(path)
        took = round((clock.monotonic() - began) * 1000)
    except OSError as error:
        reason = error.strerror or str(error)
        return Place(path=path, free_bytes=free, kind=kind, mounted_at=mounted_at, trouble=reason)
    return Place(path=path, free_bytes=free, kind=kind, mounted_at=mounted_at, sync_ms=took)


def is_there(path: Path) -> bool:
    """Tell whether there is something of that name that this user can see."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def file_system_of(path: Path, mounts: str) -> tuple[str, str] | None:
    """Return kind and mount point of the file system of an absolute path; None if the list does not say.

    Args:
        path: Without symbolic links.
        mounts: The list, in the form of proc(5), ``/proc/pid/mountinfo``.
    """
    best: tuple[str, str] | None = None
    for row in mounts.splitlines():
        mount, _, rest = row.partition(" - ")
        fields, kinds = mount.split(), rest.split()
        if len(fields) < 5 or not kinds:  # noqa: PLR2004 - the fifth field is the mount point
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        # Of two at the same place the later one hides the earlier.
        if path.is_relative_to(point) and (best is None or len(point) >= len(best[1])):
            best = kinds[0], point
    return best


def _mounts() -> str:
    try:
        return MOUNTS.read_text("utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _probe(folder: Path) -> None:
    """Write a file and sync it; its name is gone before that, so that a crash leaves nothing."""
    descriptor, name = tempfile.mkstemp(prefix=PROBE_PREFIX, dir=folder)
    try:
        os.unlink(name)  # noqa: PTH108 - mkstemp returns text
        os.write(descriptor, bytes(PROBE_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
