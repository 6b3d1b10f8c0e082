"""Disks of their own for publishers and consumers, which can really be full: writes fail with ENOSPC.

Each is a file system in a sparse file, mounted over the party's folder; where that is not allowed, a tmpfs. A file of
ballast takes all space that is left. Everything is mounted in a mount namespace of the harness alone, so that nothing
is left behind however it ends; Linux only, as root or where users may have namespaces of their own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from pathlib import Path

from docbus.limits import MIB

IMAGE_BYTES = 24 * 1024 * MIB
"""Size of a file system in a file, which takes what is written to it: half a million documents take 8 GiB."""
TMPFS_BYTES = 4 * 1024 * MIB
"""Size of one in memory, likewise."""
COMMAND_SECONDS = 60.0
BALLAST = "ballast"
SMALLEST_BYTES = 4096
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
"""Of Linux's unshare(2)."""
_MS_REC_PRIVATE = 0x4000 | 0x40000
"""Of mount(2)."""


class NoDisksError(Exception):
    """Nothing can be mounted here."""


def enter_namespace() -> None:
    """Take this process, and all that it starts, into a mount namespace of its own. To be called before any thread.

    Raises:
        NoDisksError: It may not.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNS):
        user, group = os.getuid(), os.getgid()
        if library.unshare(_CLONE_NEWNS | _CLONE_NEWUSER):
            raise NoDisksError(os.strerror(ctypes.get_errno()))
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(text, "ascii")
    if library.mount(b"none", b"/", None, _MS_REC_PRIVATE, None):
        raise NoDisksError(os.strerror(ctypes.get_errno()))


class Disk:
    """One file system.

    Args:
        folder: Over which it is mounted; empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.disk")

    def mount(self) -> None:
        """Make and mount it.

        Raises:
            NoDisksError: It cannot be mounted.
        """
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        # Without a journal, as no power is cut here, and without room that is kept for root.
        made = _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(self._image))
        if made or _run("mount", "-o", "loop,noatime", str(self._image), str(self.folder)):
            self._image.unlink()
            failed = _run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "docbus-disk", str(self.folder))
            if failed:
                raise NoDisksError(failed)
        else:
            (self.folder / "lost+found").rmdir()

    def fill(self) -> None:
        """Take all space that is left."""
        with (self.folder / BALLAST).open("ab") as file:
            size = IMAGE_BYTES
            # What is said to be free cannot always be had in one piece.
            while size >= SMALLEST_BYTES:
                usage = os.fstatvfs(file.fileno())
                size = min(size, usage.f_bavail * usage.f_frsize)
                if not size:
                    break
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def empty(self) -> None:
        """Give the space back."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def unmount(self, *, keep: bool) -> None:
        """Unmount it, once nobody uses it.

        Args:
            keep: Leave its databases in the folder.
        """
        self.empty()
        kept = self.folder.with_name(f"{self.folder.name}.kept")
        if keep:
            kept.mkdir()
            for path in self.folder.glob("*.db*"):
                shutil.copy2(path, kept)
        _run("umount", "-l", str(self.folder))
        self._image.unlink(missing_ok=True)
        if keep:
            shutil.copytree(kept, self.folder, dirs_exist_ok=True)
            shutil.rmtree(kept)


def _run(*command: str) -> str:
    """Run a command; return what is wrong, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() or f"{command[0]} ended with {done.returncode}" if done.returncode else ""
